"""A project's budget under launches, changes and a handover at once, on PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.conftest import sign_up
from tests.services.people import acting, join
from zentry_web.composition import build_container
from zentry_web.models import DbProjectMonth
from zentry_web.services.errors import BudgetExceededError, HandedOverError

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
        for project_id in made:
            session.add(DbProjectMonth(owner_id=alice.id, month="2026-11", project_id=project_id, amount=900))
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


def test_a_budget_is_not_set_on_the_wallet_of_who_paid_before(postgres_config, clock):
    answers, begun = [], threading.Event()

    def change():
        begun.set()
        try:
            billing.budgets.set_budget(project.id, 1_000, (), hard_cap=True, actor=acting(alice))
            answers.append("set")
        except HandedOverError:
            answers.append("refused")

    late = threading.Thread(target=change)

    def checkpoint(name):
        if name == "ownership.moved":  # it reads who pays, and waits for the lock that the handover holds
            late.start()
            begun.wait()
            late.join(1)
            assert late.is_alive()

    with closing(build_container(postgres_config, clock=clock, checkpoint=checkpoint)) as built:
        alice, bob = sign_up(built, "alice"), sign_up(built, "bob")
        billing, projects = built.get_billing_service(), built.get_project_service()
        project = projects.create_project({"name": "main"}, alice, actor=acting(alice))
        join(built, project, bob, "member")
        projects.ownership.offer(project.id, bob.id, actor=acting(alice))
        projects.ownership.accept(project.id, actor=acting(bob))
        late.join(30)
        assert answers == ["refused"]
        assert billing.budgets.get_status(project.id) is None
