"""A round of the reconciler over many simulated machines that are all as Zentry has them: it reads, and writes once."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, select, update

from bench.figures import Figure, median
from bench.fleet import Fleet
from bench.queries import counting
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.composition import build_container, make_compute
from zentry_web.models import DbVM
from zentry_web.services.service_container import ServiceContainer
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.reconcile import Reconciler

NAMES = ("reconcile_10k_s",)
GOAL_SECONDS = 1.0
EACH = 10  # machines of a person
ROUNDS = 5


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """The median round, once nothing differs; the baseline is the driver's listing by itself. Statements of a round are
    counted beside those with a tenth of the machines."""
    statements_of_few = _measure(store, sizes.scaled // 10)[2]
    took, listing, statements, written = _measure(store, sizes.scaled)
    facts = {"database": store.kind, "vms": sizes.scaled, "statements": statements, "written": written}
    facts["statements_of_a_tenth"] = statements_of_few
    yield Figure(NAMES[0], took, "s", GOAL_SECONDS, listing, facts)
    assert statements == statements_of_few, "statements grow with machines"


def _measure(store: Store, vms: int) -> tuple[float, float, int, int]:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    store.prepare(Fleet(max(1, vms // EACH), min(vms, EACH), start=start))
    config = store.copy("reconcile")
    container, driver = build_container(config), make_compute(config)
    assert isinstance(driver, SimulatorCompute)
    _make_alike(container, driver, start)
    reconciler = Reconciler(container.vms, container.monitoring, driver, MachineEvents(), container.clock)
    reconciler.run()  # the first round has more to do
    with counting(container.database.engine) as statements:
        reconciler.run()
        written = sum(not text.lstrip().startswith("SELECT") for text in statements)
        count = len(statements)
    rounds, listings = [], []
    for _ in range(ROUNDS):
        rounds.append(_seconds(reconciler.run))
        listings.append(_seconds(driver.machines))
    container.close()
    driver.close()
    return median(rounds), median(listings), count, written


def _make_alike(container: ServiceContainer, driver: SimulatorCompute, start: datetime) -> None:
    """A simulated machine for each VM, and in the VM's row what the hypervisor says of it."""
    with container.database.writing() as session:
        rows = session.execute(select(DbVM.id, DbVM.name, DbVM.vcpus, DbVM.memory_mib, DbVM.disk_gib)).all()
        driver.adopt((MachineSpec(*row, image="tiny") for row in rows), started_at=start)
        seen = [
            {"of": each.vm_id, "run": each.run_id, "at": each.addresses[0], "listens": each.agent}
            for each in driver.machines()
        ]
        row = update(DbVM.__table__).where(DbVM.__table__.c.id == bindparam("of"))  # type: ignore[arg-type]
        says = {"run_id": bindparam("run"), "address": bindparam("at"), "agent": bindparam("listens")}
        session.connection().execute(row.values(**says, started_at=start, answered_at=start), seen)
        session.commit()


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
