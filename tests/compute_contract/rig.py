"""A driver of either kind, with hands that reach around it."""

import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from zentry_web.adapters.compute.base import ComputeDriver, Machine, MachineEvent, MachineSpec, PowerState

T = TypeVar("T")


def wait_for(question: Callable[[], T], seconds: float, what: str, pause: float = 0.1) -> T:
    """Ask until the answer is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}")
        time.sleep(pause)


@dataclass
class ComputeRig:
    """A driver, and hands that reach around it."""

    driver: ComputeDriver
    another: Callable[[], ComputeDriver]  # a driver of another process on the same truth
    pull_plug: Callable[[str], None]  # virsh destroy
    undefine: Callable[[str], None]  # virsh undefine
    save: Callable[[str], None]  # virsh managedsave
    snapshot: Callable[[str], None]  # virsh snapshot-create-as
    pause: Callable[[str], None]  # virsh suspend
    sleep: Callable[[str], None]  # echo mem > /sys/power/state, in the guest
    shadow: Callable[[str], str]  # the hash of root's password in the guest
    answer_seconds: float  # a guest has answered by then
    ssh_keys: tuple[str, ...] = ()
    events: list[MachineEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self.driver.subscribe(self.events.append)

    def spec(self, **changes: object) -> MachineSpec:
        """A machine that was not there before."""
        values: dict[str, object] = {
            "vm_id": f"vm_{secrets.token_hex(10).upper()}",
            "name": f"guest{next(self._numbers)}",
            "vcpus": 1,
            "memory_mib": 128,
            "disk_gib": 1,
            "image": "tiny",
            "ssh_keys": self.ssh_keys,
            "user_data": "#!/bin/sh\necho hello from user data\n",
        }
        return MachineSpec(**(values | changes))  # type: ignore[arg-type]

    def get(self, vm_id: str) -> Machine:
        machine = self.driver.machine(vm_id)
        assert machine is not None
        return machine

    def another_sees(self, vm_id: str) -> Machine | None:
        """The machine as a driver of another process that knows nothing yet sees it."""
        other = self.another()
        try:
            return other.machine(vm_id)
        finally:
            other.close()

    def created(self) -> str:
        spec = self.spec()
        self.driver.create(spec)
        return spec.vm_id

    def booted(self, **changes: object) -> str:
        """A machine that has answered."""
        spec = self.spec(**changes)
        self.driver.create(spec)
        self.driver.start(spec.vm_id)
        self.wait_answered(spec.vm_id)
        return spec.vm_id

    def wait_answered(self, vm_id: str) -> Machine:
        return wait_for(lambda: m if (m := self.get(vm_id)).answered else None, self.answer_seconds, "an answer")

    def wait_power(self, vm_id: str, power: PowerState, seconds: float = 30) -> None:
        wait_for(lambda: self.get(vm_id).power is power, seconds, f"{power} of {vm_id}")

    def wait_event(self, vm_id: str, kind: str) -> None:
        wait_for(lambda: any(e.vm_id == vm_id and e.kind == kind for e in list(self.events)), 10, f"event {kind}")
