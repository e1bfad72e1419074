"""Which machine has which address of the network: one file, which one process at a time changes (docs/adr/0047)."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused

Choose = Callable[[Mapping[IPv4Address, str]], IPv4Address | None]


@dataclass(frozen=True, slots=True)
class Lease:
    """An address given by DHCP. ``taken`` is in seconds since the epoch."""

    address: str
    taken: float


class AddressBook:
    """Addresses by machine. Methods raise ComputeRefused where the file cannot be read or written."""

    def __init__(self, data_dir: Path) -> None:
        self._file, self._lock = data_dir / "addresses.json", data_dir / ".addresses.lock"

    def take(self, vm_id: str, choose: Choose, found: Callable[[], dict[IPv4Address, str]]) -> IPv4Address | None:
        """The address of a machine from now on: what ``choose`` finds, given all that are taken (by address, its own
        among them); None, and nothing noted, if it finds none. ``found``: who has what where no notes are left."""
        with self._changing() as taken:
            taken = taken or found()
            address = choose(dict(taken))
            if address is not None:
                kept = {other: owner for other, owner in taken.items() if owner != vm_id}
                kept[address] = vm_id
                if kept != self.read():
                    self._write(kept)
            return address

    def give_back(self, vm_id: str) -> None:
        """Whatever address this machine had is free."""
        with self._changing() as taken:
            if vm_id in taken.values():
                self._write({address: owner for address, owner in taken.items() if owner != vm_id})

    def read(self) -> dict[IPv4Address, str]:
        """Machines by address."""
        try:
            found = json.loads(self._file.read_text())
            return {IPv4Address(address): str(vm_id) for address, vm_id in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise ComputeRefused(f"The notes on the machines’ addresses ({self._file.name}) cannot be read.") from error

    @contextmanager
    def _changing(self) -> Iterator[dict[IPv4Address, str]]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()

    def _write(self, taken: Mapping[IPv4Address, str]) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            with fresh.open("w") as file:
                json.dump({str(address): vm_id for address, vm_id in sorted(taken.items())}, file, indent=0)
                file.flush()
                os.fsync(file.fileno())  # a power cut leaves the old notes or the new ones
            fresh.replace(self._file)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise ComputeRefused(f"The host cannot note the machine’s address: {error.strerror}.") from error
