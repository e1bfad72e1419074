"""/vms/new: the form, the price that moves, the launch."""

import pytest
from sqlalchemy import update

from tests.page import Page
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbImage

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


@pytest.mark.parametrize("htmx", [False, True])
def test_another_size_than_the_price_was_shown_of_asks_again(as_alice, form, htmx):
    """Without script, or by a quick click, the form still holds the price of the size before."""
    sent = filled(form, size_id="size_large", labels="env=prod", ssh_key=KEY)
    answer = as_alice.post("/vms/new", sent, htmx=htmx)
    assert answer.status_code == 409
    page = Page(answer.text, fragment=htmx)
    assert "large comes at another price than this page showed" in page.text()
    assert "Now: 0.20 credits per hour running, 0.008 stopped." in page.text()
    assert "Shown before: 0.005 credits per hour running, 0.0001 stopped." in page.text()
    assert "Launch for 0.20 per hour" in page.text()
    assert not as_alice.page("/vms").find("//tbody/tr")
    kept = {name: page.one(f"//input[@name='{name}']").get("value") for name in ("name", "labels", "idempotency_key")}
    assert kept == {name: sent[name] for name in kept}
    assert page.one("//input[@name='size_id'][@checked]").get("value") == "size_large"
    again = sent | {"shown_price": page.one("//input[@name='shown_price']").get("value")}
    assert as_alice.post("/vms/new", again).status_code == 303


def test_a_price_that_changed_meanwhile_asks_again(as_alice, form, cloud):
    cloud.billing.price_list.publish("size_nano", 6000, 100, actor=SYSTEM)
    answer = as_alice.post("/vms/new", filled(form))
    assert answer.status_code == 409
    assert "Now: 0.006 credits per hour running" in answer.text
    assert as_alice.post("/vms/new", filled(Page(answer.text))).status_code == 303


def test_a_quote_carries_the_price_it_shows(as_alice, project):
    url = f"/vms/new/quote?project_id={project.id}&size_id=size_large&image_id=img_tiny"
    assert as_alice.page(url, htmx=True).one("//input[@name='shown_price']").get("value") == "200000-8000"


def name_in(page):
    return page.one("//input[@name='name']").get("value")


def test_a_free_name_is_suggested(as_alice, project, form, machine):
    assert name_in(as_alice.page("/vms/new")) == "web-2"


def test_another_like_this_takes_over_what_was_chosen(as_alice, as_charlie, cloud, alice, project, machine):
    cloud.launch(alice, project, "db-7", "size_micro")
    page = as_alice.page(f"/vms/{machine.id}")
    (link,) = page.find("//a[contains(., 'Launch another like this')]")
    form = as_alice.page(link.get("href"))
    assert name_in(form) == "web-2"
    assert form.one("//input[@name='size_id'][@checked]").get("value") == "size_nano"
    assert as_charlie.get(link.get("href")).status_code == 404


def launched(page):
    return sorted(
        " ".join(link.itertext()).strip() for link in page.find("//tbody/tr//a[contains(@class, 'z-row-title')]")
    )


def several(page, count, **changes):
    """The form for several, with the price that their quote shows."""
    sent = filled(page, count=str(count), **changes)
    running, stopped = sent["shown_price"].split("-")
    return sent | {"shown_price": f"{int(running) * count}-{int(stopped) * count}"}


@pytest.mark.parametrize("htmx", [False, True])
def test_several_at_once_have_names_that_go_on(as_alice, form, cloud, alice, htmx):
    assert form.one("//input[@name='count']").get("value") == "1"
    answer = as_alice.post("/vms/new", several(form, 3, name="db", labels="env=prod"), htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == "/vms"
    page = as_alice.page("/vms")
    assert "3 machines are on their way: db-1 to db-3." in page.text()
    assert launched(page) == ["db-1", "db-2", "db-3"]
    assert cloud.held(alice) == 3 * 5_000
    assert {label.text for vm in cloud.vms.list_vms(None).vms for label in cloud.vms.labels.get(vm.id)} == {"env=prod"}


def test_a_double_click_launches_several_once(as_alice, form, cloud, alice):
    for _ in range(2):
        assert as_alice.post("/vms/new", several(form, 3, name="web-9")).status_code == 303
    assert launched(as_alice.page("/vms")) == ["web-10", "web-11", "web-9"]
    assert cloud.held(alice) == 3 * 5_000
    assert as_alice.post("/vms/new", several(form, 2, name="web-9")).status_code == 409


@pytest.mark.parametrize("count", ["0", "11", "-1", "2.5", "many"])
def test_how_many_is_a_number_up_to_ten(as_alice, form, count):
    answer = as_alice.post("/vms/new", filled(form, count=count))
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"count"}
    assert page.one("//input[@name='count']").get("value") == count


def test_of_several_all_or_none_are_launched(as_alice, form, cloud, alice, project, machine):
    """A name in the middle is taken; credits pay for two of three."""
    answer = as_alice.post("/vms/new", several(form, 2, name="web-0"))
    assert answer.status_code == 400
    assert "already has a machine named “web-1”" in answer.text
    cloud.set_wallet(alice, 12_000)
    answer = as_alice.post("/vms/new", several(form, 3, name="db"))
    assert answer.status_code == 400
    assert "run 3 of these for 60 minutes" in answer.text
    assert "0.003 more" in Page(answer.text).text()
    assert launched(as_alice.page("/vms")) == ["web-1"]
    assert cloud.held(alice) == 5_000


def test_several_at_the_price_of_one_ask_again(as_alice, form):
    """Without script the page still shows what one costs."""
    answer = as_alice.post("/vms/new", filled(form, count="3"))
    assert answer.status_code == 409
    assert "Launch 3 for 0.015 per hour" in Page(answer.text).text()
    assert as_alice.post("/vms/new", filled(Page(answer.text), count="3")).status_code == 303


def test_the_quote_of_several_adds_up(as_alice, cloud, alice, project):
    url = f"/vms/new/quote?project_id={project.id}&size_id=size_large&image_id=img_tiny&count=4"
    page = as_alice.page(url, htmx=True)
    assert "4 machines at 0.20 each" in page.text()
    assert "Launch 4 for 0.80 per hour" in page.text()
    assert page.one("//input[@name='shown_price']").get("value") == "800000-32000"
    cloud.set_wallet(alice, 700_000)
    assert "Not enough credits" in as_alice.page(url, htmx=True).text()


@pytest.mark.parametrize("hard_cap", [True, False])
def test_a_hard_cap_is_said_before_the_launch(as_alice, cloud, project, hard_cap):
    url = f"/vms/new/quote?project_id={project.id}&size_id=size_large&image_id=img_tiny&count=4"
    cloud.billing.budgets.set_budget(project.id, 500_000, (), hard_cap=hard_cap)
    page = as_alice.page(url, htmx=True)
    assert (f"This would pass the budget of project {project.name}: 0.50 credits a month" in page.text()) is hard_cap
    assert bool(page.find(f"//a[@href='/projects/{project.id}/budget']")) is hard_cap
    assert "would pass" not in as_alice.page(url.replace("large", "nano"), htmx=True).text()


def test_the_form_is_there_while_credits_end(as_alice, cloud, alice, project, machine):
    cloud.set_wallet(alice, 50_000)
    url = f"/vms/new/quote?project_id={project.id}&size_id=size_nano&image_id=img_tiny"
    assert "You can use" in as_alice.page(url, htmx=True).text()


@pytest.mark.parametrize("htmx", [False, True])
def test_a_pasted_key_is_kept_and_ticked_and_nothing_that_was_typed_is_lost(as_alice, alice, container, form, htmx):
    typed = filled(form, ssh_key=KEY, name="db-5", labels="env=prod", user_data="#!/bin/sh\necho hello", count="2")
    answer = as_alice.post("/vms/new", typed | {"key_name": "my laptop", "keep_key": "y"}, htmx=htmx)
    assert answer.status_code == 200
    page = Page(answer.text, fragment=htmx)
    (key,) = container.get_user_service().ssh_keys.list_keys(alice.id)
    assert key.name == "my laptop"
    assert page.one("//input[@name='ssh_key_ids'][@checked]").get("value") == key.id
    assert not (page.one("//textarea[@name='ssh_key']").text or "").strip()
    assert page.one("//textarea[@name='user_data']").text.strip() == typed["user_data"]
    assert {name: page.one(f"//input[@name='{name}']").get("value") for name in ("name", "labels", "count")} == {
        "name": "db-5", "labels": "env=prod", "count": "2",
    }  # fmt: skip
    assert not as_alice.page("/vms").find("//tbody/tr")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"ssh_key": ""}, "ssh_key"), ({"ssh_key": "rubbish"}, "ssh_key"), ({"key_name": "x" * 101}, "key_name")],
)
def test_a_key_that_cannot_be_kept_says_why_beside_it(as_alice, form, changes, field):
    answer = as_alice.post("/vms/new", filled(form, **({"ssh_key": KEY, "keep_key": "y"} | changes)))
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {field}


def test_enter_launches_and_does_not_keep_a_key(form):
    """What Enter presses is a form's first button."""
    first = form.find("//div[@id='launch']//form//button")[0]
    assert (first.get("name"), first.get("aria-hidden"), first.get("tabindex")) == (None, "true", "-1")


def test_an_image_that_needs_more_memory_says_so_before(as_alice, project, container):
    with container.database.writing() as session, session.begin():
        session.execute(update(DbImage).values(min_memory_mib=1024))
    url = f"/vms/new/quote?project_id={project.id}&image_id=img_tiny&size_id="
    assert "needs at least 1 GiB of memory" in as_alice.page(f"{url}size_nano", htmx=True).text()
    assert "Too little memory" not in as_alice.page(f"{url}size_large", htmx=True).text()
