"""What the access log says of a request, and what it never does."""

import pytest
from flask import request

from zentry_web.web.access_log import shown_path

pytestmark = [pytest.mark.integration, pytest.mark.asvs("14.2.1", "16.2.5")]

SECRET = "s3cretOfALink"


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (f"/invitations/{SECRET}", "/invitations/<token>"),
        (f"/invitations/{SECRET}/", "/invitations/…"),
        (f"/reset/{SECRET}/more", "/reset/…"),
        (f"/invitations/{SECRET}%3E", "/invitations/<token>"),
        (f"/{SECRET * 5}", f"/{SECRET * 5}"[:31] + "/…"),
        ("/nothing-there", "/nothing-there"),
        ("/vms?q=words", "/vms"),
    ],
)
def test_no_secret_of_a_link_is_written_down_however_its_address_was_broken(web, address, written):
    with web.test_request_context(address):
        assert shown_path() == written
        assert request.path


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nor_with_a_method_that_the_address_does_not_take(web, method):
    with web.test_request_context(f"/invitations/{SECRET}", method=method):
        assert SECRET not in shown_path()
