"""Metrics: from a hypervisor's counters to what a chart shows."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """One VM's figures for one moment: the mean since the sample before."""

    vm_id: str
    at: datetime
    cpu_percent: float  # of all its vCPUs together: 0 to 100
    memory_used_bytes: int | None
    memory_total_bytes: int
    disk_read_bytes_per_s: float
    disk_write_bytes_per_s: float
    net_rx_bytes_per_s: float
    net_tx_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """Compact columns for a chart: ``times`` in epoch seconds, each column as long; None is a gap."""

    vm_id: str
    start: datetime
    end: datetime
    step_seconds: int
    times: tuple[int, ...]
    columns: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class ConsoleTail:
    """The last 64 KiB of a serial console as the worker collected it."""

    text: str
    collected_at: datetime | None
    output_at: datetime | None = None  # when it was last seen to grow; None: not since it was first collected


@dataclass(frozen=True, slots=True)
class BackupRoom:
    """The place for backups of machines. ``trouble``: why none can be made there, in words; '' when they can."""

    trouble: str
    size_bytes: int = 0
    free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ComputeStatus:
    """What the worker last learned of the hypervisor."""

    driver: str
    simulated: bool
    ok: bool
    detail: str
    answered_at: datetime | None
    checked_at: datetime | None
    images: tuple[str, ...]
    capacity: dict[str, int]
    backups: BackupRoom | None = None  # None: not known yet
    boot: str = ""  # of its host; '': not known yet
    worker_ok: bool = True  # False: nobody asks it, so that nothing is known of the hypervisor itself


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One named part and whether it works."""

    name: str
    ok: bool
    detail: str
    age_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When one loop of a worker last went round, how long it took, and its error if it failed."""

    worker: str
    loop: str
    at: datetime
    milliseconds: int
    error: str
