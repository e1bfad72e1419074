"""What events mean in words: one line of an activity list or of the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import url_for

from zentry_web.domain.event import Event, Outcome
from zentry_web.web.regions import credits_text

# action: (icon, words). {name} is what it happened to.
ACTIONS: dict[str, tuple[str, str]] = {
    "auth.signup": ("user-plus", "Signed up"),
    "auth.login": ("login", "Logged in"),
    "auth.logout": ("logout", "Logged out"),
    "auth.password_change": ("key", "Changed the password"),
    "auth.password_reset": ("key", "Chose a new password by a mailed link"),
    "auth.link_made": ("link", "Made a one-time link"),
    "auth.link_redeemed": ("login", "Set a password with a one-time link"),
    "token.create": ("key", "Made an API token"),
    "token.revoke": ("key", "Ended an API token"),
    "token.reuse": ("alert-triangle", "A used-up API token came again"),
    "ssh_key.add": ("key", "Added an SSH key"),
    "ssh_key.rename": ("edit", "Renamed an SSH key"),
    "ssh_key.remove": ("trash", "Removed an SSH key"),
    "auth.factor": ("shield-lock", "Brought a second factor"),
    "auth.factor_add": ("shield-check", "Added a second factor"),
    "auth.factor_remove": ("shield", "Removed a second factor"),
    "auth.factor_reset": ("shield", "Removed all second factors"),
    "auth.codes_new": ("key", "Made new recovery codes"),
    "auth.code_used": ("key", "Used a recovery code"),
    "auth.email_change_ask": ("send", "Asked for another e-mail address"),
    "auth.email_change_off": ("x", "Called the change of the e-mail address off"),
    "auth.email_change": ("edit", "Changed the e-mail address, with both mailboxes' word"),
    "auth.session_reuse": ("alert-triangle", "A session was in use twice and has ended"),
    "auth.oidc_link": ("link", "Linked another service to log in with"),
    "auth.oidc_unlink": ("plug-off", "Unlinked a service to log in with"),
    "auth.proof": ("fingerprint", "Confirmed who it is"),
    "profile.mail": ("mail", "Changed which notices come by mail"),
    "profile.update": ("user", "Changed the profile"),
    "user.disable": ("user-off", "Disabled an account"),
    "user.enable": ("user", "Enabled an account"),
    "user.role": ("users", "Changed the role of an account{roles}"),
    "user.force_reset": ("key", "Reset a password"),
    "user.view_begin": ("eye", "Looked at the pages of the account, as an admin"),
    "user.view_page": ("eye", "Saw a page of the account, as an admin: {page}"),
    "user.view_end": ("eye-off", "Left the pages of the account"),
    "user.note": ("edit", "Wrote a note about an account"),
    "user.note_removed": ("trash", "Deleted a note about an account"),
    "user.deletion_ask": ("trash", "Asked for the account to be deleted"),
    "user.deletion_off": ("user", "Kept the account after all"),
    "user.export": ("download", "Took a copy of all personal data"),
    "user.bulk": ("users", "Changed many accounts at once"),
    "user.list_export": ("download", "Exported the list of users"),
    "user.erased": ("trash", "Erased an account's personal data"),
    "project.create": ("folders", "Created project {name}"),
    "project.rename": ("edit", "Renamed a project to {name}"),
    "project.budget": ("wallet", "Set the budget of {name}"),
    "project.budget_removed": ("wallet", "Removed the budget of {name}"),
    "project.quota": ("gauge", "Changed the quota of {name}"),
    "user.quota": ("gauge", "Changed an account's quota"),
    "project.update": ("edit", "Changed the settings of {name}"),
    "project.archive": ("archive", "Archived project {name}"),
    "project.unarchive": ("folders", "Took project {name} out of the archive"),
    "project.delete": ("trash", "Deleted project {name}"),
    "project.restore": ("history", "Restored project {name} from the recycle bin"),
    "project.purge": ("trash", "Deleted project {name} for good"),
    "project.protect": ("shield-lock", "Protected project {name} from deletion"),
    "project.unprotect": ("shield", "Switched the delete protection of project {name} off"),
    "credits.add": ("coin", "Added credits"),
    "credits.deduct": ("coin", "Deducted credits"),
    "credits.refund": ("coin", "Refunded credits"),
    "approval.ask": ("users", "Asked a second admin for credits"),
    "approval.approve": ("check", "Approved another admin's request"),
    "approval.refuse": ("ban", "Refused a request for credits"),
    "voucher.create": ("tag", "Made vouchers"),
    "voucher.revoke": ("ban", "Revoked a voucher"),
    "voucher.export": ("download", "Exported vouchers"),
    "voucher.redeem": ("coin", "Redeemed a voucher"),
    "credits.top_up": ("credit-card", "Topped up"),
    "credits.payment_refund": ("receipt", "Took credits back for a refunded payment"),
    "credits.refund_failed": ("circle-check", "Gave credits back for a refund that failed"),
    "credits.dispute": ("alert-triangle", "Took credits back for a disputed payment"),
    "credits.dispute_won": ("circle-check", "Gave credits back for a disputed payment"),
    "payment.start": ("credit-card", "Began a payment"),
    "payment.failed": ("credit-card", "A payment did not go through"),
    "payment.mismatch": ("alert-triangle", "Refused news of a payment with another amount"),
    "payment.refund": ("receipt", "Refunded a payment"),
    "payment.method_removed": ("trash", "Removed a means of payment"),
    "payment.auto_top_up": ("settings", "Changed the automatic top-up"),
    "member.invite": ("send", "Invited somebody to {name}"),
    "member.invite_off": ("x", "Withdrew an invitation to {name}"),
    "member.join": ("user-plus", "Joined {name}"),
    "member.decline": ("x", "Declined an invitation to {name}"),
    "member.role": ("users", "Changed a role in {name}"),
    "member.remove": ("user-off", "Removed a member of {name}"),
    "member.offer": ("send", "Offered the ownership of {name}"),
    "member.offer_off": ("x", "Took back the offer of {name}"),
    "member.offer_no": ("x", "Declined the ownership of {name}"),
    "project.transfer": ("users", "Took over project {name}"),
    "member.leave": ("logout", "Left {name}"),
    "vm.create": ("rocket", "Launched {name}"),
    "vm.start": ("player-play", "Started {name}"),
    "vm.stop": ("player-stop", "Stopped {name}"),
    "vm.stop_called_off": ("wallet", "Credits came in: {name} goes on running"),
    "vm.force_off": ("power", "Forced off {name}"),
    "vm.reboot": ("rotate", "Rebooted {name}"),
    "vm.resize": ("adjustments", "Resized {name}{sizes}"),
    "vm.move": ("folders", "Moved {name} into {project}"),
    "vm.move_out": ("folders", "Moved {name} out of {project}"),
    "vm.resize_off": ("player-stop", "{name} powered off to change its size"),
    "vm.bin": ("trash", "Moved {name} to the recycle bin"),
    "vm.restore": ("history", "Restored {name} from the recycle bin"),
    "vm.run_in_bin": ("alert-triangle", "{name} was started outside of Zentry, in the recycle bin: it is cut off"),
    "vm.labels": ("tag", "Changed the labels of {name}"),
    "vm.protect": ("shield-lock", "Protected {name} from deletion"),
    "vm.unprotect": ("shield", "Switched the delete protection of {name} off"),
    "vm.delete": ("trash", "Deleted {name} for good"),
    "vm.admin_order": ("mail", "Told the owner of {name} the reason for this"),
    "project.list_export": ("download", "Exported the list of projects"),
    "audit.export": ("download", "Exported the audit trail"),
    "vm.list_export": ("download", "Exported the list of machines"),
    "vm.gone_seen": ("plug-off", "{name} was removed outside of Zentry"),
    "vm.off_seen": ("player-stop", "{name} was powered off from inside or outside of Zentry"),
    "vm.run_seen": ("player-play", "{name} was started outside of Zentry"),
    "vm.new_run_seen": ("player-play", "{name} was off and runs again"),
    "vm.answered": ("network", "{name} answered"),
    "vm.disk_kept": ("clock", "The disk of {name} is kept without a charge"),
    "vm.disk_resumed": ("wallet", "The disk of {name} is paid for again"),
    "vm.price_changed": ("tag", "The price of {name} changed as announced"),
    "landing.order": ("list", "Changed the order in which machines stop"),
    "landing.low_balance": ("bell", "Changed the low-balance notice"),
    "setting.change": ("settings", "Changed the setting “{name}”"),
    "announcement.create": ("bell", "Announced something"),
    "announcement.edit": ("edit", "Changed an announcement"),
    "announcement.end": ("x", "Ended an announcement"),
    "size.offer": ("tag", "Offered size {name}"),
    "size.withdraw": ("tag", "Withdrew size {name}"),
    "price.publish": ("tag", "Published a price"),
    "price.draft": ("tag", "Drafted new prices"),
    "price.discard": ("tag", "Threw a draft of prices away"),
    "price.announce": ("tag", "Published new prices"),
    "price.withdraw": ("tag", "Withdrew announced prices"),
    "image.offer": ("disc", "Offered image {name}"),
    "image.withdraw": ("disc", "Withdrew image {name}"),
}
# While a request is under way, and when it came to nothing.
PENDING = {
    "vm.create": "Launching {name}",
    "vm.start": "Starting {name}",
    "vm.stop": "Stopping {name}",
    "vm.force_off": "Forcing off {name}",
    "vm.reboot": "Rebooting {name}",
    "vm.resize": "Resizing {name}{sizes}",
    "vm.bin": "Moving {name} to the recycle bin",
    "vm.delete": "Deleting {name} for good",
}
FAILED = {
    "auth.login": "Log-in",
    "auth.password_change": "Change of the password",
    "auth.factor": "Second factor",
    "auth.proof": "Confirmation",
    "vm.create": "Launch of {name}",
    "vm.start": "Start of {name}",
    "vm.stop": "Stop of {name}",
    "vm.force_off": "Force off of {name}",
    "vm.reboot": "Reboot of {name}",
    "vm.resize": "Resize of {name}{sizes}",
    "vm.bin": "Delete of {name}",
    "vm.delete": "Delete of {name}",
}
GONE = ("vm.bin", "vm.delete", "vm.run_in_bin")  # it has no page then
ENDINGS = {"failed": "failed", "cancelled": "refused", "succeeded": "succeeded"}


@dataclass(frozen=True, slots=True)
class Line:
    """An event as lists show it (the fields that ui.activity takes, and more for the trail)."""

    event: Event
    icon: str
    text: str
    who: str
    href: str
    outcome: str
    error: str

    @property
    def at(self) -> object:
        return self.event.at


def activity_lines(events: Sequence[Event], *, viewer_id: str = "", with_address: bool = False) -> list[Line]:
    """The events in words. ``viewer_id`` is called 'you'; ``with_address`` adds where each came from."""
    return [_line(event, viewer_id, with_address) for event in events]


def _line(event: Event, viewer_id: str, with_address: bool) -> Line:
    outcome = ENDINGS.get(event.ended, event.outcome.value)
    icon, words = ACTIONS.get(event.action, ("history", ""))
    if outcome in ("failed", "refused"):
        words = FAILED.get(event.action, words)
    elif outcome == Outcome.ACCEPTED:
        words = PENDING.get(event.action, words)
    return Line(
        event=event,
        icon=icon,
        text=_filled(words, event),
        who=_who(event, viewer_id, with_address),
        href=url_for("vms.show", vm_id=event.vm_id) if event.vm_id and event.action not in GONE else "",
        outcome=outcome,
        error=event.error,
    )


def _filled(words: str, event: Event) -> str:
    name = event.resource_name or str(event.details.get("name") or event.resource_id)
    amount = event.details.get("amount_micro", event.details.get("amount"))
    if not words:
        return f"{event.action.replace('.', ' ').replace('_', ' ').capitalize()}: {name}"
    text = words.replace("{name}", name).replace("{sizes}", _sizes(event)).replace("{roles}", _roles(event))
    text = text.replace("{project}", event.personal.get("project") or "a project")
    text = text.replace("{page}", str(event.details.get("page", "")))
    if event.action.startswith("credits.") and isinstance(amount, int):
        text = f"{text}: {credits_text(abs(amount))}"
    return text


def _sizes(event: Event) -> str:
    before, after = event.details.get("from"), event.details.get("size")
    return f" from {before} to {after}" if before and after else ""


def _roles(event: Event) -> str:
    before, after = event.details.get("from"), event.details.get("to")
    return f" from {before} to {after}" if before and after else ""


def _who(event: Event, viewer_id: str, with_address: bool) -> str:
    who = "you" if event.actor_id == viewer_id else (event.actor_name or "somebody")
    address = event.personal.get("address", "")
    return f"{who} from {address}" if with_address and address else who
