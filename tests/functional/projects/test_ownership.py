"""/projects/…/ownership: offering a project and taking it over."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.services.people import join

pytestmark = pytest.mark.integration


@pytest.fixture
def as_bob(web, container, project, bob):
    join(container, project, bob, "member")
    return Browser(web).log_in(bob)


def test_offered_seen_and_taken(as_alice, as_bob, project, machine, bob, alice, cloud):
    url = f"/projects/{project.id}/ownership"
    assert as_bob.get(url).status_code == 403
    assert "Bob, member" in as_alice.get(url).text
    assert as_alice.post(f"{url}/offer", {"user_id": bob.id}).status_code == 303
    assert "Offered to Bob" in as_alice.get(url).text
    assert "offered the project" in as_bob.get("/account/notices").text
    page = as_bob.get(url).text
    assert "Accept and pay from now on" in page
    assert "credits" in page
    answer = as_bob.post(f"{url}/accept")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/projects/{project.id}")
    assert cloud.vm(machine).owner_id == bob.id
    assert "Make" in as_bob.get(f"/projects/{project.id}/members").text
    assert as_alice.get(url).status_code == 403
    assert as_alice.get(f"/projects/{project.id}/members").status_code == 200


def test_declined_and_withdrawn(as_alice, as_bob, project, bob):
    url = f"/projects/{project.id}/ownership"
    as_alice.post(f"{url}/offer", {"user_id": bob.id})
    for _ in range(2):
        assert as_bob.post(f"{url}/decline").status_code == 303
    answer = as_bob.post(f"{url}/accept")
    assert answer.status_code == 409
    assert "The owner can make it anew" in answer.text
    as_alice.post(f"{url}/offer", {"user_id": bob.id})
    assert as_alice.post(f"{url}/withdraw").status_code == 303
    assert as_bob.get(url).status_code == 403


@pytest.mark.parametrize("htmx", [False, True])
def test_refusals_are_told(as_alice, as_bob, project, machine, bob, cloud, htmx):
    url = f"/projects/{project.id}/ownership"
    assert as_alice.post(f"{url}/offer", {"user_id": "x\x00"}, htmx=htmx).status_code == 404
    as_alice.post(f"{url}/offer", {"user_id": bob.id})
    cloud.set_wallet(bob, 0)
    answer = as_bob.post(f"{url}/accept", htmx=htmx)
    assert answer.status_code == 400
    assert "To take this over you need credits" in answer.text
    assert "Your credits do not suffice" in as_bob.get(url).text


def test_an_old_log_in_is_asked_who_it_is(as_alice, as_bob, project, bob, clock):
    clock.advance(600)
    answer = as_alice.post(f"/projects/{project.id}/ownership/offer", {"user_id": bob.id})
    assert answer.headers["Location"].startswith("/account/confirm")


@pytest.mark.parametrize("htmx", [False, True])
def test_who_takes_over_is_asked_too_because_it_is_their_wallet(as_alice, as_bob, project, machine, bob, cloud, htmx):
    url = f"/projects/{project.id}/ownership"
    as_alice.post(f"{url}/offer", {"user_id": bob.id})
    cloud.round(600)
    answer = as_bob.post(f"{url}/accept", htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"].startswith("/account/confirm")
    assert cloud.vm(machine).owner_id != bob.id
    assert as_bob.post("/account/confirm", {"password": PASSWORD}).status_code in (200, 303)
    assert as_bob.post(f"{url}/accept").status_code == 303
    assert cloud.vm(machine).owner_id == bob.id


def test_saying_no_needs_no_proof(as_alice, as_bob, project, bob, clock):
    url = f"/projects/{project.id}/ownership"
    as_alice.post(f"{url}/offer", {"user_id": bob.id})
    clock.advance(600)
    assert as_bob.post(f"{url}/decline").headers["Location"] == f"/projects/{project.id}"
