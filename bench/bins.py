"""Handing over, deleting and restoring a project with 1000 machines: the longest write transaction of each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import event, text
from sqlalchemy.orm import Session

from bench.figures import Figure
from bench.fleet import START, Fleet
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.adapters.clock import ManualClock
from zentry_web.composition import build_container
from zentry_web.domain.user import Actor, Role
from zentry_web.services.service_container import ServiceContainer

NAMES = ("project_transfer_longest_ms", "project_delete_longest_ms", "project_restore_longest_ms")
GOAL_MS = 100
HOURS = 3
NO_LIMITS = dict.fromkeys(("vms", "vcpus", "memory_mib", "disk_gib"), "none")
MAY_BE_OFFERED = (
    "UPDATE project SET name = 'many', name_key = 'many' WHERE id = '{project}'",
    "INSERT INTO project_member SELECT '{project}', '{other}', 'admin', since, added_by FROM project_member "
    "WHERE project_id = '{project}'",
)
# As a worker leaves them that powered all of them off.
OFF = (
    "UPDATE vm SET state = 'binned', run_id = NULL WHERE purge_at IS NOT NULL",
    "UPDATE operation SET state = 'succeeded'",
)


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """The baseline is a transaction that only takes the lock of the owner's wallet."""
    fleet = Fleet(owners=2, vms=1, hours=HOURS, first_vms=sizes.vms)
    store.prepare(fleet)
    now = START + timedelta(hours=HOURS, minutes=1)
    container = build_container(store.copy("bins"), clock=ManualClock(now))
    project_id = f"prj_{fleet.owner(0)}"
    owner, other = (Actor(fleet.owner(number), Role.USER, proved_at=now) for number in range(2))
    for holder in (owner.id, other.id, project_id):
        container.vms.quotas.set_limits(holder, NO_LIMITS)
    projects, billing = container.projects, container.billing
    _write(container, *(each.format(project=project_id, other=other.id) for each in MAY_BE_OFFERED))

    def locks() -> None:
        with billing.transaction():
            billing.wallets.lock(owner.id)

    def delete() -> None:
        projects.delete_project(project_id, actor=other)
        projects.bin.go_on()

    def restore() -> None:
        projects.bin.restore(project_id, "many", actor=other)
        projects.bin.go_on()

    def hand_over() -> None:
        projects.ownership.offer(project_id, other.id, actor=owner)
        projects.ownership.accept(project_id, actor=other)

    goal = GOAL_MS if store.kind == "sqlite" else None  # where it is everybody who waits
    baseline = max(_lengths(locks))
    for name, work in zip(NAMES, (hand_over, delete, restore), strict=True):
        lengths = _lengths(work)
        facts = {
            "database": store.kind,
            "vms": sizes.vms,
            "transactions": len(lengths),
            "together_ms": round(sum(lengths)),
        }
        yield Figure(name, max(lengths), "ms", None if work is hand_over else goal, baseline, facts)
        _write(container, *OFF)
    wrong = [check for check in billing.verify() if not check.ok]
    assert not wrong, wrong
    container.close()


def _write(container: ServiceContainer, *statements: str) -> None:
    with container.database.writing() as session:
        for statement in statements:
            session.execute(text(statement))
        session.commit()


def _lengths(work: Callable[[], None]) -> list[float]:
    """How many milliseconds each write transaction of ``work`` was open."""
    with _watched() as lengths:
        work()
    return lengths


@contextmanager
def _watched() -> Iterator[list[float]]:
    """From the beginning of a transaction that will be committed up to its end."""
    lengths: list[float] = []

    def begun(session: Session, *_: object) -> None:
        session.info["bench_begun"] = time.perf_counter()

    def ended(session: Session) -> None:
        lengths.append((time.perf_counter() - session.info["bench_begun"]) * 1000)

    event.listen(Session, "after_begin", begun)
    event.listen(Session, "after_commit", ended)
    try:
        yield lengths
    finally:
        event.remove(Session, "after_begin", begun)
        event.remove(Session, "after_commit", ended)
