"""Many accounts at once: each by itself, credits once per key, and no way around the second admin."""

import pytest

from tests.conftest import PASSWORD, sign_up
from tests.services.people import acting, events_of, session_user, visitor
from zentry_web.domain.money import MICRO
from zentry_web.domain.people.directory import BulkAction
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.user import Role
from zentry_web.services.errors import PermissionDeniedError, ProofRequiredError, ValidationError
from zentry_web.services.shared.one_by_one import EachOutcome

pytestmark = pytest.mark.integration

KEY = "k1234567890"
GRANT = {"amount": 2 * MICRO, "reason": "Course"}


@pytest.fixture
def users(container):
    return container.get_user_service()


@pytest.fixture
def bulk(users):
    return users.bulk


@pytest.fixture
def second(users, admin, container, clock):
    """Another admin, for more than a day: before that an admin agrees to nothing."""
    made = users.access.change_role(sign_up(container, "second").id, Role.ADMIN, actor=acting(admin))
    clock.advance(hours=25)
    return made


@pytest.fixture
def balance(container):
    return lambda user: container.get_billing_service().get_user_credits(user.id) // MICRO


def outcomes(results):
    return {result.thing.name: str(result.outcome) for result in results}


def run(bulk, admin, action, *users, key=KEY, **more):
    return outcomes(bulk.run(action, [user.id for user in users], key, actor=acting(admin), **more))


def test_one_that_is_refused_undoes_no_other(bulk, users, core, alice, bob, charlie, admin, second):
    users.set_disabled(bob.id, True, actor=acting(admin))
    found = run(bulk, admin, BulkAction.DISABLE, alice, bob, charlie, admin, second)
    assert found == {"Alice": "done", "Bob": "unchanged", "Charlie": "done", "Admin": "refused", "Second": "refused"}
    assert {user.id: users.get_user(user.id).disabled_at is not None for user in (alice, charlie, second)} == {
        alice.id: True, charlie.id: True, second.id: False,
    }  # fmt: skip
    (event,) = events_of(core, "user.bulk")
    assert event.details == {"action": "disable", "done": 2, "unchanged": 1, "waits": 0, "refused": 2}
    assert (event.actor_id, event.owner_id) == (admin.id, admin.id)
    assert run(bulk, admin, BulkAction.ENABLE, alice, bob, charlie) == dict.fromkeys(
        ("Alice", "Bob", "Charlie"), "done"
    )


@pytest.mark.asvs("7.4.5")
def test_sessions_end(bulk, container, alice, bob, admin):
    auth = container.get_auth_service()
    session = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    found = run(bulk, admin, BulkAction.END_SESSIONS, alice, bob, admin)
    assert found == {"Alice": "done", "Bob": "unchanged", "Admin": "refused"}
    assert session_user(auth, session) is None


def test_grants_move_once_per_key(bulk, users, balance, alice, bob, charlie, admin):
    users.set_disabled(charlie.id, True, actor=acting(admin))
    for _ in range(2):  # a double click
        found = run(bulk, admin, BulkAction.GRANT, alice, bob, charlie, **GRANT)
        assert found == {"Alice": "done", "Bob": "done", "Charlie": "refused"}
    assert (balance(alice), balance(bob), balance(charlie)) == (7, 7, 5)
    run(bulk, admin, BulkAction.GRANT, alice, key="another1", **GRANT)
    assert balance(alice) == 9


@pytest.mark.asvs("2.3.5")
def test_the_sum_of_a_batch_needs_a_second_admin(bulk, container, balance, alice, bob, admin, second):
    """1000 credits is the limit; each grant by itself is below it."""
    found = run(bulk, admin, BulkAction.GRANT, alice, bob, amount=600 * MICRO, reason="Much")
    assert found == {"Alice": "waits", "Bob": "waits"}
    assert (balance(alice), balance(bob)) == (5, 5)
    approvals = container.get_billing_service().books.approvals
    waiting = approvals.list_approvals(actor=acting(second), pending=True)
    assert {each.move.user_id for each in waiting} == {alice.id, bob.id}
    told = container.get_billing_service().notices.list_notices(second.id)
    titles = [each.title for each in told if each.kind == "approval"]
    assert titles == ["Admin asks for grants of 1,200.00 credits for 2 people"]
    approvals.decide(waiting[0].id, True, actor=acting(second))
    assert sorted((balance(alice), balance(bob))) == [5, 605]
    assert run(bulk, admin, BulkAction.GRANT, alice, bob, amount=600 * MICRO, reason="Much") == found


@pytest.mark.parametrize("key", ["second12", KEY])
def test_many_small_batches_count_together_whatever_their_key(
    bulk, container, balance, alice, bob, charlie, admin, key
):
    first = run(bulk, admin, BulkAction.GRANT, alice, amount=900 * MICRO, reason="Part one")
    assert first == {"Alice": "done"}
    later = run(bulk, admin, BulkAction.GRANT, bob, charlie, key=key, amount=90 * MICRO, reason="Part two")
    if key == KEY:  # the batch by itself is small: what was given under its key counts with each
        assert later == {"Charlie": "done", "Bob": "waits"}
    else:
        assert later == {"Charlie": "waits", "Bob": "waits"}
    assert balance(alice) + balance(bob) + balance(charlie) <= 1000 + 15


def test_after_a_day_a_batch_counts_no_more(bulk, clock, alice, bob, admin):
    assert run(bulk, admin, BulkAction.GRANT, alice, amount=900 * MICRO, reason="Mon") == {"Alice": "done"}
    clock.advance(hours=25)
    assert run(bulk, admin, BulkAction.GRANT, bob, key="tuesday12", amount=900 * MICRO, reason="Tue") == {"Bob": "done"}


def test_all_that_fit_a_filter(bulk, container, alice, bob, admin, monkeypatch):
    found = bulk.preview([], ListSearch((Term("role", "user"),)), actor=acting(admin))
    assert [row.user.name for row in found] == ["Bob", "Alice"]
    monkeypatch.setattr("zentry_web.services.users.bulk.MOST_AT_ONCE", 1)
    with pytest.raises(ValidationError, match="more than 1"):
        bulk.preview([], ListSearch((Term("role", "user"),)), actor=acting(admin))


@pytest.mark.error
def test_what_is_no_batch(bulk, core, alice, admin):
    for error, attempt in (
        (PermissionDeniedError, lambda: bulk.preview([alice.id], actor=acting(alice))),
        (ProofRequiredError, lambda: bulk.preview([alice.id], actor=acting(admin, proved_at=None))),
        (ValidationError, lambda: bulk.preview([], actor=acting(admin))),
        (ValidationError, lambda: bulk.preview(["usr_nobody", "\x00"], actor=acting(admin))),
        (ValidationError, lambda: bulk.preview([f"usr_{n}" for n in range(501)], actor=acting(admin))),
        (ValidationError, lambda: bulk.run(BulkAction.DISABLE, [alice.id], "short", actor=acting(admin))),
        (ValidationError, lambda: bulk.run(BulkAction.DISABLE, [alice.id], "a:b%_12345", actor=acting(admin))),
        (ValidationError, lambda: bulk.run(BulkAction.GRANT, [alice.id], KEY, actor=acting(admin), reason="No amount")),
        (ValidationError, lambda: bulk.run(BulkAction.GRANT, [alice.id], KEY, actor=acting(admin), amount=5)),
    ):
        with pytest.raises(error):
            attempt()
    assert events_of(core, "user.bulk") == []
    assert {str(each) for each in EachOutcome} == {"done", "unchanged", "waits", "refused"}
