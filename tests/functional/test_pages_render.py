"""Every page with something on it renders, and is valid, for its owner and for an admin."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "path",
    [
        "/", "/overview", "/projects", "/projects/new", "/projects/{project}", "/projects/{project}/rename",
        "/projects/{project}/delete", "/projects/{project}/budget", "/projects/{project}/spend",
        "/projects/{project}/activity", "/projects/{project}/settings", "/projects/{project}/members",
        "/vms", "/vms/new", "/vms/{vm}", "/vms/{vm}/activity", "/vms/{vm}/console", "/vms/{vm}/metrics",
        "/vms/{vm}/settings",
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
        "/vms", "/vms/new", "/vms/new/quote?size_id=size_small", "/vms/{vm}/status", "/vms/{vm}/row",
        "/vms/{vm}/figures", "/vms/{vm}/activity", "/vms/{vm}/console", "/vms/{vm}/delete",
        "/credits", "/credits/balance",
        "/projects/{project}/members", "/projects/{project}/settings", "/credits/what-if", "/bin",
    ],
)  # fmt: skip
def test_fragments_of_an_owner(as_alice, project, machine, path):
    answer = as_alice.get(path.format(project=project.id, vm=machine.id), htmx=True)
    assert answer.status_code == 200
    assert "<html" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/admin", "/admin/users", "/admin/users/{user}", "/admin/vms", "/admin/sizes",
        "/admin/sizes/new", "/admin/sizes/size_nano/price", "/admin/storage/snapshot/price",
        "/admin/prices", "/admin/prices/new",
        "/admin/images", "/admin/images/new", "/admin/images/img_tiny/versions", "/admin/images/img_tiny/edit",
        "/admin/vouchers", "/admin/vouchers/new", "/admin/audit", "/admin/system",
        "/admin/system/strays", "/admin/projects", "/admin/invitations",
        "/admin/ledger", "/admin/approvals", "/admin/books", "/admin/write-offs",
    ],
)  # fmt: skip
@pytest.mark.parametrize("htmx", [False, True])
def test_pages_of_an_admin(as_admin, alice, machine, path, htmx):
    answer = as_admin.get(path.format(user=alice.id), htmx=htmx)
    assert answer.status_code == 200


CRUMBS = "//main//nav[@aria-label='Breadcrumbs']//a"


def test_every_page_of_somebody_signed_in_says_where_it_is(web, as_alice, as_admin, project, machine):
    """All that need nothing, or a project or a machine, in their address."""
    bare, seen = [], 0
    for rule in web.url_map.iter_rules():
        known = {"project_id": project.id, "vm_id": machine.id}
        if (
            "GET" not in rule.methods
            or not rule.arguments <= set(known)
            or rule.rule.startswith(("/api", "/internal", "/events"))
        ):
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<{name}>", known[name])
        answer = (as_admin if path.startswith("/admin") else as_alice).get(path)
        if answer.status_code != 200 or "z-side" not in answer.text:
            continue
        seen += 1
        page = Page(answer.text)
        bare += [] if page.find(CRUMBS) or path in ("/overview", "/admin") else [path]
    assert bare == []
    assert seen > 60


def names(shown, where):
    return [each.get("name") for each in shown.find(where + "//form//*[@name]")]


@pytest.mark.parametrize(
    "path",
    [
        "/projects/new", "/projects/{project}/rename", "/projects/{project}/budget",
        "/projects/{project}/members/invite", "/vms/{vm}/labels", "/vms/{vm}/rename", "/vms/{vm}/move",
        "/vms/{vm}/restarts", "/vms/{vm}/timers/new",
        "/vms/{vm}/snapshots/new", "/vms/{vm}/snapshots/schedule", "/vms/{vm}/delete", "/vms/{vm}/force_off",
        "/vms/{vm}/backups/new", "/vms/{vm}/backups/schedule", "/vms/{vm}/reset", "/admin/users/{user}/role",
        "/admin/users/{user}/view", "/admin/quotas/{user}", "/admin/sizes/size_nano/price", "/admin/sizes/new",
        "/admin/vouchers/new", "/admin/storage/snapshot/price", "/admin/images/new", "/admin/images/img_tiny/edit",
    ],
)  # fmt: skip
def test_a_dialog_has_the_title_and_the_fields_of_its_page(as_alice, as_admin, alice, project, machine, path):
    browser = as_admin if path.startswith("/admin") else as_alice
    url = path.format(project=project.id, vm=machine.id, user=alice.id)
    page, dialog = browser.page(url), browser.page(url, htmx=True)
    assert page.one("//head/title").text == dialog.one("//*[@id='z-dialog-title']").text + " · Zentry"
    assert names(dialog, "") == names(page, "//main") != []


@pytest.mark.parametrize("path", ["/overview", "/projects", "/vms", "/vms/new", "/credits", "/account"])
def test_pages_of_somebody_who_has_nothing_yet(as_charlie, path):
    as_charlie.page(path)


@pytest.mark.parametrize("path", ["/", "/login", "/signup"])
def test_pages_of_a_visitor(visitor, path):
    visitor.page(path)
