"""A `zentry worker` of a test's own that can be killed, and looks at what it left behind."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import ROOT, make_config, sign_up
from tests.libvirt_fixture import image_dir, know_the_accelerator, lend_images, libvirt_uri
from tests.services.people import acting
from zentry_web.adapters.compute.base import PowerState
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbCharge, DbEvent, DbOperation, DbUsageInterval, DbVM

OPEN = list(OPEN_OPERATION_STATES)


class WorkerProcess:
    """The worker of one data folder: started, killed, started again."""

    def __init__(self, config, **environment):
        self.config = config
        self._environment = os.environ | {
            "ZENTRY_DATA": str(config.data),
            "ZENTRY_COMPUTE": config.compute,
            "ZENTRY_LIBVIRT_URI": config.libvirt_uri,
            "ZENTRY_SIMULATOR_BOOT_SECONDS": "0.2",
            "ZENTRY_RECONCILE_SECONDS": "1",
            **({"ZENTRY_BACKUPS": str(config.backups), "ZENTRY_BACKUPS_SAME_DISK": "1"} if config.backups else {}),
            **environment,
        }
        self._log = config.data / "worker.log"
        self.process = None

    def start(self, *, pause_at=""):
        """Start it, with nobody else running; it pauses at the named step, if given."""
        assert self.process is None
        self._marker(pause_at).unlink(missing_ok=True)
        environment = self._environment | ({"ZENTRY_PAUSE_AT": pause_at} if pause_at else {})
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zentry_web", "worker"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def kill(self):
        """SIGKILL: it has no chance to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def kill_at(self, step, *, seconds=90):
        """Start it, wait until it has reached the step, and kill it there."""
        self.start(pause_at=step)
        self.wait_for(self._marker(step).exists, seconds, f"step {step} to be hit")
        self.kill()

    def end(self):
        """SIGTERM, once it is up: it stops in good order."""
        if self.process is not None:
            mine = f"worker-*-{self.process.pid}-*.alive"
            self.wait_for(lambda: list(self.config.data.glob(mine)), 60, "the worker to be up")
            self.process.terminate()
            assert self.process.wait(60) == 0, self.log()
            self.process = None

    def wait_for(self, question, seconds, what):
        """Like wait_for, but notices when the worker died by itself."""

        def ask():
            assert self.process is None or self.process.poll() is None, self.log()
            return question()

        return wait_for(ask, seconds, what)

    def log(self):
        return self._log.read_text(errors="replace")[-5000:]

    def _marker(self, step):
        return self.config.data / f"paused-{step}"


class Rig:
    """Services and driver of the test's own on the worker's data folder; the test plays the web process."""

    def __init__(self, config, **environment):
        self.config = config
        self.container = build_container(config)
        self.driver = make_compute(config)
        self.vms, self.billing = self.container.get_vm_service(), self.container.get_billing_service()
        self.worker = WorkerProcess(config, **environment)
        self.alice = sign_up(self.container, "alice")
        self.me = acting(self.alice)
        self.project = self.container.get_project_service().create_project({"name": "main"}, self.alice, actor=self.me)

    def close(self):
        self.worker.kill()
        self.driver.close()
        self.container.close()

    def launch(self, name):
        data = {"project_id": self.project.id, "name": name, "size_id": "size_nano", "image_id": "img_tiny"}
        return self.vms.create_vm(data, self.alice, actor=self.me, idempotency_key=f"key-{name}")

    def rows(self, query):
        with self.container.database.reading() as session:
            return list(session.scalars(query))

    def state(self, vm):
        return self.rows(select(DbVM.state).where(DbVM.id == vm.id))[0]

    def is_settled(self):
        """No operation is open, and every machine is as its VM says."""
        return not self.rows(select(DbOperation.id).where(DbOperation.state.in_(OPEN))) and not self.differences()

    def settle(self, seconds=120):
        """Let a worker run undisturbed until nothing is left to do, then end it in good order."""
        if self.worker.process is None:
            self.worker.start()
        try:
            self.worker.wait_for(self.is_settled, seconds, "everything to settle")
        except pytest.fail.Exception as error:
            raise AssertionError(f"{error}\n{self.describe()}") from error
        self.worker.end()
        self.assert_sound()

    def describe(self):
        """What a person needs to see why nothing settles."""
        operations = [
            f"{row.vm_id} {row.kind} {row.state} at {row.step}, attempt {row.attempts}: {row.error}"
            for row in self.rows(select(DbOperation).order_by(DbOperation.created_at))
        ]
        reasons = [f"{vm.name}: {vm.state_reason}" for vm in self.rows(select(DbVM)) if vm.state_reason]
        return "\n".join([f"not as recorded: {self.differences()}", *reasons, *operations, self.worker.log()])

    def differences(self):
        """What the hypervisor and the database do not agree on."""
        machines = {machine.vm_id: machine for machine in self.driver.machines()}
        wrong = []
        for vm in self.rows(select(DbVM)):
            machine = machines.pop(vm.id, None)
            there = machine.power if machine else None
            expected = {
                VMState.RUNNING: PowerState.RUNNING,
                VMState.STOPPED: PowerState.OFF,
                VMState.DELETED: None,
            }.get(VMState(vm.state), "something settled")
            if there != expected or (vm.state == VMState.RUNNING and machine.run_id != vm.run_id):
                wrong.append((vm.name, vm.state, there))
        return [*wrong, *machines]

    def assert_sound(self):
        """Ledger, machines, disks and bills agree."""
        broken = [check for check in self.billing.verify() if not check.ok]
        assert not broken, broken
        assert self.differences() == []
        vms = self.rows(select(DbVM))
        alive = {vm.id for vm in vms if vm.state != VMState.DELETED}
        assert self.disks() == alive
        of_machines = DbUsageInterval.end_at.is_(None), DbUsageInterval.stored_id.is_(None)
        open_spans = {(row.vm_id, row.state) for row in self.rows(select(DbUsageInterval).where(*of_machines))}
        assert open_spans == {(vm.id, str(vm.state)) for vm in vms if vm.id in alive}
        ends = self.rows(select(DbEvent.operation_id).where(DbEvent.outcome == "succeeded", DbEvent.operation_id != ""))
        assert len(ends) == len(set(ends)), "an operation ended twice"
        charges = [(row.interval_id, row.from_at, row.kind) for row in self.rows(select(DbCharge))]
        assert len(charges) == len(set(charges))

    def disks(self):
        """vm_ids whose disk is on the host; not those that were put aside."""
        if self.config.compute == "simulator":
            return {machine.vm_id for machine in self.driver.machines()}
        folder = self.config.data / "machines"
        found = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        return {name for name in found if not name.startswith(".aside-")}


def libvirt_config(folder, *, has_backups=False):
    """Settings of a Zentry on the machine's libvirt, with the tiny image, in new files under ``folder``."""
    place = {"backups": folder / "backups", "backups_same_disk": True} if has_backups else {}
    uri = libvirt_uri(folder / "libvirtd-notes")
    config = make_config(folder / "data", compute="libvirt", libvirt_uri=uri, **place)
    migrate(config)
    lend_images(config.data)
    return config


@contextmanager
def rig_with_images(folder, **environment):
    """A rig on real guests with a folder of images of its own; all of it is gone afterwards."""
    uri = libvirt_uri(folder / "libvirtd-notes")
    config = make_config(folder / "data", compute="libvirt", libvirt_uri=uri)
    migrate(config)
    config.image_dir.mkdir(mode=0o711)
    (config.image_dir / "tiny").symlink_to(image_dir() / "tiny")
    know_the_accelerator(config.data)
    with guest_rig_on(config, **environment) as rig:
        yield rig


@contextmanager
def guest_rig_on(config, **environment):
    """A rig on real guests; all of them are gone afterwards."""
    with rig_on(config, **environment) as rig:
        try:
            yield rig
        finally:
            rig.worker.kill()
            rig.driver.remove_everything()


@contextmanager
def rig_on(config, **environment):
    """A rig that leaves no process behind."""
    rig = Rig(config, **environment)
    try:
        yield rig
    finally:
        rig.close()
