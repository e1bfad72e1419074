"""What Zentry needs of a hypervisor or cloud, and nothing more.

Three rules make one protocol fit libvirt (answers at once) and OpenStack (answers later):

* An action returns when it was *accepted*. Whether it took effect is read from ``machines()`` afterwards.
* Only a listing that succeeded can say that a machine is gone. An exception, or a machine reported
  ``PowerState.UNKNOWN``, means "not known now", never "gone".
* Every action may be repeated: creating a machine that exists, stopping one that is off and deleting one
  that is gone all succeed. So a worker killed between an action and its record just does it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from zentry_web.domain.vms.outage import Cause
from zentry_web.domain.vms.state import VMState

if TYPE_CHECKING:  # the capabilities know this module
    from zentry_web.adapters.compute.agents import Agents
    from zentry_web.adapters.compute.backups import BackupDriver
    from zentry_web.adapters.compute.consoles import Consoles
    from zentry_web.adapters.compute.copies import DiskCopies
    from zentry_web.adapters.compute.identity import Identities
    from zentry_web.adapters.compute.images import Images
    from zentry_web.adapters.compute.proofs import BackupProofs
    from zentry_web.adapters.compute.rebuilds import Rebuilds
    from zentry_web.adapters.compute.rescues import Rescues
    from zentry_web.adapters.compute.snapshots import Snapshots


class ComputeError(Exception):
    """A driver's failure. ``str(error)`` is a sentence the owner of the machine may read."""


class ComputeUnavailable(ComputeError):
    """The hypervisor does not answer. Nothing was done; trying again later is right."""


class ComputeTimeout(ComputeError):
    """The call was sent and no answer came: it may or may not have been done. Look before trying again."""


class ComputeRefused(ComputeError):
    """The hypervisor said no and will say no again (disk full, no memory, image missing). Do not retry."""


class MachineMissing(ComputeError):
    """The action needs a machine that a successful look-up did not find."""


class PowerState(StrEnum):
    BUILDING = "building"  # accepted, not yet there (OpenStack BUILD); libvirt never reports it
    RUNNING = "running"
    # On, with its memory, and not moving: ``Machine.fault`` says why. ``ComputeDriver.resume`` ends both.
    PAUSED = "paused"  # by somebody on the host, or by the host because its disk is full
    SLEEPING = "sleeping"  # by the guest itself
    OFF = "off"
    FAILED = "failed"  # the machine exists and cannot run; ``Machine.fault`` says why
    UNKNOWN = "unknown"  # exists, but its host does not answer


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything needed to make one machine. ``vm_id`` is the idempotency key."""

    vm_id: str
    name: str  # host name inside the guest; a DNS label
    vcpus: int
    memory_mib: int
    disk_gib: int
    image: str  # name of an image the driver knows (see ``images.names()``)
    ssh_keys: tuple[str, ...] = ()  # OpenSSH public key lines
    user_data: str = ""  # run by the guest at each boot if it begins with '#!'
    copy: str = ""  # the key of a whole copy that its disk begins as (``copies``), instead of the image's


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine as the hypervisor sees it at the time of the listing."""

    vm_id: str
    power: PowerState
    run_id: str | None = None  # differs between two runs of the same machine; None when off
    addresses: tuple[str, ...] = ()  # from DHCP leases (or the cloud's port list)
    answered: bool = False  # in this run a lease was taken or the ready line was printed
    reach: str = ""  # how to reach it when it has no routable address: 'ssh -p 40022 root@127.0.0.1'
    fault: str = ""  # why FAILED, PAUSED or SLEEPING, or why it went OFF unasked where that is known
    agent: bool = False  # an agent in the guest listens (``ComputeDriver.agents``)
    # What took it off, of one that ran before; it says nothing of others. Two that are off are alike all the same.
    ended: Cause | None = field(default=None, compare=False)

    @property
    def is_on(self) -> bool:
        """Whether it holds its memory: it runs, or stands still."""
        return self.power in (PowerState.RUNNING, PowerState.PAUSED, PowerState.SLEEPING)


_STATES = {PowerState.PAUSED: VMState.PAUSED, PowerState.SLEEPING: VMState.SLEEPING}


def state_of(machine: Machine) -> VMState:
    """The state of a VM whose machine is on."""
    return _STATES.get(machine.power, VMState.RUNNING)


@dataclass(frozen=True, slots=True)
class MachineStatistics:
    """Counters of one running machine at one moment; rates are the caller's business."""

    vm_id: str
    at: datetime  # UTC
    run_id: str
    vcpus: int
    cpu_time_ns: int
    memory_total_bytes: int
    memory_used_bytes: int | None  # None until the guest's balloon driver reports
    disk_read_bytes: int
    disk_write_bytes: int
    net_rx_bytes: int
    net_tx_bytes: int


@dataclass(frozen=True, slots=True)
class ConsoleLog:
    """The tail of a machine's serial console."""

    text: str
    size: int  # bytes written since the log began, or kept of them; unchanged size means unchanged text


@dataclass(frozen=True, slots=True)
class Capacity:
    vcpus: int
    memory_mib: int
    memory_free_mib: int
    disk_gib: int
    disk_free_gib: int


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    detail: str  # one sentence: what answers, which version and accelerator, or why not
    facts: dict[str, str] = field(default_factory=dict)  # 'boot' differs between two boots of the host


@dataclass(frozen=True, slots=True)
class MachineEvent:
    """Something changed. ``vm_id`` is None when everything should be looked at again (reconnected)."""

    vm_id: str | None
    kind: str  # 'started', 'stopped', 'paused', 'resumed', 'rebooted', 'deleted', 'reconnected'
    at: datetime


class ComputeDriver(Protocol):
    """All methods may raise ComputeUnavailable or ComputeTimeout; safe to call from several threads."""

    name: str  # 'libvirt', 'simulator'
    simulated: bool  # True for the twin: the pages say so

    # What it can do beyond power and disk, each in a module of its own.

    @property
    def identity(self) -> "Identities":
        """What guests learn of themselves."""

    @property
    def agents(self) -> "Agents":
        """What guests do when they are asked."""

    @property
    def snapshots(self) -> "Snapshots":
        """Going back to what a machine was."""

    @property
    def images(self) -> "Images":
        """What machines can be made from."""

    @property
    def copies(self) -> "DiskCopies":
        """Copies of machines' disks, of which images and other machines are made."""

    @property
    def backups(self) -> "BackupDriver":
        """Copies of its disks, apart from them."""

    @property
    def proofs(self) -> "BackupProofs":
        """Backups booted once."""

    @property
    def consoles(self) -> "Consoles":
        """What is typed on and looked at."""

    @property
    def rebuilds(self) -> "Rebuilds":
        """Disks made anew."""

    @property
    def rescues(self) -> "Rescues":
        """The rescue system."""

    def create(self, spec: MachineSpec) -> None:
        """Make disk, seed and definition (not running). Repeating it with the same vm_id changes nothing.

        Raises ComputeRefused when the image is missing or there is no room; then nothing half-made is left.
        """

    def start(self, vm_id: str) -> None:
        """Power on; from its saved memory if somebody saved that on the host: then it has answered if it had before.

        Success if it runs already; one that stands still goes on. Raises MachineMissing, ComputeRefused (no memory).
        """

    def resume(self, vm_id: str) -> None:
        """Let one that is paused go on, wake one that sleeps; both go on with the memory they had. Success if it runs.

        Raises MachineMissing, ComputeRefused (it is off; the disk it was paused for is still full).
        """

    def suspend(self, vm_id: str) -> None:
        """Let it stand still, with its memory; ``resume`` lets it go on. Success if it stands still already.

        Raises MachineMissing, ComputeRefused if it is off.
        """

    def shutdown(self, vm_id: str) -> None:
        """Ask the guest to power off and return at once. Success if off. Raises MachineMissing."""

    def force_off(self, vm_id: str) -> None:
        """Cut the power. Success if off. Raises MachineMissing."""

    def reboot(self, vm_id: str) -> None:
        """Ask the guest to restart; still the same run. Raises MachineMissing, ComputeRefused if it is off."""

    def reset(self, vm_id: str) -> None:
        """Press its reset button: it boots anew at once and the guest is not asked; still the same run. What it had
        not written to its disk is lost. Raises MachineMissing, ComputeRefused if it is off."""

    def check_resize(self, vm_id: str) -> None:
        """Whether its size could be changed if it were off, so that nobody is switched off in vain. Raises
        MachineMissing, and ComputeRefused when others have made snapshots of it or saved its memory on the host."""

    def resize(self, vm_id: str, *, vcpus: int, memory_mib: int, disk_gib: int) -> None:
        """Give a machine that is off other processors, memory and disk; the next start has them. Success if it has
        them already, running or not.

        A disk only grows, and the file system Zentry made on it with it: one that is larger stays as it is. Raises
        MachineMissing, ComputeRefused (it runs; no room for the disk; ``check_resize``): then nothing has changed.
        """

    def delete(self, vm_id: str) -> None:
        """Cut the power and remove definition, disks, seed and console log. Success if missing."""

    def machines(self) -> list[Machine]:
        """All machines of this Zentry, in one call. A machine not in the list does not exist."""

    def machine(self, vm_id: str) -> Machine | None:
        """One of them, or None when a successful look-up did not find it."""

    def note(self, vm_id: str) -> MachineSpec | None:
        """What a machine was made as, without its keys and user data; None when there is no note, or one of nonsense.

        Numbers are positive and fit 32 bits, ``name`` and ``image`` are short and printable.
        """

    def statistics(self) -> list[MachineStatistics]:
        """Counters of every running machine of this Zentry, in one call."""

    def console_log(self, vm_id: str, max_bytes: int = 65536) -> ConsoleLog:
        """The last ``max_bytes`` of its serial console. Raises MachineMissing."""

    def subscribe(self, callback: Callable[[MachineEvent], None]) -> None:
        """Call back (from a thread of the driver's) on each change. At most a hint: reconciling never relies on it."""

    def capacity(self) -> Capacity:
        """What the host has and what is left."""

    def health(self) -> Health:
        """Never raises; answers within 5 s."""

    def close(self) -> None:
        """Stop threads and connections; machines keep running."""
