"""What most parts of AuthService work with, made once and handed whole."""

from dataclasses import dataclass

from zentry_web.services.auth.accounts import Accounts
from zentry_web.services.auth.one_time_links import OneTimeLinks
from zentry_web.services.auth.passwords import Passwords
from zentry_web.services.auth.sessions import Sessions
from zentry_web.services.auth.signup_rules import SignupRules


@dataclass(frozen=True, slots=True)
class Basis:
    accounts: Accounts
    sessions: Sessions
    links: OneTimeLinks
    passwords: Passwords
    rules: SignupRules
