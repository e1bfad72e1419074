"""The one table of what may be tried how often. rate_limit.py counts in the database, for all processes together."""

from dataclasses import dataclass

from zentry_web.domain.language import lazy

MINUTE, HOUR, DAY = 60, 3600, 86_400
TEN_MINUTES, QUARTER_HOUR = 600, 900


@dataclass(frozen=True, slots=True)
class Rule:
    """At most ``count`` in any ``seconds``. What is ``costly`` rather than a guess may be lifted by the operator."""

    count: int
    seconds: int
    costly: bool = False
    words: str = lazy("attempts")


RULES: dict[str, Rule] = {
    # Guesses: never lifted, whoever runs this Zentry.
    "login_burst": Rule(5, MINUTE),  # of an account from a network; who goes on guessing waits longer and longer
    "login": Rule(10, QUARTER_HOUR),
    "login_long": Rule(20, HOUR),
    "login_network": Rule(100, QUARTER_HOUR),
    "password": Rule(10, QUARTER_HOUR),  # the present one, in an open session
    "proof": Rule(10, QUARTER_HOUR),
    "factor": Rule(10, QUARTER_HOUR),  # of an account from a network
    "factor_strangers": Rule(50, DAY),  # of an account, from networks it was never used from
    "factor_setup": Rule(20, QUARTER_HOUR),
    "passkey": Rule(100, QUARTER_HOUR),  # of a network
    "oidc": Rule(120, QUARTER_HOUR),  # of a network, to the provider and back
    "voucher": Rule(20, QUARTER_HOUR),  # wrong codes of a person
    # What costs the machine, a mail server or a provider something.
    "signup": Rule(100, HOUR, costly=True),  # of a network
    "captcha": Rule(200, HOUR, costly=True),  # of a network, at sign-up
    "mail_signup": Rule(3, HOUR, costly=True),  # to an address
    "mail_signup_network": Rule(100, HOUR, costly=True),
    "mail_reset": Rule(3, HOUR, costly=True),
    "mail_reset_network": Rule(100, HOUR, costly=True),
    "email_change": Rule(5, HOUR, costly=True),  # of an account
    "email_change_address": Rule(3, HOUR, costly=True),
    "mail_test": Rule(5, HOUR, costly=True),  # of an admin, to themselves
    "invite": Rule(30, HOUR, costly=True),
    "invite_address": Rule(10, DAY, costly=True),
    "payment": Rule(30, HOUR, costly=True),
    "export": Rule(5, HOUR, costly=True),
    # These are counted for whoever comes over the network: not for the worker, the command line and demo data.
    "launch": Rule(120, HOUR, costly=True, words=lazy("launches")),
    "bulk": Rule(60, TEN_MINUTES, costly=True, words=lazy("changes of several machines")),
    "console": Rule(120, TEN_MINUTES, costly=True, words=lazy("consoles")),  # tickets, also of a page that tries again
    "refused_page": Rule(30, HOUR),  # events about one person who asks for pages of admins; then they are not written
    "what_if": Rule(300, MINUTE, costly=True, words=lazy("calculations")),
    "statement_pdf": Rule(30, TEN_MINUTES, costly=True, words=lazy("statements")),
    "statement_csv": Rule(30, TEN_MINUTES, costly=True, words=lazy("statements")),
    # Of charges, the ledger, the audit trail, admins' lists.
    "file": Rule(60, TEN_MINUTES, costly=True, words=lazy("files")),
    "verify": Rule(60, TEN_MINUTES, costly=True, words=lazy("checks")),  # of the audit trail
    "rehearse": Rule(30, TEN_MINUTES, costly=True, words=lazy("rehearsals")),
}
