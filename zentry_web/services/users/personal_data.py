"""The one register of what is kept about people: what 'export my data' takes along, and what an erasure leaves.

A table with a column that names a person stands here, or under ACTORS (who did something, and nothing else) or
IMPERSONAL; tests/services/users/test_personal_data.py fails for one that does not, and fills each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from zentry_web import models as m
from zentry_web.domain.user import ANONYMOUS_ID

# What lets somebody in, what was made of it, and what says nothing about the person.
SECRETS = frozenset(
    [
        *("password_hash", "token_hash", "next_hash", "previous_hash", "code_hash", "challenge_hash", "state_hash"),
        *("session_hash", "credential_hash", "credential_id", "public_key", "secret", "bound_to", "last_step"),
        *("body_hash", "personal_hash", "salt", "version", "idempotency_key", "request_key", "email_key"),
    ]
)
SOMEBODY_ELSE = "somebody else"  # stands where a row names another person: who they are is theirs


class Erasure(StrEnum):
    """What becomes of the rows about a person when the account is erased."""

    ROWS = "rows"  # they go
    FIELDS = "fields"  # what is personal in them is emptied
    KEPT = "kept"  # nothing changes: ``why`` says what for


Whose = Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class PersonalTable:
    """The rows of one table that are about a person."""

    table: Any
    whose: Whose  # picks a person's rows, by their id
    erasure: Erasure
    file: str = ""  # in the export, without '.json'; '' : not in it, and ``why`` says so
    others: tuple[str, ...] = ()  # columns that may name somebody else
    emptied: tuple[str, ...] = ()  # with Erasure.FIELDS
    why: str = ""

    def query(self, user_id: str) -> Select[Any]:
        """The rows for the export, without secrets, in the order of their keys."""
        table = self.table.__table__
        columns = [column for column in table.columns if column.name not in SECRETS]
        return select(*columns).where(self.whose(user_id)).order_by(*table.primary_key.columns)


ROWS, FIELDS, KEPT = Erasure.ROWS, Erasure.FIELDS, Erasure.KEPT
LEDGER = "the books: amounts and ids, which add up only when nothing is missing"
RECEIPTS = "receipts as they were given, with whom they were made out to: the law has them kept"
AS_IT_WAS = "a closed month as it was told, with the names of that time: bookkeeping has to keep it"


def _is(column: Any) -> Whose:
    return lambda user_id: column == user_id


def _of_project(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbProject.id).where(m.DbProject.owner_id == user_id))


def _of_vm(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbVM.id).where(m.DbVM.owner_id == user_id))


def _of_payment(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbPayment.id).where(m.DbPayment.owner_id == user_id))


def _of_account(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbAccount.id).where(m.DbAccount.owner_id == user_id))


def _of_transfer(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbTransfer.id).where(m.DbTransfer.owner_id == user_id))


def _of_change(column: Any) -> Whose:
    return lambda user_id: column.in_(select(m.DbEmailChange.id).where(m.DbEmailChange.user_id == user_id))


def _quotas(user_id: str) -> ColumnElement[bool]:
    return or_(m.DbQuota.holder_id == user_id, _of_project(m.DbQuota.holder_id)(user_id))


def _invitations(user_id: str) -> ColumnElement[bool]:
    table = m.DbProjectInvitation
    key = select(m.DbUser.email_key).where(m.DbUser.id == user_id).scalar_subquery()
    return or_(table.invited_by == user_id, table.user_id == user_id, table.email_key == key)


def _mail_requests(user_id: str) -> ColumnElement[bool]:
    address = select(func.lower(m.DbUser.email)).where(m.DbUser.id == user_id).scalar_subquery()
    return func.lower(m.DbMailRequest.email) == address


def _events(user_id: str) -> ColumnElement[bool]:
    return or_(m.DbEvent.owner_id == user_id, m.DbEvent.actor_id == user_id)


def _events_personal(user_id: str) -> ColumnElement[bool]:
    """Only what is about the person: an event of theirs may carry an admin's address."""
    by = m.DbEvent.actor_id.in_((user_id, ANONYMOUS_ID))
    own = select(m.DbEvent.id).where(m.DbEvent.id == m.DbEventPersonal.event_id, by).exists()
    return (m.DbEventPersonal.subject_id == user_id) & own


PERSONAL: tuple[PersonalTable, ...] = (
    # The account and the ways into it.
    PersonalTable(m.DbUser, _is(m.DbUser.id), FIELDS, "account",
                  emptied=("email", "email_key", "name", "time_zone", "region", "language", "theme",
                  "shortcuts", "password_hash", "mail_refused"),
                  why="what ledger and events refer to: an id without a name"),
    PersonalTable(m.DbAuthSession, _is(m.DbAuthSession.user_id), ROWS, "sessions"),
    PersonalTable(m.DbPendingLogin, _is(m.DbPendingLogin.user_id), ROWS, "unfinished_logins"),
    PersonalTable(m.DbApiToken, _is(m.DbApiToken.user_id), ROWS, "api_tokens"),
    PersonalTable(m.DbSavedView, _is(m.DbSavedView.user_id), ROWS, "saved_views"),
    PersonalTable(m.DbSshKey, _is(m.DbSshKey.user_id), ROWS, "ssh_keys"),
    PersonalTable(m.DbFactor, _is(m.DbFactor.user_id), ROWS, "second_factors"),
    PersonalTable(m.DbRecoveryCode, _is(m.DbRecoveryCode.user_id), ROWS, "recovery_codes"),
    PersonalTable(m.DbIdentity, _is(m.DbIdentity.user_id), ROWS, "sign_in_identities"),
    PersonalTable(m.DbOneTimeLink, _is(m.DbOneTimeLink.user_id), ROWS, "password_links"),
    PersonalTable(m.DbEmailChange, _is(m.DbEmailChange.user_id), ROWS, "email_changes"),
    PersonalTable(m.DbEmailConfirmation, _of_change(m.DbEmailConfirmation.change_id), ROWS, "email_confirmations"),
    PersonalTable(m.DbMailRequest, _mail_requests, ROWS, "mail_requests"),
    PersonalTable(m.DbPasskeyChallenge, _is(m.DbPasskeyChallenge.user_id), ROWS, why="a challenge of five minutes"),
    PersonalTable(m.DbOidcFlow, _is(m.DbOidcFlow.user_id), ROWS, why="a browser on its way, for ten minutes"),
    PersonalTable(m.DbUserNote, _is(m.DbUserNote.user_id), ROWS, others=("author_id",),
                  why="what admins tell each other about an account"),
    PersonalTable(m.DbUserView, lambda me: or_(m.DbUserView.user_id == me, m.DbUserView.admin_id == me), ROWS,
                  "views_by_admins", others=("admin_id", "user_id")),
    # What was told.
    PersonalTable(m.DbNotice, _is(m.DbNotice.user_id), ROWS, "notices"),
    PersonalTable(m.DbMailChoice, _is(m.DbMailChoice.user_id), ROWS, "mail_choices"),
    PersonalTable(m.DbOutbox, _is(m.DbOutbox.user_id), ROWS, "mails"),
    PersonalTable(m.DbAnnouncementDismissal, _is(m.DbAnnouncementDismissal.user_id), ROWS, "dismissed_announcements"),
    PersonalTable(m.DbPriceTold, _is(m.DbPriceTold.owner_id), KEPT, "price_notices", why=LEDGER),
    # Projects and machines.
    PersonalTable(m.DbProject, _is(m.DbProject.owner_id), FIELDS, "projects", others=("deleted_by",),
                  emptied=("name", "name_key", "description"), why="charges and events refer to it"),
    PersonalTable(m.DbProjectMember, _is(m.DbProjectMember.user_id), KEPT, "memberships", others=("added_by",),
                  why="of one's own projects, which are deleted; in those of others it goes"),
    PersonalTable(m.DbProjectInvitation, _invitations, ROWS, "invitations", others=("invited_by", "user_id")),
    PersonalTable(m.DbProjectBudget, _of_project(m.DbProjectBudget.project_id), ROWS, "budgets"),
    PersonalTable(m.DbQuota, _quotas, ROWS, "quotas"),
    PersonalTable(m.DbVM, _is(m.DbVM.owner_id), FIELDS, "machines", others=("deleted_by",), emptied=("name", "ssh_key",
                  "user_data", "address", "reach", "state_reason"), why="charges and events refer to it"),
    PersonalTable(m.DbSnapshot, _of_vm(m.DbSnapshot.vm_id), ROWS, "snapshots", others=("created_by",)),
    PersonalTable(m.DbBackup, _of_vm(m.DbBackup.vm_id), ROWS, "backups", others=("created_by",)),
    PersonalTable(m.DbSchedule, _of_vm(m.DbSchedule.vm_id), ROWS, "schedules", others=("created_by",)),
    PersonalTable(m.DbTimer, _of_vm(m.DbTimer.vm_id), ROWS, "scheduled_actions", others=("created_by",)),
    PersonalTable(m.DbOutage, _of_vm(m.DbOutage.vm_id), ROWS, "outages"),
    PersonalTable(m.DbImage, _of_project(m.DbImage.project_id), FIELDS, "images", emptied=("name", "description"),
                  why="machines refer to it"),
    PersonalTable(m.DbUndo, _of_vm(m.DbUndo.vm_id), ROWS, "undo", others=("made_by", "used_by")),
    PersonalTable(m.DbDiskAside, _of_vm(m.DbDiskAside.vm_id), ROWS, "disks_aside"),
    PersonalTable(m.DbRevertAside, _of_vm(m.DbRevertAside.vm_id), ROWS, "reverts_aside"),
    PersonalTable(m.DbVMLabel, _of_vm(m.DbVMLabel.vm_id), ROWS, "machine_labels"),
    PersonalTable(m.DbProjectLabel, _of_project(m.DbProjectLabel.project_id), ROWS, "project_labels"),
    PersonalTable(m.DbConsoleSession, _is(m.DbConsoleSession.user_id), ROWS, "console_sessions"),
    PersonalTable(m.DbOperation, _of_vm(m.DbOperation.vm_id), KEPT, "operations",
                  others=("requested_by", "aborted_by"),
                  why="what was done to a machine, with what the hypervisor answered"),
    # Credits.
    PersonalTable(m.DbLanding, _is(m.DbLanding.user_id), ROWS, "low_balance"),
    PersonalTable(m.DbTopUp, _is(m.DbTopUp.user_id), ROWS, "automatic_top_up"),
    PersonalTable(m.DbPaymentMethod, _is(m.DbPaymentMethod.owner_id), FIELDS, "payment_methods", emptied=("label",),
                  why="payments refer to it; the provider has forgotten the card"),
    PersonalTable(m.DbPayment, _is(m.DbPayment.owner_id), FIELDS, "payments", emptied=("method_label",),
                  why=RECEIPTS),
    PersonalTable(m.DbPaymentEvent, _of_payment(m.DbPaymentEvent.payment_id), KEPT, "payment_events", why=LEDGER),
    PersonalTable(m.DbPaymentRefund, _of_payment(m.DbPaymentRefund.payment_id), KEPT, "payment_refunds",
                  others=("actor_id",), why=LEDGER),
    PersonalTable(m.DbPaymentRefundTold, _of_payment(m.DbPaymentRefundTold.payment_id), KEPT, "provider_refunds",
                  why=LEDGER),
    PersonalTable(m.DbPaymentDispute, _of_payment(m.DbPaymentDispute.payment_id), KEPT, "payment_disputes", why=LEDGER),
    PersonalTable(m.DbBillingDetails, _is(m.DbBillingDetails.user_id), ROWS, "billing_details"),
    PersonalTable(m.DbReceipt, _is(m.DbReceipt.owner_id), KEPT, "receipts", why=RECEIPTS),
    PersonalTable(m.DbPromotion, _is(m.DbPromotion.owner_id), KEPT, "promotions", why=LEDGER),
    PersonalTable(m.DbPromotionUse, _of_transfer(m.DbPromotionUse.transfer_id), KEPT, "promotion_uses", why=LEDGER),
    PersonalTable(m.DbAccount, _is(m.DbAccount.owner_id), KEPT, "credit_accounts", why=LEDGER),
    PersonalTable(m.DbTransfer, _is(m.DbTransfer.owner_id), KEPT, "transfers", others=("actor_id",), why=LEDGER),
    PersonalTable(m.DbEntry, _of_account(m.DbEntry.account_id), KEPT, "entries", why=LEDGER),
    PersonalTable(m.DbUsageInterval, _is(m.DbUsageInterval.owner_id), KEPT, "usage_intervals", why=LEDGER),
    PersonalTable(m.DbStored, _is(m.DbStored.owner_id), FIELDS, "stored", emptied=("name",),
                  why="charges refer to it"),
    PersonalTable(m.DbCharge, _is(m.DbCharge.owner_id), KEPT, "charges", why=LEDGER),
    PersonalTable(m.DbUsageMonth, _is(m.DbUsageMonth.owner_id), KEPT, "usage_months", why=LEDGER),
    PersonalTable(m.DbProjectMonth, _is(m.DbProjectMonth.owner_id), KEPT, "project_months", why=LEDGER),
    PersonalTable(m.DbHold, _is(m.DbHold.owner_id), KEPT, "holds", why=LEDGER),
    PersonalTable(m.DbRefund, _of_transfer(m.DbRefund.transfer_id), KEPT, "refunds", why=LEDGER),
    PersonalTable(m.DbApproval, _is(m.DbApproval.user_id), KEPT, "approvals", others=("asked_by", "decided_by"),
                  why=LEDGER),
    PersonalTable(m.DbVoucherRedemption, _is(m.DbVoucherRedemption.user_id), KEPT, "vouchers", why=LEDGER),
    PersonalTable(m.DbStatement, _is(m.DbStatement.owner_id), KEPT, "statements", why=AS_IT_WAS),
    # What happened.
    PersonalTable(m.DbEvent, _events, KEPT, "events", others=("actor_id", "owner_id"),
                  why="the trail: ids only, what is personal stands beside it"),
    PersonalTable(m.DbEventPersonal, _events_personal, ROWS, "events_personal"),
)  # fmt: skip

# Tables of the metrics store about the machines of a person; picked by the machines' ids.
PERSONAL_METRICS: dict[Any, tuple[str, Erasure]] = {
    m.DbConsole: ("consoles", ROWS),
    m.DbLatest: ("latest_figures", ROWS),
}

# They name who did something for everybody, by id. An export has the events of it; an erasure leaves an id that nobody
# can be found by any more.
ACTORS: dict[Any, tuple[str, ...]] = {
    m.DbAnnouncement: ("created_by",),
    m.DbPriceVersion: ("created_by",),
    m.DbImagePriceVersion: ("created_by",),
    m.DbStoragePrice: ("created_by",),
    m.DbImageVersion: ("created_by",),
    m.DbPriceChange: ("created_by", "published_by", "withdrawn_by"),
    m.DbSetting: ("changed_by",),
    m.DbVoucher: ("created_by",),
    m.DbTaxRate: ("created_by",),
}

IMPERSONAL: dict[Any, str] = {
    m.DbSize: "catalogue",
    m.DbPriceItem: "prices",
    m.DbReceiptSeries: "numbers",
    m.DbLedgerDay: "sums over everybody",
    m.DbVerifyRun: "results of checks",
    m.DbHeartbeat: "processes",
    m.DbEventExport: "a number",
    m.DbLeader: "processes",
    m.DbPartState: "processes",
    m.DbAvailability: "processes",
    m.DbComputeStatus: "the hypervisor",
    m.DbStrayMachine: "machines of nobody, as the hypervisor has them",
    m.DbRateCounter: "counts under a hash, for two days",
    m.DbSample: "figures of machines, shown on their pages and gone after some days",
}
