"""SSH keys of an account: kept once each, chosen at a launch, gone with the account."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from tests.services.people import acting, events_of, join, personal_of
from tests.services.users.test_leaving import take
from zentry_web.domain.people.ssh_key import MOST_KEYS
from zentry_web.models import DbSshKey, DbVM
from zentry_web.services.errors import ConflictError, NotFoundError, ProofRequiredError, ValidationError
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration


def new_key(comment=""):
    """A line of a .pub file."""
    public = Ed25519PrivateKey.generate().public_key()
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}".strip()


@pytest.fixture
def users(container):
    return container.get_user_service()


@pytest.fixture
def keys(users):
    return users.ssh_keys


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


def test_a_key_is_added_renamed_and_removed(keys, container, core, clock, alice):
    added = keys.add(alice.id, new_key("alice@laptop"), actor=acting(alice))
    assert (added.name, added.kind, added.bits, added.comment) == ("alice@laptop", "ssh-ed25519", 256, "alice@laptop")
    assert (added.created_at, added.last_used_at) == (clock.now(), None)
    keys.rename(alice.id, added.id, "  Laptop ", actor=acting(alice))
    assert [key.name for key in keys.list_keys(alice.id, actor=acting(alice))] == ["Laptop"]
    keys.rename(alice.id, added.id, "Laptop", actor=acting(alice))
    assert keys.remove(alice.id, added.id, actor=acting(alice)).name == "Laptop"
    assert keys.list_keys(alice.id) == []
    for action in ("ssh_key.add", "ssh_key.rename", "ssh_key.remove"):
        (event,) = events_of(core, action)
        assert (event.owner_id, event.resource_id, event.details) == (alice.id, added.id, {"kind": "ssh-ed25519"})
        assert personal_of(core, event.id)["fingerprint"] == added.fingerprint
    (told,) = container.get_billing_service().notices.list_notices(alice.id)
    assert (told.title, path_of(told.target)) == ("An SSH key was added to your account", "/account/ssh-keys")
    assert added.fingerprint in told.body


def test_without_name_and_comment_it_is_called_by_its_kind(keys, alice):
    assert keys.add(alice.id, new_key(), " ", actor=acting(alice)).name == "Ed25519"
    assert keys.add(alice.id, new_key("x" * 150), actor=acting(alice)).name == "x" * 100
    assert keys.add(alice.id, new_key("laptop"), "Mine", actor=acting(alice)).name == "Mine"


@pytest.mark.error
def test_the_same_key_is_refused_under_any_comment(keys, alice, bob):
    line = new_key()
    keys.add(alice.id, f"{line} laptop", actor=acting(alice))
    with pytest.raises(ValidationError) as caught:
        keys.add(alice.id, f"{line} other", "Other", actor=acting(alice))
    assert caught.value.details == {"public_key": "You have this key already: it is called “laptop”."}
    keys.add(bob.id, line, actor=acting(bob))


@pytest.mark.error
def test_what_is_wrong_is_told_on_its_field(keys, alice):
    with pytest.raises(ValidationError) as caught:
        keys.add(alice.id, "rubbish", "a\x00b", actor=acting(alice))
    assert set(caught.value.details) == {"public_key", "name"}
    added = keys.add(alice.id, new_key(), actor=acting(alice))
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(ValidationError) as caught:
            keys.rename(alice.id, added.id, name, actor=acting(alice))
        assert set(caught.value.details) == {"name"}


@pytest.mark.error
def test_there_is_a_most(keys, alice):
    for _ in range(MOST_KEYS):
        keys.add(alice.id, new_key(), actor=acting(alice))
    with pytest.raises(ConflictError):
        keys.add(alice.id, new_key(), actor=acting(alice))


@pytest.mark.error
def test_adding_one_takes_a_recent_proof(keys, clock, alice):
    with pytest.raises(ProofRequiredError):
        keys.add(alice.id, new_key(), actor=acting(alice, proved_at=clock.now() - timedelta(hours=1)))


@pytest.mark.error
def test_another_person_s_keys_are_not_there(keys, alice, bob):
    added = keys.add(alice.id, new_key(), actor=acting(alice))
    for call in (
        lambda: keys.list_keys(alice.id, actor=acting(bob)),
        lambda: keys.add(alice.id, new_key(), actor=acting(bob)),
        lambda: keys.get_key(bob.id, added.id, actor=acting(bob)),
        lambda: keys.rename(bob.id, added.id, "Mine", actor=acting(bob)),
        lambda: keys.remove(bob.id, added.id, actor=acting(bob)),
        lambda: keys.get_key(alice.id, "ssh_\x00", actor=acting(alice)),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_a_machine_gets_the_ticked_keys_and_the_pasted_one_each_once(keys, cloud, clock, alice, project):
    lines = [new_key("laptop"), new_key("desktop"), new_key("unused")]
    laptop, desktop, unused = (keys.add(alice.id, line, actor=acting(alice)) for line in lines)
    clock.advance(60)
    other = new_key("colleague")
    vm = cloud.ask(alice, project, ssh_key_ids=[desktop.id, laptop.id, laptop.id], ssh_key=other)
    assert cloud.vms.records.spec(vm.id).ssh_keys == (lines[0], lines[1], other)
    again = cloud.ask(alice, project, "again", ssh_key_ids=[laptop.id], ssh_key=lines[0])
    assert cloud.vms.records.spec(again.id).ssh_keys == (lines[0],)
    none = cloud.ask(alice, project, "none")
    assert cloud.vms.records.spec(none.id).ssh_keys == ()
    used = {key.id: key.last_used_at for key in keys.list_keys(alice.id)}
    assert used == {laptop.id: clock.now(), desktop.id: clock.now(), unused.id: None}
    keys.remove(alice.id, laptop.id, actor=acting(alice))
    assert cloud.vms.records.spec(again.id).ssh_keys == (lines[0],), "a machine keeps what it was launched with"


@pytest.mark.error
def test_a_launch_takes_no_key_that_is_not_in_one_s_account(keys, cloud, alice, bob, project):
    mine, theirs = (keys.add(user.id, new_key(), actor=acting(user)) for user in (alice, bob))
    gone = keys.add(alice.id, new_key(), actor=acting(alice))
    keys.remove(alice.id, gone.id, actor=acting(alice))
    for wrong in (theirs.id, gone.id, "ssh_\x00", "x"):
        with pytest.raises(ValidationError) as caught:
            cloud.ask(alice, project, ssh_key_ids=[mine.id, wrong])
        assert set(caught.value.details) == {"ssh_key_ids"}
    with pytest.raises(ValidationError):
        cloud.ask(alice, project, ssh_key_ids=[f"ssh_{number}" for number in range(5000)])
    assert keys.get_key(alice.id, mine.id).last_used_at is None


def test_the_export_has_them(keys, users, alice, bob):
    keys.add(alice.id, new_key("laptop"), actor=acting(alice))
    keys.add(bob.id, new_key("bobs"), actor=acting(bob))
    assert [row["comment"] for row in take(users, alice)["ssh_keys"]] == ["laptop"]


def test_an_erased_account_leaves_no_key_anywhere(keys, users, container, cloud, core, alice, bob, project):
    """Bob's keys stand in machines of Alice's that he launched, or that she launched with one of his."""
    join(container, project, bob, "member")
    his, her = new_key("bob@laptop"), new_key("alice@laptop")
    bobs = keys.add(bob.id, his, actor=acting(bob))
    hers = keys.add(alice.id, her, actor=acting(alice))
    cloud.ask(bob, project, "his-1", ssh_key_ids=[bobs.id], ssh_key=new_key("bob@office"), user_data="#!/bin/sh\n")
    cloud.ask(alice, project, "hers-1", ssh_key_ids=[hers.id], ssh_key=his)
    cloud.ask(alice, project, "hers-2", ssh_key_ids=[hers.id])
    users.erase_personal_data(bob.id)
    with core.database.reading() as session:
        rows = {row.name: (row.ssh_key, row.user_data) for row in session.scalars(select(DbVM))}
        left = [row.user_id for row in session.scalars(select(DbSshKey))]
    assert rows == {"his-1": ("", "#!/bin/sh\n"), "hers-1": (her, ""), "hers-2": (her, "")}
    assert left == [alice.id]
