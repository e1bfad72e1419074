"""Statements on the metrics store: a database of its own, never in one transaction with the business database."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    bindparam,
    cast,
    delete,
    func,
    null,
    select,
    tuple_,
    type_coerce,
    union_all,
    update,
)

from zentry_web.adapters.database import run, upsert
from zentry_web.domain.monitoring import ConsoleTail, MetricSeries, Sample
from zentry_web.models import DbConsole, DbLatest, DbSample
from zentry_web.models.types import UTCSecond
from zentry_web.services.base_service import BaseService

COLUMNS = (
    "cpu_percent",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "net_rx_bytes_per_s",
    "net_tx_bytes_per_s",
    "memory_used_bytes",
    "memory_total_bytes",
)
HEADLINES = ("cpu_percent", "memory_used_bytes", "memory_total_bytes")
BASE_STEP_SECONDS = 10
AHEAD = timedelta(seconds=60)  # how far a sender's clock may be ahead of ours
PRUNED_AT_ONCE = 2000
READ_AT_ONCE = 100  # machines of which whole console logs are read


class MetricsStore(BaseService):
    """Samples, newest figures and console tails."""

    name = "metrics"

    def insert(self, pairs: list[tuple[str, Sample]], *, latest: bool) -> None:
        """Write pairs of (owner's id, sample), each once; ``latest``: they may be the newest."""
        rows = [{name: getattr(sample, name) for name in ("vm_id", "at", *COLUMNS)} for _, sample in pairs]
        heads = ("vm_id", "at", "cpu_percent", "memory_used_bytes", "memory_total_bytes")
        with self.transaction() as session:
            session.execute(upsert(session, DbSample).on_conflict_do_nothing(), rows)
            if latest:
                statement = upsert(session, DbLatest)
                changed = {name: statement.excluded[name] for name in (*heads[1:], "owner_id")}
                # The first of a moment stays, here too; one from ahead of the clock does not.
                newer = (statement.excluded.at > DbLatest.at) | (DbLatest.at > self.now() + AHEAD)
                session.execute(
                    statement.on_conflict_do_update(index_elements=["vm_id"], set_=changed, where=newer),
                    [{name: getattr(sample, name) for name in heads} | {"owner_id": owner} for owner, sample in pairs],
                )

    def prune(self, before: datetime, ahead: datetime) -> int:
        """Forget what is older than ``before`` or lies later than ``ahead``; returns how many samples went."""
        deleted = 0
        while chunk := self._prune_chunk(before):
            deleted += chunk
        with self.transaction() as session:
            # A clock that ran ahead leaves what would be the newest for as long.
            session.execute(delete(DbLatest).where((DbLatest.at < before) | (DbLatest.at > ahead)))
            session.execute(delete(DbSample).where(DbSample.at > ahead))
            session.execute(delete(DbConsole).where(DbConsole.collected_at < before))
        return deleted

    def _prune_chunk(self, before: datetime) -> int:
        """Many small deletions instead of one: other writers get their turn in between."""
        oldest = select(DbSample.vm_id, DbSample.at).where(DbSample.at < before).order_by(DbSample.at)
        keys = tuple_(DbSample.vm_id, DbSample.at).in_(oldest.limit(PRUNED_AT_ONCE))
        with self.transaction() as session:
            return run(session, delete(DbSample).where(keys))

    def series(
        self, vm_id: str, since: datetime, start: datetime, end: datetime, step: int, after: datetime | None
    ) -> MetricSeries:
        """Averages of one machine per ``step`` seconds from ``since`` on, only of steps that begin after ``after``.

        ``start`` and ``end`` are those of the chart. Times are epoch seconds, columns those of COLUMNS.
        """
        with self.reading() as session:
            rows = session.execute(_SERIES, {"vm_id": vm_id, "since": since, "until": end, "step": step}).all()
        floor = int(after.timestamp()) if after else -1
        rows = [row for row in rows if int(row[0]) * step > floor]
        return MetricSeries(vm_id, start, end, step, _times(rows, step), _columns(rows, COLUMNS))

    def glance(self, vm_id: str, start: datetime, end: datetime, step: int) -> tuple[MetricSeries, str]:
        """Averages of one machine's headline figures per ``step`` seconds, and what is kept of its console log: both
        in one statement."""
        with self.reading() as session:
            rows = session.execute(_GLANCE, {"vm_id": vm_id, "since": start, "until": end, "step": step}).all()
        console = next((row[-1] for row in rows if row[0] is None), "")
        rows = sorted((row for row in rows if row[0] is not None), key=itemgetter(0))
        return MetricSeries(vm_id, start, end, step, _times(rows, step), _columns(rows, HEADLINES)), console

    def latest(self, condition: Any, *, since: datetime) -> dict[str, Sample]:
        """The newest figures since then by machine; ``condition`` says of which machines."""
        timely = DbLatest.at.between(since, self.now() + AHEAD)
        query = select(DbLatest).where(condition, timely)
        with self.reading() as session:
            return {
                row.vm_id: Sample(
                    row.vm_id, row.at, row.cpu_percent, row.memory_used_bytes, row.memory_total_bytes, 0, 0, 0, 0
                )
                for row in session.scalars(query)
            }

    def busiest(
        self, owner_id: str, others: Collection[str], *, since: datetime, limit: int, lines_since: datetime
    ) -> list[tuple[Sample, tuple[float, ...]]]:
        """The newest figures since then of the owner's machines and the ``others``, the busiest first, each with its
        processor use from ``lines_since`` on in percent, a value per five minutes, oldest first. One statement."""
        asked = {
            "owner": owner_id,
            "others": list(others),
            "since": since,
            "until": self.now() + AHEAD,
            "limit": limit,
            "lines_since": lines_since,
        }
        found: dict[str, tuple[Sample, tuple[float, ...]]] = {}
        with self.reading() as session:
            for vm_id, at, cpu, used, total, value in session.execute(_BUSIEST[bool(others)], asked):
                sample, line = found.get(vm_id, (Sample(vm_id, at, cpu, used, total, 0, 0, 0, 0), ()))
                found[vm_id] = sample, line if value is None else (*line, round(float(value), 1))
        return list(found.values())

    def put_console(self, vm_id: str, content: str, size: int) -> None:
        """Keep the end of a console log of ``size`` bytes, read now."""
        with self.transaction() as session:
            values = {"text": content.replace("\x00", ""), "size": size, "collected_at": self.now()}
            statement = upsert(session, DbConsole).values(vm_id=vm_id, **values)
            grown = values | {"output_at": self.now()}  # what is there at first may be of any age
            session.execute(statement.on_conflict_do_update(index_elements=["vm_id"], set_=grown))

    def touch_consoles(self, vm_ids: Sequence[str]) -> None:
        """These consoles did not grow, and were read now."""
        if vm_ids:
            with self.transaction() as session:
                run(session, update(DbConsole).where(DbConsole.vm_id.in_(vm_ids)).values(collected_at=self.now()))

    def console_sizes(self, vm_ids: Sequence[str] | None) -> dict[str, int]:
        """Bytes that each console log had when it was read last, by machine; None: of all."""
        query = select(DbConsole.vm_id, DbConsole.size)
        if vm_ids is not None:
            query = query.where(DbConsole.vm_id.in_(vm_ids))
        with self.reading() as session:
            return {row.vm_id: row.size for row in session.execute(query)}

    def console(self, vm_id: str) -> ConsoleTail:
        """What is kept of a console log; empty, of no time, where nothing is."""
        with self.reading() as session:
            row = session.get(DbConsole, vm_id)
            return ConsoleTail(row.text, row.collected_at, row.output_at) if row else ConsoleTail("", None)

    def rows_of(self, table: Any, vm_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All rows of these machines as mappings, read in chunks."""
        for chunk in _chunks(vm_ids):
            with self.reading() as session:
                query = select(*table.__table__.columns).where(table.vm_id.in_(chunk)).order_by(table.vm_id)
                rows = [dict(row) for row in session.execute(query).mappings()]
            yield from rows

    def forget(self, tables: Iterable[Any], vm_ids: Sequence[str]) -> None:
        """Delete all rows of these machines from these tables, in transactions of some machines each."""
        for chunk in _chunks(vm_ids):
            with self.transaction() as session:
                for table in tables:
                    session.execute(delete(table).where(table.vm_id.in_(chunk)))


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + READ_AT_ONCE] for start in range(0, len(ids), READ_AT_ONCE)]


def _times(rows: Sequence[Any], step: int) -> tuple[int, ...]:
    return tuple(int(row[0]) * step for row in rows)


def _columns(rows: Sequence[Any], names: Sequence[str]) -> dict[str, tuple[float | None, ...]]:
    """Of rows that begin with a step's number, followed by these."""
    return {
        name: tuple(None if row[index] is None else round(float(row[index]), 2) for row in rows)
        for index, name in enumerate(names, start=1)
    }


def _bucket(step: int | ColumnElement[int]) -> Any:
    """The number of the step a sample lies in; integer division means the same on both databases."""
    return cast(type_coerce(DbSample.at, BigInteger).op("/")(step), BigInteger)


def _read_averages(names: Sequence[str]) -> Select[Any]:
    bucket = _bucket(bindparam("step", type_=Integer)).label("bucket")
    averages = (func.avg(getattr(DbSample, name)) for name in names)
    since, until = (bindparam(name, type_=UTCSecond) for name in ("since", "until"))
    lately = DbSample.vm_id == bindparam("vm_id"), DbSample.at >= since, DbSample.at <= until
    return select(bucket, *averages).where(*lately).group_by("bucket")


def _read_glance() -> Any:
    """The console's row has no number of a step."""
    nothing = (cast(null(), BigInteger), *(cast(null(), Float) for name in HEADLINES))
    console = select(*nothing, DbConsole.text).where(DbConsole.vm_id == bindparam("vm_id"))
    return union_all(console, _read_averages(HEADLINES).add_columns(null()))


def _read_busiest(*, with_others: bool) -> Select[Any]:
    which: ColumnElement[bool] = DbLatest.owner_id == bindparam("owner")
    if with_others:
        which |= DbLatest.vm_id.in_(bindparam("others", expanding=True))
    # "+ 0": statistics, which are always older than the newest samples, would have PostgreSQL expect none in time, and
    # sort all that the owner has instead of going down the index to the first few.
    at = type_coerce(DbLatest.at, BigInteger) + 0
    timely = at.between(bindparam("since", type_=UTCSecond), bindparam("until", type_=UTCSecond))
    first = select(DbLatest).where(which, timely).order_by(DbLatest.cpu_percent.desc())
    new, bucket = first.limit(bindparam("limit", type_=Integer)).subquery().c, _bucket(300)
    lines = (DbSample.vm_id == new.vm_id) & (DbSample.at >= bindparam("lines_since", type_=UTCSecond))
    heads = new.vm_id, new.at, new.cpu_percent, new.memory_used_bytes, new.memory_total_bytes
    query = select(*heads, func.avg(DbSample.cpu_percent)).outerjoin(DbSample, lines)
    return query.group_by(*heads, bucket).order_by(new.cpu_percent.desc(), new.vm_id, bucket)


# Made once: making one takes as long as running it.
_SERIES = _read_averages(COLUMNS).order_by("bucket")
_GLANCE = _read_glance()
_BUSIEST = {with_others: _read_busiest(with_others=with_others) for with_others in (False, True)}
