"""What an idle Zentry costs: the processors' time of web and worker while nobody does anything."""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from bench.figures import Figure
from bench.servers import Process, web, worker
from bench.sizes import Sizes
from bench.stage import EMAIL, seeded, wait_until
from zentry_web.composition import build_container
from zentry_web.domain.vms.state import IN_TRANSITION, VMState
from zentry_web.models import DbUser
from zentry_web.services.service_container import ServiceContainer

NAMES = ("idle_cpu_percent",)
GOAL_PERCENT = 1.5
FEW = 12
QUICK_LOOPS = {"reconcile", "sample", "console", "bill", "land", "mail", "purge"}
CALM = timedelta(seconds=15)  # after the start: the first rounds have more to do
_TICKS = os.sysconf("SC_CLK_TCK")


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Percent of one processor over a minute, with 100 running simulated machines; the baseline is with a dozen."""
    baseline, _ = _measure(folder / "idle-few", FEW, sizes.idle_seconds)
    value, facts = _measure(folder / "idle-many", sizes.idle_vms, sizes.idle_seconds)
    yield Figure(*NAMES, value, "%", GOAL_PERCENT, baseline, {"seconds": sizes.idle_seconds} | facts)


def _measure(folder: Path, machines: int, seconds: float) -> tuple[float, dict[str, float]]:
    config, _ = seeded(folder, vms=machines)
    container = build_container(config)
    with web(config, folder) as server, worker(config, folder) as background:
        running = _settle(container)
        parts = {"web": server, "worker": background}
        before, started = {name: _used(each) for name, each in parts.items()}, time.monotonic()
        time.sleep(seconds)  # what is measured is this time
        took = time.monotonic() - started
        percent = {name: (_used(each) - before[name]) / took * 100 for name, each in parts.items()}
    container.close()
    facts = {f"{name}_percent": round(value, 2) for name, value in percent.items()}
    return sum(percent.values()), {"running": running} | facts


def _settle(container: ServiceContainer) -> int:
    """Wait until nothing is left from before; how many machines run."""
    with container.database.reading() as session:
        (user_id,) = session.scalars(select(DbUser.id).where(DbUser.email == EMAIL))
    vms, monitoring = container.vms, container.monitoring

    begun = container.clock.now()

    def is_quiet() -> bool:
        """The worker has started, done what was left from before, and been round with every loop."""
        busy = any(vms.count_by_state(user_id).get(state) for state in IN_TRANSITION)
        rounds = {beat.loop for beat in monitoring.list_heartbeats() if beat.at > begun + CALM}
        return not busy and rounds >= QUICK_LOOPS and bool(monitoring.get_busiest(user_id))

    wait_until(is_quiet, 120, "machines and figures are as they will be", every=1)
    return vms.count_by_state(user_id)[VMState.RUNNING]


def _used(process: Process) -> float:
    """Processor seconds of a process and of all that it has started and are in its group."""
    return sum(_ticks(pid) for pid in _group(process.pid)) / _TICKS


def _group(leader: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(int(folder.name)) == leader:
                    yield int(folder.name)


def _ticks(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # user and system, proc(5) fields 14 and 15
    return 0
