"""Statements on the metrics store: a database of its own, never in one transaction with the business database."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, cast, delete, func, select, tuple_, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite

from zentry_web.domain.monitoring import ConsoleTail, MetricSeries, Sample
from zentry_web.models import DbConsole, DbLatest, DbSample
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
BASE_STEP_SECONDS = 10
PRUNED_AT_ONCE = 2000
READ_AT_ONCE = 100  # machines of which whole console logs are read


class MetricsStore(BaseService):
    """Samples, newest figures and console tails."""

    name = "metrics"

    def insert(self, pairs: list[tuple[str, Sample]], *, latest: bool) -> None:
        rows = [{name: getattr(sample, name) for name in ("vm_id", "at", *COLUMNS)} for _, sample in pairs]
        heads = ("vm_id", "at", "cpu_percent", "memory_used_bytes", "memory_total_bytes")
        with self.transaction() as session:
            session.execute(self._insert(DbSample).on_conflict_do_nothing(), rows)
            if latest:
                statement = self._insert(DbLatest)
                changed = {name: statement.excluded[name] for name in (*heads[1:], "owner_id")}
                newer = statement.excluded.at > DbLatest.at  # the first of a moment stays, here too
                session.execute(
                    statement.on_conflict_do_update(index_elements=["vm_id"], set_=changed, where=newer),
                    [{name: getattr(sample, name) for name in heads} | {"owner_id": owner} for owner, sample in pairs],
                )

    def prune(self, before: datetime) -> int:
        deleted = 0
        while chunk := self._prune_chunk(before):
            deleted += chunk
        with self.transaction() as session:
            session.execute(delete(DbLatest).where(DbLatest.at < before))
            session.execute(delete(DbConsole).where(DbConsole.collected_at < before))
        return deleted

    def _prune_chunk(self, before: datetime) -> int:
        """Many small deletions instead of one: other writers get their turn in between."""
        oldest = select(DbSample.vm_id, DbSample.at).where(DbSample.at < before).order_by(DbSample.at)
        keys = tuple_(DbSample.vm_id, DbSample.at).in_(oldest.limit(PRUNED_AT_ONCE))
        with self.transaction() as session:
            result: Any = session.execute(delete(DbSample).where(keys))
            return int(result.rowcount)

    def series(
        self, vm_id: str, since: datetime, start: datetime, end: datetime, step: int, after: datetime | None
    ) -> MetricSeries:
        bucket = _bucket(step)
        columns = [func.avg(getattr(DbSample, name)) for name in COLUMNS]
        query = (
            select(bucket, *columns)
            .where(DbSample.vm_id == vm_id, DbSample.at >= since, DbSample.at <= end)
            .group_by(bucket)
            .order_by(bucket)
        )
        with self.reading() as session:
            rows = session.execute(query).all()
        floor = int(after.timestamp()) if after else -1
        rows = [row for row in rows if int(row[0]) * step > floor]
        return MetricSeries(
            vm_id=vm_id,
            start=start,
            end=end,
            step_seconds=step,
            times=tuple(int(row[0]) * step for row in rows),
            columns={
                name: tuple(None if row[index] is None else round(float(row[index]), 2) for row in rows)
                for index, name in enumerate(COLUMNS, start=1)
            },
        )

    def latest(self, condition: Any, *, since: datetime, limit: int | None = None) -> dict[str, Sample]:
        query = select(DbLatest).where(condition, DbLatest.at >= since).order_by(DbLatest.cpu_percent.desc())
        with self.reading() as session:
            return {
                row.vm_id: Sample(
                    row.vm_id, row.at, row.cpu_percent, row.memory_used_bytes, row.memory_total_bytes, 0, 0, 0, 0
                )
                for row in session.scalars(query.limit(limit))
            }

    def sparklines(self, vm_ids: Sequence[str], since: datetime) -> dict[str, tuple[float, ...]]:
        bucket = _bucket(300)
        query = (
            select(DbSample.vm_id, bucket, func.avg(DbSample.cpu_percent))
            .where(DbSample.vm_id.in_(vm_ids), DbSample.at >= since)
            .group_by(DbSample.vm_id, bucket)
            .order_by(bucket)
        )
        lines: dict[str, tuple[float, ...]] = {}
        with self.reading() as session:
            for vm_id, _, value in session.execute(query):
                lines[vm_id] = (*lines.get(vm_id, ()), round(float(value), 1))
        return lines

    def put_console(self, vm_id: str, content: str | None, size: int) -> None:
        with self.transaction() as session:
            if content is None:
                session.execute(update(DbConsole).where(DbConsole.vm_id == vm_id).values(collected_at=self.now()))
                return
            values = {"text": content.replace("\x00", ""), "size": size, "collected_at": self.now()}
            statement = self._insert(DbConsole).values(vm_id=vm_id, **values)
            session.execute(statement.on_conflict_do_update(index_elements=["vm_id"], set_=values))

    def console_sizes(self) -> dict[str, int]:
        with self.reading() as session:
            return {row.vm_id: row.size for row in session.execute(select(DbConsole.vm_id, DbConsole.size))}

    def console(self, vm_id: str) -> ConsoleTail:
        with self.reading() as session:
            row = session.get(DbConsole, vm_id)
            return ConsoleTail(row.text, row.collected_at) if row else ConsoleTail("", None)

    def rows_of(self, table: Any, vm_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        for chunk in _chunks(vm_ids):
            with self.reading() as session:
                query = select(*table.__table__.columns).where(table.vm_id.in_(chunk)).order_by(table.vm_id)
                rows = [dict(row) for row in session.execute(query).mappings()]
            yield from rows

    def forget(self, tables: Iterable[Any], vm_ids: Sequence[str]) -> None:
        for chunk in _chunks(vm_ids):
            with self.transaction() as session:
                for table in tables:
                    session.execute(delete(table).where(table.vm_id.in_(chunk)))

    def _insert(self, table: Any) -> Any:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + READ_AT_ONCE] for start in range(0, len(ids), READ_AT_ONCE)]


def _bucket(step: int) -> Any:
    """The number of the step a sample lies in; integer division means the same on both databases."""
    return cast(type_coerce(DbSample.at, BigInteger).op("/")(step), BigInteger)
