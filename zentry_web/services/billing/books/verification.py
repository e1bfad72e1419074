"""Checks of the live database that look at more than the ledger, and the hourly runs that are kept.

A run reads one snapshot and holds no lock; only writing down its result is a (short) transaction.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.credits.billing import Check
from zentry_web.domain.credits.bills import shown_amounts, shown_total
from zentry_web.domain.credits.books import VerifyRun
from zentry_web.domain.credits.landing import Policy
from zentry_web.domain.credits.statement import Statement
from zentry_web.domain.credits.usage import EPOCH, HOUR
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import Role
from zentry_web.models import DbStatement, DbUser, DbVerifyRun
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.bills.statements import Statements, as_statement
from zentry_web.services.billing.books.checks import run_checks
from zentry_web.services.billing.books.stop_checks import wrong_stops
from zentry_web.services.shared.notices import Notices

KEPT_RUNS = 200
WEEK = 7 * 24  # hours: an hourly run replays every 168th statement, so that a week replays all
DECIMALS = 4  # of amounts on a statement's page


class Verification(BaseService):
    """``zentry verify``, and what the worker keeps of it."""

    name = "verification"

    def __init__(self, core: Core, notices: Notices, statements: Statements, policy: Policy) -> None:
        super().__init__(core)
        self._notices = notices
        self._statements = statements
        self._policy = policy

    def check(self, *, every_statement: bool = False) -> list[Check]:
        """One line per invariant, on one snapshot. Sums over all statements are always checked; ``every_statement``
        also replays each of them line by line, else only those whose turn it is this hour."""

        def replay(session: Session) -> Iterator[str]:
            return self._replay(session, every_statement)

        def stops(session: Session) -> Iterator[str]:
            return wrong_stops(session, self._policy, self.now())

        with self.reading() as session:
            return run_checks(session, {"L12": (_wrong_sums,), "L13": (replay,), "L16": (stops,)})

    def run_hourly(self) -> VerifyRun | None:
        """Check, unless this hour has been; keep the result, and tell the admins of what was not broken before.

        Any number of workers may call it, again and again: an hour has one result.
        """
        hour = (self.now() - EPOCH) // HOUR
        run_id = f"verify_{hour}"
        with self.reading() as session:
            if session.get(DbVerifyRun, run_id) is not None:
                return None
        started = time.perf_counter()
        checks = self.check()
        took = round((time.perf_counter() - started) * 1000)
        self._core.checkpoint("verify.checked")
        run = VerifyRun(run_id, self.now(), took, all(check.ok for check in checks), tuple(checks))
        with self.transaction() as session:
            before = _latest(session)
            row = {
                "id": run.id,
                "at": run.at,
                "took_ms": took,
                "ok": run.ok,
                "lines": [asdict(each) for each in checks],
            }
            made = session.execute(
                upsert(session, DbVerifyRun)
                .values(row)
                .on_conflict_do_nothing(index_elements=["id"])
                .returning(DbVerifyRun.id)
            ).one_or_none()
            if made is None:
                return None
            self._tell(session, run, before)
            kept = select(DbVerifyRun.id).order_by(DbVerifyRun.at.desc(), DbVerifyRun.id.desc()).limit(KEPT_RUNS)
            session.execute(delete(DbVerifyRun).where(DbVerifyRun.id.not_in(kept)))
        self._core.checkpoint("verify.recorded")
        return run

    def get_latest(self) -> VerifyRun | None:
        """The newest run of the worker; None before the first."""
        with self.reading() as session:
            return _latest(session)

    def _tell(self, session: Session, run: VerifyRun, before: VerifyRun | None) -> None:
        known = {check.id for check in before.lines if not check.ok} if before else set()
        new = [check for check in run.lines if not check.ok and check.id not in known]
        if not new:
            return
        admins = select(DbUser.id).where(DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None)).order_by(DbUser.id)
        lines = "\n".join(f"{check.id} {check.title}: {check.detail}" for check in new)
        words = say("books_broken", checks=", ".join(check.id for check in new), lines=lines)
        for admin_id in session.scalars(admins).all():
            self._notices.tell(admin_id, "verify", run.id, *words, target=Target(Place.SYSTEM))

    def _replay(self, session: Session, every: bool) -> Iterator[str]:
        """L13: closed months that come out otherwise when they are worked out again."""
        query = select(DbStatement).order_by(DbStatement.number)
        if not every:
            turn = (self.now() - EPOCH) // HOUR % WEEK
            query = query.where(DbStatement.number % WEEK == turn)
        for row in session.scalars(query.execution_options(yield_per=200)):
            statement = as_statement(row)
            if not self._statements.replays(statement):
                yield f"statement {statement.number} does not replay"


def _wrong_sums(session: Session) -> Iterator[str]:
    """L12: statements whose lines, as they are and as they are shown, do not sum to the totals."""
    query = select(DbStatement).order_by(DbStatement.number).execution_options(yield_per=500)
    for row in session.scalars(query):
        statement = as_statement(row)
        if not statement.adds_up or not _shown_adds_up(statement):
            yield f"the lines of statement {statement.number} do not sum to its total"


def _shown_adds_up(statement: Statement) -> bool:
    amounts = [vm.amount_micro for vm in statement.vms]
    return sum(shown_amounts(amounts, DECIMALS)) == shown_total([statement.charged_micro], DECIMALS)


def _latest(session: Session) -> VerifyRun | None:
    row = session.scalar(select(DbVerifyRun).order_by(DbVerifyRun.at.desc(), DbVerifyRun.id.desc()).limit(1))
    if row is None:
        return None
    return VerifyRun(row.id, row.at, row.took_ms, row.ok, tuple(Check(**line) for line in row.lines))
