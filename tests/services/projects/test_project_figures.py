"""A project's figures: exact, and in a constant number of statements."""

from datetime import timedelta

import pytest

from tests.services.people import Statements, acting, launch
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


def figures(cloud, user, project):
    return cloud.projects.get_project_statistics(project.id, actor=acting(user))


def measure(cloud, user, vm, cpu):
    data = {"cpu_percent": cpu, "memory_total_bytes": 2**27}
    cloud.monitoring.record_vm_metrics(vm.id, data, user.id)


def test_spend_of_today_this_month_and_to_its_end(cloud, alice, project):
    cloud.set_wallet(alice, 100_000_000)
    vm = cloud.launch(alice, project)
    other = cloud.launch(alice, cloud.project(alice, "other"))
    for _ in range(40):  # the clock began at 10:00: the next day is reached
        cloud.round(3_600)
    spend = figures(cloud, alice, project).spend
    now = cloud.clock.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    charged = cloud.charges(vm)
    before = sum(row.amount for row in charged if row.from_at < midnight)
    assert 0 < spend.today_micro == spend.month_micro - before
    assert spend.month_micro >= sum(row.amount for row in charged)
    assert spend.rate_micro_per_hour == 5_000
    assert spend.month_ends_at == now.replace(month=12, day=1, hour=0, minute=0, second=0, microsecond=0)
    left = (spend.month_ends_at - now) // timedelta(seconds=1)
    assert abs(spend.projected_micro - spend.month_micro - 5_000 * left // 3_600) <= 1
    assert spend.month_micro == cloud.billing.reports.project_month_spend(project.id)
    assert cloud.vm(other).state == VMState.RUNNING


def test_days_are_those_of_the_owner(cloud, alice, project):
    cloud.container.get_auth_service().update_profile(alice.id, {"name": "Alice", "time_zone": "Pacific/Kiritimati"})
    cloud.launch(alice, project)
    cloud.round(1_800)  # 10:30 UTC is 00:30 of the next day there
    spend = figures(cloud, alice, project).spend
    assert 0 < spend.today_micro == spend.month_micro


def test_what_was_moved_away_stays_spent_here(cloud, alice, project):
    other = cloud.project(alice, "other")
    vm = cloud.launch(alice, project)
    cloud.round(1_800)
    cloud.vms.moving.move(vm.id, other.id, actor=acting(alice))
    cloud.round(600)
    here, there = figures(cloud, alice, project).spend, figures(cloud, alice, other).spend
    assert (here.rate_micro_per_hour, there.rate_micro_per_hour) == (0, 5_000)
    assert here.today_micro == here.month_micro == here.projected_micro
    assert abs(here.today_micro - 2_500) < 30
    assert abs(there.today_micro - 5_000 * 600 // 3_600) < 30


def test_the_busiest_that_run_are_named(cloud, alice, project):
    vms = [cloud.launch(alice, project, f"vm{number}", answered=False) for number in range(7)]
    elsewhere = cloud.launch(alice, cloud.project(alice, "other"), "elsewhere")
    for number, vm in enumerate(vms):
        measure(cloud, alice, vm, 10.0 * number)
    measure(cloud, alice, elsewhere, 99.0)
    found = figures(cloud, alice, project).busiest
    assert [(busy.name, busy.cpu_percent) for busy in found] == [
        ("vm6", 60.0), ("vm5", 50.0), ("vm4", 40.0), ("vm3", 30.0), ("vm2", 20.0),
    ]  # fmt: skip


def test_fifty_machines_take_as_many_statements_as_one(container, cloud, alice, project):
    cloud.set_wallet(alice, 100_000_000)

    def statements():
        with Statements(container.database, container.metrics_database) as counted:
            assert figures(cloud, alice, project).vm_count
        return len([text for text in counted.texts if "SELECT" in text])

    measure(cloud, alice, launch(container, alice, project, "vm"), 5.0)
    before = statements()
    for number in range(49):
        measure(cloud, alice, launch(container, alice, project, f"vm{number}"), 50.0)
    assert statements() == before <= 8
