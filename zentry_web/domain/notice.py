"""What people are told, in the app and by mail."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.language import lazy
from zentry_web.domain.target import Target


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of a person's list; ``target`` is what it leads to."""

    id: str
    kind: str
    at: datetime
    title: str
    body: str
    target: Target | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it waits to be sent. ``attempt`` fences it: an older claim records nothing."""

    id: str
    to_address: str
    subject: str
    body: str
    attempt: int


@dataclass(frozen=True, slots=True)
class WaitingMails:
    """Mails that the server has not taken yet: how many, since when the oldest waits, and what it was told last."""

    count: int
    since: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class TrialMail:
    """A mail that an admin has sent to themselves. Neither sent nor refused: it waits; ``error`` is the server's last
    answer."""

    to_address: str
    asked_at: datetime
    sent_at: datetime | None
    refused_at: datetime | None
    error: str


class Topic(StrEnum):
    """What a notice is about, as far as people choose which of them also come by mail."""

    SECURITY = "security"
    STOPPING = "stopping"
    DELETION = "deletion"
    PRICES = "prices"
    ORDERS = "orders"
    LOW_BALANCE = "low_balance"
    BUDGETS = "budgets"
    PAYMENTS = "payments"
    PROJECTS = "projects"
    STATEMENTS = "statements"
    RESTARTS = "restarts"
    FAILURES = "failures"
    APPROVALS = "approvals"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class TopicRule:
    """How a topic is shown and mailed. ``always``: nobody can switch the mail off, because nothing is stopped or
    deleted, and nothing of the account's security changes, whose owner was not told."""

    topic: Topic
    title: str
    text: str
    always: bool = False
    by_default: bool = True
    for_admins: bool = False


TOPICS: tuple[TopicRule, ...] = (
    TopicRule(
        Topic.SECURITY,
        lazy("Security"),
        lazy("Log-ins from new browsers; changes of password, address, factors, keys and role"),
        always=True,
    ),
    TopicRule(
        Topic.STOPPING,
        lazy("Credits that end"),
        lazy("7 days, 3 days, 1 day and 1 hour before, and when machines are about to stop"),
        always=True,
    ),
    TopicRule(
        Topic.DELETION,
        lazy("Deletion of data"),
        lazy("Disks that nobody pays for, machines scheduled to be deleted, and the account itself"),
        always=True,
    ),
    TopicRule(
        Topic.PRICES, lazy("Changes of prices"), lazy("What it means for your machines, before it counts"), always=True
    ),
    TopicRule(Topic.ORDERS, lazy("What admins do to your machines"), lazy("With the reason"), always=True),
    TopicRule(
        Topic.LOW_BALANCE, lazy("Low balance"), lazy("At the balance that you name on the page If credits run out")
    ),
    TopicRule(Topic.BUDGETS, lazy("Budgets"), lazy("At the percentages that you name")),
    TopicRule(
        Topic.PAYMENTS,
        lazy("Payments and receipts"),
        lazy("Payments, automatic top-up, vouchers, refunds, promotional credit"),
    ),
    TopicRule(Topic.PROJECTS, lazy("Projects and members"), lazy("Roles, removals, changes of ownership")),
    TopicRule(Topic.STATEMENTS, lazy("Statements"), lazy("When a month's statement is ready"), by_default=False),
    TopicRule(
        Topic.RESTARTS,
        lazy("Machines started again"),
        lazy("When credits have come in, after a crash or when the host was away"),
        by_default=False,
    ),
    TopicRule(
        Topic.FAILURES,
        lazy("What fails"),
        lazy("Launches, starts, snapshots, rebuilds and the like that you asked for and that came to nothing"),
        by_default=False,
    ),
    TopicRule(
        Topic.APPROVALS, lazy("Approvals"), lazy("Requests that need a second admin, and their end"), for_admins=True
    ),
    TopicRule(
        Topic.OPERATION,
        lazy("Books and settings"),
        lazy("Checks of the books that fail; settings that another admin changed"),
        always=True,
        for_admins=True,
    ),
)
RULE_OF = {rule.topic: rule for rule in TOPICS}

_KINDS: dict[Topic, tuple[str, ...]] = {
    Topic.SECURITY: (
        *("password", "token_reuse", "new_device", "session_reuse", "email", "factor", "factor_guessed", "oidc"),
        *("ssh_key", "role", "recovery"),
    ),
    Topic.STOPPING: ("runway", "landing", "credit_stop"),
    Topic.DELETION: ("disk", "deletion", "lease"),
    Topic.PRICES: ("prices", "prices_off"),
    Topic.ORDERS: ("admin_order",),
    Topic.LOW_BALANCE: ("low_balance",),
    Topic.BUDGETS: ("budget",),
    Topic.PAYMENTS: ("payment", "auto_top_up", "voucher", "refund", "promotion"),
    Topic.PROJECTS: ("member", "invitation"),
    Topic.STATEMENTS: ("statement", "zone"),
    Topic.RESTARTS: ("credit_back", "outage"),
    Topic.FAILURES: ("failed", "timer"),
    Topic.APPROVALS: ("approval", "approval_end"),
    Topic.OPERATION: ("verify", "setting", "clock", "disk_full"),
}
TOPIC_OF_KIND = {kind: topic for topic, kinds in _KINDS.items() for kind in kinds}


def topic_of(kind: str) -> Topic:
    """What a notice of this kind is about. One that nobody put anywhere is always mailed: better than never."""
    return TOPIC_OF_KIND.get(kind, Topic.SECURITY)


@dataclass(frozen=True, slots=True)
class MailChoice:
    """Whether a person gets a topic's mails."""

    rule: TopicRule
    mail: bool
