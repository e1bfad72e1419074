"""/admin/images: added by address, by a file, built; cancelled, withdrawn, removed; what they say of themselves."""

import threading

import pytest

from tests.page import Page
from tests.services.people import acting, events_of
from zentry_web.domain.vms.image import VersionState
from zentry_web.worker.images import ImageMaker

pytestmark = pytest.mark.integration

FROM = {"address": "https://cloud-images.ubuntu.com/noble.img", "sha256": "ab" * 32}
FACTS = {
    "name": "Ubuntu 24.04", "description": "As it comes.", "memory": "1 GiB", "gib": "6", "default_user": "ubuntu",
    "first_login": "Wait a minute.", "user_data": "cloud",
}  # fmt: skip


@pytest.fixture
def boss(admin):
    return acting(admin)


@pytest.fixture
def make(cloud):
    """What the worker does with what waits."""

    def work():
        maker = ImageMaker(cloud.vms, cloud.monitoring, cloud.driver, threading.Event())
        for each in cloud.vms.image_making.list_work():
            if each.state == VersionState.REMOVING:
                maker.run()
            else:
                maker.make(each)

    return work


def entry(cloud, boss, name=FACTS["name"]):
    return next((each for each in cloud.vms.images.list_entries(actor=boss) if each.image.name == name), None)


def typed(page):
    """What stands in the fields of its form, by name."""
    found = {field.get("name"): field.get("value") or "" for field in page.find("//form//input[@name]")}
    found |= {field.get("name"): (field.text or "").strip("\n") for field in page.find("//form//textarea[@name]")}
    chosen = page.find("//form//select[@name]/option[@selected]")
    return found | {option.getparent().get("name"): option.get("value") for option in chosen}


# -- by their address -------------------------------------------------------------------------------


@pytest.mark.parametrize("htmx", [False, True])
def test_one_is_fetched_from_an_address(as_admin, cloud, boss, make, core, htmx):
    answer = as_admin.post("/admin/images/new", FROM | FACTS, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    page = as_admin.page("/admin/images")
    assert "It is being fetched." in page.text()
    assert page.one("//*[@id='images']").get("hx-trigger") == "every 2s"
    made = entry(cloud, boss)
    assert (made.image.min_memory_mib, made.image.min_disk_gib, made.image.default_user) == (1024, 6, "ubuntu")
    make()
    page = as_admin.page(f"/admin/images/{made.image.id}/versions")
    assert FROM["address"] in page.text()
    assert "Wait a minute." in page.text()
    assert page.one("//*[@id='image']").get("hx-trigger") is None, "it is done, so nobody asks again"
    assert [event.details["source"] for event in events_of(core, "image.add")] == ["address"]


def test_the_form_says_where_images_may_come_from(as_admin):
    assert "cloud-images.ubuntu.com" in as_admin.page("/admin/images/new").text()


@pytest.mark.parametrize("path", ["/admin/images/new", "/admin/images/img_tiny/edit"])
def test_the_form_says_what_may_be_left_out(as_admin, path):
    page = as_admin.page(path)
    optional = {label.get("for") for label in page.find("//label[span[@class='z-optional']]")}
    assert optional == {"description", "first_login"}


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", ""),
        ("address", "http://cloud-images.ubuntu.com/noble.img"),
        ("address", "https://me:secret@cloud-images.ubuntu.com/noble.img"),
        ("address", "https://images.example.net/noble.img"),
        ("address", "https://cloud-images.ubuntu.com.evil.example/noble.img"),
        ("sha256", ""),
        ("sha256", "xyz"),
        ("name", ""),
        ("name", "Zentry Tiny Linux"),
        ("memory", "much"),
        ("gib", "0"),
        ("default_user", "Root user"),
        ("user_data", "everything"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_all_that_was_typed_stays(as_admin, cloud, boss, field, value, htmx):
    data = FROM | FACTS | {field: value}
    answer = as_admin.post("/admin/images/new", data, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    kept = typed(page)
    assert {name: kept.get(name) for name in data if name != "user_data"} == {
        name: given for name, given in data.items() if name != "user_data"
    }
    assert entry(cloud, boss) is None


def test_several_mistakes_are_said_together(as_admin):
    answer = as_admin.post("/admin/images/new", FROM | FACTS | {"sha256": "short", "gib": "many", "name": ""})
    assert set(Page(answer.text).errors()) == {"sha256", "gib", "name"}


def test_hosts_are_those_of_the_settings(as_admin, cloud, boss):
    cloud.billing.settings.change("image_hosts", "images.example.net", 0)
    answer = as_admin.post("/admin/images/new", FROM | FACTS)
    assert set(Page(answer.text).errors()) == {"address"}
    there = FROM | FACTS | {"address": "https://images.example.net/noble.img"}
    assert as_admin.post("/admin/images/new", there).status_code == 303
    assert entry(cloud, boss) is not None


# -- versions ---------------------------------------------------------------------------------------


def test_the_next_version_asks_for_its_address_alone(as_admin, cloud, boss, make):
    as_admin.post("/admin/images/new", FROM | FACTS)
    image_id = entry(cloud, boss).image.id
    page = as_admin.page(f"/admin/images/new?image_id={image_id}")
    assert "Add a version of Ubuntu 24.04" in page.text()
    assert not page.find("//input[@name='name']")
    answer = as_admin.post("/admin/images/new", FROM | {"image_id": image_id})
    assert answer.status_code == 409, "one at a time"
    assert "A version of Ubuntu 24.04 is being made just now." in answer.text
    make()
    newer = FROM | {"image_id": image_id, "address": "https://cloud-images.ubuntu.com/newer.img"}
    wrong = as_admin.post("/admin/images/new", newer | {"sha256": "0"})
    assert (wrong.status_code, set(Page(wrong.text).errors())) == (400, {"sha256"})
    assert typed(Page(wrong.text))["image_id"] == image_id
    assert as_admin.post("/admin/images/new", newer).status_code == 303
    assert [version.number for version in entry(cloud, boss).versions] == [2, 1]


@pytest.mark.parametrize("image_id", ["img_gone", "x" * 40])
def test_of_an_image_that_is_not_there_no_version_is_added(as_admin, image_id):
    assert as_admin.get(f"/admin/images/new?image_id={image_id}").status_code == 404
    assert as_admin.post("/admin/images/new", FROM | {"image_id": image_id}).status_code == 404


def test_debian_is_built_with_one_click_and_once(as_admin, cloud, boss, make):
    page = as_admin.page("/admin/images")
    (button,) = page.find("//button[@aria-label='Build Debian 12']")
    path = button.xpath("ancestor::form")[0].get("action")
    assert as_admin.post(path).headers["Location"] == "/admin/images"
    page = as_admin.page("/admin/images")
    assert "Debian 12 is being built." in page.text()
    assert not page.find("//button[@aria-label='Build Debian 12']")
    assert page.find("//button[@aria-label='Build Debian 12 with cloud-init']"), "the other is still offered"
    assert as_admin.post(path).status_code == 409
    make()
    assert entry(cloud, boss, "Debian 12").versions[0].state == VersionState.READY


def test_what_is_being_made_is_cancelled_after_a_question(as_admin, cloud, boss, make):
    as_admin.post("/admin/images/build/debian-12")
    version = entry(cloud, boss, "Debian 12").versions[0]
    path = f"/admin/images/versions/{version.id}/cancel"
    assert "What there is of it is thrown away." in as_admin.page(path).text()
    back = as_admin.post(path).headers["Location"]
    assert "Being cancelled" in as_admin.page(back).text()
    make()
    page = as_admin.page(back)
    assert "Failed" in page.text()
    assert as_admin.post(path).status_code == 409, "it has ended"
    assert as_admin.post(f"/admin/images/versions/{version.id}/again").headers["Location"] == back
    make()
    assert entry(cloud, boss, "Debian 12").versions[0].state == VersionState.READY


def test_one_from_a_file_on_the_server_says_so_and_is_added_again_there(as_admin, cloud, boss, make):
    facts = {name: FACTS[name] for name in ("name", "description", "default_user", "first_login", "user_data")}
    sizes = {"min_memory_mib": "1 GiB", "min_disk_gib": "6"}
    version = cloud.vms.images.add_file(facts | sizes, "/srv/images/noble.img", actor=boss)
    page = as_admin.page(f"/admin/images/{version.image_id}/versions")
    assert "/srv/images/noble.img" not in page.html, "where files lie on the server is nobody’s business here"
    cloud.vms.images.cancel(version.id, actor=boss)
    make()
    answer = as_admin.post(f"/admin/images/versions/{version.id}/again")
    assert answer.status_code == 409
    assert "The file is not there any more. Add it again." in answer.text


def test_a_version_is_withdrawn_offered_again_and_removed(as_admin, as_alice, cloud, boss, make, project):
    as_admin.post("/admin/images/new", FROM | FACTS)
    make()
    cloud.round(31)  # the hypervisor's images are read now and then
    made = entry(cloud, boss)
    version, back = made.versions[0], f"/admin/images/{made.image.id}/versions"
    assert FACTS["name"] in as_alice.page("/vms/new").text()
    assert as_admin.post(f"/admin/images/versions/{version.id}/remove").status_code == 409, "withdrawn first"
    as_admin.page(f"/admin/images/versions/{version.id}/withdraw")
    assert as_admin.post(f"/admin/images/versions/{version.id}/withdraw").headers["Location"] == back
    assert FACTS["name"] not in as_alice.page("/vms/new").text()
    as_admin.post(f"/admin/images/versions/{version.id}/again")
    assert FACTS["name"] in as_alice.page("/vms/new").text()
    as_admin.post(f"/admin/images/versions/{version.id}/withdraw")
    as_admin.post(f"/admin/images/versions/{version.id}/remove")
    make()
    assert entry(cloud, boss).versions == ()
    assert as_admin.page(back).text()


@pytest.mark.parametrize("deed", ["cancel", "withdraw", "remove"])
def test_a_version_that_is_not_there_cannot_be_ended(as_admin, deed):
    assert as_admin.get(f"/admin/images/versions/iv_gone/{deed}").status_code == 404
    assert as_admin.post(f"/admin/images/versions/iv_gone/{deed}").status_code == 404


# -- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("htmx", [False, True])
def test_its_words_are_changed(as_admin, cloud, boss, core, htmx):
    as_admin.post("/admin/images/new", FROM | FACTS)
    image_id = entry(cloud, boss).image.id
    path = f"/admin/images/{image_id}/edit"
    assert {name: typed(as_admin.page(path))[name] for name in FACTS} == FACTS
    answer = as_admin.post(path, FACTS | {"name": "Noble", "memory": "2 GiB"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    page = as_admin.page(f"/admin/images/{image_id}/versions")
    assert "Noble" in page.text()
    assert "2 GiB" in page.text()
    (event,) = events_of(core, "image.describe")
    assert event.details["fields"] == ["min_memory_mib", "name"]


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "Zentry Tiny Linux"), ("memory", "-1"), ("gib", "1e9"), ("default_user", "a b")],
)
def test_a_wrong_word_is_said_at_its_field_and_nothing_changes(as_admin, cloud, boss, field, value, htmx):
    as_admin.post("/admin/images/new", FROM | FACTS)
    before = entry(cloud, boss).image
    answer = as_admin.post(f"/admin/images/{before.id}/edit", FACTS | {"description": "New.", field: value}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    assert (typed(page)[field], typed(page)["description"]) == (value, "New.")
    assert entry(cloud, boss).image == before


def test_only_admins_come_here(as_alice, visitor, cloud, boss):
    for path in (
        "/admin/images",
        "/admin/images/new",
        "/admin/images/img_tiny/versions",
        "/admin/images/img_tiny/edit",
    ):
        assert as_alice.get(path).status_code in (403, 404)
        assert visitor.get(path).status_code == 303
    assert as_alice.post("/admin/images/new", FROM | FACTS).status_code in (403, 404)
    assert as_alice.post("/admin/images/build/debian-12").status_code in (403, 404)
    assert len(cloud.vms.images.list_entries(actor=boss)) == 1
