"""Sums of the ledger per UTC day, for charts and tables: whole days are kept, what is newer is added up when asked for.

Table ``ledger_day`` is derived: a day is summed up an hour after its end, from the entries alone, and written as it is.
Any number of workers may do that, again and again.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Table, func, literal_column, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.books import BookDay, day_number, day_start
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbLedgerDay
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.ledger.posting import ACCOUNT, ENTRY, TRANSFER, USER_ACCOUNTS
from zentry_web.services.shared.access import require_admin

SETTLE = timedelta(hours=1)  # after a day's end: no transaction that began in it is still open
DAYS_PER_RUN = 400
_DAY = literal_column("(transfer.at / 86400000000)", type_=BigInteger())
_TABLE: Table = DbLedgerDay.__table__  # type: ignore[assignment]

PROMO_ACCOUNTS = (AccountKind.PROMOTIONS, AccountKind.PROMO_USED, AccountKind.EXPIRED)
KEPT = (*USER_ACCOUNTS, *PROMO_ACCOUNTS)  # what a day begins with matters

Sums = dict[tuple[str, str], int]


class Totals(BaseService):
    """For admins. Amounts are micro-credits; days are UTC's."""

    name = "totals"

    def close_days(self) -> int:
        """Sum up the days that are over and not summed up yet; returns how many had transfers."""
        before = day_number(self.now() - SETTLE)
        done = 0
        while done < DAYS_PER_RUN:
            with self.reading() as session:
                open_from = _next_day(session)
                first = session.scalar(
                    select(func.min(TRANSFER.c.at)).where(
                        TRANSFER.c.at >= day_start(open_from), TRANSFER.c.at < day_start(before)
                    )
                )
                if first is None:
                    return done
                day = day_number(first)
                rows = _read(session, day, day + 1)
            with self.transaction() as session:
                statement = upsert(session, _TABLE)
                changed = {"amount": statement.excluded.amount, "entries": statement.excluded.entries}
                statement = statement.on_conflict_do_update(index_elements=["day", "kind", "account"], set_=changed)
                session.execute(statement, rows)
                self._core.checkpoint("days.closed")
            done += 1
        return done

    def list_days(self, first: int, last: int, *, actor: Actor = SYSTEM) -> list[BookDay]:
        """Each day from number ``first`` to ``last``, both included, and the liability at its end.

        Three statements; what is not kept yet (today, as a rule) is added up from the ledger.
        """
        require_admin(actor)
        with self.reading() as session:
            open_from = _next_day(session)
            liability = (
                select(DbLedgerDay.account, func.sum(DbLedgerDay.amount))
                .where(DbLedgerDay.day < first, DbLedgerDay.account.in_(KEPT))
                .group_by(DbLedgerDay.account)
            )
            kept = select(DbLedgerDay.day, DbLedgerDay.kind, DbLedgerDay.account, DbLedgerDay.amount).where(
                DbLedgerDay.day >= first, DbLedgerDay.day <= last
            )
            stood = [(account, int(amount)) for account, amount in session.execute(liability)]
            rows: list[Any] = [tuple(row) for row in session.execute(kept)]
            if last >= open_from:
                newer = [
                    (row["day"], row["kind"], row["account"], row["amount"])
                    for row in _read(session, open_from, last + 1)
                ]
                stood += [(account, amount) for day, _, account, amount in newer if day < first]
                rows += [row for row in newer if row[0] >= first]
        by_day: dict[int, Sums] = {}
        for day, kind, account, amount in rows:
            by_day.setdefault(int(day), {})[kind, account] = int(amount)
        held = sum(amount for account, amount in stood if account in USER_ACCOUNTS)
        promo = -sum(amount for account, amount in stood if account in PROMO_ACCOUNTS)
        days = []
        for number in range(first, last + 1):
            sums = by_day.get(number, {})
            held += sum(amount for (_, account), amount in sums.items() if account in USER_ACCOUNTS)
            promo -= sum(amount for (_, account), amount in sums.items() if account in PROMO_ACCOUNTS)
            days.append(_book_day(number, sums, held, promo))
        return days


def _next_day(session: Session) -> int:
    """The first day that is not kept."""
    last = session.scalar(select(func.max(DbLedgerDay.day)))
    return 0 if last is None else last + 1


def _read(session: Session, first: int, end: int) -> list[dict[str, Any]]:
    """The sums of days [first, end) from the ledger."""
    amount, entries = func.sum(ENTRY.c.amount), func.count()
    query = (
        select(_DAY, TRANSFER.c.kind, ACCOUNT.c.kind, amount, entries)
        .select_from(TRANSFER)
        .join(ENTRY, ENTRY.c.transfer_id == TRANSFER.c.id)
        .join(ACCOUNT, ACCOUNT.c.id == ENTRY.c.account_id)
        .where(TRANSFER.c.at >= day_start(first), TRANSFER.c.at < day_start(end))
        .group_by(_DAY, TRANSFER.c.kind, ACCOUNT.c.kind)
    )
    return [
        {"day": int(day), "kind": kind, "account": account, "amount": int(total), "entries": int(count)}
        for day, kind, account, total, count in session.execute(query)
    ]


def _book_day(number: int, sums: Sums, held: int, promo: int) -> BookDay:
    def moved(account: AccountKind, *kinds: TransferKind) -> int:
        return sum(amount for (kind, of), amount in sums.items() if of == account and (not kinds or kind in kinds))

    return BookDay(
        day=day_start(number),
        usage_micro=moved(AccountKind.REVENUE, TransferKind.USAGE),
        grants_micro=-moved(AccountKind.GRANTS),
        payments_micro=-moved(AccountKind.PAYMENTS),
        refunds_micro=-moved(AccountKind.REVENUE, TransferKind.REFUND),
        write_offs_micro=-moved(AccountKind.WRITE_OFF),
        promo_given_micro=-moved(AccountKind.PROMOTIONS),
        promo_used_micro=moved(AccountKind.PROMO_USED),
        promo_expired_micro=moved(AccountKind.EXPIRED),
        liability_micro=held,
        promo_open_micro=promo,
    )
