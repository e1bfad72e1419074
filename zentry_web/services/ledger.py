"""Posting to the double-entry ledger. Everything that moves credits goes through ``post``."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, func, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, Transaction, TransferKind
from zentry_web.domain.ids import new_id
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbAccount, DbEntry, DbTransfer, DbVM
from zentry_web.services.bulk import insert_rows, read_rows, update_rows
from zentry_web.services.errors import ConflictError, InsufficientCreditsError, NotFoundError

ACCOUNT = cast(Table, DbAccount.__table__)
ENTRY = cast(Table, DbEntry.__table__)
TRANSFER = cast(Table, DbTransfer.__table__)

USER_ACCOUNTS = (AccountKind.WALLET, AccountKind.HELD)


@dataclass(frozen=True, slots=True)
class Funds:
    """What one person's two accounts hold, read under their lock."""

    wallet: int
    held: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A transfer to be posted: what each account gains (negative: gives). Must sum to zero."""

    kind: TransferKind
    owner_id: str
    key: str  # idempotency key
    body_hash: str
    amounts: dict[str, int]  # account id -> micro-credits
    reason: str
    vm_id: str | None = None
    actor_id: str = SYSTEM.id


def account_id(kind: AccountKind, owner_id: str | None = None) -> str:
    """The id of a person's account, or of a system account."""
    return f"{kind}_{owner_id}" if owner_id else f"acc_{kind}"


def upsert(session: Session, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, of the database in use."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite_insert(table) if is_sqlite else postgresql_insert(table)


def open_accounts(session: Session, user_id: str) -> None:
    """A wallet and a held account for a new person, both empty. Migrations made the system accounts."""
    rows = [
        {"id": account_id(kind, user_id), "kind": kind, "owner_id": user_id, "balance": 0, "last_seq": 0}
        for kind in USER_ACCOUNTS
    ]
    session.flush()
    session.execute(insert(ACCOUNT), rows)


_LOCK = "SELECT owner_id, kind, balance FROM account WHERE owner_id {values} ORDER BY owner_id, kind DESC {lock}"


def lock_accounts(session: Session, owner_ids: Collection[str]) -> dict[str, Funds]:
    """Lock the wallets and held accounts of these people, always in one order, and read them under the lock.

    SQLite has one writer at a time: there it is a plain read. Raises NotFoundError when one has no accounts.
    """
    found: dict[str, dict[str, int]] = {}
    rows = read_rows(session, _LOCK, owner_ids) if owner_ids else ()
    for owner_id, kind, balance in rows:
        found.setdefault(owner_id, {})[kind] = balance
    if len(found) < len(set(owner_ids)):
        raise NotFoundError("There is no such account.")
    return {owner: Funds(kinds[AccountKind.WALLET], kinds[AccountKind.HELD]) for owner, kinds in found.items()}


def require_funds(available: int, needed: int, message: str) -> None:
    """Raise InsufficientCreditsError with both figures unless ``available`` is enough."""
    if available < needed:
        raise InsufficientCreditsError(message, details={"needed": needed, "available": available})


def find_posted(session: Session, key: str, body: str) -> str | None:
    """The id of the transfer made with this idempotency key; None if the key is new.

    Raises ConflictError when the key was used for something else.
    """
    rows = read_rows(session, "SELECT id, body_hash FROM transfer WHERE idempotency_key {values}", [key])
    if not rows:
        return None
    transfer_id, before = rows[0]
    if before != body:
        raise ConflictError("This request was made before with other contents.")
    return cast(str, transfer_id)


def post(session: Session, drafts: Iterable[Draft], now: datetime) -> list[str]:
    """Write transfers with their entries and move the balances; returns the transfers' ids, in order.

    The callers hold the locks of all wallets and held accounts concerned (``lock_accounts``). System accounts
    are everybody's, so they are locked here, last and sorted. The number of statements does not grow with
    the number of drafts. A balance below zero is refused by the database.
    """
    drafts = list(drafts)
    if not drafts:
        return []
    ids = sorted(new_id("tr", now) for _ in drafts)
    insert_rows(session, TRANSFER, [_transfer_row(i, draft, now) for i, draft in zip(ids, drafts, strict=True)])
    heads = _move_balances(session, drafts)
    entries = []
    for transfer_id, draft in zip(ids, drafts, strict=True):
        for account, amount in draft.amounts.items():
            seq, balance = heads[account]
            heads[account] = (seq + 1, balance + amount)
            entries.append(
                {
                    "account_id": account,
                    "seq": seq + 1,
                    "transfer_id": transfer_id,
                    "amount": amount,
                    "balance_after": balance + amount,
                }
            )
    insert_rows(session, ENTRY, entries)
    return ids


def _transfer_row(transfer_id: str, draft: Draft, now: datetime) -> dict[str, Any]:
    if sum(draft.amounts.values()) != 0 or len(draft.amounts) < 2:
        raise ValueError(f"the amounts of a transfer must sum to zero: {draft}")
    return {
        "id": transfer_id,
        "at": now,
        "kind": draft.kind,
        "idempotency_key": draft.key,
        "body_hash": draft.body_hash,
        "actor_id": draft.actor_id,
        "owner_id": draft.owner_id,
        "vm_id": draft.vm_id,
        "reason": draft.reason,
    }


_HEAD = ("id", "last_seq", "balance")
_HEADS = "SELECT id, last_seq, balance FROM account WHERE id {values} ORDER BY owner_id IS NULL, id {lock}"


def _move_balances(session: Session, drafts: list[Draft]) -> dict[str, tuple[int, int]]:
    """Apply the sums to the accounts; returns each one's (last seq, balance) as they were before."""
    gains: dict[str, int] = {}
    counts: dict[str, int] = {}
    for draft in drafts:
        for account, amount in draft.amounts.items():
            gains[account] = gains.get(account, 0) + amount
            counts[account] = counts.get(account, 0) + 1
    changes = [{"id": account, "balance": gains[account], "last_seq": counts[account]} for account in gains]
    # The rows of people are locked by the caller; what is new here are the system accounts: last, sorted. A single
    # one has no order, and is locked by the change itself.
    is_alone = sum(account.startswith("acc_") for account in gains) < 2
    if is_alone and session.get_bind().dialect.name == "postgresql":
        after = update_rows(session, ACCOUNT, changes, add=("balance", "last_seq"), returning=_HEAD)
        heads = {account: (seq - counts[account], balance - gains[account]) for account, seq, balance in after}
    else:
        heads = {account: (seq, balance) for account, seq, balance in read_rows(session, _HEADS, gains)}
        update_rows(session, ACCOUNT, changes, add=("balance", "last_seq"))
    if len(heads) < len(gains):
        raise NotFoundError("There is no such account.")
    return heads


def read_transactions(
    session: Session,
    owner_id: str,
    *,
    ids: Collection[str] = (),
    with_holds: bool = True,
    before: str | None = None,
    limit: int = 50,
) -> list[Transaction]:
    """One person's transfers, newest first; ``before`` is the id of the last one seen. One statement.

    Without ``with_holds``, what was only set aside or given back is left out: it moves no balance.
    """
    wallet, held = (account_id(kind, owner_id) for kind in USER_ACCOUNTS)
    mine = select(ENTRY).where(ENTRY.c.transfer_id == TRANSFER.c.id, ENTRY.c.account_id.in_((wallet, held)))
    amount = mine.with_only_columns(func.coalesce(func.sum(ENTRY.c.amount), 0)).scalar_subquery()
    after = _stood_at(owner_id, wallet) + _stood_at(owner_id, held)
    query = (
        select(TRANSFER, amount.label("amount"), after.label("balance_after"), DbVM.name.label("vm_name"))
        .outerjoin(DbVM, DbVM.id == TRANSFER.c.vm_id)
        .where(TRANSFER.c.owner_id == owner_id)
        .order_by(TRANSFER.c.seq.desc())
        .limit(limit)
    )
    if ids:
        query = query.where(TRANSFER.c.id.in_(ids))
    if not with_holds:
        query = query.where(TRANSFER.c.kind.not_in((TransferKind.HOLD, TransferKind.RELEASE)))
    if before is not None:
        query = query.where(TRANSFER.c.seq < select(TRANSFER.c.seq).where(TRANSFER.c.id == before).scalar_subquery())
    return [
        Transaction(
            id=row.id,
            at=row.at,
            kind=TransferKind(row.kind),
            amount_micro=int(row.amount),
            balance_after_micro=int(row.balance_after),
            reason=row.reason,
            actor_id=row.actor_id,
            vm_id=row.vm_id,
            vm_name=row.vm_name or "",
        )
        for row in session.execute(query)
    ]


def _stood_at(owner_id: str, account: str) -> ColumnElement[int]:
    """What one of the owner's accounts held after a transfer: as the last one up to it says that touched it."""
    upto = TRANSFER.alias()
    newest = (
        select(ENTRY.c.balance_after)
        .join(upto, upto.c.id == ENTRY.c.transfer_id)
        .where(ENTRY.c.account_id == account, upto.c.owner_id == owner_id, upto.c.seq <= TRANSFER.c.seq)
        .order_by(upto.c.seq.desc())
        .limit(1)
        .correlate(TRANSFER)
        .scalar_subquery()
    )
    return func.coalesce(newest, 0)
