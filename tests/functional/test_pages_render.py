"""Every page with something on it renders, and is valid, for its owner and for an admin."""

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "path",
    [
        "/", "/overview", "/projects", "/projects/new", "/projects/{project}", "/projects/{project}/rename",
        "/projects/{project}/delete", "/projects/{project}/budget",
        "/vms", "/vms/new", "/vms/{vm}", "/vms/{vm}/activity", "/vms/{vm}/console",
        "/vms/{vm}/delete", "/credits", "/credits/redeem", "/account",
    ],
)  # fmt: skip
def test_pages_of_an_owner(as_alice, project, machine, path):
    page = as_alice.page(path.format(project=project.id, vm=machine.id))
    assert "Zentry" in page.one("//head/title").text


@pytest.mark.parametrize(
    "path",
    [
        "/overview", "/projects", "/projects/new", "/projects/{project}", "/projects/{project}/rename",
        "/projects/{project}/delete", "/projects/{project}/budget",
        "/vms", "/vms/new", "/vms/new/quote?size_id=size_small", "/vms/{vm}/status",
        "/vms/{vm}/activity", "/vms/{vm}/console", "/vms/{vm}/delete", "/credits", "/credits/balance",
    ],
)  # fmt: skip
def test_fragments_of_an_owner(as_alice, project, machine, path):
    answer = as_alice.get(path.format(project=project.id, vm=machine.id), htmx=True)
    assert answer.status_code == 200
    assert "<html" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/admin", "/admin/users", "/admin/users/{user}", "/admin/vms", "/admin/sizes", "/admin/sizes/size_nano/price",
        "/admin/prices", "/admin/prices/new",
        "/admin/images", "/admin/vouchers", "/admin/vouchers/new", "/admin/audit", "/admin/system",
        "/admin/ledger", "/admin/approvals", "/admin/books", "/admin/write-offs",
    ],
)  # fmt: skip
@pytest.mark.parametrize("htmx", [False, True])
def test_pages_of_an_admin(as_admin, alice, machine, path, htmx):
    answer = as_admin.get(path.format(user=alice.id), htmx=htmx)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/overview", "/projects", "/vms", "/vms/new", "/credits", "/account"])
def test_pages_of_somebody_who_has_nothing_yet(as_charlie, path):
    as_charlie.page(path)


@pytest.mark.parametrize("path", ["/", "/login", "/signup"])
def test_pages_of_a_visitor(visitor, path):
    visitor.page(path)
