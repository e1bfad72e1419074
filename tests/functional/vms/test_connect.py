"""The *Connect* card of a machine's page, and the launch form's warning when there is no key."""

from dataclasses import replace

import pytest

from tests.functional.conftest import Browser
from tests.functional.vms.test_launch import KEY
from tests.services.people import join
from zentry_web.blueprints.vms.connect import connection
from zentry_web.domain.people.ssh_key import host_key_on

pytestmark = pytest.mark.integration
FINGERPRINT = "SHA256:" + "aB3/+" * 8 + "xyz"
TINY = f"[   1.90] ssh: listening on port 22, keys only, {FINGERPRINT}\n"


def words(page):
    return " ".join("".join(page.one("//div[@id='vm-connect']").itertext()).split())


def test_the_page_says_how_to_log_in(as_alice, cloud, alice, project):
    vm = cloud.ask(alice, project, "mine", ssh_key=KEY)
    cloud.worker.work()
    cloud.round(30)
    page = as_alice.page(f"/vms/{vm.id}")
    command = f"ssh root@{cloud.vm(vm).address}"
    assert command in words(page)
    assert page.one(f"//div[@id='vm-connect']//button[@data-copy='{command}']") is not None
    assert "alice@laptop SHA256:" in words(page)
    assert "No key" not in words(page)


def test_without_a_key_it_says_that_nobody_can(as_alice, machine):
    page = as_alice.page(f"/vms/{machine.id}")
    assert "No key: nobody can log in. Only a rebuild with your key adds one" in words(page)
    assert page.find(f"//div[@id='vm-connect']//a[@href='/vms/{machine.id}/rebuild']")
    as_alice.post(f"/vms/{machine.id}/protection", {"protected": "1"})
    assert not as_alice.page(f"/vms/{machine.id}").find("//div[@id='vm-connect']//a[contains(@href, 'rebuild')]")


def test_off_there_is_nothing_to_type(as_alice, cloud, machine):
    cloud.vms.force_off_vm(machine.id)
    cloud.worker.work()
    text = words(as_alice.page(f"/vms/{machine.id}"))
    assert "nothing while it is off" in text
    assert "ssh root@" not in text


def test_it_moves_with_the_state(as_alice, machine):
    moved = as_alice.get(f"/vms/{machine.id}/status", htmx=True).text
    assert '<hx-partial hx-target="#vm-connect"' in moved
    assert f"ssh root@{machine.address}" in moved


def test_who_may_not_see_the_console_sees_the_line(web, container, project, machine, bob):
    join(container, project, bob, "viewer")
    assert f"ssh root@{machine.address}" in words(Browser(web).log_in(bob).page(f"/vms/{machine.id}"))


@pytest.mark.parametrize(
    ("address", "reach", "command", "where"),
    [
        ("10.77.0.9", "", "ssh root@10.77.0.9", "private address"),
        ("8.8.8.8", "", "ssh root@8.8.8.8", "From wherever"),
        ("fd00::9", "", "ssh root@fd00::9", "private address"),
        ("vm.example.com", "", "ssh root@vm.example.com", "From wherever"),
        ("10.0.2.15", "ssh -p 40022 root@127.0.0.1", "ssh -p 40022 root@127.0.0.1", "Only from the computer"),
        ("", "", "", ""),
    ],
)
def test_from_where_it_works(machine, address, reach, command, where):
    found = connection(replace(machine, address=address, reach=reach), TINY)
    assert found.command == command
    assert where in found.where
    assert found.host_key == FINGERPRINT


@pytest.mark.parametrize(
    ("console", "found"),
    [
        (TINY, FINGERPRINT),
        (TINY.replace("aB3", "old") + TINY, FINGERPRINT),  # the last start counts
        (f"ci-info: 256 {FINGERPRINT} root@web (ED25519)\r\n", FINGERPRINT),
        (f"3072 {FINGERPRINT} root@web (RSA)", ""),
        (f"somebody wrote {FINGERPRINT}", ""),
        ("ssh: listening on port 22, keys only", ""),
        ("ssh: listening on port 22 SHA256:" + "a" * 60, ""),
        ("", ""),
    ],
)
def test_the_host_key_is_what_the_guest_printed(console, found):
    assert host_key_on(console) == found


def test_the_launch_form_warns_when_there_is_no_key(as_alice, project):
    page = as_alice.page("/vms/new")
    warning = page.one("//div[contains(@class, 'z-no-key')]")
    assert "nobody could log in to this machine" in "".join(warning.itertext())
    assert warning.find(".//a[@href='/account/ssh-keys']") is not None
