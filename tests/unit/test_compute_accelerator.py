"""Choosing the accelerator, with programs that play QEMU."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tests.compute_contract import wait_for
from zentry_web.adapters.compute.libvirt import accelerator
from zentry_web.adapters.compute.libvirt.accelerator import (
    Accelerator,
    boots_under,
    choose_accelerator,
    known_accelerator,
)
from zentry_web.adapters.compute.libvirt.images.guest_images import GuestImage

pytestmark = pytest.mark.unit


@pytest.fixture
def image(tmp_path: Path) -> GuestImage:
    (tmp_path / "vmlinuz").touch()
    (tmp_path / "initrd.gz").touch()
    return GuestImage("tiny", tmp_path / "vmlinuz", tmp_path / "initrd.gz", "6.1.0")


@pytest.fixture
def kvm_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerator, "KVM_DEVICE", device)
    return device


def emulator(tmp_path: Path, script: str) -> str:
    path = tmp_path / "qemu"
    path.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{script}\n")
    path.chmod(0o755)
    return str(path)


def runs(tmp_path: Path) -> int:
    found = tmp_path / "runs"
    return len(found.read_text().splitlines()) if found.exists() else 0


def test_kvm_when_the_probe_prints_its_line(tmp_path: Path, image: GuestImage, kvm_device: Path) -> None:
    program = emulator(tmp_path, "echo ZENTRY-PROBE-OK")
    assert choose_accelerator(tmp_path / "data", image, program) is Accelerator.KVM
    assert known_accelerator(tmp_path / "data") == "kvm"


def test_tcg_when_the_emulator_gives_up(tmp_path: Path, image: GuestImage, kvm_device: Path) -> None:
    program = emulator(tmp_path, "echo failed to set MSR >&2; exit 134")
    assert choose_accelerator(tmp_path / "data", image, program) is Accelerator.TCG


def test_a_guest_that_hangs_is_ended_by_its_id(tmp_path: Path, image: GuestImage) -> None:
    program = emulator(tmp_path, f"echo $$ > {tmp_path}/pid; echo ZENTRY-PROBE-OK; exec sleep 60")
    began = time.monotonic()
    assert not boots_under(Accelerator.KVM, image, program, seconds=0.5), "a line and then a hang is no boot"
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_guest_that_hangs_ends_with_the_process_that_tries_it(tmp_path: Path, image: GuestImage) -> None:
    program = emulator(tmp_path, f"echo $$ > {tmp_path}/fresh; mv {tmp_path}/fresh {tmp_path}/pid; exec sleep 600")
    probe = multiprocessing.get_context("spawn").Process(
        target=boots_under, args=(Accelerator.KVM, image, program, 600.0), daemon=True
    )
    probe.start()
    wait_for((tmp_path / "pid").exists, 60, "the probe to run")
    probe.kill()
    probe.join()
    guest = (tmp_path / "pid").read_text().strip()
    wait_for(lambda: not is_running(guest), 60, "the guest to end")


def is_running(process: str) -> bool:
    """Not: gone, or gone and not yet buried by who adopted it."""
    try:
        return ") Z " not in Path("/proc", process, "stat").read_text()
    except OSError:
        return False


def test_no_device_no_probe(tmp_path: Path, image: GuestImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "KVM_DEVICE", tmp_path / "none")
    program = emulator(tmp_path, "echo ZENTRY-PROBE-OK")
    assert choose_accelerator(tmp_path / "data", image, program) is Accelerator.TCG
    assert runs(tmp_path) == 0


def test_no_emulator_is_tcg(tmp_path: Path, image: GuestImage, kvm_device: Path) -> None:
    assert choose_accelerator(tmp_path / "data", image, "/nonexistent/qemu") is Accelerator.TCG


def test_the_answer_is_kept_until_something_changes(tmp_path: Path, image: GuestImage, kvm_device: Path) -> None:
    program = emulator(tmp_path, "echo ZENTRY-PROBE-OK")
    for _ in range(3):
        choose_accelerator(tmp_path / "data", image, program)
    assert runs(tmp_path) == 1
    image.kernel.write_text("a newer kernel")
    choose_accelerator(tmp_path / "data", image, program)
    assert runs(tmp_path) == 2
    (tmp_path / "data" / "accelerator.json").write_text("{broken")
    choose_accelerator(tmp_path / "data", image, program)
    assert runs(tmp_path) == 3
