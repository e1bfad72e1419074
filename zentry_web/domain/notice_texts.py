"""What notices say, all in one place: a title in one line, and what stands below it. Services bring the ``$words``.

A sentence stands here whole. ``$lines`` is a list that the service makes, one line for each thing.
"""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from zentry_web.domain.language import LazyText

_NOT_YOU = "If it was not you, change your password at once."

NOTICES: dict[str, tuple[str, str]] = {
    # -- the account ----------------------------------------------------------------------------
    "password_changed": (
        "Your password was changed",
        "Every other session has ended. If it was not you, choose a new password at once.",
    ),
    "token_reused": (
        "A token was used twice",
        "A refresh token of the API was used a second time: somebody else may have a copy. Every token of that log-in "
        "has ended. If your program did not do it itself, change your password.",
    ),
    "session_reused": (
        "A session was ended: it was in use twice",
        "Somebody may have copied what a browser of yours was logged in with. If you know of nothing, change your "
        "password.",
    ),
    "new_device": (
        "New log-in to your account",
        "$device, from $address. If it was not you, change your password: that ends every other session.",
    ),
    "email_changed": (
        "Your e-mail address was changed",
        "Every other session has ended. You log in with the new address from now on.",
    ),
    "email_called_off": (
        "The change of your e-mail address was called off from your mailbox",
        "If you did not ask for the change yourself, choose a new password.",
    ),
    "email_undelivered": (
        "Our mail to $address was not delivered",
        "Its mail server refused it: $error. Check the address and ask for the change again.",
    ),
    "factor_guessed": (
        "Wrong codes after your password",
        "Somebody gave your right password and then wrong codes. If it was not you, change the password.",
    ),
    "app_added": ("An authenticator app was added to your account", _NOT_YOU),
    "app_removed": ("An authenticator app was removed from your account", _NOT_YOU),
    "passkey_added": ("A passkey was added to your account", _NOT_YOU),
    "passkey_removed": ("A passkey was removed from your account", _NOT_YOU),
    "factors_reset": ("All second factors were removed from your account", _NOT_YOU),
    "recovery_codes_made": ("New recovery codes were made for your account", _NOT_YOU),
    "recovery_code_used": ("A recovery code was used", "$left are left."),
    "oidc_linked": ("$provider can sign you in from now on", _NOT_YOU),
    "oidc_unlinked": ("A sign-in through another service was unlinked", _NOT_YOU),
    "ssh_key_added": (
        "An SSH key was added to your account",
        "$name, $fingerprint. If it was not you, remove it and change your password at once.",
    ),
    "role_changed": (
        "Your account is now $role",
        "You have to log in again. If you did not expect this, ask the people who run this Zentry.",
    ),
    "role_given": (
        "You made $person $role",
        "If it was not you, change your password at once and tell the other admins.",
    ),
    "role_of_another": (
        "$person is now $role",
        "Another admin did this. If you did not expect it, ask them.",
    ),
    "deletion_asked": (
        "Your account will be deleted",
        "On $at UTC, with every machine, disk and project in it. Until then you can call it off.",
    ),
    "zone_unknown": (
        "This system does not know your time zone, $zone",
        "Until you choose another one in your profile, your days and months are those of UTC.",
    ),
    # -- projects -------------------------------------------------------------------------------
    "member_role": ("Your role in $project is now “$role”", "It was “$before” before."),
    "member_removed": (
        "You do not belong to the project $project any more",
        "Somebody who runs it has removed you.",
    ),
    "invitation_accepted": ("$person joined $project as $role", "The invitation was accepted."),
    "invitation_declined": ("An invitation to $project was declined", "It was for $email."),
    "invitation_undelivered": (
        "Your invitation to $address was not delivered",
        "Its mail server refused it: $error. Check the address and invite again.",
    ),
    "ownership_offered": (
        "You are offered the project $project",
        "With it you take over what its machines cost from then on. See that before you decide.",
    ),
    "ownership_taken": (
        "$person owns the project $project now",
        "You are an admin of it now. What it cost before stays on your bills.",
    ),
    "ownership_declined": ("Your offer of the project $project was declined", "You go on owning it."),
    "budget_spent": (
        "$project: $percent % of this month's budget is spent",
        "$spent of $budget credits are spent.\n"
        "Forecast for the month, if nothing changes: $projected credits.\n"
        "Nothing is stopped or refused.",
    ),
    "budget_spent_capped": (
        "$project: $percent % of this month's budget is spent",
        "$spent of $budget credits are spent.\n"
        "Forecast for the month, if nothing changes: $projected credits.\n"
        "Launches and starts that would pass the budget are refused. What runs keeps running.",
    ),
    # -- machines -------------------------------------------------------------------------------
    "failed": ("$what failed", "$why\nIts page shows how far it came, and has “Try again” where that is possible."),
    "unproved": (
        "The backup “$backup” of $vm was not proved to boot",
        "$why\nThe list of backups shows what its console said last. There it can be proved once more, or another be "
        "made.",
    ),
    "timer_left": ("$what did not run", "It was scheduled for now. $why"),
    "lease": (
        "$vm is deleted at $at",
        "That is scheduled. Its schedule has “A week later”, and “Remove”.",
    ),
    "outage_back": (
        "$vm went off, and runs again",
        "$lines\nWhile it was off it was not charged as running: $credits credits less.",
    ),
    "outage_off": (
        "$vm went off",
        "$lines\nWhile it is off it is not charged as running. Its settings say when Zentry starts it again by itself.",
    ),
    "outages": (
        "$count of your machines went off",
        "$lines\nWhile they were off they were not charged as running: $credits credits less.",
    ),
    "ordered_start": ("An admin had Zentry start $vm", "An admin ordered this. The reason: $why"),
    "ordered_stop": ("An admin had Zentry stop $vm", "An admin ordered this. The reason: $why"),
    "ordered_reboot": ("An admin had Zentry restart $vm", "An admin ordered this. The reason: $why"),
    "ordered_force_off": ("An admin had Zentry cut the power of $vm", "An admin ordered this. The reason: $why"),
    "ordered_delete": ("An admin had Zentry delete $vm", "An admin ordered this. The reason: $why"),
    "ordered_start_many": (
        "An admin had Zentry start $count of your machines",
        "An admin ordered this. The reason: $why\n\n$lines",
    ),
    "ordered_stop_many": (
        "An admin had Zentry stop $count of your machines",
        "An admin ordered this. The reason: $why\n\n$lines",
    ),
    "ordered_reboot_many": (
        "An admin had Zentry restart $count of your machines",
        "An admin ordered this. The reason: $why\n\n$lines",
    ),
    "ordered_force_off_many": (
        "An admin had Zentry cut the power of $count of your machines",
        "An admin ordered this. The reason: $why\n\n$lines",
    ),
    "ordered_delete_many": (
        "An admin had Zentry delete $count of your machines",
        "An admin ordered this. The reason: $why\n\n$lines",
    ),
    # -- credits --------------------------------------------------------------------------------
    "low_balance": ("Your balance is down to $credits credits", "You asked to be told at this balance."),
    "runway": (
        "Your credits run out in less than $span",
        "If nothing changes:\n${lines}\nA top-up calls this off.",
    ),
    "landing": (
        "Machines are about to stop",
        "Your credits are running out. This is what happens unless you top up:\n${lines}\nA top-up calls this off.",
    ),
    "credit_stop": (
        "$vm stops at $at: credits run out",
        "The machine is asked to power off shortly before. Its disk is kept.",
    ),
    "disk": (
        "The disk of $vm will be deleted at $at",
        "There are no credits to pay for this disk. A top-up keeps it, and the machine starts again.",
    ),
    "stored": (
        "“$what” of $vm will be deleted at $at",
        "There are no credits to pay for storing it. A top-up keeps it.",
    ),
    "credit_back": ("$vm starts again", "There are credits for it again."),
    "payment_received": (
        "Payment received: $price for $credits credits",
        "You paid $price, and $credits credits were added to your balance.\nReceipt $receipt",
    ),
    "payment_received_automatic": (
        "Payment received: $price for $credits credits",
        "Automatic top-up paid $price, and $credits credits were added to your balance.\nReceipt $receipt",
    ),
    "payment_refunded": (
        "Refunded: $refunded of your payment",
        "$refunded in total is returned the way you paid, and $credits credits were removed from your balance.\n"
        "Receipt $receipt",
    ),
    "payment_refund_failed": (
        "A refund did not reach you",
        "The bank returned a refund of your payment of $price, and $credits credits were added to your balance again.\n"
        "Receipt $receipt",
    ),
    "payment_disputed": (
        "A payment was disputed at the bank",
        "$credits credits were removed from your balance until the bank has decided.",
    ),
    "payment_undisputed": ("A disputed payment stands", "$credits credits were added to your balance again."),
    "auto_top_up_off": (
        "Automatic top-up is switched off",
        "A payment of $price with $method did not go through: $reason\n"
        "Nothing was charged. Choose another means of payment to switch it on again.",
    ),
    "auto_top_up_ceiling": (
        "Automatic top-up has reached this month's ceiling",
        "Your balance is low, but another $credits credits would pass the ceiling of $ceiling credits a month that you "
        "set. Nothing was charged.",
    ),
    "voucher_redeemed": (
        "Voucher redeemed: $credits credits",
        "$credits credits were added to your balance. Receipt number: $receipt.\n"
        "What Zentry had stopped for lack of credit starts again by itself.",
    ),
    "voucher_redeemed_promotional": (
        "Voucher redeemed: $credits credits",
        "$credits promotional credits were added to your balance. Receipt number: $receipt.\n"
        "What Zentry had stopped for lack of credit starts again by itself.",
    ),
    "voucher_redeemed_until": (
        "Voucher redeemed: $credits credits",
        "$credits promotional credits, to be used by $end UTC, were added to your balance. Receipt number: $receipt.\n"
        "What Zentry had stopped for lack of credit starts again by itself.",
    ),
    "promotion_expires": (
        "$credits promotional credits expire on $at",
        "Machines use promotional credit first. What is left of it then is removed from your balance; credits that "
        "you paid for stay.",
    ),
    "credits_refunded": ("$credits credits were refunded to you", "$reason"),
    "statement_ready": (
        "Your statement for $month is ready",
        "It lists what was added and what each machine cost, as a page, PDF and CSV.",
    ),
    "prices_new": ("New prices from $day: $change", "$lines"),
    "prices_withdrawn": (
        "Announced prices are withdrawn",
        "The new prices announced for $at are withdrawn. Your machines keep the price they have.",
    ),
    # -- admins ---------------------------------------------------------------------------------
    "approval_asked": ("$person asks for $what", "$why\nIt needs a second admin within seven days."),
    "approval_asked_many": (
        "$person asks for grants of $credits credits for $count people",
        "$why\nEach needs a second admin within seven days.",
    ),
    "approval_decided": ("Your request for $what was $outcome", "$why"),
    "approval_expired": ("Your request for $what has expired", "$why"),
    "setting_changed": ("“$setting” is now $now", "It was $before. An admin changed it for everybody."),
    "books_broken": ("The books do not agree: $checks", "$lines"),
    "clock": ("The host's clock leapt", "$detail"),
    "disk_full": ("The server's disk is nearly full", "$detail"),
}
LINES = {
    "about_person": "For $person: $why",
    "unknown_address": "an unknown address",
    "outage_over": "- $vm ($project) was off from $went to $back. $why",
    "outage_stays": "- $vm ($project) is off since $went. $why",
    "outage_failed": "- $vm ($project) is off since $went. $why It could not be started again.",
    "outage_unpaid": "- $vm ($project) is off since $went. $why There were not enough credits to start it again.",
    "outage_more": "- and $count more",
    "landing_stop": "- $at: $vm ($project) stops",
    "landing_keep": "- $at: the disk of $vm ($project) is kept free of charge",
    "landing_delete": "- $at: the disk of $vm ($project) is deleted",
    "landing_keep_stored": "- $at: “$what” of $vm ($project) is kept free of charge",
    "landing_delete_stored": "- $at: “$what” of $vm ($project) is deleted",
}


def say(notice: str, /, **words: object) -> tuple[str, str]:
    """Title and body of that notice with its ``words``: in the language of whoever is told, once that is known.

    Raises KeyError when a word is missing.
    """
    title, body = NOTICES[notice]
    return LazyText(title, words, _with_words), LazyText(body, words, _with_words)


def say_line(line: str, /, **words: object) -> str:
    """One line of a notice's ``$lines``. Raises KeyError when a word is missing."""
    return LazyText(LINES[line], words, _with_words)


def say_lines(lines: Sequence[str]) -> str:
    """Such lines, each with its end."""
    return LazyText("$lines", {"lines": lines}, _one_by_one)


def _with_words(text: str, words: Mapping[str, Any]) -> str:
    return Template(text).substitute(words)


def _one_by_one(_: str, words: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in words["lines"])
