"""What events mean in words: one line of an activity list or of the audit trail."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import url_for

from zentry_web.domain.event import Event, Outcome
from zentry_web.domain.language import _, find, lazy
from zentry_web.domain.vms.kinds import TITLES
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.outage import Cause
from zentry_web.domain.vms.truths import Disagreement
from zentry_web.domain.vms.undo import UNDOABLE
from zentry_web.web.output.filters import duration
from zentry_web.web.output.regions import credits_text

# action: (icon, words). {name} is what it happened to.
ACTIONS: dict[str, tuple[str, str]] = {
    "admin.page": ("shield-check", lazy("Asked for a page of admins")),
    "auth.signup": ("user-plus", lazy("Signed up")),
    "auth.login": ("login", lazy("Logged in")),
    "auth.logout": ("logout", lazy("Logged out")),
    "auth.password_change": ("key", lazy("Changed the password")),
    "auth.password_reset": ("key", lazy("Chose a new password by a mailed link")),
    "auth.link_made": ("link", lazy("Made a one-time link")),
    "auth.link_redeemed": ("login", lazy("Set a password with a one-time link")),
    "token.create": ("api", lazy("Made an API token")),
    "token.revoke": ("api", lazy("Ended an API token")),
    "token.reuse": ("alert-triangle", lazy("A used-up API token came again")),
    "ssh_key.add": ("key", lazy("Added an SSH key")),
    "ssh_key.rename": ("edit", lazy("Renamed an SSH key")),
    "ssh_key.remove": ("trash", lazy("Removed an SSH key")),
    "auth.factor": ("shield-lock", lazy("Brought a second factor")),
    "auth.factor_add": ("shield-check", lazy("Added a second factor")),
    "auth.factor_remove": ("shield", lazy("Removed a second factor")),
    "auth.factor_reset": ("shield", lazy("Removed all second factors")),
    "auth.codes_new": ("key", lazy("Made new recovery codes")),
    "auth.code_used": ("key", lazy("Used a recovery code")),
    "auth.email_change_ask": ("mail", lazy("Asked for another e-mail address")),
    "auth.email_change_off": ("mail", lazy("Called the change of the e-mail address off")),
    "auth.email_change": ("mail", lazy("Changed the e-mail address, with both mailboxes' word")),
    "auth.session_reuse": ("alert-triangle", lazy("A session was in use twice and has ended")),
    "auth.oidc_link": ("link", lazy("Linked another service to log in with")),
    "auth.oidc_unlink": ("unlink", lazy("Unlinked a service to log in with")),
    "auth.proof": ("fingerprint", lazy("Confirmed who it is")),
    "profile.mail": ("mail", lazy("Changed which notices come by mail")),
    "profile.update": ("user", lazy("Changed the profile")),
    "user.disable": ("user-off", lazy("Disabled an account")),
    "user.enable": ("user", lazy("Enabled an account")),
    "user.role": ("users", lazy("Changed the role of an account{roles}")),
    "user.force_reset": ("key", lazy("Reset a password")),
    "user.view_begin": ("eye", lazy("Looked at the pages of the account, as an admin")),
    "user.view_page": ("eye", lazy("Saw a page of the account, as an admin: {page}")),
    "user.view_end": ("eye", lazy("Left the pages of the account")),
    "user.note": ("edit", lazy("Wrote a note about an account")),
    "user.note_removed": ("trash", lazy("Deleted a note about an account")),
    "user.deletion_ask": ("trash", lazy("Asked for the account to be deleted")),
    "user.deletion_off": ("arrow-back-up", lazy("Kept the account after all")),
    "user.export": ("download", lazy("Took a copy of all personal data")),
    "user.bulk": ("users", lazy("Changed many accounts at once")),
    "user.list_export": ("download", lazy("Exported the list of users")),
    "user.erased": ("trash", lazy("Erased an account's personal data")),
    "project.create": ("folders", lazy("Created project {name}")),
    "project.rename": ("edit", lazy("Renamed a project to {name}")),
    "project.budget": ("gauge", lazy("Set the budget of {name}")),
    "project.budget_removed": ("gauge", lazy("Removed the budget of {name}")),
    "project.quota": ("gauge", lazy("Changed the quota of {name}")),
    "user.quota": ("gauge", lazy("Changed an account's quota")),
    "project.update": ("edit", lazy("Changed the settings of {name}")),
    "project.archive": ("archive", lazy("Archived project {name}")),
    "project.unarchive": ("arrow-back-up", lazy("Took project {name} out of the archive")),
    "project.delete": ("trash", lazy("Deleted project {name}")),
    "project.restore": ("arrow-back-up", lazy("Restored project {name} from the recycle bin")),
    "project.purge": ("trash", lazy("Deleted project {name} for good")),
    "project.protect": ("lock", lazy("Protected project {name} from deletion")),
    "project.unprotect": ("lock-open", lazy("Switched the delete protection of project {name} off")),
    "credits.add": ("coin", lazy("Added credits")),
    "credits.promote": ("coin", lazy("Gave promotional credit")),
    "credits.deduct": ("coin", lazy("Deducted credits")),
    "credits.refund": ("arrow-back-up", lazy("Refunded credits")),
    "approval.ask": ("list-check", lazy("Asked a second admin for credits")),
    "approval.approve": ("check", lazy("Approved another admin's request")),
    "approval.refuse": ("ban", lazy("Refused a request for credits")),
    "voucher.create": ("ticket", lazy("Made vouchers")),
    "voucher.revoke": ("ticket", lazy("Revoked a voucher")),
    "voucher.export": ("download", lazy("Exported vouchers")),
    "voucher.redeem": ("ticket", lazy("Redeemed a voucher")),
    "credits.top_up": ("credit-card", lazy("Topped up")),
    "credits.payment_refund": ("arrow-back-up", lazy("Took credits back for a refunded payment")),
    "credits.refund_failed": ("circle-check", lazy("Gave credits back for a refund that failed")),
    "credits.dispute": ("arrow-back-up", lazy("Took credits back for a disputed payment")),
    "credits.dispute_won": ("circle-check", lazy("Gave credits back for a disputed payment")),
    "billing.details": ("edit", lazy("Changed the billing details")),
    "tax.rate_add": ("plus", lazy("Added a tax rate")),
    "tax.rate_remove": ("trash", lazy("Removed a tax rate")),
    "payment.start": ("credit-card", lazy("Began a payment")),
    "payment.failed": ("credit-card", lazy("A payment did not go through")),
    "payment.mismatch": ("alert-triangle", lazy("Refused news of a payment with another amount")),
    "payment.refund": ("arrow-back-up", lazy("Refunded a payment")),
    "payment.method_removed": ("trash", lazy("Removed a means of payment")),
    "payment.auto_top_up": ("settings", lazy("Changed the automatic top-up")),
    "member.invite": ("send", lazy("Invited somebody to {name}")),
    "member.invite_off": ("ban", lazy("Revoked an invitation to {name}")),
    "member.join": ("user-plus", lazy("Joined {name}")),
    "member.decline": ("x", lazy("Declined an invitation to {name}")),
    "member.role": ("users", lazy("Changed a role in {name}")),
    "member.remove": ("user-minus", lazy("Removed a member of {name}")),
    "member.offer": ("send", lazy("Offered the ownership of {name}")),
    "member.offer_off": ("x", lazy("Took back the offer of {name}")),
    "member.offer_no": ("x", lazy("Declined the ownership of {name}")),
    "project.transfer": ("users", lazy("Took over project {name}")),
    "member.leave": ("logout", lazy("Left {name}")),
    "vm.create": ("rocket", lazy("Launched {name}")),
    "vm.start": ("player-play", lazy("Started {name}")),
    "vm.stop": ("player-stop", lazy("Stopped {name}")),
    "vm.stop_called_off": ("coin", lazy("Credits came in: {name} goes on running")),
    "vm.force_off": ("power", lazy("Forced off {name}")),
    "vm.reboot": ("rotate", lazy("Rebooted {name}")),
    "vm.reset": ("bolt", lazy("Reset {name}")),
    "vm.suspend": ("player-pause", lazy("Suspended {name}")),
    "vm.resume": ("player-play", lazy("{name} goes on")),
    "vm.resize": ("adjustments", lazy("Resized {name}{sizes}")),
    "vm.snapshot": ("plus", lazy("Took a snapshot of {name}")),
    "vm.revert": ("arrow-back-up", lazy("Reverted {name} to a snapshot")),
    "vm.unrevert": ("arrow-back-up", lazy("Made {name} what it was before it was reverted")),
    "vm.discard": ("trash", lazy("Deleted a snapshot of {name}")),
    "vm.snapshot_schedule": ("clock", lazy("Changed when snapshots of {name} are taken")),
    "vm.backup": ("archive", lazy("Backed up {name}")),
    "vm.recover": ("arrow-back-up", lazy("Restored {name} from a backup")),
    "vm.recover_off": ("player-stop", lazy("{name} powered off to be restored from a backup")),
    "vm.backup_delete": ("trash", lazy("Deleted a backup of {name}")),
    "vm.backup_prove": ("shield-check", lazy("Had a backup of {name} proved")),
    "vm.backup_proof_abort": ("x", lazy("Called off the proof of a backup of {name}")),
    "vm.backup_booted": ("shield-check", lazy("A backup of {name} booted")),
    "vm.backup_unproved": ("alert-triangle", lazy("A backup of {name} did not boot")),
    "vm.backup_schedule": ("clock", lazy("Changed when backups of {name} are made")),
    "vm.image": ("disc", lazy("Made an image of {name}")),
    "image.own_delete": ("trash", lazy("Deleted an image of project {name}")),
    "vm.rescue": ("lifebuoy", lazy("Booted {name} into rescue")),
    "vm.rescue_off": ("player-stop", lazy("{name} powered off to boot the rescue system")),
    "vm.unrescue": ("lifebuoy", lazy("{name} left rescue")),
    "vm.unrescue_off": ("player-stop", lazy("{name} powered off to leave rescue")),
    "vm.password": ("password", lazy("Set a new password on {name}")),
    "vm.rebuild": ("hammer", lazy("Rebuilt {name} from {image}")),
    "vm.rebuild_off": ("player-stop", lazy("{name} powered off to be rebuilt")),
    "vm.bring_back": ("arrow-back-up", lazy("Brought back the disk that {name} had before")),
    "vm.bring_back_off": ("player-stop", lazy("{name} powered off to get its old disk back")),
    "vm.rename": ("edit", lazy("Renamed {before} to {after}")),
    "vm.move": ("folders", lazy("Moved {name} into {project}")),
    "vm.move_out": ("folders", lazy("Moved {name} out of {project}")),
    "vm.resize_off": ("player-stop", lazy("{name} powered off to change its size")),
    "vm.bin": ("trash", lazy("Moved {name} to the recycle bin")),
    "vm.restore": ("arrow-back-up", lazy("Restored {name} from the recycle bin")),
    "vm.run_in_bin": (
        "alert-triangle",
        lazy("{name} was started outside of Zentry, in the recycle bin: it is cut off"),
    ),
    "vm.console": ("terminal-2", lazy("Opened the console of {name}")),
    "vm.console_end": ("terminal-2", lazy("Closed the console of {name}{span}")),
    "vm.labels": ("tags", lazy("Changed the labels of {name}")),
    "vm.restart": ("rotate", lazy("Changed when {name} is started again by itself")),
    "vm.timer_add": ("clock", lazy("Scheduled an action for {name}")),
    "vm.timer_remove": ("trash", lazy("Removed a scheduled action of {name}")),
    "vm.timer_extend": ("clock", lazy("Put the deletion of {name} off by a week")),
    "vm.timer_left": ("alert-triangle", lazy("A scheduled action of {name} did not run")),
    "vm.protect": ("lock", lazy("Protected {name} from deletion and rebuild")),
    "vm.unprotect": ("lock-open", lazy("Switched the protection of {name} off")),
    "vm.delete": ("trash", lazy("Deleted {name} for good")),
    "vm.abort": ("x", lazy("Aborted what was under way with {name}")),
    "vm.undo": ("arrow-back-up", lazy("Undid the last change of {name}")),
    "vm.admin_order": ("mail", lazy("Told the owner of {name} the reason for this")),
    "project.list_export": ("download", lazy("Exported the list of projects")),
    "audit.export": ("download", lazy("Exported the audit trail")),
    "vm.list_export": ("download", lazy("Exported the list of machines")),
    "vm.stray_seen": ("plug", lazy("Found a machine on the hypervisor that Zentry does not know")),
    "vm.stray_remove": ("trash", lazy("Ordered a machine removed that Zentry does not know")),
    "vm.stray_removed": ("trash", lazy("Removed a machine that Zentry did not know")),
    "vm.adopt": ("plug", lazy("Took {name} over from the hypervisor")),
    "vm.gone_seen": ("plug-off", lazy("{name} was removed outside of Zentry")),
    "vm.off_seen": ("player-stop", lazy("{name} went off{cause}")),
    "vm.pause_seen": (
        "player-stop",
        lazy("{name} was paused outside of Zentry, or for lack of room on the host’s disk"),
    ),
    "vm.sleep_seen": ("player-stop", lazy("{name} put itself to sleep")),
    "vm.resume_seen": ("player-play", lazy("{name} goes on, without being asked by Zentry")),
    "vm.run_seen": ("player-play", lazy("{name} was started outside of Zentry")),
    "vm.new_run_seen": ("player-play", lazy("{name} was off and runs again")),
    "vm.answered": ("network", lazy("{name} answered")),
    "vm.silent": ("plug-off", lazy("{name} gives no sign of life")),
    "vm.disk_kept": ("clock", lazy("The disk of {name} is kept without a charge")),
    "vm.disk_resumed": ("coin", lazy("The disk of {name} is paid for again")),
    "storage.kept": ("clock", lazy("What is stored of {name} is kept without a charge")),
    "storage.resumed": ("coin", lazy("What is stored of {name} is paid for again")),
    "vm.price_changed": ("tag", lazy("The price of {name} changed as announced")),
    "landing.order": ("list", lazy("Changed the order in which machines stop")),
    "landing.low_balance": ("bell", lazy("Changed the low-balance notice")),
    "mail.test": ("mail", lazy("Had a test mail sent")),
    "setting.change": ("settings", lazy("Changed the setting “{name}”")),
    "announcement.create": ("speakerphone", lazy("Announced something")),
    "announcement.edit": ("speakerphone", lazy("Changed an announcement")),
    "announcement.end": ("speakerphone", lazy("Ended an announcement")),
    "size.create": ("adjustments", lazy("Created size {name}")),
    "size.offer": ("adjustments", lazy("Offered size {name}")),
    "size.withdraw": ("adjustments", lazy("Withdrew size {name}")),
    "price.storage": ("tag", lazy("Changed the price of what is stored")),
    "price.publish": ("tag", lazy("Published a price")),
    "price.draft": ("tag", lazy("Drafted new prices")),
    "price.discard": ("tag", lazy("Threw a draft of prices away")),
    "price.announce": ("tag", lazy("Published new prices")),
    "price.withdraw": ("tag", lazy("Withdrew announced prices")),
    "image.add": ("disc", lazy("Ordered a version of image {name}")),
    "image.ready": ("disc", lazy("A version of image {name} is ready")),
    "image.failed": ("disc", lazy("A version of image {name} was not made")),
    "image.cancel": ("disc", lazy("Cancelled a version of image {name}")),
    "image.retry": ("disc", lazy("Tried a version of image {name} again")),
    "image.describe": ("disc", lazy("Changed what image {name} says of itself")),
    "image.version_withdraw": ("disc", lazy("Withdrew a version of image {name}")),
    "image.version_offer": ("disc", lazy("Offered a version of image {name} again")),
    "image.remove": ("disc", lazy("Removed a version of image {name}")),
    "image.offer": ("disc", lazy("Offered image {name}")),
    "image.withdraw": ("disc", lazy("Withdrew image {name}")),
}
# While a request is under way, and when it came to nothing.
PENDING = {
    "vm.create": lazy("Launching {name}"),
    "vm.start": lazy("Starting {name}"),
    "vm.stop": lazy("Stopping {name}"),
    "vm.force_off": lazy("Forcing off {name}"),
    "vm.reboot": lazy("Rebooting {name}"),
    "vm.reset": lazy("Resetting {name}"),
    "vm.suspend": lazy("Suspending {name}"),
    "vm.resume": lazy("Resuming {name}"),
    "vm.resize": lazy("Resizing {name}{sizes}"),
    "vm.snapshot": lazy("Taking a snapshot of {name}"),
    "vm.revert": lazy("Reverting {name} to a snapshot"),
    "vm.unrevert": lazy("Making {name} what it was before it was reverted"),
    "vm.discard": lazy("Deleting a snapshot of {name}"),
    "vm.backup": lazy("Backing up {name}"),
    "vm.recover": lazy("Restoring {name} from a backup"),
    "vm.image": lazy("Making an image of {name}"),
    "vm.rescue": lazy("Booting {name} into rescue"),
    "vm.unrescue": lazy("{name} leaves rescue"),
    "vm.password": lazy("Setting a new password on {name}"),
    "vm.rebuild": lazy("Rebuilding {name} from {image}"),
    "vm.bring_back": lazy("Bringing back the disk that {name} had before"),
    "vm.bin": lazy("Moving {name} to the recycle bin"),
    "vm.delete": lazy("Deleting {name} for good"),
}
FAILED = {
    **{f"vm.{kind}": words for kind, words in TITLES.items()},
    "vm.rebuild": lazy("Rebuild of {name} from {image}"),
    "auth.login": lazy("Log-in"),
    "auth.password_change": lazy("Change of the password"),
    "auth.factor": lazy("Second factor"),
    "auth.proof": lazy("Confirmation"),
    "vm.undo": lazy("Undo of the last change of {name}"),
}
GONE = ("vm.bin", "vm.delete", "vm.run_in_bin")  # it has no page then
ENDINGS = {"failed": "failed", "cancelled": "refused", "succeeded": "succeeded"}


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """An event as lists show it (the fields that ui.activity takes, and more for the trail)."""

    event: Event
    icon: str
    text: str
    who: str
    href: str
    outcome: str
    error: str
    steps_href: str = ""  # of the operation that it became
    undo_href: str = ""  # where it is undone

    @property
    def at(self) -> object:
        return self.event.at


def activity_lines(
    events: Sequence[Event],
    *,
    reader_id: str = "",
    with_address: bool = False,
    rights: Callable[[Event], Collection[str]] = lambda event: (),
    now: datetime | None = None,
) -> list[ActivityLine]:
    """The events in words. ``reader_id`` is called 'you'; ``with_address`` adds where each came from; what the reader
    has the ``rights`` for, there where it happened, and can be undone ``now``, has the way to that."""
    return [_line(event, reader_id, with_address, _undo_href(event, rights(event), now)) for event in events]


def _undo_href(event: Event, rights: Collection[str], now: datetime | None) -> str:
    rule = UNDOABLE.get(event.action)
    if rule is None or rule.right not in rights or not event.undo_id or event.ended == OperationState.CANCELLED:
        return ""
    is_open = now is not None and event.undo_until is not None and now < event.undo_until
    return url_for("undo.undo", undo_id=event.undo_id) if is_open else ""


def _line(event: Event, reader_id: str, with_address: bool, undo_href: str) -> ActivityLine:
    outcome = ENDINGS.get(event.ended, event.outcome.value)
    icon, words = ACTIONS.get(event.action, ("history", ""))
    if outcome in ("failed", "refused"):
        words = FAILED.get(event.action, words)
    elif outcome == Outcome.ACCEPTED:
        words = PENDING.get(event.action, words)
    return ActivityLine(
        event=event,
        icon=icon,
        text=_filled(words, event),
        who=_who(event, reader_id, with_address),
        href=url_for("vms.show", vm_id=event.vm_id) if event.vm_id and event.action not in GONE else "",
        outcome=outcome,
        error=find(event.error),
        steps_href=url_for("operations.show", operation_id=event.operation_id) if event.operation_id else "",
        undo_href=undo_href,
    )


def _filled(words: str, event: Event) -> str:
    name = event.resource_name or str(event.details.get("name") or event.resource_id)
    amount = event.details.get("amount_micro", event.details.get("amount"))
    if not words:
        return f"{event.action.replace('.', ' ').replace('_', ' ').capitalize()}: {name}"
    text = str(words).replace("{name}", name).replace("{sizes}", _sizes(event)).replace("{roles}", _roles(event))
    text = text.replace("{span}", _span(event)).replace("{cause}", _cause(event.details.get("cause", "")))
    text = text.replace("{project}", event.personal.get("project") or _("a project"))
    text = text.replace("{image}", str(event.details.get("image") or _("an image")))
    text = text.replace("{before}", event.personal.get("name_before") or _("a machine"))
    text = text.replace("{after}", event.personal.get("name_after") or name)
    text = text.replace("{page}", str(event.details.get("page", "")))
    if event.action.startswith("credits.") and isinstance(amount, int):
        text = f"{text}: {credits_text(abs(amount))}"
    return text


def _sizes(event: Event) -> str:
    before, after = event.details.get("from"), event.details.get("size")
    return _(" from %(before)s to %(after)s", before=before, after=after) if before and after else ""


def _span(event: Event) -> str:
    seconds = event.details.get("seconds")
    return _(" after %(time)s", time=duration(seconds)) if isinstance(seconds, int) else ""


_CAUSES: dict[str, str] = {
    Cause.GUEST: lazy(": powered off from inside the guest"),
    Cause.HAND: lazy(": powered off on the host, not by Zentry"),
    Cause.CRASH: lazy(": it crashed"),
    Cause.HOST: lazy(" with the host or its hypervisor"),
}


def _cause(cause: str) -> str:
    return str(_CAUSES.get(cause, _(": powered off from inside the guest or on the host")))


def seen_text(seen: Disagreement, name: str) -> str:
    """What was seen of a machine of that name, as its activity says it."""
    return str(ACTIONS[seen.action][1]).replace("{name}", name).replace("{cause}", _cause(seen.cause))


def _roles(event: Event) -> str:
    before, after = event.details.get("from"), event.details.get("to")
    return _(" from %(before)s to %(after)s", before=before, after=after) if before and after else ""


def _who(event: Event, reader_id: str, with_address: bool) -> str:
    who = _("you") if event.actor_id == reader_id else (event.actor_name or _("somebody"))
    address = event.personal.get("address", "")
    return _("%(who)s from %(address)s", who=who, address=address) if with_address and address else who
