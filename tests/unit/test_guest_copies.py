"""A guest whose file systems were held still for a copy is let go by whoever ends the copy."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from zentry_web.adapters.compute.base import ComputeTimeout
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.copies.guest_copies import HELD, GuestCopies
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.xml import AGENT_CHANNEL

pytestmark = pytest.mark.unit
VM = "vm_0a1b2c3d4e5f"
SILENT, ANGRY = libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_INTERNAL_ERROR


def failure(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("made up")
    error.err = (code, 0, "made up", 2, "", "", "", 0, 0)
    return error


class Domain:
    """One without a job, whose agent notes what it is asked and answers with an error, if it is given one's code."""

    def __init__(self, code: int = 0, state: str = "connected") -> None:
        self.code, self.state = code, state
        self.asked: list[str] = []

    def XMLDesc(self, _flags: int = 0) -> str:
        target = f"<target type='virtio' name='{AGENT_CHANNEL}' state='{self.state}'/>"
        return f"<domain><devices><channel type='unix'>{target}</channel></devices></domain>"

    def backupGetXMLDesc(self, _flags: int) -> str:
        raise failure(libvirt.VIR_ERR_NO_DOMAIN_BACKUP)

    def agentSetResponseTimeout(self, _seconds: int, _flags: int) -> None:
        """As long as it likes."""

    def fsThaw(self) -> int:
        self.asked.append("thaw")
        if self.code:
            raise failure(self.code)
        return 1


class Opened(LibvirtConnection):
    """To no daemon."""

    def _open(self, seconds: float = 0.0) -> Any:
        return SimpleNamespace(isAlive=lambda: True)


@pytest.fixture
def copies(tmp_path: Path) -> GuestCopies:
    domains: Any = None
    return GuestCopies(Opened("test:///"), domains, MachineStorage(tmp_path / "machines"))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The folder of a copy whose worker was killed between holding the guest still and letting it go."""
    folder = tmp_path / ".new-bak_1"
    folder.mkdir()
    (folder / HELD).touch()
    return folder


@pytest.mark.parametrize("code", [0, ANGRY])
def test_a_copy_that_is_ended_lets_its_guest_go(copies: GuestCopies, fresh: Path, code: int) -> None:
    domain = Domain(code)
    copies.end(domain, VM, fresh)
    assert domain.asked == ["thaw"]
    copies.end(domain, VM, fresh)
    assert domain.asked == ["thaw"], "no agent is asked twice"


def test_an_agent_that_does_not_answer_is_asked_again(copies: GuestCopies, fresh: Path) -> None:
    with pytest.raises(ComputeTimeout):
        copies.end(Domain(SILENT), VM, fresh)
    domain = Domain()
    copies.end(domain, VM, fresh)
    assert domain.asked == ["thaw"]


def test_a_copy_that_is_begun_again_lets_it_go_or_keeps_in_mind_that_it_must(copies: GuestCopies, fresh: Path) -> None:
    copying: Any = None
    copies.prepare(copying, Domain(SILENT), VM, fresh)
    (fresh / "disk.qcow2").touch()
    domain = Domain()
    copies.prepare(copying, domain, VM, fresh)
    assert domain.asked == ["thaw"]
    assert list(fresh.iterdir()) == []


def test_a_guest_that_has_gone_off_holds_nothing(copies: GuestCopies, fresh: Path) -> None:
    domain = Domain(SILENT, state="disconnected")
    copies.end(domain, VM, fresh)
    assert domain.asked == []
    assert not (fresh / HELD).exists()
