"""Columns and density of every list: chosen by the menu, kept in the address, in the search box and in its answers."""

import pytest

pytestmark = pytest.mark.integration

LISTS = {
    "/projects": ("#project-list", ["Project"], {"owner": "Owner", "month": "This month"}),
    "/credits/transactions": (
        "#transaction-list",
        ["When"],
        {"what": "What", "machine": "Machine", "amount": "Amount"},
    ),
    "/credits/bill": ("#charge-list", ["Machine"], {"from": "From", "credits": "Credits"}),
    "/admin/users": ("#people", ["Person"], {"factor": "Second factor", "created": "Since"}),
    "/admin/projects": ("#all-projects", ["Project"], {"owner": "Owner", "machines": "Machines"}),
    "/admin/vms": (
        "#all-vms",
        ["Name"],
        {"owner": "Owner", "image": "Image", "cpu": "Processor", "month": "This month"},
    ),
    "/admin/ledger": ("#transfers", ["When"], {"amount": "Credits", "reason": "Reason"}),
    "/admin/audit": ("#events", ["When"], {"what": "What", "address": "From"}),
    "/bin": ("#bin", ["Machine"], {"size": "Size", "until": "Kept until"}),
}


@pytest.fixture
def filled(cloud, admin, machine):
    """A project of the admin's with a machine that was paid for, and one in the bin."""
    project = cloud.project(admin, "Filled")
    cloud.launch(admin, project, "kept")
    cloud.keep_deleted(7)
    gone = cloud.launch(admin, project, "gone")
    cloud.vms.delete_vm(gone.id, gone.name)
    cloud.live(60)
    cloud.bill()


def heads(page, target):
    found = page.find(f"//*[@id='{target[1:]}']//table[last()]/thead/tr/th")
    return [text for head in found if (text := "".join(head.itertext()).strip()) not in ("", "Actions")]


@pytest.mark.parametrize("path", LISTS)
def test_columns_are_chosen_and_kept(as_admin, filled, path):
    target, first, columns = LISTS[path]
    usual = heads(as_admin.page(path), target)
    form = as_admin.page(path).one("//*[@id='list-columns']//form")
    names = [each.get("value") for each in form.xpath(".//input[@name='column']")]
    ticked = [each.get("value") for each in form.xpath(".//input[@name='column'][@checked]")]
    assert set(columns) <= set(names)
    assert len(usual) == len(first) + len(ticked)
    asked = "&".join(f"column={name}" for name in columns)
    answer = as_admin.get(f"{path}?q=&{asked}&density=compact")
    assert answer.status_code == 302
    page = as_admin.page(answer.headers["Location"])
    assert heads(page, target) == [*first, *columns.values()]
    assert page.find(f"//*[@id='{target[1:]}']//table[contains(@class, 'z-compact')]")
    kept = {each.get("name"): each.get("value") for each in page.find("//form[@role='search']/input[@type='hidden']")}
    assert (kept["columns"], kept["density"]) == (",".join(columns), "compact")
    every = "&".join(f"column={name}" for name in ticked)
    assert "columns=" not in as_admin.get(f"{path}?{every}").headers["Location"]
    assert heads(as_admin.page(f"{path}?columns=nonsense"), target) == usual


@pytest.mark.parametrize("path", LISTS)
def test_the_menu_goes_by_what_is_typed(as_admin, filled, path):
    answer = as_admin.get(f"{path}?q=e&columns={next(iter(LISTS[path][2]))}", htmx=True)
    assert 'id="list-columns-search" name="q" value="e"' in answer.text
    assert answer.text.count("list-columns-kept") == 1


def test_a_project_s_machines_have_columns(as_alice, machine):
    url = f"/projects/{machine.project_id}"
    assert heads(as_alice.page(url), "#project") == ["Name", "State", "Size", "Address", "Per hour", "Created"]
    form = as_alice.page(url).one("//*[@id='list-columns']//form")
    assert form.get("action") == url
    answer = as_alice.get(f"{url}?column=state&column=month&density=compact")
    assert answer.headers["Location"] == f"{url}?density=compact&columns=state,month"
    page = as_alice.page(answer.headers["Location"])
    assert heads(page, "#project") == ["Name", "State", "This month"]
    assert page.find("//table[contains(@class, 'z-compact')]")
