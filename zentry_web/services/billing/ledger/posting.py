"""Posting to the double-entry ledger. Everything that moves credits goes through ``post``."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Integer, Select, Table, bindparam, func, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, Transaction, TransferKind
from zentry_web.domain.ids import new_id
from zentry_web.domain.language import _
from zentry_web.domain.money import MAX_AMOUNT, format_credits
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbAccount, DbEntry, DbTransfer, DbVM
from zentry_web.services.billing.ledger.fast_sql import insert_rows, read_rows, update_rows
from zentry_web.services.billing.ledger.searching import transaction_conditions
from zentry_web.services.errors import InsufficientCreditsError, NotFoundError, ValidationError
from zentry_web.services.shared.request_keys import require_same

ACCOUNT = cast(Table, DbAccount.__table__)
ENTRY = cast(Table, DbEntry.__table__)
TRANSFER = cast(Table, DbTransfer.__table__)

USER_ACCOUNTS = (AccountKind.WALLET, AccountKind.HELD)


@dataclass(frozen=True, slots=True)
class Funds:
    """What one person's two accounts hold, read under their lock. ``promo``: how much of both is promotional."""

    wallet: int
    held: int
    promo: int = 0

    @property
    def own(self) -> int:
        """What of the wallet is not promotional: only that can be taken back. Holds are made of promotions first."""
        return max(0, min(self.wallet, self.wallet + self.held - self.promo))


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


def open_accounts(session: Session, user_id: str) -> None:
    """A wallet and a held account for a new person, both empty. Migrations made the system accounts."""
    rows = [
        {"id": account_id(kind, user_id), "kind": kind, "owner_id": user_id, "balance": 0, "last_seq": 0}
        for kind in USER_ACCOUNTS
    ]
    session.flush()
    session.execute(insert(ACCOUNT), rows)


_LOCK = "SELECT owner_id, kind, balance, promo FROM account WHERE owner_id {values} ORDER BY owner_id, kind DESC {lock}"


def lock_accounts(session: Session, owner_ids: Collection[str]) -> dict[str, Funds]:
    """Lock the wallets and held accounts of these people, always in one order, and read them under the lock.

    SQLite has one writer at a time: there it is a plain read. Raises NotFoundError when one has no accounts.
    """
    found: dict[str, dict[str, int]] = {}
    promo: dict[str, int] = {}
    rows = read_rows(session, _LOCK, owner_ids) if owner_ids else ()
    for owner_id, kind, balance, promotional in rows:
        found.setdefault(owner_id, {})[kind] = balance
        if promotional:
            promo[owner_id] = promotional
    if len(found) < len(set(owner_ids)):
        raise NotFoundError(_("There is no such account."))
    wallet, held = USER_ACCOUNTS
    return {owner: Funds(kinds[wallet], kinds[held], promo.get(owner, 0)) for owner, kinds in found.items()}


def require_funds(available: int, needed: int, message: str) -> None:
    """Raise InsufficientCreditsError with both figures unless ``available`` is enough."""
    if available < needed:
        raise InsufficientCreditsError(message, details={"needed": needed, "available": available})


def require_room(wallet: int, gain: int, field: str) -> None:
    """Raise ValidationError on ``field`` if so much more in a wallet could no longer be computed with."""
    if wallet + gain > MAX_AMOUNT:
        text = _("A wallet has room for %(most)s credits.", most=format_credits(MAX_AMOUNT))
        raise ValidationError(text, details={field: text})


def find_posted(session: Session, key: str, body: str) -> str | None:
    """The id of the transfer made with this idempotency key; None if the key is new.

    Raises ConflictError when the key was used for something else.
    """
    rows = read_rows(session, "SELECT id, body_hash FROM transfer WHERE idempotency_key {values}", [key])
    if not rows:
        return None
    transfer_id, before = rows[0]
    require_same(before == body)
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
        raise NotFoundError(_("There is no such account."))
    return heads


def read_transactions(
    session: Session,
    owner_id: str,
    *,
    ids: Collection[str] = (),
    with_holds: bool = True,
    search: ListSearch = EVERYTHING,
    before: str | None = None,
    limit: int = 50,
) -> list[Transaction]:
    """One person's transfers that fit, newest first; ``before`` is the id of the last one seen. One statement.

    Without ``with_holds``, what was only set aside or given back is left out: it moves no balance.
    """
    wallet, held = (account_id(kind, owner_id) for kind in USER_ACCOUNTS)
    asked = {"owner": owner_id, "wallet": wallet, "held": held, "limit": limit}
    query = _TRANSACTIONS[with_holds]
    if ids:
        query = query.where(TRANSFER.c.id.in_(ids))
    if search:
        query = query.where(*transaction_conditions(search, query.selected_columns.amount))
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
        for row in session.execute(query, asked)
    ]


def _read_transactions(*, with_holds: bool) -> Select[Any]:
    owner: Any = bindparam("owner")
    wallet: Any = bindparam("wallet")
    held: Any = bindparam("held")
    mine = select(ENTRY).where(ENTRY.c.transfer_id == TRANSFER.c.id, ENTRY.c.account_id.in_((wallet, held)))
    amount = mine.with_only_columns(func.coalesce(func.sum(ENTRY.c.amount), 0)).scalar_subquery()
    after = _stood_at(owner, wallet) + _stood_at(owner, held)
    query = (
        select(TRANSFER, amount.label("amount"), after.label("balance_after"), DbVM.name.label("vm_name"))
        .outerjoin(DbVM, DbVM.id == TRANSFER.c.vm_id)
        .where(TRANSFER.c.owner_id == owner)
        .order_by(TRANSFER.c.seq.desc())
        .limit(bindparam("limit", type_=Integer))
    )
    return query if with_holds else query.where(TRANSFER.c.kind.not_in((TransferKind.HOLD, TransferKind.RELEASE)))


def _stood_at(owner_id: Any, account: Any) -> ColumnElement[int]:
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


# Built once, by whether what was only set aside is in it: every credits page asks one of them.
_TRANSACTIONS = {with_holds: _read_transactions(with_holds=with_holds) for with_holds in (False, True)}
