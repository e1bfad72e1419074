"""Announcements: by the clock, put away per person, written by admins only."""

from datetime import timedelta

import pytest

from tests.conftest import START
from tests.services.people import Statements, acting, events_of, personal_of
from zentry_web.domain.people.announcement import AnnouncementDraft, AnnouncementState, parse_link
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


@pytest.fixture
def told(container):
    return container.get_user_service().announcements


def draft(**changes):
    return AnnouncementDraft(**({"level": "info", "text": "Work on the host tonight", "from_at": START} | changes))


def texts(found):
    return [each.text for each in found]


def test_it_appears_and_vanishes_by_the_clock(told, alice, admin, clock):
    made = told.create(draft(from_at=START + HOUR, until_at=START + 2 * HOUR), actor=acting(admin))
    assert (told.list_shown(alice.id), made.state(clock.now())) == ([], AnnouncementState.PLANNED)
    clock.advance(3599)
    assert told.list_shown(alice.id) == []
    clock.advance(1)
    assert told.list_shown(alice.id) == [made]
    clock.advance(3600)  # the end is the first moment without it
    assert told.list_shown(alice.id) == []
    with pytest.raises(ConflictError):
        told.change(made.id, draft(), made.version, actor=acting(admin))


def test_a_page_looks_once_however_many_there_are(container, told, alice, admin):
    for number in range(7):
        told.create(draft(text=f"No. {number}", level="critical" if number == 3 else "info"), actor=acting(admin))
    with Statements(container.database) as statements:
        found = told.list_shown(alice.id)
    assert len([text for text in statements.texts if text.startswith("SELECT")]) == 1
    assert (len(found), found[0].text) == (5, "No. 3")  # gravest first


def test_putting_away_is_for_one_person_and_once(told, alice, bob, admin):
    made = told.create(draft(), actor=acting(admin))
    told.dismiss(made.id, actor=acting(alice))
    told.dismiss(made.id, actor=acting(alice))
    assert told.list_shown(alice.id) == []
    assert told.list_shown(bob.id) == [made]


@pytest.mark.error
def test_what_cannot_be_put_away(told, alice, admin, clock):
    critical = told.create(draft(level="critical"), actor=acting(admin))
    later = told.create(draft(from_at=START + HOUR), actor=acting(admin))
    with pytest.raises(ConflictError):
        told.dismiss(critical.id, actor=acting(alice))
    for gone in (later.id, "ann_none"):
        with pytest.raises(NotFoundError):
            told.dismiss(gone, actor=acting(alice))
    told.end(critical.id, actor=acting(admin))
    with pytest.raises(NotFoundError):
        told.dismiss(critical.id, actor=acting(alice))


def test_other_words_come_back_another_date_does_not(told, alice, admin):
    made = told.create(draft(), actor=acting(admin))
    told.dismiss(made.id, actor=acting(alice))
    made = told.change(made.id, draft(until_at=START + HOUR), made.version, actor=acting(admin))
    assert told.list_shown(alice.id) == []
    told.change(made.id, draft(text="It is moved to tomorrow"), made.version, actor=acting(admin))
    assert texts(told.list_shown(alice.id)) == ["It is moved to tomorrow"]


def test_one_made_critical_comes_back_and_stays(told, alice, admin):
    made = told.create(draft(), actor=acting(admin))
    told.dismiss(made.id, actor=acting(alice))
    told.change(made.id, draft(level="critical"), made.version, actor=acting(admin))
    assert len(told.list_shown(alice.id)) == 1


def test_visitors_see_what_is_for_them(told, admin):
    told.create(draft(text="inside"), actor=acting(admin))
    told.create(draft(text="outside", is_public=True), actor=acting(admin))
    assert texts(told.list_shown(None)) == ["outside"]


def test_one_form_makes_one(told, admin, core):
    first = told.create(draft(), actor=acting(admin), idempotency_key="k")
    assert told.create(draft(), actor=acting(admin), idempotency_key="k").id == first.id
    with pytest.raises(ConflictError):
        told.create(draft(text="another"), actor=acting(admin), idempotency_key="k")
    assert len(events_of(core, "announcement.create")) == 1


@pytest.mark.error
def test_two_admins_at_once_do_not_overwrite_each_other(told, admin):
    made = told.create(draft(), actor=acting(admin))
    told.change(made.id, draft(text="first"), made.version, actor=acting(admin))
    with pytest.raises(ConflictError):
        told.change(made.id, draft(text="second"), made.version, actor=acting(admin))
    assert texts(told.list_all()) == ["first"]


def test_ending_is_once_and_written_down(told, alice, admin, core):
    made = told.create(draft(), actor=acting(admin))
    told.change(made.id, draft(text="New words"), made.version, actor=acting(admin))
    for _ in range(2):
        told.end(made.id, actor=acting(admin))
    assert told.list_shown(alice.id) == []
    (edited,) = events_of(core, "announcement.edit")
    assert edited.details["changed"] == ["text"]
    assert "words" not in str(edited.details)
    assert personal_of(core, edited.id)["text_before"] == "Work on the host tonight"
    assert len(events_of(core, "announcement.end")) == 1


@pytest.mark.error
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"level": "shout"}, "level"), ({"text": " "}, "text"), ({"text": "x" * 501}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"link": "http://example.com"}, "link"), ({"link_text": "x" * 41}, "link_text"),
        ({"until_at": START}, "until_at"), ({"from_at": START - 2 * HOUR, "until_at": START - HOUR}, "until_at"),
        ({"from_at": START.replace(year=1)}, "from_at"), ({"until_at": START.replace(year=9500)}, "until_at"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_on_its_field(told, admin, changes, field):
    with pytest.raises(ValidationError) as refused:
        told.create(draft(**changes), actor=acting(admin))
    assert set(refused.value.details) == {field}
    assert told.list_all() == []


@pytest.mark.error
def test_only_admins_write(told, alice, admin):
    made = told.create(draft(), actor=acting(admin))
    calls = (
        lambda: told.create(draft(), actor=acting(alice)), lambda: told.check(draft(), actor=acting(alice)),
        lambda: told.change(made.id, draft(), 1, actor=acting(alice)), lambda: told.end(made.id, actor=acting(alice)),
        lambda: told.list_all(actor=acting(alice)), lambda: told.get_announcement(made.id, actor=acting(alice)),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(PermissionDeniedError):
            call()


def test_an_erased_account_has_put_nothing_away(container, told, bob, admin):
    made = told.create(draft(), actor=acting(admin))
    told.dismiss(made.id, actor=acting(bob))
    container.get_user_service().erase_personal_data(bob.id)
    assert told.list_shown(bob.id) == [made]


@pytest.mark.unit
@pytest.mark.parametrize("link", ["", "/credits", "/vms?state=running", "https://status.example.com/a?b=c#d"])
def test_links_that_are_taken(link):
    assert parse_link(f" {link} ") == link


@pytest.mark.asvs("1.2.2")
@pytest.mark.unit
@pytest.mark.parametrize(
    "link",
    [
        "//evil.example", "/\\evil.example", "javascript:alert(1)", "http://x.example", "https://", "credits",
        "https://a b.example", "https://user:pw@x.example", "/a\tb", "/a\x00b", "https://x.example:99999", "https://[",
        "/" + "x" * 300, "\u202e/credits", "data:text/html,x",
    ],
)  # fmt: skip
def test_links_that_are_refused(link):
    with pytest.raises(ValueError, match=r"address|characters"):
        parse_link(link)
