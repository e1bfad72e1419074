"""A project's hard cap under launches at once, on PostgreSQL: never more than fit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import sign_up
from tests.services.people import acting
from zentry_web.composition import build_container
from zentry_web.models import DbUsageMonth
from zentry_web.services.errors import BudgetExceededError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

THREADS = 16
NANO = 5_000
FIT = 5


@pytest.fixture
def container(postgres_config, clock):
    built = build_container(postgres_config, clock=clock)
    yield built
    built.close()


@pytest.mark.asvs("2.3.4")
def test_launches_at_once_do_not_pass_the_cap(container):
    alice = sign_up(container, "alice")
    project = container.get_project_service().create_project({"name": "main"}, alice, actor=acting(alice))
    billing, vms = container.get_billing_service(), container.get_vm_service()
    billing.budgets.set_budget(project.id, FIT * NANO, (), hard_cap=True, actor=acting(alice))
    barrier = threading.Barrier(THREADS)

    def launch(number):
        data = {
            "project_id": project.id, "name": f"web-{number}", "size_id": "size_nano", "image_id": "img_tiny"
        }  # fmt: skip
        barrier.wait()
        try:
            return vms.create_vm(data, alice, actor=acting(alice))
        except BudgetExceededError as refused:
            return refused.error_code

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(launch, range(THREADS)))
    assert results.count("BUDGET_EXCEEDED") == THREADS - FIT
    assert vms.count_by_state(alice.id) == {"creating": FIT}
    assert billing.get_balance(alice.id).held_micro == FIT * NANO
    assert not [check for check in billing.verify() if not check.ok]


def test_workers_and_changes_at_once_tell_each_project_once(container, clock):
    alice = sign_up(container, "alice")
    projects, billing = container.get_project_service(), container.get_billing_service()
    made = [projects.create_project({"name": f"p{n}"}, alice, actor=acting(alice)).id for n in range(30)]
    for project_id in made:
        billing.budgets.set_budget(project_id, 1_000, (50, 80), hard_cap=False, actor=acting(alice))
    with billing.transaction() as session:
        for number, project_id in enumerate(made):
            session.add(
                DbUsageMonth(
                    vm_id=f"vm_{number}", month="2026-11", state="running", owner_id=alice.id, project_id=project_id,
                    seconds=1, amount=900,
                )
            )  # fmt: skip
    barrier = threading.Barrier(6)

    def tell():
        barrier.wait()
        return billing.budgets.tell()

    def touch():
        barrier.wait()
        for project_id in reversed(made):
            billing.budgets.set_budget(project_id, 1_000, (50, 80), hard_cap=False, actor=acting(alice))
        return 0

    with ThreadPoolExecutor(6) as pool:
        told = [pool.submit(job) for job in [tell] * 4 + [touch] * 2]
        total = sum(each.result() for each in told)
    clock.advance(1)
    assert total + billing.budgets.tell() == len(made)
    kinds = [notice.kind for notice in billing.notices.list_notices(alice.id, limit=200)]
    assert kinds.count("budget") == len(made)
    clock.advance(7200)
    assert billing.budgets.tell() == 0
