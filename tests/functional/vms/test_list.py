"""/vms: search, filters, order, pages; and how many statements it takes."""

import csv
import io
import json
from urllib.parse import quote

import pytest
from lxml import html
from sqlalchemy import event

from tests.page import Page
from zentry_web.domain.monitoring import Sample
from zentry_web.domain.vms.state import VMState

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
    monkeypatch.setattr("zentry_web.blueprints.vms.listing.PAGE_SIZE", 2)
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
    menu = row.xpath(".//button[@form='z-menus']")[0].get("formaction")
    for opened in (as_alice.page(menu, htmx=True), as_alice.page(menu)):  # by script, and as a page without it
        forms = opened.one("//div[@id='vm-menu']").xpath(".//form")
        actions = [form.get("action").rsplit("/", 1)[1] for form in forms]
        assert actions == ["stop", "reboot"]


@pytest.fixture
def count(as_alice, container):
    """How many statements a page takes."""

    def counted(path):
        statements = []

        def note(_connection, _cursor, statement, *_):
            if not statement.startswith(("BEGIN", "PRAGMA")):
                statements.append(statement)

        engines = (container.database.engine, container.metrics_database.engine)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            assert as_alice.get(path, htmx=path.endswith("/row")).status_code == 200
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    return counted


@pytest.mark.parametrize("path", ["/vms", "/overview", "/vms/{vm}/row"])
def test_the_number_of_statements_does_not_grow(count, cloud, alice, project, path):
    cloud.set_wallet(alice, 100_000_000)
    path = path.format(vm=cloud.launch(alice, project, "first").id)
    few = count(path)
    for number in range(12):
        cloud.ask(alice, project, f"more-{number}")
    cloud.worker.work()
    assert cloud.vms.count_by_state(alice.id)[VMState.RUNNING] == 13
    assert count(path) <= max(few, 12)
    assert count(path) <= 12


def outer(element):
    """Its HTML, without spaces and what differs from answer to answer."""
    for field in element.xpath(".//input[@name='csrf_token']"):
        field.set("value", "")
    return b"".join(html.tostring(element, with_tail=False, method="xml").split())


@pytest.mark.parametrize("query", ["", "?ticked=1", "?sort=name"])
def test_a_row_is_fetched_as_the_list_shows_it(as_alice, cloud, fleet, project, query):
    cloud.vms.labels.set(fleet[0].id, "env=prod")
    page = as_alice.page(f"/vms{query}")
    shown = page.one(f"//tr[@id='row-{fleet[0].id}']")
    row_url = page.one("//tbody").get("data-rows")
    answer = as_alice.get(row_url.replace("*", fleet[0].id), htmx=True)
    assert len(answer.text) < 10_000
    row = Page(f"<table>{answer.text}</table>", fragment=True).one("//tr")
    assert outer(row) == outer(shown)


@pytest.mark.parametrize(
    ("query", "topic"),
    [("", "fleet"), ("sort=name", "fleet"), ("project={project}", "fleet")]
    + [(each, "vms") for each in ("state=running", "q=web", "label=env")],
)
def test_a_list_that_a_state_may_change_is_fetched_as_a_whole(as_alice, cloud, fleet, project, query, topic):
    cloud.vms.labels.set(fleet[0].id, "env=prod")
    page = as_alice.page(f"/vms?{query.format(project=project.id)}")
    assert page.one("//div[@id='vm-table']").get("data-live") == topic
    assert names(page)
    assert len(page.find("//tbody[@data-rows]/tr")) == (len(names(page)) if topic == "fleet" else 0)


def test_other_people_s_rows_and_rows_that_are_gone(as_alice, as_charlie, cloud, machine):
    assert as_charlie.get(f"/vms/{machine.id}/row", htmx=True).status_code == 404
    cloud.vms.delete_vm(machine.id, machine.name)
    cloud.worker.work()
    gone = as_alice.get(f"/vms/{machine.id}/row", htmx=True)
    assert (gone.status_code, gone.headers["HX-Reswap"], gone.text) == (404, "none", "")


def test_nul_in_the_address_is_left_out(as_alice, machine):
    assert "web-1" in as_alice.page("/vms?q=web%00-1&before=%00&project=%00&sort=%00").text()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state:running -name:web", ["db-1"]),
        ("state:stopped", []),
        ("label:env=prod", ["web-00"]),
        ("-label:env", ["db-1", "web-03", "web-02", "web-01"]),
        ("project:other", ["db-1"]),
        ('project:"Website" web-0 -web-01', ["web-03", "web-02", "web-00"]),
        ("size:nano", ["db-1", "web-03", "web-02", "web-01", "web-00"]),
        ("size:large", []),
        ("image:tiny name:3", ["web-03"]),
        ("cost:>0.001 web-02", ["web-02"]),
        ("cost:<0.001", []),
        ("address:10.", ["db-1", "web-03", "web-02", "web-01", "web-00"]),
    ],
)
def test_the_language_of_the_box(as_alice, cloud, fleet, query, found):
    cloud.vms.labels.set(fleet[0].id, "env=prod")
    assert names(as_alice.page(f"/vms?q={quote(query)}")) == found


def test_older_addresses_say_what_they_ask_for_in_the_box(as_alice, fleet, project):
    page = as_alice.page(f"/vms?q=web&state=running&project={project.id}&label=&sort=name")
    assert page.one("//input[@id='search']").get("value") == f"web state:running project:{project.id}"
    assert names(page) == ["web-00", "web-01", "web-02", "web-03"]


def test_a_search_that_makes_no_sense_loses_nothing(as_alice, fleet):
    page = as_alice.page("/vms?q=state%3Aruning+web")
    box = page.one("//input[@id='search']")
    assert (box.get("value"), box.get("aria-invalid")) == ("state:runing web", "true")
    assert "“runing” is no state" in page.one("//p[@id='search-problem']").text
    assert not names(page)
    typing = as_alice.get("/vms?q=state%3Aruning", htmx=True)
    assert "“runing” is no state" in typing.text
    assert typing.headers["HX-Retarget"] == "#search-problem"
    assert typing.headers["HX-Push-Url"] == "false"


@pytest.mark.parametrize(
    ("query", "offers"),
    [
        ("q=", ["state:", "label:", "project:", "size:", "image:", "name:", "address:", "cost:"]),
        ("q=la", ["label:"]),
        ("q=web+-st", ["-state:"]),
        ("q=state:st", ["state:starting", "state:stopping", "state:stopped"]),
        ("q=label:PRO", ["label:env=prod"]),
        ("q=project:o", ["project:Other"]),
        ("q=size:na+web&at=7", ["size:nano"]),
        ("q=name:x", []),
        ("q=colour:x", []),
    ],
)
def test_the_box_is_completed(as_alice, cloud, fleet, query, offers):
    cloud.vms.labels.set(fleet[0].id, "env=prod")
    page = Page(f"<ul>{as_alice.get(f'/vms/complete?{query}', htmx=True).text}</ul>", fragment=True)
    assert [option.text for option in page.find("//li[@role='option']/span")] == offers
    if query.endswith("at=7"):
        assert page.one("//li").get("data-text") == "size:nano web"


def test_heads_sort_and_say_how(as_alice, fleet):
    page = as_alice.page("/vms?q=web")
    heads = {"".join(head.itertext()).strip(): head for head in page.find("//thead/tr/th")}
    assert heads["Created"].get("aria-sort") == "descending"
    assert heads["Name"].get("aria-sort") is None
    by_name = as_alice.page(heads["Name"].find("a").get("href"))
    assert names(by_name) == ["web-00", "web-01", "web-02", "web-03"]
    (head,) = by_name.find("//th[@aria-sort='ascending']")
    assert names(as_alice.page(head.find("a").get("href"))) == ["web-03", "web-02", "web-01", "web-00"]


@pytest.mark.parametrize("sort", ["state", "state-down", "smallest", "largest", "cheapest", "dearest", "name-down"])
def test_every_order_goes_on_by_key(as_alice, cloud, fleet, sort, monkeypatch):
    cloud.vms.stop_vm(fleet[1].id)
    cloud.worker.work()
    whole = names(as_alice.page(f"/vms?sort={sort}"))
    monkeypatch.setattr("zentry_web.blueprints.vms.listing.PAGE_SIZE", 2)
    seen, url = [], f"/vms?sort={sort}"
    while url:
        page = as_alice.page(url)
        seen += names(page)
        url = next((link.get("href") for link in page.find("//a[@rel='next']")), None)
    assert seen == whole
    assert len(whole) == 5


def test_all_that_match_are_selected_and_changed(as_alice, cloud, fleet, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.vms.listing.PAGE_SIZE", 2)
    page = as_alice.page("/vms?q=web")
    assert "Select all 4 that match" in page.text()
    page = as_alice.page(page.one("//a[@class='z-bar-all']").get("href"))
    assert "4 selected, 0.02 per hour together" in page.text()
    form = page.one("//form[@id='vms-bulk']")
    fields = {each.get("name"): each.get("value") for each in form.xpath(".//input[@type='hidden']")}
    assert fields == {"all": "1", "q": "web"}
    page = as_alice.page("/vms/bulk?do=stop&all=1&q=web")
    chosen = {each.get("value") for each in page.find("//main//input[@name='id']")}
    assert chosen == {vm.id for vm in fleet[:4]}
    answer = as_alice.post("/vms/bulk", {"do": "stop", "q": "web", "id": sorted(chosen)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms?q=web")
    assert "4 machines are asked to shut down." in as_alice.page("/vms?q=web").text()
    assert "No machine is selected" in as_alice.page("/vms/bulk?do=stop&all=1&q=state:nonsense").text()


def test_an_order_from_a_row_s_menu_stays_on_the_list(as_alice, fleet):
    answer = as_alice.post(f"/vms/{fleet[0].id}/stop", {"row": "1"}, htmx=True)
    assert answer.status_code == 200
    assert json.loads(answer.headers["HX-Trigger"]) == {"moved": {"topics": [f"vm:{fleet[0].id}", "vms"]}}
    assert "The stop is ordered" in answer.text
    assert "vm-status" not in answer.text


def test_columns_are_chosen_and_kept_in_the_address(as_alice, cloud, alice, container, fleet):
    sample = Sample(fleet[0].id, cloud.clock.now(), 41.6, 64 * 2**20, 128 * 2**20, 0, 0, 0, 0)
    container.get_monitoring_service().record_samples([(alice.id, sample)])
    answer = as_alice.get("/vms?q=web&column=month&column=cpu&column=memory&column=image&density=compact")
    assert answer.status_code == 302
    page = as_alice.page(answer.headers["Location"])
    heads = ["".join(head.itertext()).strip() for head in page.find("//thead/tr/th")]
    assert heads == ["Name", "Image", "Processor", "Memory", "This month", "Actions"]
    assert page.find("//table[contains(@class, 'z-compact')]")
    row = page.one(f"//tr[@id='row-{fleet[0].id}']")
    assert "".join(row.xpath("td[@data-label='Processor']")[0].itertext()).strip() == "42 %"
    assert "".join(row.xpath("td[@data-label='Memory']")[0].itertext()).strip() == "64 MiB"
    assert "0.0" in "".join(row.xpath("td[@data-label='This month']")[0].itertext())
    row_url = page.one("//div[@id='vm-table']").get("hx-get")
    assert "columns=image%2Ccpu%2Cmemory%2Cmonth" in row_url or "columns=image,cpu,memory,month" in row_url
    usual = as_alice.get("/vms?column=state&column=size&column=address&column=rate&column=created")
    assert usual.headers["Location"] == "/vms"


def test_the_same_machines_as_a_file(as_alice, as_charlie, cloud, fleet, monkeypatch):
    monkeypatch.setattr("zentry_web.services.vms.fleet.CHUNK", 2)
    cloud.vms.labels.set(fleet[0].id, "env=prod")
    url = as_alice.page("/vms?q=web&sort=name").one("//a[normalize-space()='CSV']").get("href")
    lines = list(csv.DictReader(io.StringIO(as_alice.get(url).text.removeprefix("\ufeff"))))
    assert [line["name"] for line in lines] == ["web-00", "web-01", "web-02", "web-03"]
    assert lines[0]["labels"] == "env=prod"
    assert len(as_charlie.get("/vms/list.csv").text.strip().split("\n")) == 1
    assert as_alice.get("/vms/list.csv?q=state:nonsense").status_code == 400


def test_as_many_rows_as_were_shown_with_more(as_alice, fleet, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.vms.listing.PAGE_SIZE", 2)
    page = as_alice.page("/vms?sort=name&rows=4")
    assert names(page) == ["db-1", "web-00", "web-01", "web-02"]
    assert page.one("//nav[@data-more='rows']//a[@rel='next']/span[@class='z-if-script']").text == "More"
    following = page.one("//a[@rel='next']").get("href")
    assert "rows" not in following
    assert names(as_alice.page(following)) == ["web-03"]
    assert len(names(as_alice.page("/vms?rows=100000"))) == 5
    assert len(names(as_alice.page("/vms?rows=-1"))) == 2
