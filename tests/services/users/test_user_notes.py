"""Notes about accounts: for admins, appended, erased with the account."""

import io
import zipfile

import pytest

from tests.services.people import acting, events_of
from zentry_web.domain.user import LONGEST_NOTE, Role
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration


@pytest.fixture
def users(container):
    return container.get_user_service()


@pytest.fixture
def second(users, bob, admin):
    """Another admin."""
    return users.access.change_role(bob.id, Role.ADMIN, actor=acting(admin))


def test_notes_are_appended_with_who_and_when(users, clock, alice, admin, second):
    users.notes.add(alice.id, "  Called about\r\nthe invoice. ", actor=acting(admin))
    clock.advance(60)
    users.notes.add(alice.id, "Paid <b>today</b>", actor=acting(second))
    newest, oldest = users.notes.list_notes(alice.id, actor=acting(admin))
    assert (newest.text, newest.author_name, newest.at) == ("Paid <b>today</b>", "Bob", clock.now())
    assert (oldest.text, oldest.author_id) == ("Called about\nthe invoice.", admin.id)


def test_a_button_pressed_twice_makes_one_note(users, clock, alice, admin, second):
    first = users.notes.add(alice.id, "Same", actor=acting(admin))
    assert users.notes.add(alice.id, "Same", actor=acting(admin)) == first
    users.notes.add(alice.id, "Same", actor=acting(second))
    clock.advance(61)
    users.notes.add(alice.id, "Same", actor=acting(admin))
    assert len(users.notes.list_notes(alice.id, actor=acting(admin))) == 3


def test_only_ones_own_note_is_deleted(users, core, alice, charlie, admin, second):
    note = users.notes.add(alice.id, "Mine", actor=acting(admin))
    with pytest.raises(PermissionDeniedError):
        users.notes.remove(alice.id, note.id, actor=acting(second))
    for user_id, note_id in ((charlie.id, note.id), (alice.id, "note_none"), (alice.id, "\x00")):
        with pytest.raises(NotFoundError):
            users.notes.remove(user_id, note_id, actor=acting(admin))
    users.notes.remove(alice.id, note.id, actor=acting(admin))
    assert users.notes.list_notes(alice.id, actor=acting(admin)) == []
    assert [event.resource_id for event in events_of(core, "user.note_removed")] == [note.id]


@pytest.mark.error
@pytest.mark.parametrize("text", ["", "  \n ", "x" * (LONGEST_NOTE + 1), "a\x00b", "a\u202eb", None])
def test_what_is_no_note(users, alice, admin, text):
    with pytest.raises(ValidationError) as refused:
        users.notes.add(alice.id, text, actor=acting(admin))
    assert set(refused.value.details) == {"text"}


@pytest.mark.error
def test_a_note_is_about_somebody(users, admin):
    with pytest.raises(NotFoundError):
        users.notes.add("usr_nobody", "Hm", actor=acting(admin))


@pytest.mark.asvs("8.2.3")
def test_the_person_never_sees_them(users, alice, admin):
    users.notes.add(alice.id, "Suspicious, watch", actor=acting(admin))
    for attempt in (
        lambda: users.notes.list_notes(alice.id, actor=acting(alice)),
        lambda: users.notes.add(alice.id, "Hm", actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    seen = users.list_activity(alice.id, actor=acting(alice))
    assert [event for event in seen if event.action.startswith("user.note")] == []
    file = io.BytesIO()
    users.export.write(alice.id, file, actor=acting(alice))
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if b"Suspicious" in archive.read(name)]


@pytest.mark.asvs("14.2.4")
def test_they_are_erased_with_the_account(users, alice, admin):
    users.notes.add(alice.id, "Alice called", actor=acting(admin))
    users.erase_personal_data(alice.id, actor=acting(alice))
    assert users.notes.list_notes(alice.id, actor=acting(admin)) == []
