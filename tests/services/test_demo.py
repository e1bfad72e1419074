"""Demo data: refused where it would do harm, and whole and true where it is made."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, make_config
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.base import PowerState
from zentry_web.composition import build_container, make_compute
from zentry_web.config import Config
from zentry_web.demo import DemoRefused, seed
from zentry_web.demo.plan import Turn, make_plan
from zentry_web.domain.event import Outcome
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.state import VMState
from zentry_web.services.service_container import ServiceContainer
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.reconcile import Reconciler

NOW = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
START = NOW - timedelta(days=2)
USERS, VMS = 3, 24
HOURS = 3  # of metrics

pytestmark = pytest.mark.integration


def seeded(config: Config) -> str:
    return seed(config, users=USERS, vms=VMS, days=2, seed=7, now=NOW)


@pytest.fixture(scope="module")
def seeded_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with demo data, to be copied, and the summary that was printed."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    return folder, seeded(make_config(folder, metrics_hours=HOURS))


@pytest.fixture
def demo_config(tmp_path: Path, seeded_once: tuple[Path, str]) -> Config:
    """Settings on demo data."""
    shutil.copytree(seeded_once[0], tmp_path / "data")
    return make_config(tmp_path / "data", metrics_hours=HOURS)


@pytest.fixture
def demo(demo_config: Config) -> Iterator[ServiceContainer]:
    """A seeded Zentry, a moment after the demo's end."""
    built = build_container(demo_config, clock=ManualClock(NOW + timedelta(seconds=20)))
    yield built
    built.close()


# -- refusing -----------------------------------------------------------------------------------


@pytest.mark.error
def test_real_hypervisors_get_no_demo_data(tmp_path: Path) -> None:
    with pytest.raises(DemoRefused, match="simulator"):
        seeded(make_config(tmp_path / "data", compute="libvirt"))


@pytest.mark.error
def test_a_database_with_accounts_is_left_alone(sqlite_config: Config) -> None:
    container = build_container(sqlite_config)
    container.get_auth_service().signup({"email": "me@example.com", "name": "Me", "password": PASSWORD})
    container.close()
    with pytest.raises(DemoRefused, match="accounts"):
        seeded(sqlite_config)


@pytest.mark.error
def test_seeding_twice_is_refused(demo_config: Config) -> None:
    with pytest.raises(DemoRefused):
        seeded(demo_config)


@pytest.mark.error
def test_a_running_zentry_is_not_seeded(sqlite_config: Config) -> None:
    container = build_container(sqlite_config)
    container.get_monitoring_service().processes.record_heartbeat("worker-1", "reconcile", 5)
    container.close()
    with pytest.raises(DemoRefused, match="Stop it first"):
        seeded(sqlite_config)


@pytest.mark.error
def test_more_than_the_host_holds_is_refused_before_anything_is_made(sqlite_config: Config) -> None:
    with pytest.raises(DemoRefused, match="no room"):
        seed(sqlite_config, users=1, vms=20_000, days=1, now=NOW)
    container = build_container(sqlite_config)
    assert container.get_user_service().list_users() == []
    container.close()


def test_the_waiting_first_admin_is_no_hindrance_and_becomes_the_demos_admin(sqlite_config: Config) -> None:
    container = build_container(sqlite_config)
    container.get_auth_service().ensure_first_admin_link()
    assert "admin@example.com" in seed(sqlite_config, users=1, vms=0, days=1, now=NOW)
    assert container.get_auth_service().ensure_first_admin_link() is None
    container.close()


# -- what is made -------------------------------------------------------------------------------


def test_everybody_can_sign_in_with_the_password_printed(demo: ServiceContainer, seeded_once: tuple[Path, str]) -> None:
    summary = seeded_once[1]
    password = summary.rpartition(" ")[2]
    for email in ("alice@example.com", "admin@example.com"):
        assert email in summary
        assert demo.get_auth_service().login({"email": email, "password": password}).user.email == email


@pytest.mark.real
def test_seeding_works_on_both_databases(config: Config) -> None:
    assert "2 people" in seed(config, users=2, vms=8, days=1, now=NOW)


def test_the_machines_number_and_variety_are_as_asked_for(demo: ServiceContainer) -> None:
    counts = demo.get_vm_service().count_by_state(None)
    assert sum(counts.values()) == VMS
    assert set(counts) == {VMState.RUNNING, VMState.STOPPED}
    attention = [vm for row in demo.get_user_service().list_users() for vm in _attention(demo, row.user.id)]
    assert [vm.state for vm in attention] == [VMState.STOPPED]  # one was powered off behind Zentry's back


def _attention(demo: ServiceContainer, user_id: str) -> list:
    return list(demo.get_user_service().get_dashboard(user_id).attention)


def test_the_ledger_is_right_and_everybody_can_pay_for_days(demo: ServiceContainer) -> None:
    billing = demo.get_billing_service()
    assert [check.id for check in billing.verify() if not check.ok] == []
    assert sum(billing.books.ledger.get_system_balances().values()) == 0
    for row in demo.get_user_service().list_users():
        balance = billing.get_balance(row.user.id)
        assert balance.runs_out_at is None or balance.runs_out_at > NOW + timedelta(days=10)


def test_the_worker_that_starts_afterwards_finds_nothing_to_put_right(
    demo_config: Config, demo: ServiceContainer
) -> None:
    before = demo.get_user_service().latest_seq()
    driver = make_compute(demo_config, clock=demo.clock)
    vms = demo.get_vm_service()
    machines = {machine.vm_id: machine for machine in driver.machines()}
    for vm in vms.sightings.list_known():
        machine = machines.pop(vm.vm_id)
        assert machine.run_id == vm.run_id
        assert (machine.power == PowerState.RUNNING) == (vm.state == VMState.RUNNING)
        assert vm.answered == (vm.state == VMState.RUNNING)
    assert machines == {}
    Reconciler(vms, demo.get_monitoring_service(), driver, MachineEvents(), demo.clock).run()
    driver.close()
    assert demo.get_user_service().latest_seq() == before
    assert demo.get_billing_service().runs.settle(NOW) == 0  # all that was due is charged
    assert demo.get_billing_service().runs.renew_holds() == []


def test_metrics_reach_back_as_far_as_they_are_kept_and_up_to_now(demo: ServiceContainer) -> None:
    monitoring = demo.get_monitoring_service()
    running = demo.get_vm_service().list_vms(wanted=VMFilter(state=VMState.RUNNING))
    oldest = running.vms[-1]
    series = monitoring.get_vm_metrics(oldest.id, start=NOW - timedelta(hours=HOURS), end=NOW)
    begun = max(NOW - timedelta(hours=HOURS), oldest.started_at or NOW)
    assert abs(series.times[0] - begun.timestamp()) < 600
    assert NOW.timestamp() - series.times[-1] < series.step_seconds
    assert len(monitoring.get_latest([vm.id for vm in running.vms])) == len(running.vms)


def test_activity_tells_of_sign_ins_credits_and_every_kind_of_change(demo: ServiceContainer) -> None:
    events = demo.get_user_service().search_audit(limit=2000)
    actions = {event.action for event in events}
    assert {"auth.signup", "auth.login", "credits.add", "project.create"} <= actions
    assert {"vm.create", "vm.stop", "vm.start", "vm.delete", "vm.off_seen", "vm.answered"} <= actions
    assert any(event.action == "auth.login" and event.outcome == Outcome.REFUSED for event in events)
    assert all(START - timedelta(minutes=1) <= event.at <= NOW for event in events)


# -- the plan -----------------------------------------------------------------------------------


@pytest.mark.unit
def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    first, again, other = (make_plan(users=4, vms=50, start=START, end=NOW, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.unit
@pytest.mark.parametrize(("users", "vms"), [(1, 0), (1, 1), (5, 40), (60, 300)])
def test_a_plan_fits_its_numbers_and_its_time(users: int, vms: int) -> None:
    plan = make_plan(users=users, vms=vms, start=START, end=NOW, seed=3)
    assert len({person.email for person in plan.people}) == users
    assert sum(life.is_kept for life in plan.lives) == vms
    names = [(life.project, life.name) for life in plan.lives]
    assert len(set(names)) == len(names)
    for life in plan.lives:
        moments = [life.launched, *(at for at, _ in life.changes), NOW]
        assert moments == sorted(moments)
        assert plan.start < life.launched
        assert [change for _, change in life.changes][:1] != [Turn.START]
