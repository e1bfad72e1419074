"""The budget of a project: on its page, as a form, and in the way of a launch and a start."""

import pytest

from tests.page import Page
from tests.services.people import acting, join
from zentry_web.domain.projects.project import ProjectRole

pytestmark = pytest.mark.integration

FORM = {"amount": "2,5", "alerts": "50, 80 %", "hard_cap": "y"}


@pytest.fixture
def url(project):
    return f"/projects/{project.id}/budget"


def cap(cloud, project, micro):
    cloud.billing.budgets.set_budget(project.id, micro, (), hard_cap=True)


@pytest.mark.parametrize("htmx", [False, True])
def test_it_is_set_shown_and_removed(as_alice, cloud, project, url, htmx):
    assert "Budget none" in as_alice.page(f"/projects/{project.id}").text()
    assert "This project has none" in as_alice.page(f"/projects/{project.id}/spend").text()
    assert as_alice.page(url, htmx=htmx).one("//input[@name='alerts']").get("value") == "50, 80, 100"
    answer = as_alice.post(url, FORM, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    budget = cloud.billing.budgets.get_status(project.id).budget
    assert (budget.amount_micro, budget.alerts, budget.hard_cap) == (2_500_000, (50, 80), True)
    page = as_alice.page(f"/projects/{project.id}")
    assert "The budget is set" in page.text()
    for words in ("2.50", "50, 80 %", "refused", "0 %"):
        assert words in "".join(page.one("//*[@id='budget']").itertext())
    form = as_alice.page(url, htmx=htmx)
    values = [form.one(f"//input[@name='{name}']").get("value") for name in ("amount", "alerts")]
    assert values == ["2.50", "50, 80"]
    assert form.one("//input[@name='hard_cap']").get("checked") is not None
    as_alice.post(url, {"amount": "", "alerts": ""}, htmx=htmx)
    assert cloud.billing.budgets.get_status(project.id) is None
    assert "has no budget" in as_alice.page(f"/projects/{project.id}").text()


def test_a_thousand_credits_stay_a_thousand(as_alice, cloud, project, url):
    cap(cloud, project, 1_234_500_000)
    assert as_alice.page(url).one("//input[@name='amount']").get("value") == "1234.50"


@pytest.mark.error
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"), ({"amount": "-1"}, "amount"), ({"amount": "much"}, "amount"),
        ({"alerts": "half"}, "alerts"), ({"alerts": "0"}, "alerts"), ({"alerts": "1 2 3 4 5 6 7 8 9 10 11"}, "alerts"),
        ({"alerts": "9" * 200}, "alerts"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("htmx", [False, True])
def test_a_bad_form_says_so_and_keeps_what_was_typed(as_alice, cloud, project, url, changes, field, htmx):
    answer = as_alice.post(url, FORM | changes, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    for name in ("amount", "alerts"):
        assert page.one(f"//input[@name='{name}']").get("value") == (FORM | changes)[name]
    assert cloud.billing.budgets.get_status(project.id) is None


@pytest.mark.error
@pytest.mark.parametrize("htmx", [False, True])
def test_a_launch_over_the_cap_is_refused_and_the_form_kept(as_alice, cloud, alice, project, htmx):
    cap(cloud, project, 4_000)
    data = {
        "name": "over", "project_id": project.id, "size_id": "size_nano", "image_id": "img_tiny", "idempotency_key": "k"
    }  # fmt: skip
    answer = as_alice.post("/vms/new", data, htmx=htmx)
    assert answer.status_code == 409
    page = Page(answer.text, fragment=htmx)
    for words in ("budget of project Website", "0.004 credits a month", "0.00 are spent", "0.005"):
        assert words in page.text()
    assert page.one("//input[@name='name']").get("value") == "over"
    assert page.find(f"//a[@href='/projects/{project.id}/budget']")
    assert cloud.wallet(alice) == 5_000_000
    cap(cloud, project, 5_000)
    assert as_alice.post("/vms/new", data, htmx=htmx).status_code == (204 if htmx else 303)


@pytest.mark.error
@pytest.mark.parametrize("htmx", [False, True])
def test_a_start_over_the_cap_is_refused_with_the_way_out(as_alice, cloud, alice, project, machine, htmx):
    cloud.vms.force_off_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    cap(cloud, project, 5_000)
    answer = as_alice.post(f"/vms/{machine.id}/start", htmx=htmx)
    assert answer.status_code == 409
    assert "budget of project Website" in answer.text
    assert f"/projects/{project.id}/budget" in answer.text


@pytest.mark.error
@pytest.mark.parametrize("htmx", [False, True])
def test_who_may_not_change_it_is_told_whom_to_ask(
    as_charlie, container, cloud, alice, bob, charlie, project, machine, htmx
):
    join(container, project, charlie, ProjectRole.MEMBER)
    join(container, project, bob, ProjectRole.ADMIN)
    cloud.vms.force_off_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    cap(cloud, project, 5_000)
    data = {
        "name": "over", "project_id": project.id, "size_id": "size_nano", "image_id": "img_tiny", "idempotency_key": "k"
    }  # fmt: skip
    addresses = {"/vms/new": data, f"/vms/{machine.id}/start": {}}
    answers = [as_charlie.post(address, fields, htmx=htmx) for address, fields in addresses.items()]
    for answer in answers:
        assert answer.status_code == 409
        assert "Ask Alice or Bob to raise the budget, or stop something." in answer.text
        assert f"/projects/{project.id}/budget" not in answer.text


def test_a_percentage_reached_is_among_the_notices(as_alice, cloud, alice, project, machine):
    cloud.billing.budgets.set_budget(project.id, 1, (100,), hard_cap=False)
    cloud.round(60)
    cloud.land()
    text = as_alice.page("/account/notices").text()
    assert "Website: 100 % of this month's budget is spent" in text
    page = as_alice.page(f"/projects/{project.id}")
    assert "over" in "".join(page.one("//*[@id='budget']").itertext())
