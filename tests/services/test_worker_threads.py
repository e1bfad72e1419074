"""The worker as a whole: its threads, its leases, how it ends, and what it finds of those that were killed."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import ROOT, sign_up
from tests.services.people import acting
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbLeader, DbOperation
from zentry_web.worker import dispatch
from zentry_web.worker.lifeline import Lifeline
from zentry_web.worker.worker import Pace, Worker, WorkerSettings

pytestmark = pytest.mark.integration

QUICK = Pace(reconcile=0.2, sample=0.3, console=0.3, bill=0.3, housekeeping=1)


@pytest.fixture
def live(config):
    """Services on the machine's own clock."""
    built = build_container(config)
    yield built
    built.close()


@contextmanager
def running_worker(config, live, *, pace=QUICK):
    worker = Worker(
        live,
        make_compute(config),
        WorkerSettings(config.data, config.stop_timeout_seconds, pace),
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop.set()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def someone(live):
    """alice with a project: (user, actor, launch)."""
    user = sign_up(live, "alice")
    project = live.get_project_service().create_project({"name": "main"}, user, actor=acting(user))

    def launch(name):
        data = {"project_id": project.id, "name": name, "size_id": "size_nano", "image_id": "img_tiny"}
        return live.get_vm_service().create_vm(data, user, actor=acting(user))

    return user, acting(user), launch


def test_a_click_wakes_it(config, live, someone, monkeypatch):
    """It never looks by itself here."""
    monkeypatch.setattr(dispatch, "LOOK_SECONDS", 3600)
    _user, actor, launch = someone
    with running_worker(config, live):
        wait_for(lambda: any(config.data.glob("*.bell")) or not live.database.is_sqlite, 30, "the worker to listen")
        vm = launch("web")
        wait_for(lambda: live.vms.get_vm(vm.id).state == VMState.RUNNING, 30, "it runs")
        live.vms.stop_vm(vm.id, actor=actor)
        wait_for(lambda: live.vms.get_vm(vm.id).state == VMState.STOPPED, 30, "it is off")


def leases(live):
    with live.database.reading() as session:
        return {row.job: row for row in session.scalars(select(DbLeader))}


def test_a_vm_lives_its_life(config, live, someone):
    _user, actor, launch = someone
    vms, monitoring = live.get_vm_service(), live.get_monitoring_service()
    vm = launch("web")

    def state():
        return vms.get_vm(vm.id).state

    with running_worker(config, live) as worker:
        wait_for(lambda: vms.get_vm(vm.id).answered_at, 30, "an answer")
        wait_for(lambda: len(monitoring.get_vm_metrics(vm.id).times) >= 1, 30, "a sample")
        wait_for(lambda: "ZENTRY-READY" in monitoring.get_console(vm.id).text, 30, "its console")
        wait_for(lambda: all(part.ok for part in monitoring.list_service_health()), 30, "health")
        assert {beat.worker for beat in monitoring.list_heartbeats()} == {worker.name}
        vms.stop_vm(vm.id, actor=actor)
        wait_for(lambda: state() == VMState.STOPPED, 30, "the stop")
        vms.start_vm(vm.id, actor=actor)
        wait_for(lambda: state() == VMState.RUNNING, 30, "the start")
        vms.delete_vm(vm.id, "web", actor=actor)
        wait_for(lambda: not vms.count_by_state(None), 30, "the end")
    assert all(check.ok for check in live.get_billing_service().verify())
    assert all(row.lease_until <= live.clock.now() for row in leases(live).values())
    assert list(config.data.glob("*.alive")) == []


def test_two_workers_do_everything_once(config, live, someone):
    _user, _actor, launch = someone
    vms = live.get_vm_service()
    other = build_container(config)
    with running_worker(config, live) as one, running_worker(config, other) as two:
        made = [launch(f"web-{number}") for number in range(8)]
        wait_for(lambda: all(vms.get_vm(vm.id).answered_at for vm in made), 60, "eight answers")
        assert {row.worker for row in leases(live).values()} <= {one.name, two.name}
    other.close()
    with live.database.reading() as session:
        rows = list(session.scalars(select(DbOperation)))
    assert [row.state for row in rows] == [OperationState.SUCCEEDED] * 8
    assert all(row.attempts == 1 for row in rows)
    assert all(check.ok for check in live.get_billing_service().verify())


def test_what_a_killed_worker_held_goes_on_at_once(config, live, someone):
    _user, _actor, launch = someone
    vms, processes = live.get_vm_service(), live.get_monitoring_service().processes
    code = (
        "import sys, pathlib\n"
        "from zentry_web.worker.lifeline import Lifeline\n"
        "line = Lifeline(pathlib.Path(sys.argv[1]), 'dead')\n"
        "print('alive', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(config.data)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"alive\n"
    vm = launch("web")
    assert vms.operations.claim("dead") is not None
    for job in ("reconcile", "bill"):
        assert processes.lead(job, "dead", 3600)
    mine = Lifeline(config.data, "looker")
    assert mine.list_dead() == [], "it lives"
    process.kill()
    process.communicate(timeout=30)
    assert mine.list_dead() == ["dead"]
    mine.cut()
    began = time.monotonic()
    with running_worker(config, live):
        wait_for(lambda: vms.get_vm(vm.id).answered_at, 25, "an answer, long before the lease has run out")
    assert time.monotonic() - began < 29
    assert list(config.data.glob("*.alive")) == []


@pytest.mark.error
def test_a_loop_that_fails_is_told_and_goes_on(config, live, someone, monkeypatch):
    monitoring = live.get_monitoring_service()
    billing = live.get_billing_service()
    renew = billing.runs.renew_holds
    calls = []

    def stumble():
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError("by design")
        return renew()

    monkeypatch.setattr(billing.runs, "renew_holds", stumble)

    def bill():
        return next((beat for beat in monitoring.list_heartbeats() if beat.loop == "bill"), None)

    with running_worker(config, live):
        wait_for(lambda: bill() and "by design" in bill().error, 20, "the failure to be told")
        wait_for(lambda: len(calls) > 3, 20, "the loop to go on")
