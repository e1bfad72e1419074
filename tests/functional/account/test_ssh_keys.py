"""/account/ssh-keys, and the check boxes of the launch form."""

import pytest

from tests.functional.conftest import Browser
from tests.functional.vms.test_launch import filled
from tests.page import Page
from tests.services.users.test_ssh_keys import new_key

pytestmark = pytest.mark.integration
URL = "/account/ssh-keys"


@pytest.fixture
def keys(container):
    return container.get_user_service().ssh_keys


def test_a_key_is_added_renamed_and_removed(as_alice, keys, alice):
    assert "No keys" in as_alice.page(URL).text()
    assert as_alice.post(URL, {"public_key": new_key("alice@laptop")}).headers["Location"] == URL
    (key,) = keys.list_keys(alice.id)
    page = as_alice.page(URL)
    assert "alice@laptop" in page.text()
    assert key.fingerprint in page.text()
    (link,) = page.find("//td[@data-label='Name']//a")
    assert "Ed25519" in as_alice.page(link.get("href")).text()
    assert as_alice.post(link.get("href"), {"name": "Laptop"}).headers["Location"] == URL
    page = as_alice.page(URL)
    assert "Laptop" in page.text()
    (link,) = page.find("//a[contains(@href, '/remove')]")
    assert as_alice.post(link.get("href")).headers["Location"] == URL
    page = as_alice.page(URL)
    assert "Machines that have it keep it" in page.text()
    assert keys.list_keys(alice.id) == []


@pytest.mark.error
def test_what_is_wrong_is_told_and_kept(as_alice, keys, alice):
    line = new_key("laptop")
    as_alice.post(URL, {"public_key": line})
    for text in ("", "rubbish", "-----BEGIN OPENSSH PRIVATE KEY-----", line):
        answer = as_alice.post(URL, {"public_key": text, "name": "Mine"})
        assert answer.status_code == 400
        page = Page(answer.text)
        assert set(page.errors()) == {"public_key"}
        assert (page.one("//textarea[@id='public_key']").text or "").strip() == text
        assert page.one("//input[@id='name']").get("value") == "Mine"
    (key,) = keys.list_keys(alice.id)
    answer = as_alice.post(f"{URL}/{key.id}", {"name": ""})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"name"})


def test_an_old_session_proves_itself_first_and_loses_nothing(as_alice, clock, keys, alice):
    clock.advance(minutes=6)
    assert as_alice.post(URL, {"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}).status_code == 400
    line = new_key("laptop")
    answer = as_alice.post(URL, {"public_key": line, "name": "Mine"})
    assert answer.headers["Location"].startswith("/account/confirm")
    assert keys.list_keys(alice.id) == []


def boxes(page):
    return {box.get("value"): box.get("checked") is not None for box in page.find("//input[@name='ssh_key_ids']")}


def test_the_launch_form_has_all_keys_ticked_and_keeps_what_was_chosen(as_alice, keys, cloud, alice, project):
    assert boxes(as_alice.page("/vms/new")) == {}
    for name in ("Laptop", "Desktop"):
        assert as_alice.post(URL, {"public_key": new_key(), "name": name}).status_code == 303
    laptop, desktop = keys.list_keys(alice.id)
    form = as_alice.page("/vms/new")
    assert boxes(form) == {laptop.id: True, desktop.id: True}
    answer = as_alice.post("/vms/new", filled(form, name="-", ssh_key_ids=desktop.id))
    assert boxes(Page(answer.text)) == {laptop.id: False, desktop.id: True}
    answer = as_alice.post("/vms/new", filled(form, name="-"))
    assert boxes(Page(answer.text)) == {laptop.id: False, desktop.id: False}, "none is a choice, too"
    vm_id = as_alice.post("/vms/new", filled(form, ssh_key_ids=desktop.id)).headers["Location"].rpartition("/")[2]
    (line,) = cloud.vms.records.spec(vm_id).ssh_keys
    assert keys.get_key(alice.id, desktop.id).last_used_at is not None
    assert line.startswith("ssh-ed25519 ")


@pytest.mark.error
def test_a_key_removed_meanwhile_is_told_beside_the_boxes(as_alice, keys, alice, project):
    as_alice.post(URL, {"public_key": new_key("laptop")})
    (key,) = keys.list_keys(alice.id)
    form = as_alice.page("/vms/new")
    as_alice.post(f"{URL}/{key.id}/remove")
    as_alice.post(URL, {"public_key": new_key("desktop")})
    answer = as_alice.post("/vms/new", filled(form, ssh_key_ids=key.id))
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"ssh_key_ids"}
    assert "not in your account any more" in page.text()
    as_alice.post(f"{URL}/{keys.list_keys(alice.id)[0].id}/remove")
    answer = as_alice.post("/vms/new", filled(form, ssh_key_ids=key.id))
    assert set(Page(answer.text).errors()) == {"ssh_key_ids"}, "also when no box is left"


def test_another_person_s_key_is_not_there(as_alice, as_charlie, keys, alice):
    as_alice.post(URL, {"public_key": new_key("laptop")})
    (key,) = keys.list_keys(alice.id)
    assert as_charlie.get(f"{URL}/{key.id}").status_code == 404
    assert as_charlie.post(f"{URL}/{key.id}", {"name": "Mine"}).status_code == 404
    assert as_charlie.post(f"{URL}/{key.id}/remove").status_code == 404
    assert "laptop" not in as_charlie.page(URL).text()
    assert isinstance(as_alice, Browser)
