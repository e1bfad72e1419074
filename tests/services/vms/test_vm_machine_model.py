"""Random lives of machines whose host fails and whose worker is killed; after every step all that can be looked at is
so as it must be, and what is charged is what a model of its own works out."""

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select
from structlog.testing import capture_logs

from tests.conftest import make_config, sign_up
from tests.services.billing_model import Stretch, month_starts, seconds
from tests.services.people import acting
from tests.services.vm_world import Cloud, Killed
from zentry_web.adapters.clock import ManualClock
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.credits.usage import UsageState
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OPEN_OPERATION_STATES, OperationKind
from zentry_web.domain.vms.snapshot import SnapshotState, aside_name
from zentry_web.domain.vms.state import ON, VMState
from zentry_web.models import (
    DbAccount,
    DbBackup,
    DbCharge,
    DbDiskAside,
    DbHold,
    DbOperation,
    DbRevertAside,
    DbSnapshot,
    DbStored,
    DbUndo,
    DbUsageInterval,
    DbVM,
)
from zentry_web.services.errors import ServiceError
from zentry_web.services.shared.rounds import Loop
from zentry_web.worker.backups import BackupKeeper

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 30, 22, 40, 30, tzinfo=UTC)  # a month ends soon
SIZES = ("size_nano", "size_small")
SCRIPT = "#!/bin/sh\ntrue\n"
POWER = ("start", "stop", "force_off", "reboot", "reset", "suspend", "resume")
DISKS = (
    *("rebuild", "rebuild", "bring_back", "rescue", "rescue", "unrescue", "resize", "resize"),
    *("take", "take", "revert", "revert", "unrevert", "discard"),
)
AROUND = (
    *("delete", "restore", "undo", "undo", "abort", "again", "again", "rename", "move", "purge"),
    *("back_up", "back_up", "recover", "recover", "forget_backup", "password"),
)
INTERFERING = ("", "", "kill", "kill", "abort", "delete", "force_off", "undo", "host_stop")
FAILING = (
    *("*", "*", "machine", "machines", "create", "start", "force_off", "shutdown", "suspend", "resume", "renew"),
    *("resize", "delete", "snapshot", "snapshots", "revert", "discard"),
    *("rebuild", "bring_back", "drop", "rescue", "unrescue", "backup", "backup_progress", "restore", "set_password"),
)
FAULTS = ("refuse", "unavailable", "timeout", "timeout-after")


def drawn(random):
    """One thing that happens: a method of Machines, and what it is given. Drawn evenly, which Hypothesis does not."""
    any_of, number = random.choice, random.randrange(8)
    return any_of(
        [
            *[("do", any_of(POWER + DISKS + AROUND), number, any_of(INTERFERING), random.randint(1, 7))] * 8,
            *[
                (
                    "fail",
                    any_of(DISKS + POWER + ("back_up", "recover")),
                    number,
                    any_of(FAILING),
                    any_of(FAULTS),
                    any_of((1, 2, 9, None)),
                )
            ]
            * 4,
            *[("pass_time", any_of((1, 17, 61, 600, 1_800, 3_601, 7_300, 90_000)))] * 2,
            ("launch", number),
            ("host", number, any_of(("stop", "stop", "pause", "go on", "destroy"))),
            ("have", any_of((0, 300, 9_000, 60_000, 40_000_000, 40_000_000))),
            ("price", any_of(SIZES), random.randint(1, 40_000), random.randint(0, 300), any_of((0, 40))),
            ("settle",),
        ]
    )


ON_A_BARE_DISK = (OperationKind.REBUILD, OperationKind.RESCUE, OperationKind.RESIZE, OperationKind.RECOVER)


@dataclass
class Truth:
    """What the host saw of a machine: its runs, from when to when (None: still)."""

    runs: dict = field(default_factory=dict)

    def see(self, machine, now):
        if machine is not None and machine.run_id is not None and machine.run_from <= now:
            self.runs[machine.run_id] = [machine.run_from, machine.stop_at]
        for run_id, run in self.runs.items():
            is_over = machine is None or machine.run_id != run_id
            if is_over and (run[1] is None or run[1] > now):
                run[1] = now if machine is None else min(now, machine.run_from)

    def seconds_on(self, start, end):
        """Of that stretch."""
        return sum(
            max(0.0, min(end, end if run[1] is None else run[1]) - max(start, run[0])) for run in self.runs.values()
        )


class Machines(RuleBasedStateMachine):
    template = Path()

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="zentry-machines-"))
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)
        config, clock = make_config(self.folder), ManualClock(START)
        self.container = build_container(config, clock=clock)
        self.driver = make_compute(config, clock=clock)
        self.cloud = cloud = Cloud(self.container, self.driver, clock, config)
        cloud.keep_deleted(1)
        self.logs = capture_logs()
        self.said = self.logs.__enter__()
        self.alice = sign_up(self.container, "alice")
        self.projects = [cloud.project(self.alice, name) for name in ("one", "two")]
        self.given, self.workers, self.names, self.count = cloud.wallet(self.alice), 1, 0, 0
        self.plan = None  # [checkpoints until, what happens there]
        self.truths, self.destroyed = {}, set()
        cloud.meanwhile = self.look
        self.launch(0)
        self.launch(1)
        self.do("take", 0, "", 0)

    def teardown(self):
        if not hasattr(self, "cloud"):
            return
        try:
            self.settle()
        finally:
            self.logs.__exit__(None, None, None)
            self.cloud.close()
            self.driver.close()
            self.container.close()
            shutil.rmtree(self.folder)

    # -- helpers --------------------------------------------------------------------------------

    @property
    def me(self):
        return acting(self.alice)

    def rows(self, query):
        with self.container.database.reading() as session:
            return list(session.execute(query).all())

    def all(self, model, *which):
        with self.container.database.reading() as session:
            return list(session.scalars(select(model).where(*which)))

    def machines(self):
        return self.all(DbVM, DbVM.owner_id == self.alice.id)

    def pick(self, number, kind=None, *which):
        """One of the machines that are not gone for good, rather one of which ``kind`` may be asked; or None."""
        found = sorted(self.all(DbVM, DbVM.state != VMState.DELETED, *which), key=lambda vm: vm.id)
        fit = [vm for vm in found if kind in ALLOWED_ACTIONS[VMState(vm.state)]]
        if kind in ON_A_BARE_DISK:
            fit = [vm for vm in fit if vm.id not in {row.vm_id for row in self.all(DbSnapshot)}] or fit
        if kind in (OperationKind.BRING_BACK, OperationKind.UNRESCUE):
            asides = {row.vm_id for row in self.all(DbDiskAside)}
            fit = [vm for vm in fit if (vm.rescued_at if kind == OperationKind.UNRESCUE else vm.id in asides)] or fit
        found = fit or found
        return found[number % len(found)] if found else None

    def look(self):
        now = self.cloud.clock.now().timestamp()
        there = {machine.vm_id: machine for machine in self.cloud.store.machines()}
        for vm_id in there.keys() | self.truths.keys():
            self.truths.setdefault(vm_id, Truth()).see(there.get(vm_id), now)

    def new_name(self):
        self.names += 1
        return f"web{self.names}"

    def work(self):
        """The operations that are due, by a worker that may be killed or interfered with on the way."""
        self.cloud.worker.checkpoint = self.reach
        try:
            self.cloud.worker.work(most=8)
        except Killed:
            self.workers += 1
            old = self.cloud.worker.name
            self.cloud.restart_worker(f"worker-{self.workers}")
            if self.workers % 2:  # a supervisor that knows of it; else the lease runs out
                self.cloud.vms.operations.release_worker(old)
        self.look()

    def reach(self, step):
        self.look()
        if self.plan is None:
            return
        self.plan[0] -= 1
        if self.plan[0] <= 0:
            then, self.plan = self.plan[1], None
            if then == "kill":
                raise Killed
            self.ask(*then)

    def ask(self, action, number, size="size_small"):
        """Whatever is refused changes nothing, which the invariants see."""
        with contextlib.suppress(ServiceError):
            getattr(self, f"_{action}")(number, size)

    # -- what people do -------------------------------------------------------------------------

    @rule(seed=st.integers(0, 2**32))
    def lives(self, seed):
        self.count += 1  # Hypothesis likes the same small numbers again and again
        it = drawn(Random(f"{self.count} {seed}"))
        note(repr(it))
        getattr(self, it[0])(*it[1:])

    def launch(self, number, size="size_nano"):
        if len(self.all(DbVM, DbVM.state != VMState.DELETED)) >= 3:
            return
        try:
            self.cloud.ask(self.alice, self.projects[number % 2], self.new_name(), size, user_data=SCRIPT)
        except ServiceError:
            return
        self.work()
        self.round(3)

    def do(self, action, number, trouble, at):
        """Something is asked for and done, and something else may come in its way at one of its steps."""
        self.ask(action, number)
        if trouble:
            self.plan = [at, "kill" if trouble == "kill" else (trouble, number)]
        self.work()
        self.plan = None
        self.round(3)

    def fail(self, action, number, failing, kind, times):
        """The same on a host that fails."""
        self.cloud.control.fault(failing, kind, times=times)
        self.ask(action, number)
        for seconds_later in (1, 2, 5):
            self.work()
            self.round(seconds_later)
        self.cloud.control.clear()

    def _start(self, number, _size):
        if vm := self.pick(number, OperationKind.START):
            self.cloud.vms.start_vm(vm.id, actor=self.me)

    def _stop(self, number, _size):
        if vm := self.pick(number, OperationKind.STOP):
            self.cloud.vms.stop_vm(vm.id, actor=self.me)

    def _force_off(self, number, _size):
        if vm := self.pick(number, OperationKind.FORCE_OFF):
            self.cloud.vms.force_off_vm(vm.id, actor=self.me)

    def _reboot(self, number, _size):
        if vm := self.pick(number, OperationKind.REBOOT):
            self.cloud.vms.reboot_vm(vm.id, actor=self.me)

    def _reset(self, number, _size):
        if vm := self.pick(number, OperationKind.RESET):
            self.cloud.vms.reset_vm(vm.id, actor=self.me)

    def _suspend(self, number, _size):
        if vm := self.pick(number, OperationKind.SUSPEND):
            self.cloud.vms.suspend_vm(vm.id, actor=self.me)

    def _resume(self, number, _size):
        if vm := self.pick(number, OperationKind.RESUME):
            self.cloud.vms.resume_vm(vm.id, actor=self.me)

    def _resize(self, number, size):
        if vm := self.pick(number, OperationKind.RESIZE):
            other = "size_nano" if vm.size_id == size else size
            self.cloud.vms.resize_vm(vm.id, other, actor=self.me)

    def _rename(self, number, _size):
        if vm := self.pick(number):
            self.cloud.vms.renaming.rename(vm.id, self.new_name(), actor=self.me)

    def _move(self, number, _size):
        if vm := self.pick(number):
            target = next(project.id for project in self.projects if project.id != vm.project_id)
            self.cloud.vms.moving.move(vm.id, target, actor=self.me)

    def _rebuild(self, number, _size):
        if vm := self.pick(number, OperationKind.REBUILD):
            script = "" if vm.user_data else SCRIPT  # so that one can tell the disks apart
            data = {"image_id": "img_tiny", "confirm_name": vm.name, "access": "new", "user_data": script}
            self.cloud.vms.rebuilding.request(vm.id, data, self.alice, actor=self.me)

    def _bring_back(self, number, _size):
        if vm := self.pick(number, OperationKind.BRING_BACK):
            self.cloud.vms.rebuilding.request_back(vm.id, actor=self.me)

    def _rescue(self, number, _size):
        if vm := self.pick(number, OperationKind.RESCUE):
            self.cloud.vms.rescuing.request(vm.id, self.alice, actor=self.me)

    def _unrescue(self, number, _size):
        if vm := self.pick(number, OperationKind.UNRESCUE):
            self.cloud.vms.rescuing.leave(vm.id, actor=self.me)

    def _password(self, number, _size):
        vm = self.pick(number, OperationKind.PASSWORD)
        if vm and vm.agent and vm.rescued_at is None:
            self.cloud.vms.passwords.request(vm.id, actor=self.me)

    def _take(self, number, _size):
        if vm := self.pick(number, OperationKind.SNAPSHOT):
            self.cloud.vms.snapshots.take(vm.id, {"name": "one"}, actor=self.me)

    def _snapshot(self, number):
        rows = sorted(self.all(DbSnapshot), key=lambda row: row.id)
        return rows[number % len(rows)] if rows else None

    def _revert(self, number, _size):
        if found := self._snapshot(number):
            self.cloud.vms.snapshots.revert(found.vm_id, found.id, actor=self.me)

    def _unrevert(self, number, _size):
        if vm := self.pick(number, OperationKind.UNREVERT):
            self.cloud.vms.snapshots.request_back(vm.id, actor=self.me)

    def _discard(self, number, _size):
        if found := self._snapshot(number):
            self.cloud.vms.snapshots.delete(found.vm_id, found.id, actor=self.me)

    def _back_up(self, number, _size):
        if vm := self.pick(number, OperationKind.BACKUP):
            self.cloud.vms.backups.take(vm.id, {"name": "one"}, actor=self.me)

    def _backup(self, number):
        rows = sorted(self.all(DbBackup), key=lambda row: row.id)
        return rows[number % len(rows)] if rows else None

    def _recover(self, number, _size):
        if found := self._backup(number):
            (vm,) = self.all(DbVM, DbVM.id == found.vm_id)
            self.cloud.vms.recovering.request(vm.id, found.id, vm.name, actor=self.me)

    def _forget_backup(self, number, _size):
        if found := self._backup(number):
            self.cloud.vms.backups.delete(found.vm_id, found.id, actor=self.me)

    def _delete(self, number, _size):
        if vm := self.pick(number, OperationKind.DELETE):
            self.cloud.vms.delete_vm(vm.id, vm.name, actor=self.me)

    def _restore(self, number, _size):
        if vm := self.pick(number, None, DbVM.deleted_at.is_not(None)):
            self.cloud.vms.bin.restore(vm.id, vm.name, actor=self.me)

    def _purge(self, number, _size):
        if vm := self.pick(number, None, DbVM.deleted_at.is_not(None)):
            self.cloud.vms.bin.purge(vm.id, vm.name, actor=self.me)

    def _undo(self, number, _size):
        waiting = sorted(self.all(DbUndo, DbUndo.used_at.is_(None)), key=lambda row: row.id)
        if waiting:
            self.cloud.vms.undo.undo(waiting[-1 - number % min(3, len(waiting))].id, actor=self.me)

    def _newest(self, number):
        rows = sorted(self.all(DbOperation), key=lambda row: row.id)
        return rows[-1 - number % min(3, len(rows))].id

    def _abort(self, number, _size):
        self.cloud.vms.work.abort(self._newest(number), actor=self.me)

    def _again(self, number, _size):
        self.cloud.vms.work.again(self._newest(number), actor=self.me)

    # -- behind their back, and time ------------------------------------------------------------

    def _host_stop(self, number, _size="", how="stop"):
        vm = self.pick(number)
        if vm is not None and self.cloud.store.find(vm.id) is not None:
            self.look()
            if how == "destroy":
                self.destroyed.add(vm.id)
            {
                "stop": self.cloud.control.stop,
                "destroy": self.cloud.control.destroy,
                "pause": self.cloud.control.pause,
                "go on": lambda vm_id: self.cloud.control.pause(vm_id, ""),
            }[how](vm.id)
            self.look()

    def host(self, number, how):
        """Somebody on the host does that."""
        self._host_stop(number, how=how)
        self.round(3)

    def round(self, later):
        self.cloud.clock.advance(later)
        self.look()
        self.cloud.pump()
        with Loop("reconcile").round():
            self.cloud.worker.reconciler.run()
        self.cloud.bill()
        self.look()

    def pass_time(self, later):
        steps = 3 if later > 60 else 1
        for _ in range(steps):
            self.round(later / steps if later < 60 else later // steps)
            self.tidy()
            self.cloud.land()
        self.work()

    def tidy(self):
        self.cloud.purge()
        with Loop("backups").round():
            BackupKeeper(self.cloud.vms, self.driver, lambda step: None).run()

    def have(self, micro):
        """Credits come or go."""
        self.given += micro - self.cloud.wallet(self.alice)
        self.cloud.set_wallet(self.alice, micro)

    def price(self, size, running, disk, days):
        """For machines to come, or announced for those there are."""
        billing = self.cloud.billing
        if days == 0:
            billing.price_list.publish(size, running, disk, actor=SYSTEM)
            return
        changes, at = billing.price_changes, self.cloud.clock.now() + timedelta(days=days)
        item = PriceItem(ItemKind.SIZE, size, running, disk)
        try:
            changes.publish(changes.save_draft("Other prices", at, [item], actor=SYSTEM), actor=SYSTEM)
        except ServiceError:
            return
        self.cloud.billing.price_telling.run()

    # -- what must always hold ------------------------------------------------------------------

    @invariant()
    def nothing_is_breached(self):
        self.cloud.assert_sound()

    @invariant()
    def nothing_crashed(self):
        wrong = [line for line in self.said if line["log_level"] in ("error", "critical")]
        assert not wrong, wrong

    @invariant()
    def one_operation_at_a_time(self):
        query = select(DbOperation.vm_id, func.count()).where(DbOperation.state.in_(OPEN_OPERATION_STATES))
        assert all(count == 1 for _, count in self.rows(query.group_by(DbOperation.vm_id)))

    @invariant()
    def charges_are_those_of_the_model(self):
        cuts, owed = month_starts("UTC"), 0
        table = DbCharge
        made = {}
        for row in self.rows(
            select(table.interval_id, table.kind, table.from_at, table.to_at, table.seconds, table.amount)
        ):
            made.setdefault(row[0], set()).add((row[1], seconds(row[2]), seconds(row[3]), row[4], row[5]))
        for row in self.all(DbUsageInterval):
            end = None if row.end_at is None else seconds(row.end_at)
            stretch = Stretch(row.state, row.rate_micro_per_hour, seconds(row.start_at), cuts, row.minimum_seconds, end)
            due = stretch.charges(seconds(row.settled_until)) if row.settled or end is None else None
            assert due is not None, "ended and not settled"
            assert made.pop(row.id, set()) == due
            owed += sum(amount for *_, amount in due)
        assert not made
        accounts = {row.kind: row.balance for row in self.all(DbAccount) if row.owner_id == self.alice.id}
        have = accounts[AccountKind.WALLET] + accounts[AccountKind.HELD]
        assert have == self.given - owed + self.cloud.written_off()

    @invariant()
    def nobody_pays_for_a_machine_that_is_off(self):
        running = DbUsageInterval.state == UsageState.RUNNING
        for row in self.all(DbUsageInterval, running):
            until = row.settled_until if row.end_at is None else row.end_at
            start, end = seconds(row.start_at), seconds(until)
            was_on = self.truths[row.vm_id].seconds_on(start, end) if row.vm_id in self.truths else 0
            assert end - start - was_on <= 1, (row.vm_id, start, end, self.truths.get(row.vm_id))

    # -- and when all has come to rest ----------------------------------------------------------

    def settle(self):
        """The host answers, credits are there, and the workers have time: record and host say the same."""
        self.cloud.control.clear()
        self.plan = None
        for later in (31, 61, 61, 3, 3):
            self.cloud.clock.advance(later)
            self.look()
            self.tidy()
            self.work()
            self.round(3)
        open_ones = self.all(DbOperation, DbOperation.state.in_(OPEN_OPERATION_STATES))
        assert not open_ones, [(row.kind, row.state, row.step, row.error) for row in open_ones]
        assert not self.all(DbOperation, DbOperation.lease_until > self.cloud.clock.now())
        assert not self.all(DbOperation, DbOperation.secret != "")
        assert not self.all(DbUndo, DbUndo.used_at.is_not(None), DbUndo.done_at.is_(None))
        whole = {row.id for row in self.all(DbBackup, DbBackup.state == BackupState.READY)}
        assert set(self.driver.backups.stored()) == whole
        for vm in self.machines():
            self._settled(vm)

    def _settled(self, vm):
        now = self.cloud.clock.now()
        machine = self.cloud.store.find(vm.id)
        is_on = machine is not None and machine.is_on(now.timestamp())
        intervals = self.all(DbUsageInterval, DbUsageInterval.vm_id == vm.id, DbUsageInterval.end_at.is_(None))
        mine = [row for row in intervals if row.stored_id is None]
        holds = self.all(DbHold, DbHold.vm_id == vm.id, DbHold.closed_at.is_(None))
        assert is_on == (vm.state in ON), (vm.state, vm.state_reason, machine)
        assert len(holds) == is_on
        expected = {VMState.STOPPED: [] if vm.disk_until else [("stopped", vm.stopped_micro_per_hour)]}
        if is_on:
            assert (vm.run_id, vm.made) == (machine.run_id, True)
            expected[vm.state] = [("running", vm.running_micro_per_hour)]
        assert [(row.state, row.rate_micro_per_hour) for row in mine] == expected.get(vm.state, [])
        if vm.state == VMState.DELETED:
            assert machine is None
        self._settled_snapshots(vm, machine, intervals)
        self._settled_backups(vm, intervals)
        self._settled_disk(vm, machine)

    def _settled_snapshots(self, vm, machine, intervals):
        rows = self.all(DbSnapshot, DbSnapshot.vm_id == vm.id)
        assert all(row.state == SnapshotState.READY for row in rows), (vm.state, [row.state for row in rows])
        if machine is not None:
            there = {each.name for each in self.driver.snapshots.list(vm.id)}
            asides = {aside_name(row.operation_id): row.until for row in self.all(DbRevertAside)}
            kept = {name for name, until in asides.items() if until is not None and until > self.cloud.clock.now()}
            assert there - asides.keys() == {row.id for row in rows}
            mine = {aside_name(row.operation_id) for row in self.all(DbRevertAside, DbRevertAside.vm_id == vm.id)}
            assert kept & mine <= there
        if vm.state == VMState.DELETED:
            assert not rows
        stored = self.stored(vm, StoredKind.SNAPSHOT)
        assert {row.id for row in stored} == {row.id for row in rows}
        is_there = vm.state != VMState.BINNED and vm.made  # else nothing in its disk is paid
        payable = {row.id for row in stored if row.kept_until is None and is_there}
        paid = {row.stored_id for row in intervals if row.state == StoredKind.SNAPSHOT}
        # While its disk is kept for nothing, only what was made since then is paid.
        assert paid == payable or (vm.disk_until is not None and paid <= payable), vm.state

    def stored(self, vm, kind):
        return self.all(DbStored, DbStored.vm_id == vm.id, DbStored.ended_at.is_(None), DbStored.kind == kind)

    def _settled_backups(self, vm, intervals):
        rows = self.all(DbBackup, DbBackup.vm_id == vm.id)
        whole = {row.id for row in rows if row.state == BackupState.READY}
        assert {row.state for row in rows} <= {BackupState.READY, BackupState.FAILED}
        stored = self.stored(vm, StoredKind.BACKUP)
        assert {row.id for row in stored} == whole
        assert whole <= set(self.driver.backups.stored())
        paid = {row.id for row in stored if row.kept_until is None and vm.state != VMState.BINNED}
        assert {row.stored_id for row in intervals if row.state == StoredKind.BACKUP} == paid, vm.state

    def _settled_disk(self, vm, machine):
        asides = self.all(DbDiskAside, DbDiskAside.vm_id == vm.id)
        if vm.state == VMState.DELETED:
            assert not asides
        if machine is None or vm.state not in ON:
            return  # what a rebuild or a resize left undone is put right by the next start
        assert (machine.vcpus, machine.memory_mib) == (vm.vcpus, vm.memory_mib)
        assert machine.disk_gib >= vm.disk_gib
        assert bool(machine.script) == bool(vm.user_data)
        assert bool(machine.rescue) == (vm.rescued_at is not None) or vm.id in self.destroyed
        kept = [row.operation_id for row in asides if row.until is not None]
        lie_there = [json.loads(machine.aside)["as"]] if machine.aside else []
        assert lie_there == kept or (not lie_there and vm.id in self.destroyed)  # its disks went with it
        attempts = {row.operation_id for row in asides} - set(kept)  # looked at again once it is off
        assert machine.replaced not in attempts


def live(template, lives, *, derandomize):
    Machines.template = template
    run_state_machine_as_test(
        Machines,
        settings=settings(
            max_examples=lives,
            stateful_step_count=25,
            deadline=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.timeout(300)
def test_any_life_of_machines(migrated_sqlite):
    live(migrated_sqlite, 8, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_many_lives_of_machines(migrated_sqlite):
    """Others each time."""
    live(migrated_sqlite, 300, derandomize=False)
