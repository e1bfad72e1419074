"""The ledger as admins read it: transfers by filter, newest first; one opened; everything as rows for a file.

A page is at most six statements, whatever the filter: people's ids, the period's bounds, how common the amount is, the
page itself. Only reads.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select, text
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.credits.billing import SYSTEM_ACCOUNTS, AccountKind, TransferKind
from zentry_web.domain.credits.books import LedgerEntry, LedgerFilter, LedgerRow, LedgerTransfer
from zentry_web.domain.language import _
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbApproval, DbRefund, DbUser
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.bills.bills import read_charges
from zentry_web.services.billing.ledger.posting import ACCOUNT, ENTRY, TRANSFER, USER_ACCOUNTS, account_id
from zentry_web.services.billing.usage.settlement import CHARGE
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import email_key, storable
from zentry_web.services.shared.paging import CHUNK, in_chunks, page_of
from zentry_web.services.shared.rate_limits import RateLimiter

FEW = 20_000  # transfers with a wanted amount that are looked up one by one; more are met soon enough on the way down
_COMMON = (TransferKind.HOLD, TransferKind.RELEASE, TransferKind.USAGE)
# As the partial indexes spell their conditions.
_BY_HAND = text("transfer.kind NOT IN ('hold', 'release', 'usage')")
_BY_PEOPLE = text("transfer.actor_id <> 'system'")
_GAIN = text("entry.amount > 0")
# Checked on rows that ``seq`` leads to: the index on ``at`` would ask for sorting.
_at: ColumnElement[Any] = literal_column("(transfer.at + 0)", type_=TRANSFER.c.at.type)

_Owner, _Actor = aliased(DbUser), aliased(DbUser)


class LedgerBrowser(BaseService):
    """For admins only. Amounts are micro-credits, times aware UTC."""

    name = "ledger_browser"

    def list_transfers(
        self, wanted: LedgerFilter, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 50
    ) -> list[LedgerRow]:
        """Transfers that fit, newest first; ``before`` is the ``seq`` of the last one seen."""
        require_admin(actor)
        with self.reading() as session:
            conditions = _conditions(session, wanted)
            if conditions is None:
                return []
            return [_as_row(row) for row in session.execute(_page(conditions, before, limit))]

    def get_system_balances(self, *, actor: Actor = SYSTEM) -> dict[AccountKind, int]:
        """The sums of all accounts by kind; admins only. Grants and write-offs are negative: what was given away."""
        require_admin(actor)
        with self.reading() as session:
            rows = session.execute(select(ACCOUNT.c.kind, func.sum(ACCOUNT.c.balance)).group_by(ACCOUNT.c.kind))
            found = {AccountKind(kind): int(balance) for kind, balance in rows}
        return {kind: found.get(kind, 0) for kind in (*USER_ACCOUNTS, *SYSTEM_ACCOUNTS)}

    def get_transfer(self, transfer_id: str, *, actor: Actor = SYSTEM) -> LedgerTransfer:
        """One transfer with its entries and charges. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            found = session.execute(
                _query().add_columns(TRANSFER.c.idempotency_key).where(TRANSFER.c.id == transfer_id)
            )
            row = found.one_or_none()
            if row is None:
                raise NotFoundError(_("There is no such transfer."))
            refunded = (
                select(func.coalesce(func.sum(DbRefund.amount), 0))
                .join(CHARGE, _same_charge())
                .where(CHARGE.c.transfer_id == transfer_id)
            )
            approval = select(DbApproval.id).where(DbApproval.id == row.idempotency_key.removeprefix("approval:"))
            return LedgerTransfer(
                row=_as_row(row),
                idempotency_key=row.idempotency_key,
                entries=tuple(_entries(session, [transfer_id])[transfer_id]),
                charges=tuple(read_charges(session, CHARGE.c.transfer_id == transfer_id)),
                refunded_micro=int(session.scalar(refunded) or 0),
                approval_id=session.scalar(approval),
            )

    def export(self, wanted: LedgerFilter, *, actor: Actor = SYSTEM) -> Iterator[tuple[LedgerRow, str, LedgerEntry]]:
        """Every entry of every transfer that fits, newest transfer first, with the transfer's idempotency key.

        Read in chunks, none of which holds a transaction open for the others; what is posted meanwhile is left out.
        Raises PermissionDeniedError, RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)

        def read(before: int | None) -> tuple[list[tuple[LedgerRow, str, LedgerEntry]], int | None]:
            with self.reading() as session:
                conditions = _conditions(session, wanted)
                if conditions is None:
                    return [], None
                query = _page(conditions, before, CHUNK).add_columns(TRANSFER.c.idempotency_key)
                rows, following = page_of(session.execute(query).all(), CHUNK, lambda row: int(row.seq))
                entries = _entries(session, [row.id for row in rows])
            return [(_as_row(row), row.idempotency_key, entry) for row in rows for entry in entries[row.id]], following

        return in_chunks(read)


def _query() -> Select[Any]:
    amount = (
        select(func.coalesce(func.sum(ENTRY.c.amount), 0))
        .where(ENTRY.c.transfer_id == TRANSFER.c.id, ENTRY.c.amount > 0)
        .scalar_subquery()
    )
    return (
        select(
            TRANSFER.c.seq, TRANSFER.c.id, TRANSFER.c.at, TRANSFER.c.kind, amount.label("amount"), TRANSFER.c.reason,
            TRANSFER.c.owner_id, _Owner.email, TRANSFER.c.actor_id, _Actor.name,
        )
        .select_from(TRANSFER)
        .outerjoin(_Owner, _Owner.id == TRANSFER.c.owner_id)
        .outerjoin(_Actor, _Actor.id == TRANSFER.c.actor_id)
    )  # fmt: skip


def _page(conditions: list[ColumnElement[bool]], before: int | None, limit: int) -> Select[Any]:
    query = _query().where(*conditions).order_by(TRANSFER.c.seq.desc()).limit(limit)
    return query if before is None else query.where(TRANSFER.c.seq < before)


def _as_row(row: Any) -> LedgerRow:
    seq, transfer_id, at, kind, amount, reason, owner_id, email, actor_id, actor_name = row[:10]
    who = actor_name or ("Zentry" if actor_id == SYSTEM.id else actor_id)
    return LedgerRow(
        seq, transfer_id, at, TransferKind(kind), int(amount), reason, owner_id, email or owner_id, actor_id, who
    )


def _entries(session: Session, transfer_ids: list[str]) -> dict[str, list[LedgerEntry]]:
    """The entries of these transfers, what gives first."""
    query = (
        select(ENTRY, ACCOUNT.c.kind, _Owner.email)
        .join(ACCOUNT, ACCOUNT.c.id == ENTRY.c.account_id)
        .outerjoin(_Owner, _Owner.id == ACCOUNT.c.owner_id)
        .where(ENTRY.c.transfer_id.in_(transfer_ids))
        .order_by(ENTRY.c.transfer_id, ENTRY.c.amount, ENTRY.c.account_id, ENTRY.c.seq)
    )
    found: dict[str, list[LedgerEntry]] = {transfer_id: [] for transfer_id in transfer_ids}
    for row in session.execute(query):
        found[row.transfer_id].append(
            LedgerEntry(row.account_id, AccountKind(row.kind), row.email or "", row.seq, row.amount, row.balance_after)
        )
    return found


def _same_charge() -> ColumnElement[bool]:
    return (
        (CHARGE.c.interval_id == DbRefund.interval_id)
        & (CHARGE.c.from_at == DbRefund.from_at)
        & (CHARGE.c.kind == DbRefund.kind)
    )


# -- filters ------------------------------------------------------------------------------------


def _conditions(session: Session, wanted: LedgerFilter) -> list[ColumnElement[bool]] | None:
    """What transfers must fulfil; None when none can (an unknown person, an empty period)."""
    person, who, words = map(storable, (wanted.person, wanted.actor, wanted.text))
    found: list[Any] = []
    if person:
        found.append(TRANSFER.c.owner_id == _person_id(session, person))
    if who:
        actor_id = _person_id(session, who)
        found.append(TRANSFER.c.actor_id == actor_id)
        if actor_id != SYSTEM.id:
            found.append(_BY_PEOPLE)
    if wanted.kind:
        found.append(TRANSFER.c.kind == wanted.kind)
        if wanted.kind not in _COMMON:
            found.append(_BY_HAND)
    found += [func.lower(TRANSFER.c.reason).contains(word, autoescape=True) for word in words.lower().split()]
    if wanted.start is not None or wanted.end is not None:
        period = _period(session, wanted)
        if period is None:
            return None
        found += period
    if wanted.account or wanted.least is not None or wanted.most is not None:
        found.append(_with_entry(session, wanted))
    return found


def _person_id(session: Session, person: str) -> str:
    if "@" not in person:
        return person
    return session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(person))) or "nobody"


def _period(session: Session, wanted: LedgerFilter) -> list[ColumnElement[bool]] | None:
    """The period as bounds of ``seq``, which lists are ordered by; ``at`` need not follow it (clocks step back)."""
    inside: list[ColumnElement[bool]] = []
    if wanted.start is not None:
        inside.append(TRANSFER.c.at >= wanted.start)
    if wanted.end is not None:
        inside.append(TRANSFER.c.at < wanted.end)
    first, last = session.execute(select(func.min(TRANSFER.c.seq), func.max(TRANSFER.c.seq)).where(*inside)).one()
    if first is None:
        return None
    exact: list[ColumnElement[bool]] = [TRANSFER.c.seq >= first, TRANSFER.c.seq <= last]
    if wanted.start is not None:
        exact.append(_at >= wanted.start)
    if wanted.end is not None:
        exact.append(_at < wanted.end)
    return exact


def _with_entry(session: Session, wanted: LedgerFilter) -> ColumnElement[bool]:
    """Transfers with an entry on that kind of account and of that amount, whichever way it moved.

    Few such entries are looked up by their index and the transfers fetched; where there are many, transfers are
    looked through from the newest on, and a page is soon full.
    """
    one: list[Any] = _amount_conditions(wanted)
    if wanted.account in SYSTEM_ACCOUNTS:
        one.append(ENTRY.c.account_id == account_id(AccountKind(wanted.account)))
    elif wanted.account:
        one += [ENTRY.c.account_id >= f"{wanted.account}_", ENTRY.c.account_id < f"{wanted.account}`"]
    wanted_ids = select(ENTRY.c.transfer_id).where(*one)
    if wanted.account not in USER_ACCOUNTS:
        probe = select(func.count()).select_from(wanted_ids.limit(FEW + 1).subquery())
        if (session.scalar(probe) or 0) <= FEW:
            return TRANSFER.c.id.in_(wanted_ids)
    return select(ENTRY.c.seq).where(ENTRY.c.transfer_id == TRANSFER.c.id, *one).exists()


def _amount_conditions(wanted: LedgerFilter) -> list[Any]:
    least, most = wanted.least, wanted.most
    if least is None and most is None:
        return []
    if not wanted.account:  # the gaining side, which has an index
        found: list[Any] = [_GAIN]
        size: ColumnElement[int] = ENTRY.c.amount
    else:
        found, size = [], func.abs(ENTRY.c.amount)
    if least is not None:
        found.append(size >= least)
    if most is not None:
        found.append(size <= most)
    return found
