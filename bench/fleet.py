"""People with many machines and a past, written as bare rows: in seconds, and such that ``zentry verify`` passes.

Everybody has one project, machines of size micro that have run since ``start`` and a wallet that is full. For each
hour of history there is what Zentry would have written: a transfer that pays the hour, one charge per machine, and a
transfer that renews the holds.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import make_url

START = datetime(2026, 10, 20, 9, 0, tzinfo=UTC)
HOUR = 3600
RATE, DISK_RATE = 15_000, 500  # micro-credits per hour of size micro
WEALTH = 10**12
FULL = 20_000  # rows that are written at once

COLUMNS = {
    "user": "id email email_key name password_hash role time_zone created_at",
    "project": "id owner_id name name_key created_at",
    "project_member": "project_id user_id role since added_by",
    "account": "id kind owner_id balance last_seq",
    "vm": (
        "id project_id owner_id name state size_id image_id price_version_id vcpus memory_mib disk_gib "
        "running_micro_per_hour stopped_micro_per_hour ssh_key user_data address reach state_reason made created_at "
        "importance version"
    ),
    "usage_interval": (
        "id vm_id owner_id project_id state price_version_id rate_micro_per_hour minimum_seconds time_zone start_at "
        "end_at settled_until settled opened_by"
    ),
    "hold": "id vm_id owner_id interval_id rate_micro_per_hour remaining paid_until created_at",
    "transfer": "id at kind idempotency_key body_hash actor_id owner_id reason",
    "entry": "account_id seq transfer_id amount balance_after",
    "charge": "interval_id from_at kind to_at seconds amount transfer_id owner_id vm_id",
    "usage_month": "vm_id month state owner_id project_id seconds amount",
    "project_month": "owner_id month project_id amount",
}
BODY = hashlib.sha256(b"bench").hexdigest()
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Fleet:
    """``owners`` people with ``vms`` machines each, one of them with ``first_vms``, and so many hours of history."""

    owners: int
    vms: int
    hours: int = 0
    first_vms: int = 0
    start: datetime = START

    @property
    def settled_until(self) -> datetime:
        """Up to here everything is charged."""
        return self.start + timedelta(hours=self.hours)

    def owner(self, number: int) -> str:
        return f"user_{number:06d}"

    def count(self, number: int) -> int:
        """How many machines somebody has."""
        return self.first_vms if number == 0 and self.first_vms else self.vms

    def rows(self) -> Iterator[tuple[str, Row]]:
        """(table, row) of everything, each table's rows after those that they refer to."""
        system = {"acc_grants": [0, 0], "acc_revenue": [0, 0]}
        for number in range(self.owners):
            yield from self._person(number)
            yield from self._machines(number)
            yield from self._past(number, system)
        for account, (seq, balance) in system.items():
            yield "account", (account, account.removeprefix("acc_"), None, balance, seq)

    def _person(self, number: int) -> Iterator[tuple[str, Row]]:
        owner = self.owner(number)
        at = _epoch(self.start) * 10**6
        email = f"{owner}@example.com"
        yield "user", (owner, email, email, f"Person {number}", None, "user", "UTC", at)
        yield "project", (f"prj_{owner}", owner, "main", "main", at)
        yield "project_member", (f"prj_{owner}", owner, "owner", at, owner)

    def _machines(self, number: int) -> Iterator[tuple[str, Row]]:
        owner, start, reached = self.owner(number), _epoch(self.start), _epoch(self.settled_until)
        project, version = f"prj_{owner}", "price_micro_1"
        for vm in self._vm_ids(number):
            yield "vm", (
                vm, project, owner, vm.replace("_", "-"), "running", "size_micro", "img_tiny", version, 1, 512, 5,
                RATE, DISK_RATE, "", "", "10.77.0.1", "", "", True, start * 10**6, 0, 1,
            )  # fmt: skip
            yield "usage_interval", (
                f"use_{vm}", vm, owner, project, "running", version, RATE, 60, "UTC", start, None, reached, False, "evt"
            )  # fmt: skip
            yield "hold", (f"hold_{vm}", vm, owner, f"use_{vm}", RATE, RATE, reached + HOUR, start * 10**6)
            for month, hours in self._months().items():
                yield "usage_month", (vm, month, "running", owner, project, hours * HOUR, hours * RATE)
        for month, hours in self._months().items():
            yield "project_month", (owner, month, project, hours * RATE * self.count(number))

    def _past(self, number: int, system: dict[str, list[int]]) -> Iterator[tuple[str, Row]]:
        """Grant, first holds, then per hour the payment and the renewal; at last the two accounts as they are now."""
        owner = self.owner(number)
        wallet, held = f"wallet_{owner}", f"held_{owner}"
        heads = system | {wallet: [0, 0], held: [0, 0]}
        price = RATE * self.count(number)
        moves = [("grant", 0, "acc_grants", wallet, WEALTH), ("hold", 0, wallet, held, price)]
        for hour in range(1, self.hours + 1):
            moves += [("usage", hour, held, "acc_revenue", price), ("hold", hour, wallet, held, price)]
        for index, (kind, hour, source, target, amount) in enumerate(moves):
            at = _epoch(self.start) + hour * HOUR
            transfer = f"tr_{owner}_{index:05d}"
            reason = f"{kind} number {hour}"
            yield "transfer", (transfer, at * 10**6, kind, f"{kind}:{transfer}", BODY, "system", owner, reason)
            for account, gain in ((source, -amount), (target, amount)):
                head = heads[account]
                head[0], head[1] = head[0] + 1, head[1] + gain
                yield "entry", (account, head[0], transfer, gain, head[1])
            if kind == "usage":
                for vm in self._vm_ids(number):
                    yield "charge", (f"use_{vm}", at - HOUR, "usage", at, HOUR, RATE, transfer, owner, vm)
        for account in (wallet, held):
            yield "account", (account, account.partition("_")[0], owner, heads[account][1], heads[account][0])

    def _vm_ids(self, number: int) -> list[str]:
        return [f"vm_{number:06d}_{index:03d}" for index in range(self.count(number))]

    def _months(self) -> dict[str, int]:
        months: dict[str, int] = {}
        for hour in range(self.hours):
            month = f"{self.start + timedelta(hours=hour):%Y-%m}"
            months[month] = months.get(month, 0) + 1
        return months


def load(url: str, fleet: Fleet) -> None:
    """Write all rows of a fleet into a migrated database that is empty but for the catalogue."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(parsed.database), isolation_level=None)) as lite:
            lite.execute("PRAGMA synchronous=OFF")
            lite.execute("BEGIN")
            lite.execute("DELETE FROM account WHERE id IN ('acc_grants', 'acc_revenue')")
            for table, rows in _batches(fleet.rows()):
                names = COLUMNS[table].split()
                marks = ",".join("?" * len(names))
                lite.executemany(f'INSERT INTO "{table}" ({",".join(names)}) VALUES ({marks})', rows)
            lite.execute("COMMIT")
            lite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with psycopg.connect(parsed.set(drivername="postgresql").render_as_string(hide_password=False)) as post:
        post.execute("SET session_replication_role = replica")  # rows come in any order
        post.execute("DELETE FROM account WHERE id IN ('acc_grants', 'acc_revenue')")
        for table, rows in _batches(fleet.rows()):
            names = ",".join(COLUMNS[table].split())
            with post.cursor().copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        post.commit()
        post.autocommit = True
        post.execute("VACUUM ANALYZE")


def _batches(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Rows collected by table."""
    waiting: dict[str, list[Row]] = {}
    for table, row in rows:
        batch = waiting.setdefault(table, [])
        batch.append(row)
        if len(batch) >= FULL:
            yield table, batch
            waiting[table] = []
    yield from ((table, batch) for table, batch in waiting.items() if batch)


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
