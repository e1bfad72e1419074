"""/admin/sizes, prices, /admin/images."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration


def test_withdrawing_and_offering_a_size(as_admin, as_alice, project):
    assert as_admin.post("/admin/sizes/size_large").headers["Location"] == "/admin/sizes"
    assert "size_large" not in as_alice.page("/vms/new").html
    as_admin.post("/admin/sizes/size_large", {"active": "y"})
    assert "size_large" in as_alice.page("/vms/new").html


@pytest.mark.parametrize("htmx", [False, True])
def test_a_new_price_counts_for_new_launches_only(as_admin, as_alice, machine, htmx):
    answer = as_admin.post("/admin/sizes/size_nano/price", {"running": "0.009", "disk": "0.0003"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert "v2" in as_admin.page("/admin/sizes").text()
    assert "0.009" in as_alice.page("/vms/new").text()
    assert "0.009" not in as_alice.page(f"/vms/{machine.id}").text()


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("field", "value"), [("running", ""), ("running", "cheap"), ("disk", "-1"), ("disk", "0.00000001")]
)
def test_a_wrong_price_is_said_beside_its_field(as_admin, field, value, htmx):
    data = {"running": "0.01", "disk": "0.0001"} | {field: value}
    answer = as_admin.post("/admin/sizes/size_nano/price", data, htmx=htmx)
    assert answer.status_code == 400
    assert set(Page(answer.text, fragment=htmx).errors()) == {field}


@pytest.mark.parametrize("path", ["/admin/sizes/size_gone", "/admin/images/img_gone"])
def test_what_does_not_exist_cannot_be_withdrawn(as_admin, path):
    assert as_admin.post(path).status_code == 404


def test_a_size_that_does_not_exist_has_no_price(as_admin):
    assert as_admin.get("/admin/sizes/size_gone/price").status_code == 404


def test_withdrawing_and_offering_an_image(as_admin, as_alice, project):
    as_admin.post("/admin/images/img_tiny")
    assert "img_tiny" not in as_alice.page("/vms/new").html
    assert "Withdrawn" in as_admin.page("/admin/images").text()
    as_admin.post("/admin/images/img_tiny", {"active": "y"})
    assert "img_tiny" in as_alice.page("/vms/new").html
