"""Everything Zentry knows about a person, as JSON files in a zip."""

import json
import zipfile
from collections.abc import Iterable
from datetime import datetime
from io import TextIOWrapper
from typing import IO, Any

from sqlalchemy import RowMapping, Select, or_, select

from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor
from zentry_web.models import (
    DbApiToken,
    DbAuthSession,
    DbCharge,
    DbEmailChange,
    DbEntry,
    DbEvent,
    DbEventPersonal,
    DbIdentity,
    DbNotice,
    DbPayment,
    DbPaymentMethod,
    DbProject,
    DbProjectBudget,
    DbStatement,
    DbTransfer,
    DbUsageInterval,
    DbUser,
    DbVM,
    DbVoucherRedemption,
)
from zentry_web.services.access import require_self
from zentry_web.services.account_rows import require_user_row
from zentry_web.services.base_service import BaseService
from zentry_web.services.ledger import USER_ACCOUNTS, account_id
from zentry_web.services.rate_limit import RateLimiter, limit_of

# What lets somebody in, or says nothing about the person.
SECRETS = frozenset({"password_hash", "token_hash", "next_hash", "previous_hash", "body_hash", "salt", "version"})
AT_A_TIME = 1000
README = """Everything this Zentry keeps about you. Times are UTC; amounts are micro-credits (1 000 000 are one credit).
Secrets (your password, tokens, keys of second factors) are kept as hashes or encrypted, and are not in here.
"""


class DataExport(BaseService):
    """Writes a person's data; a part of UserService."""

    name = "data_export"

    def write(self, user_id: str, file: IO[bytes], *, actor: Actor = SYSTEM) -> None:
        """Write a zip with one JSON file per kind of thing into ``file``, row by row, in one consistent reading.

        Raises NotFoundError (also for somebody else's), RateLimitedError (five an hour).
        """
        require_self(actor, user_id)
        RateLimiter(self._core).check(limit_of("export", user_id))
        self.log_audit_event(actor.id, "user.export", "user", user_id, actor=actor, owner_id=user_id)
        with self.reading() as session, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            require_user_row(session, user_id)
            archive.writestr("README.txt", README)
            for name, query in _queries(user_id).items():
                rows = session.execute(query.execution_options(yield_per=AT_A_TIME)).mappings()
                with archive.open(f"{name}.json", "w") as raw, TextIOWrapper(raw, encoding="utf-8") as text:
                    _write_rows(text, rows)


def _queries(user_id: str) -> dict[str, Select[Any]]:
    """One query per file. Of the ledger, what moved the person's own accounts."""
    mine = [account_id(kind, user_id) for kind in USER_ACCOUNTS]
    own_events = or_(DbEvent.owner_id == user_id, DbEvent.actor_id == user_id)
    return {
        "account": select(*_columns(DbUser)).where(DbUser.id == user_id),
        "sessions": select(*_columns(DbAuthSession)).where(DbAuthSession.user_id == user_id),
        "api_tokens": select(*_columns(DbApiToken)).where(DbApiToken.user_id == user_id),
        "sign_in_identities": select(*_columns(DbIdentity)).where(DbIdentity.user_id == user_id),
        "email_changes": select(*_columns(DbEmailChange)).where(DbEmailChange.user_id == user_id),
        "notices": select(*_columns(DbNotice)).where(DbNotice.user_id == user_id).order_by(DbNotice.id),
        "projects": select(*_columns(DbProject)).where(DbProject.owner_id == user_id),
        "budgets": select(*_columns(DbProjectBudget))
        .join(DbProject, DbProject.id == DbProjectBudget.project_id)
        .where(DbProject.owner_id == user_id),
        "vouchers": select(*_columns(DbVoucherRedemption)).where(DbVoucherRedemption.user_id == user_id),
        "machines": select(*_columns(DbVM)).where(DbVM.owner_id == user_id),
        "usage_intervals": select(*_columns(DbUsageInterval))
        .where(DbUsageInterval.owner_id == user_id)
        .order_by(DbUsageInterval.id),
        "charges": select(*_columns(DbCharge)).where(DbCharge.owner_id == user_id).order_by(DbCharge.from_at),
        "transfers": select(*_columns(DbTransfer)).where(DbTransfer.owner_id == user_id).order_by(DbTransfer.seq),
        "entries": select(*_columns(DbEntry))
        .where(DbEntry.account_id.in_(mine))
        .order_by(DbEntry.account_id, DbEntry.seq),
        "statements": select(*_columns(DbStatement)).where(DbStatement.owner_id == user_id),
        "events": select(*_columns(DbEvent)).where(own_events).order_by(DbEvent.seq),
        # Only what is about the person: an event of theirs may carry an admin's address.
        "events_personal": select(*_columns(DbEventPersonal))
        .join(DbEvent, DbEvent.id == DbEventPersonal.event_id)
        .where(DbEventPersonal.subject_id == user_id, DbEvent.actor_id.in_((user_id, ANONYMOUS_ID))),
        "payments": select(*_columns(DbPayment)).where(DbPayment.owner_id == user_id).order_by(DbPayment.id),
        "payment_methods": select(*_columns(DbPaymentMethod)).where(DbPaymentMethod.owner_id == user_id),
    }


def _columns(table: Any) -> list[Any]:
    return [column for column in table.__table__.columns if column.name not in SECRETS]


def _write_rows(text: TextIOWrapper, rows: Iterable[RowMapping]) -> None:
    text.write("[")
    for number, row in enumerate(rows):
        text.write(",\n" if number else "\n")
        json.dump(dict(row), text, default=_plain, ensure_ascii=False)
    text.write("\n]\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
