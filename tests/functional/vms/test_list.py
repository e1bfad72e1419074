"""/vms: search, filters, order, pages; and how many statements it takes."""

import pytest
from sqlalchemy import event

from zentry_web.domain.vm import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def fleet(cloud, alice, project):
    other = cloud.project(alice, "Other")
    cloud.set_wallet(alice, 100_000_000)
    made = [cloud.ask(alice, project, f"web-{number:02}") for number in range(4)]
    made += [cloud.ask(alice, other, "db-1")]
    cloud.worker.work()
    cloud.round(3)
    return made


def names(page):
    return [link.text for link in page.find("//tbody//a[contains(@class, 'z-row-title')]")]


def test_the_newest_come_first(as_alice, fleet):
    assert names(as_alice.page("/vms")) == ["db-1", "web-03", "web-02", "web-01", "web-00"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=db", ["db-1"]), ("q=WEB-0", ["web-03", "web-02", "web-01", "web-00"]), ("q=nothing", []),
        ("state=running", ["db-1", "web-03", "web-02", "web-01", "web-00"]), ("state=stopped", []),
        ("state=nonsense", ["db-1", "web-03", "web-02", "web-01", "web-00"]),
        ("q=%25", []), ("sort=oldest", ["web-00", "web-01", "web-02", "web-03", "db-1"]),
        ("sort=name", ["db-1", "web-00", "web-01", "web-02", "web-03"]),
    ],
)  # fmt: skip
def test_searching_filtering_and_order(as_alice, fleet, query, found):
    assert names(as_alice.page(f"/vms?{query}")) == found
    assert names(as_alice.page(f"/vms?{query}", htmx=True)) == found


def test_filtering_by_project(as_alice, fleet, project):
    assert names(as_alice.page(f"/vms?project={project.id}&q=0")) == ["web-03", "web-02", "web-01", "web-00"]


@pytest.mark.parametrize("sort", ["newest", "oldest", "name"])
def test_paging_by_key_shows_each_machine_once(as_alice, fleet, sort, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.vms.view.PAGE_SIZE", 2)
    url, seen = f"/vms?sort={sort}", []
    while url:
        page = as_alice.page(url)
        seen += names(page)
        following = page.find("//a[@rel='next']")
        url = following[0].get("href") if following else None
    assert sorted(seen) == ["db-1", "web-00", "web-01", "web-02", "web-03"]
    assert len(seen) == 5


def test_the_list_is_one_s_own(as_charlie, fleet):
    assert names(as_charlie.page("/vms")) == []


def test_nothing_found_offers_the_way_back(as_alice, fleet):
    assert "Nothing matches" in as_alice.page("/vms?q=zzz").text()


def test_each_row_offers_what_its_state_allows(as_alice, cloud, fleet):
    page = as_alice.page("/vms")
    row = page.one(f"//tr[@id='row-{fleet[0].id}']")
    actions = [form.get("action").rsplit("/", 1)[1] for form in row.xpath(".//form")]
    assert actions == ["stop", "reboot"]


@pytest.mark.parametrize("path", ["/vms", "/overview"])
def test_the_number_of_statements_does_not_grow(as_alice, container, cloud, alice, project, path):
    def count():
        statements = []

        def note(_connection, _cursor, statement, *_):
            if not statement.startswith(("BEGIN", "PRAGMA")):
                statements.append(statement)

        engines = (container.database.engine, container.metrics_database.engine)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            as_alice.page(path)
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    cloud.set_wallet(alice, 100_000_000)
    cloud.launch(alice, project, "first")
    few = count()
    for number in range(12):
        cloud.ask(alice, project, f"more-{number}")
    cloud.worker.work()
    assert cloud.vms.count_by_state(alice.id)[VMState.RUNNING] == 13
    assert count() <= max(few, 12)
    assert count() <= 12


def test_nul_in_the_address_is_left_out(as_alice, machine):
    assert "web-1" in as_alice.page("/vms?q=web%00-1&before=%00&project=%00&sort=%00").text()
