"""Budgets on both databases: hard caps on launch and start, alerts once, months in the account's zone."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.people import Statements, acting, events_of
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import BudgetExceededError, NotFoundError, ValidationError
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration

NANO, SMALL = 5_000, 50_000  # micro-credits per hour
ALERTS = (50, 80, 100)


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def budgets(cloud):
    return cloud.billing.budgets


def put(budgets, project, micro, alerts=ALERTS, *, cap=False, actor=None):
    who = {"actor": actor} if actor else {}
    budgets.set_budget(project.id, micro, alerts, hard_cap=cap, **who)


def told(cloud, user):
    notices = reversed(cloud.billing.notices.list_notices(user.id, limit=200))
    return [int(notice.title.split(" %")[0].split()[-1]) for notice in notices if notice.kind == "budget"]


def pass_hours(cloud, hours, *, minutes_each=20):
    for _ in range(int(hours * 60 / minutes_each)):
        cloud.round(minutes_each * 60)
        cloud.land()


# -- setting ------------------------------------------------------------------------------------


def test_a_budget_is_set_changed_and_removed(cloud, core, budgets, alice, project):
    assert budgets.get_status(project.id, actor=acting(alice)) is None
    put(budgets, project, 1_000_000, (80, 50, 80), actor=acting(alice))
    status = budgets.get_status(project.id, actor=acting(alice))
    assert (status.budget.amount_micro, status.budget.alerts, status.budget.hard_cap) == (1_000_000, (50, 80), False)
    put(budgets, project, 2_000_000, (), cap=True, actor=acting(alice))
    status = budgets.get_status(project.id, actor=acting(alice))
    assert (status.budget.amount_micro, status.budget.alerts, status.budget.hard_cap) == (2_000_000, (), True)
    for _ in range(2):
        budgets.remove_budget(project.id, actor=acting(alice))
    assert budgets.get_status(project.id, actor=acting(alice)) is None
    assert [event.details["amount"] for event in events_of(core, "project.budget")] == [1_000_000, 2_000_000]
    assert len(events_of(core, "project.budget_removed")) == 1


@pytest.mark.error
@pytest.mark.parametrize(
    ("amount", "alerts", "field"),
    [(0, (), "amount_micro"), (-1, (), "amount_micro"), (1.5, (), "amount_micro"), (10**16, (), "amount_micro"),
     (1, (0,), "alerts"), (1, (1001,), "alerts"), (1, range(1, 12), "alerts")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(budgets, project, amount, alerts, field):
    with pytest.raises(ValidationError) as refused:
        put(budgets, project, amount, alerts)
    assert set(refused.value.details) == {field}


@pytest.mark.error
def test_strangers_find_nothing(budgets, project, charlie):
    for call in (
        lambda: budgets.get_status(project.id, actor=acting(charlie)),
        lambda: put(budgets, project, 1, actor=acting(charlie)),
        lambda: budgets.remove_budget(project.id, actor=acting(charlie)),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_spent_and_projected_are_to_the_second(cloud, budgets, alice, project):
    put(budgets, project, 1_000_000)
    cloud.launch(alice, project, size="size_small")
    cloud.round(2 * 3600)
    status = budgets.get_status(project.id)
    assert status.spent_micro == cloud.billing.reports.project_month_spend(project.id) > 2 * SMALL
    assert status.rate_micro_per_hour == SMALL
    hours = (datetime(2026, 12, 1, tzinfo=UTC) - cloud.clock.now()) / timedelta(hours=1)
    assert status.projected_micro == pytest.approx(status.spent_micro + SMALL * hours, abs=2)


def test_a_deleted_project_has_no_budget_left(cloud, budgets, alice, project):
    put(budgets, project, 1_000_000)
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.clock.advance(7200)
    assert budgets.tell() == 0
    with pytest.raises(NotFoundError):
        budgets.get_status(project.id)


# -- the hard cap -------------------------------------------------------------------------------


def test_a_launch_that_would_pass_the_cap_is_refused_whole(cloud, budgets, alice, project):
    put(budgets, project, 2 * NANO, cap=True)
    cloud.launch(alice, project, "one")
    wallet, held = cloud.wallet(alice), cloud.held(alice)
    with pytest.raises(BudgetExceededError) as refused:
        cloud.ask(alice, project, "two", idempotency_key="again")
    details = refused.value.details
    assert (details["budget"], details["ahead"], details["project_id"]) == (2 * NANO, 2 * NANO, project.id)
    assert details["spent"] == budgets.get_status(project.id).spent_micro > 0
    for words in ("project main", "0.01 credits a month", "60 minutes of what runs", "Raise the budget"):
        assert words in refused.value.message
    assert (cloud.wallet(alice), cloud.held(alice)) == (wallet, held)
    assert cloud.vms.count_by_state(alice.id) == {VMState.RUNNING: 1}
    put(budgets, project, 3 * NANO, cap=True)
    vm = cloud.ask(alice, project, "two", idempotency_key="again")
    put(budgets, project, NANO, cap=True)
    assert cloud.ask(alice, project, "two", idempotency_key="again").id == vm.id  # accepted before: the same answer
    cloud.assert_sound()


def test_what_is_accepted_and_does_not_run_yet_counts(cloud, budgets, alice, project):
    put(budgets, project, 2 * NANO, cap=True)
    for name in ("one", "two"):
        cloud.ask(alice, project, name)
    with pytest.raises(BudgetExceededError):
        cloud.ask(alice, project, "three")


def test_another_project_and_a_budget_without_a_cap_refuse_nothing(cloud, budgets, alice, project):
    put(budgets, project, 1, cap=True)
    other = cloud.project(alice, "other")
    cloud.launch(alice, other)
    put(budgets, project, 1)
    cloud.launch(alice, project)


def test_a_start_that_would_pass_the_cap_is_refused(cloud, budgets, alice, project):
    vm = cloud.launch(alice, project)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    put(budgets, project, NANO, cap=True)
    with pytest.raises(BudgetExceededError):
        cloud.vms.start_vm(vm.id, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.hold(vm) is None
    put(budgets, project, 2 * NANO, cap=True)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING


def test_a_resize_that_would_pass_the_cap_is_refused(cloud, budgets, alice, project):
    vm = cloud.row(cloud.launch(alice, project))
    put(budgets, project, 2 * NANO, cap=True)
    budgets.require_room(vm, NANO)
    held = cloud.held(alice)
    with pytest.raises(BudgetExceededError):
        cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    assert (cloud.held(alice), cloud.vm(vm).state) == (held, VMState.RUNNING)
    put(budgets, project, 2 * SMALL, cap=True)
    cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))


def test_a_larger_disk_of_a_stopped_machine_asks_the_cap_too(cloud, budgets, alice, project):
    vm = cloud.launch(alice, project)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    spent = cloud.billing.reports.project_month_spend(project.id)
    put(budgets, project, spent, cap=True)
    with pytest.raises(BudgetExceededError):
        cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    put(budgets, project, 2 * SMALL, cap=True)
    cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))


def test_what_runs_goes_on_past_the_cap(cloud, budgets, alice, project):
    vm = cloud.launch(alice, project)
    put(budgets, project, NANO, cap=True)
    pass_hours(cloud, 3)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert budgets.get_status(project.id).spent_micro > 3 * NANO
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    cloud.assert_sound()


def test_what_credits_stopped_starts_again_whatever_the_cap(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 55_000)
    vm = cloud.launch(alice, project, size="size_small")
    while cloud.vm(vm).state != VMState.STOPPED:
        cloud.round(cloud.stride(vm, 20))
        cloud.land()
    put(budgets, project, 1, cap=True)
    cloud.set_wallet(alice, 1_000_000)
    cloud.land()
    assert cloud.vm(vm).state == VMState.RUNNING


def test_the_cap_is_of_a_month_in_the_accounts_zone(cloud, container, budgets, alice, project):
    wanted = {"name": "Alice", "time_zone": "Asia/Kolkata"}
    container.get_auth_service().update_profile(alice.id, wanted, actor=acting(alice))
    cloud.set_wallet(alice, 500_000_000)
    vm = cloud.launch(alice, project)
    put(budgets, project, 10 * NANO, cap=True)
    midnight = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)  # in Kolkata
    cloud.clock.set(midnight - timedelta(minutes=10))
    cloud.round(3)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    with pytest.raises(BudgetExceededError):
        cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.clock.set(midnight + timedelta(seconds=1))
    cloud.round(3)
    assert budgets.get_status(project.id).month == "2026-12"
    cloud.vms.start_vm(vm.id, actor=acting(alice))


def test_judging_a_start_takes_a_constant_number_of_queries(cloud, core, budgets, alice, project):
    put(budgets, project, 10**9, cap=True)
    counts = []
    for number in range(4):
        vm = cloud.row(cloud.launch(alice, project, f"web-{number}"))
        with core.database.reading(), Statements(core.database) as seen:
            budgets.require_room(vm, NANO)
        counts.append(len([each for each in seen.texts if each.lstrip().upper().startswith("SELECT")]))
    assert set(counts) == {3}


# -- alerts -------------------------------------------------------------------------------------


def test_each_percentage_is_told_once_a_month(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 500_000_000)
    cloud.launch(alice, project, size="size_small")
    put(budgets, project, 4 * SMALL)
    pass_hours(cloud, 1.5)
    assert told(cloud, alice) == []
    pass_hours(cloud, 4.5)
    assert told(cloud, alice) == [50, 80, 100]
    pass_hours(cloud, 3)
    assert told(cloud, alice) == [50, 80, 100]
    cloud.clock.set(datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC))
    pass_hours(cloud, 6)
    assert told(cloud, alice) == [50, 80, 100] * 2
    notice = cloud.billing.notices.list_notices(alice.id)[0]
    assert path_of(notice.target) == f"/projects/{project.id}"
    assert "of 0.20 credits are spent" in notice.body
    cloud.assert_sound()


def test_an_alert_comes_in_the_round_after_its_second(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 500_000_000)
    cloud.launch(alice, project, size="size_small")
    put(budgets, project, SMALL // 10, (100,))
    while budgets.get_status(project.id).percent < 97:
        cloud.round(9)
        cloud.land()
    while budgets.get_status(project.id).percent < 100:
        assert told(cloud, alice) == []
        cloud.round(3)
        cloud.land()
    cloud.round(3)
    cloud.land()
    assert told(cloud, alice) == [100]


def test_several_passed_at_once_are_one_notice(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 500_000_000)
    cloud.launch(alice, project, size="size_small")
    pass_hours(cloud, 2)
    put(budgets, project, 2 * SMALL + SMALL // 3)
    cloud.land()
    cloud.land()
    assert told(cloud, alice) == [80]


def test_after_raising_the_amount_it_is_told_of_the_new_one(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 500_000_000)
    cloud.launch(alice, project, size="size_small")
    put(budgets, project, 2 * SMALL)
    pass_hours(cloud, 3)
    assert told(cloud, alice)[-1] == 100
    before = len(told(cloud, alice))
    put(budgets, project, 10 * SMALL)
    cloud.land()
    assert len(told(cloud, alice)) == before
    pass_hours(cloud, 8)
    assert told(cloud, alice)[before:] == [50, 80, 100]
    put(budgets, project, 2 * SMALL)
    put(budgets, project, 10 * SMALL)
    cloud.land()
    assert len(told(cloud, alice)) == before + 3


def test_the_worker_looks_only_at_what_changed(cloud, core, budgets, alice, project):
    projects = [cloud.project(alice, f"p{number}") for number in range(30)]
    for each in projects:
        put(budgets, each, 1_000_000)
    cloud.land()
    with Statements(core.database) as idle:
        budgets.tell()
    assert len([each for each in idle.texts if "project_budget" in each]) == 1
    assert not [each for each in idle.texts if "usage_interval" in each]
    for each in projects[:1]:
        cloud.launch(alice, each)
    counts = []
    for count in (1, 30):
        for each in projects[:count]:
            put(budgets, each, 1_000_000 + count)
        with Statements(core.database) as busy:
            budgets.tell()
        counts.append(len([each for each in busy.texts if each.lstrip().upper().startswith("SELECT")]))
    assert counts[0] == counts[1]


def test_a_start_makes_the_worker_look_at_once(cloud, budgets, alice, project):
    cloud.set_wallet(alice, 500_000_000)
    put(budgets, project, 3_000, (1,))
    cloud.land()
    cloud.launch(alice, project, size="size_large")  # a second of it is more than that
    cloud.round(3)
    cloud.land()
    assert told(cloud, alice) == [1]
