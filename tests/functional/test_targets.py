"""What notices and mails lead to is there: every kind of target has a page of this site."""

import pytest
from werkzeug.routing import RequestRedirect

from zentry_web.domain.target import Place, Target, read_target
from zentry_web.web.output.targets import PATHS, path_of

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("place", Place)
def test_every_target_has_an_address_that_flask_knows(web, place):
    with_id = Target(place, "id_1") if "{id}" in PATHS[place] else Target(place)
    path = path_of(with_id).partition("#")[0]
    try:
        endpoint, arguments = web.url_map.bind("localhost").match(path, method="GET")
    except RequestRedirect as elsewhere:
        pytest.fail(f"{path} leads on to {elsewhere.new_url}")
    assert endpoint != "static"
    assert list(arguments.values()) == ([with_id.id] if with_id.id else [])


@pytest.mark.parametrize("target", [Target(Place.PLAN), Target(Place.VM, "vm_1"), Target(Place.CHARGES, "a:b"), None])
def test_a_stored_target_is_read_as_it_was(target):
    assert read_target(str(target or "")) == target


def test_a_notice_leads_to_its_target_or_nowhere(as_alice, cloud, alice):
    tell = cloud.billing.notices.tell
    tell(alice.id, "test", "1", "About a machine", "Body", target=Target(Place.VM, "vm_1"))
    tell(alice.id, "test", "2", "About nothing", "Body")
    page = as_alice.page("/account/notices")
    assert page.one("//main//a[.='About a machine']").get("href") == "/vms/vm_1"
    assert "About nothing" in page.text()
    assert page.find("//main//a[.='About nothing']") == []
