"""What people are told, in the app and by mail."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of a person's list. ``url`` is a path within Zentry, or empty."""

    id: str
    kind: str
    at: datetime
    title: str
    body: str
    url: str
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it waits to be sent. ``attempt`` fences it: an older claim records nothing."""

    id: str
    to_address: str
    subject: str
    body: str
    attempt: int


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
    TopicRule(Topic.SECURITY, "Security", "Log-ins from new browsers; changes of password, address, factors, keys and "
              "role", always=True),
    TopicRule(Topic.STOPPING, "Credits that end", "7 days, 3 days, 1 day and 1 hour before, and when machines are "
              "about to stop", always=True),
    TopicRule(Topic.DELETION, "Deletion of data", "Disks that nobody pays for, and the account itself", always=True),
    TopicRule(Topic.PRICES, "Changes of prices", "What it means for your machines, before it counts", always=True),
    TopicRule(Topic.ORDERS, "What admins do to your machines", "With the reason", always=True),
    TopicRule(Topic.LOW_BALANCE, "Low balance", "At the balance that you name beside the landing plan"),
    TopicRule(Topic.BUDGETS, "Budgets", "At the percentages that you name"),
    TopicRule(Topic.PAYMENTS, "Payments and receipts", "Payments, automatic top-up, vouchers, refunds"),
    TopicRule(Topic.PROJECTS, "Projects and members", "Roles, removals, changes of ownership"),
    TopicRule(Topic.STATEMENTS, "Statements", "When a month's statement is ready", by_default=False),
    TopicRule(Topic.RESTARTS, "Machines started again", "When credits have come in", by_default=False),
    TopicRule(Topic.APPROVALS, "Approvals", "Requests that need a second admin, and their end", for_admins=True),
    TopicRule(Topic.OPERATION, "Books and settings", "Checks of the books that fail; settings that another admin "
              "changed", always=True, for_admins=True),
)  # fmt: skip
RULE_OF = {rule.topic: rule for rule in TOPICS}

_KINDS: dict[Topic, tuple[str, ...]] = {
    Topic.SECURITY: (
        *("password", "token_reuse", "new_device", "session_reuse", "email", "factor", "factor_guessed", "oidc"),
        *("ssh_key", "role", "recovery"),
    ),
    Topic.STOPPING: ("runway", "landing", "credit_stop"),
    Topic.DELETION: ("disk", "deletion"),
    Topic.PRICES: ("prices", "prices_off"),
    Topic.ORDERS: ("admin_order",),
    Topic.LOW_BALANCE: ("low_balance",),
    Topic.BUDGETS: ("budget",),
    Topic.PAYMENTS: ("payment", "auto_top_up", "voucher", "refund"),
    Topic.PROJECTS: ("member", "invitation"),
    Topic.STATEMENTS: ("statement",),
    Topic.RESTARTS: ("credit_back",),
    Topic.APPROVALS: ("approval", "approval_end"),
    Topic.OPERATION: ("verify", "setting"),
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
