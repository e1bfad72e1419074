"""Loops of the worker: a time for each round, and nothing of one person's ends a round for the others."""

import subprocess
from datetime import timedelta

import libvirt
import pytest
from structlog.testing import capture_logs

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeUnavailable, Machine, MachineStatistics, PowerState
from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.domains import LibvirtDomains, read_statistics
from zentry_web.adapters.compute.libvirt.guests.console import has_ready_line
from zentry_web.adapters.compute.libvirt.xml import MachineFacts
from zentry_web.adapters.compute.proofs import ProofOrder
from zentry_web.adapters.compute.simulator.copies import SimulatorCopies
from zentry_web.adapters.compute.simulator.proofs import SimulatorProofs
from zentry_web.domain.credits.landing import RunwayTold
from zentry_web.domain.notice import Mail
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.billing.limits.landing import Landing
from zentry_web.services.billing.prices.telling import PriceTelling
from zentry_web.services.billing.usage.runs import BillingRuns
from zentry_web.services.shared.rounds import Loop, alone, each_alone, each_batch, steps
from zentry_web.services.vms.backups import VMBackups
from zentry_web.services.vms.bin import VMBin
from zentry_web.services.vms.outages import VMOutages
from zentry_web.services.vms.snapshots import VMSnapshots
from zentry_web.services.vms.timers import VMTimers
from zentry_web.worker.reconcile import Reconciler
from zentry_web.worker.telling import Postman


class Stopwatch:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def watch():
    return Stopwatch()


@pytest.fixture
def loop(watch):
    return Loop("test", seconds=10, monotonic=watch)


def failing(*bad):
    done = []

    def act(thing):
        if thing in bad:
            raise ValueError(f"{thing} is bad")
        done.append(thing)
        return thing

    return act, done


@pytest.mark.unit
def test_one_that_fails_holds_up_no_other_and_is_told(loop):
    act, done = failing("b")
    with loop.round() as present:
        assert each_alone("thing", "abc", act) == ["a", "c"]
    assert done == ["a", "c"]
    assert present.told() == "1 failed and held up no other: thing b (ValueError: b is bad)"


@pytest.mark.unit
def test_a_failure_is_logged_once_and_again_when_it_was_mended_meanwhile(loop):
    def go_round(*bad):
        with capture_logs() as logs, loop.round():
            each_alone("thing", "abc", failing(*bad)[0])
        return [line["item"] for line in logs if line["event"] == "item_failed"]

    assert [go_round("b"), go_round("b"), go_round("b", "c"), go_round(), go_round("b")] == [
        ["thing b"], [], ["thing c"], [], ["thing b"]
    ]  # fmt: skip


@pytest.mark.unit
def test_a_round_keeps_to_its_time_and_the_next_goes_on_where_it_was_cut(loop, watch):
    done = []

    def slow(thing):
        watch.seconds += 4
        done.append(thing)

    for _ in range(3):
        with loop.round() as present:
            each_alone("thing", "abcde", slow)
    assert "".join(done) == "abcdeabcd"[: len(done)]
    assert present.told() == "Round cut after 10 s, 2 left, goes on next round."


@pytest.mark.unit
def test_one_thing_that_takes_all_the_time_does_not_keep_the_others_from_their_turn(loop, watch):
    done = []

    def act(thing):
        watch.seconds += 60 if thing == "slow" else 1
        done.append(thing)

    for _ in range(3):
        with loop.round():
            each_alone("thing", ["slow", "a", "b"], act)
    assert done == ["slow", "a", "b", "slow", "slow"]


@pytest.mark.unit
def test_a_batch_that_fails_is_done_one_by_one(loop):
    done = []

    def act(batch):
        if "d" in batch:
            raise OverflowError("too large")
        done.append("".join(batch))

    with loop.round() as present:
        each_batch("thing", [["a", "b"], ["c", "d", "e"], ["f"]], act)
    assert done == ["ab", "c", "e", "f"]
    assert list(present.failed) == ["thing d"]


@pytest.mark.unit
def test_steps_and_parts_fail_alone_and_a_part_with_its_own_time_is_told_of(loop, watch):
    part, done = Loop("part", seconds=5, monotonic=watch), []

    def inner():
        with part.round():
            each_alone("inner", "xy", failing("x")[0])

    with loop.round() as present:
        steps("step", [("one", lambda: 1 / 0), ("two", inner), ("three", lambda: done.append("three"))])
        with alone("four"):
            raise LookupError("gone")
    assert done == ["three"]
    assert list(present.failed) == ["step one", "inner x", "four"]


@pytest.mark.unit
def test_a_hypervisor_that_does_not_answer_is_no_things_fault(loop):
    def act(thing):
        raise ComputeUnavailable("it is away")

    with pytest.raises(ComputeUnavailable), loop.round():
        each_alone("thing", "abc", act)


@pytest.mark.unit
def test_outside_a_round_what_fails_is_raised():
    with pytest.raises(ValueError, match="b is bad"):
        each_alone("thing", "abc", failing("b")[0])


# -- what comes from a guest --------------------------------------------------------------------


@pytest.mark.unit
@pytest.mark.asvs("2.2.1")
def test_a_number_of_5000_digits_on_a_console_is_no_ready_line(tmp_path):
    console = tmp_path / "console.log"
    console.write_bytes(b"ZENTRY-READY vm_a 1.0 at=" + b"9" * 5000 + b"\r\n")
    assert not has_ready_line(console, "vm_a", 1.0)
    console.write_bytes(console.read_bytes() + b"ZENTRY-READY vm_a 1.0 at=1796000000\r\n")
    assert has_ready_line(console, "vm_a", 1.0)


@pytest.mark.unit
@pytest.mark.parametrize("said", [2**54, 2**64, -(2**64), 0])
def test_a_guest_uses_no_more_memory_than_it_has_whatever_its_balloon_says(said, world_now):
    facts = MachineFacts(vm_id="vm_a", namespace="n", vcpus=1, memory_mib=512, image="tiny")
    values = {"cpu.time": 1, "balloon.available": said, "balloon.usable": 0}
    assert 0 <= read_statistics(facts, "run", values, world_now).memory_used_bytes <= 512 * 2**20


@pytest.fixture
def world_now(clock):
    return clock.now()


@pytest.mark.unit
@pytest.mark.parametrize("problem", [ValueError("not a number"), OSError("no such file"), OverflowError("too large")])
def test_a_machine_that_cannot_be_read_is_unknown_and_hides_no_other(tmp_path, monkeypatch, problem):
    domains = LibvirtDomains("n", MachineStorage(tmp_path))
    facts = MachineFacts(vm_id="vm_a", namespace="n", vcpus=1, memory_mib=512, image="tiny")
    monkeypatch.setattr(domains, "facts", lambda domain: facts)

    def fail(*_):
        raise problem

    monkeypatch.setattr(domains, "_read", fail)
    assert domains.machine(None, 1, 1, {}, []) == Machine("vm_a", PowerState.UNKNOWN)


class ListedDomain:
    """As a listing has it: its state and number are those of the moment of the listing."""

    def __init__(self, uuid: str) -> None:
        self.uuid, self.active = uuid, True

    def UUIDString(self) -> str:
        return self.uuid

    def ID(self) -> int:
        return 7

    def isActive(self) -> int:
        return int(self.active)

    def XMLDesc(self) -> str:
        return "<domain/>"


@pytest.mark.unit
@pytest.mark.parametrize("was_seen", [True, False])
def test_a_machine_that_ends_while_it_is_listed_is_no_new_run(tmp_path, monkeypatch, was_seen):
    domains = LibvirtDomains("n", MachineStorage(tmp_path))
    facts = MachineFacts(vm_id="vm_a", namespace="n", vcpus=1, memory_mib=512, image="tiny")
    monkeypatch.setattr(domains, "facts", lambda domain: facts)
    domain, running = ListedDomain("11111111-2222-4333-8444-555555555555"), (libvirt.VIR_DOMAIN_RUNNING, 1, {}, [])
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as guest:
        if was_seen:
            monkeypatch.setattr(host, "find_guest_process", lambda _: host.read_process(guest.pid))
            assert domains.machine(domain, *running).power == PowerState.RUNNING
        guest.kill()
    monkeypatch.setattr(host, "find_guest_process", lambda _: None)
    domain.active = was_seen  # libvirt may take a moment to see it
    assert domains.machine(domain, *running) == Machine("vm_a", PowerState.UNKNOWN)


# -- each loop, with something bad in it --------------------------------------------------------


@pytest.fixture
def two(cloud, alice, bob):
    """A machine of alice's, whose data go bad, and one of bob's."""
    return [cloud.launch(user, cloud.project(user), name=user.name.lower()) for user in (alice, bob)]


@pytest.fixture
def worker(cloud):
    return cloud._biller


def go_round(worker, name):
    """One round as the worker goes it; what it tells of the round."""
    (round_once,) = [round_once for job, round_once, _ in worker.loops() if job == name]
    return worker._round(name, round_once, 5)


def poisoned(monkeypatch, owner, method, bad):
    """Make a method fail for whatever names the bad one; returns the others that it was done to."""
    original, done = getattr(owner, method), []

    def act(one, *args, **more):
        if bad in repr(args):
            raise OverflowError("poisoned")
        done.append(repr(args))
        return original(one, *args, **more)

    monkeypatch.setattr(owner, method, act)
    return done


def listed(monkeypatch, owner, listing, method):
    """Let a list name a bad and a good one, and the method fail for the bad."""
    done = []

    def act(_, thing, *more):
        if thing == "bad":
            raise OverflowError("poisoned")
        done.append(thing)
        return 0

    monkeypatch.setattr(owner, listing, lambda *_: ["bad", "good"])
    monkeypatch.setattr(owner, method, act)
    return done


def reconcile(cloud, two, worker, monkeypatch):
    bad, good = two
    poisoned(monkeypatch, Reconciler, "_compare", bad.id)
    cloud.control.stop(good.id)
    told = go_round(worker, "reconcile")
    assert cloud.vm(good).state == VMState.STOPPED
    row = cloud.row(bad)
    assert row.confirmed_until is not None  # nothing is charged beyond what was known of it
    return told


def sample(cloud, two, worker, monkeypatch):
    bad, good = two
    readings = []
    monkeypatch.setattr(cloud.driver, "statistics", lambda: readings)
    loops = {job: round_once for job, round_once, _ in worker.loops()}
    for turn in range(3):
        cloud.clock.advance(10)
        readings[:] = [
            MachineStatistics(
                vm.id, cloud.clock.now(), "run", 1, turn * 10**9, 2**70 if vm is bad else 2**29, None, 0, 0, 0, 0
            )
            for vm in two
        ]
        told = worker._round("sample", loops["sample"], 5)
    assert list(cloud.monitoring.get_latest([bad.id, good.id])) == [good.id]
    return told


def console(cloud, two, worker, monkeypatch):
    bad, good = two
    poisoned(monkeypatch, type(cloud.driver), "console_log", bad.id)
    told = go_round(worker, "console")
    assert good.id in cloud.monitoring.console_sizes()
    return told


def bill(cloud, two, worker, monkeypatch):
    bad, good = two
    cloud.clock.advance(3605)
    cloud.worker.reconciler.run()
    poisoned(monkeypatch, BillingRuns, "_settle_wallets", bad.owner_id)
    poisoned(monkeypatch, BillingRuns, "_renew_wallets", bad.owner_id)
    told = go_round(worker, "bill")
    assert cloud.charges(good)
    assert cloud.hold(good).paid_until > cloud.clock.now()
    assert not cloud.charges(bad)
    return told


def land(cloud, two, worker, monkeypatch):
    bad, good = two
    done = poisoned(monkeypatch, Landing, "_tell_runway", bad.owner_id)
    monkeypatch.setattr(
        "zentry_web.services.billing.limits.landing.next_told", lambda told, runway: (RunwayTold(9, 3600), True)
    )
    told = go_round(worker, "land")
    assert any(good.owner_id in each for each in done)
    return told


def mail(cloud, two, worker, monkeypatch):
    mails = [Mail("bad", "a@example.com", "a", "a", 1), Mail("good", "b@example.com", "b", "b", 1)]
    sent, failed = [], []

    class Source:
        def claim_mail(self):
            return mails.pop(0) if mails else None

        def record_sent(self, mail):
            sent.append(mail.id)

        def record_failed(self, mail, error):
            failed.append(mail.id)

    class Mailer:
        def send(self, mail):
            if mail.id == "bad":
                raise UnicodeError("no mail can be made of it")

    postman = Postman([Source()], Mailer(), worker.stop)
    told = worker._round("mail", postman.run, 5)
    assert (sent, failed) == (["good"], ["bad"])
    return told


def prices(cloud, two, worker, monkeypatch):
    done = []

    def tell(self, change_id, owners):
        if "bad" in owners:
            raise OverflowError("poisoned")
        done.extend(owners)
        return len(owners)

    monkeypatch.setattr(PriceTelling, "_announce_to", tell)
    telling = cloud.billing.price_telling
    round_once = lambda: each_batch("tell", [["bad", "good"]], lambda owners: telling._announce_to("one", owners))  # noqa: E731
    told = worker._round("prices", round_once, 5)
    assert done == ["good"]
    return told


def pay(cloud, two, worker, monkeypatch):
    payments = cloud.billing.payments
    monkeypatch.setattr(type(payments), "is_set_up", True)
    done = listed(monkeypatch, type(payments), "list_looks", "look")
    told = go_round(worker, "pay")
    assert done == ["good"]
    return told


def purge(cloud, two, worker, monkeypatch):
    bad, good = two
    for vm in two:
        cloud.vms.delete_vm(vm.id, vm.name)
    cloud.worker.work()
    cloud.clock.advance(40 * 86400)
    poisoned(monkeypatch, VMBin, "_purge", bad.id)
    told = go_round(worker, "purge")
    assert [each.kind for each in cloud.operations(good)][-1] == OperationKind.DELETE
    assert [each.kind for each in cloud.operations(bad)][-1] == OperationKind.BIN
    return told


def verify(cloud, two, worker, monkeypatch):
    """There is one thing only; that it fails is told."""
    monkeypatch.setattr(cloud.billing.books.verification, "run_hourly", lambda: 1 // 0)
    return go_round(worker, "verify") + " failed"


def housekeeping(cloud, two, worker, monkeypatch):
    done = listed(monkeypatch, type(cloud.billing.statements), "list_due", "close_month")
    monkeypatch.setattr(type(cloud.monitoring), "prune", lambda _: 1 // 0)
    told = go_round(worker, "housekeeping")
    assert done == ["good"]
    return told


def snapshots(cloud, two, worker, monkeypatch):
    return by_schedule(cloud, two, worker, monkeypatch, "snapshot", VMSnapshots)


def backups(cloud, two, worker, monkeypatch):
    return by_schedule(cloud, two, worker, monkeypatch, "backup", VMBackups)


def by_schedule(cloud, two, worker, monkeypatch, kind, owner):
    bad, good = two
    schedules = getattr(cloud.vms, f"{kind}_schedules")
    for vm in two:
        schedules.set(vm.id, {"every": "hour", "hour": "0", "keep": "2"}, actor=Actor(vm.owner_id, Role.USER))
    cloud.clock.advance(3605)
    poisoned(monkeypatch, owner, "take", bad.id)
    told = go_round(worker, f"{kind}s")
    assert cloud.operations(good)[-1].kind == kind
    return told


def copies(cloud, two, worker, monkeypatch):
    """What was copied for operations that are over."""
    bad = two[0]
    for vm in two:
        cloud.driver.copies.begin(f"op_{vm.id}", DiskSource(vm.id))
    poisoned(monkeypatch, SimulatorCopies, "drop", f"op_{bad.id}")
    told = go_round(worker, "copies")
    assert cloud.driver.copies.stored() == (f"op_{bad.id}",)
    return told


def proofs(cloud, two, worker, monkeypatch):
    """What is left of proofs that nobody waits for."""
    for vm in two:
        cloud.driver.backups.begin(vm.id, f"bak_{vm.id}")
    cloud.clock.advance(3)
    for vm in two:
        cloud.driver.proofs.begin(ProofOrder(f"bak_{vm.id}", vm.id, "tiny", 256))
    poisoned(monkeypatch, SimulatorProofs, "end", f"bak_{two[0].id}")
    told = go_round(worker, "proofs")
    assert cloud.driver.proofs.stored() == (f"bak_{two[0].id}",)
    return told


def restarts(cloud, two, worker, monkeypatch):
    bad, _good = two
    for vm in two:
        cloud.control.crash(vm.id)
    cloud.round(3)
    (outage,) = cloud.vms.outages.find(bad.id, actor=Actor(bad.owner_id, Role.USER))[1]
    poisoned(monkeypatch, VMOutages, "_start", outage.id)
    told = go_round(worker, "restarts")
    assert [cloud.operations(vm)[-1].kind for vm in two] == [OperationKind.CREATE, OperationKind.START]
    return told


def timers(cloud, two, worker, monkeypatch):
    first = cloud.clock.now().replace(tzinfo=None) + timedelta(hours=1)
    data = {"action": "stop", "repeat": "daily", "first": first, "catches_up": True}
    bad, _good = [cloud.vms.timers.add(vm.id, data, actor=Actor(vm.owner_id, Role.USER)) for vm in two]
    cloud.clock.advance(3605)
    poisoned(monkeypatch, VMTimers, "_do", bad.id)
    told = go_round(worker, "timers")
    assert [cloud.operations(vm)[-1].kind for vm in two] == [OperationKind.CREATE, OperationKind.STOP]
    return told


POISONED = (
    *(reconcile, sample, console, bill, land, mail, prices, pay, snapshots, backups, proofs, restarts, timers, purge),
    *(verify, copies, housekeeping),
)


@pytest.mark.integration
@pytest.mark.parametrize("loop_of", POISONED, ids=lambda each: each.__name__)
def test_one_persons_bad_data_ends_no_round_for_the_others(cloud, two, worker, monkeypatch, loop_of):
    cloud.keep_deleted(30)
    told = loop_of(cloud, two, worker, monkeypatch)
    assert "failed" in told or "Error" in told


@pytest.mark.integration
def test_no_loop_of_the_worker_is_left_out_above(worker):
    ours = [job for job, _, _ in worker.loops() if job != "images"]  # which belong to no person
    assert ours == [each.__name__ for each in POISONED]


@pytest.mark.integration
def test_what_fails_stands_on_the_heartbeat_and_with_it_on_the_system_page(cloud, two, worker, monkeypatch):
    told = console(cloud, two, worker, monkeypatch)
    worker._beat("console", 0.1, told)
    (beat,) = [beat for beat in cloud.monitoring.list_heartbeats() if beat.loop == "console"]
    assert beat.error == f"1 failed and held up no other: console {two[0].id} (OverflowError: poisoned)"
