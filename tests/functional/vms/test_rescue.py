"""/vms/<id>/rescue and /vms/<id>/leave_rescue."""

import pytest

from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def test_the_password_is_shown_once(as_alice, cloud, machine):
    assert "a password that is shown once" in as_alice.page(f"/vms/{machine.id}/rescue").text()
    answer = as_alice.post(f"/vms/{machine.id}/rescue")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "It is shown this once" in Page(answer.text).text()
    password = answer.text.split('data-copy="')[1].split('"')[0]
    assert len(password) == 20
    assert cloud.vm(machine).state == VMState.RESCUING
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}")
    assert [badge.text for badge in page.find("//*[@id='vm-state']//*[contains(@class, 'z-badge')]")] == ["In rescue"]
    assert "Its disk is /dev/vda" in page.text()
    for path in ("", "/activity", "/settings"):
        assert password not in as_alice.get(f"/vms/{machine.id}{path}").text
    assert as_alice.get(f"/vms/{machine.id}/rescue").status_code == 409

    assert "Its own system boots again" in as_alice.page(f"/vms/{machine.id}/leave_rescue").text()
    assert as_alice.post(f"/vms/{machine.id}/leave_rescue").status_code == 303
    cloud.worker.work()
    assert "In rescue" not in as_alice.page(f"/vms/{machine.id}").text()
    assert as_alice.post(f"/vms/{machine.id}/leave_rescue").status_code == 409


def test_a_stranger_finds_nothing(as_charlie, machine):
    for path in ("rescue", "leave_rescue"):
        assert as_charlie.get(f"/vms/{machine.id}/{path}").status_code == 404
        assert as_charlie.post(f"/vms/{machine.id}/{path}").status_code == 404
