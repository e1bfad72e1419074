"""A project's hard cap under launches at once, on PostgreSQL: never more than fit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import sign_up
from tests.services.people import acting
from zentry_web.composition import build_container
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
