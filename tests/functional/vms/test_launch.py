"""/vms/new: the form, the price that moves, the launch."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2mZ6rVjmbrtLQXwFYCPX4CDJcCkI8Ly8mSkMjO6CrH alice@laptop"


def filled(page, **changes):
    """The launch form as the browser would send it, with some fields changed."""
    values = {field.get("name"): field.get("value") or "" for field in page.find("//main//input[@type='hidden']")}
    values |= {field.get("name"): field.get("value") for field in page.find("//main//input[@type='radio'][@checked]")}
    values["project_id"] = page.find("//select[@name='project_id']/option")[0].get("value")
    values |= {"name": "web-1", "ssh_key": "", "user_data": ""} | changes
    values.pop("csrf_token")
    return values


@pytest.fixture
def form(as_alice, project):
    return as_alice.page("/vms/new")


def test_the_form_offers_what_is_on_offer_and_says_its_price(form):
    sizes = [field.get("value") for field in form.find("//input[@name='size_id']")]
    assert sizes == ["size_nano", "size_micro", "size_small", "size_medium", "size_large"]
    assert "Launch for 0.005 per hour" in form.text()


def test_without_a_project_the_form_leads_to_one(as_charlie):
    page = as_charlie.page("/vms/new")
    assert "Begin with a project" in page.text()
    assert not page.find("//input[@name='size_id']")


@pytest.mark.parametrize("htmx", [False, True])
def test_a_launch_answers_at_once_with_the_machine_s_page(as_alice, form, htmx):
    answer = as_alice.post("/vms/new", filled(form, ssh_key=KEY, user_data="#!/bin/sh\necho hello"), htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    url = answer.headers["HX-Redirect" if htmx else "Location"]
    page = as_alice.page(url)
    assert "Creating" in page.text()
    assert [step.get("class") for step in page.find("//ol/li")[:0]] == []
    assert "Queued" in page.text()


def test_a_double_click_launches_one_machine(as_alice, form):
    once = as_alice.post("/vms/new", filled(form))
    again = as_alice.post("/vms/new", filled(form))
    assert once.headers["Location"] == again.headers["Location"]
    assert len(as_alice.page("/vms").find("//tbody/tr")) == 1


def test_the_same_form_for_another_machine_is_refused(as_alice, form):
    as_alice.post("/vms/new", filled(form))
    answer = as_alice.post("/vms/new", filled(form, name="web-2"))
    assert answer.status_code == 409
    assert "already used" in answer.text


@pytest.mark.asvs("2.2.1")
@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "Not a name!"), ("ssh_key", "rubbish"), ("user_data", "no shebang"),
        ("size_id", "size_gone"), ("image_id", "img_gone"), ("project_id", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(as_alice, form, field, value, htmx):
    answer = as_alice.post("/vms/new", filled(form, **{field: value}), htmx=htmx)
    assert answer.status_code == 400, answer.text
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    if field in ("ssh_key", "user_data"):
        assert page.one(f"//textarea[@id='{field}']").text.strip() == value
    assert not as_alice.page("/vms").find("//tbody/tr")


def test_a_name_that_is_taken_is_refused(as_alice, form, machine):
    answer = as_alice.post("/vms/new", filled(form))
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"name"}


@pytest.mark.parametrize("htmx", [False, True])
def test_too_little_credit_says_how_much_is_missing(as_alice, form, cloud, alice, htmx):
    cloud.set_wallet(alice, 1_000)
    answer = as_alice.post("/vms/new", filled(form), htmx=htmx)
    assert answer.status_code == 400
    assert "0.004 more" in Page(answer.text, fragment=htmx).text()
    assert cloud.held(alice) == 0
    assert not as_alice.page("/vms").find("//tbody/tr")


def test_somebody_else_s_project_is_not_there(as_charlie, as_alice, form, cloud, charlie):
    cloud.project(charlie, "Other")
    answer = as_charlie.post("/vms/new", filled(form))
    assert answer.status_code == 404


def test_the_price_moves_with_the_size(as_alice, project):
    page = as_alice.page(f"/vms/new/quote?project_id={project.id}&size_id=size_large", htmx=True)
    assert "Launch for 0.20 per hour" in page.text()
    assert "146.00" in page.text()


def test_the_price_says_what_is_missing(as_alice, cloud, alice, project):
    cloud.set_wallet(alice, 100_000)
    assert (
        "Not enough credits"
        in as_alice.page(f"/vms/new/quote?project_id={project.id}&size_id=size_large", htmx=True).text()
    )


def test_a_size_that_is_gone_has_no_price(as_alice, project):
    assert as_alice.get(f"/vms/new/quote?project_id={project.id}&size_id=size_gone", htmx=True).status_code == 404


def test_a_project_s_launch_button_chooses_it(as_alice, cloud, alice, project):
    other = cloud.project(alice, "Another")
    page = as_alice.page(f"/vms/new?project={project.id}")
    assert page.one("//select[@name='project_id']/option[@selected]").get("value") == project.id
    assert other.id in page.html


@pytest.mark.parametrize("htmx", [False, True])
def test_labels_are_given_at_launch_and_kept_when_they_cannot_be(as_alice, cloud, project, htmx):
    form = {"name": "web-7", "project_id": project.id, "size_id": "size_nano", "image_id": "img_tiny"}
    answer = as_alice.post("/vms/new", form | {"labels": "two words"}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"labels"}
    assert page.one("//input[@name='labels']").get("value") == "two words"
    answer = as_alice.post("/vms/new", form | {"labels": "env=prod, web"}, htmx=htmx)
    (vm,) = cloud.vms.list_vms(None).vms
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{vm.id}"
    assert [label.text for label in cloud.vms.labels.get(vm.id)] == ["env=prod", "web"]
    assert "Changed the labels of web-7" in as_alice.page(f"/vms/{vm.id}/activity").text()
