"""Several of one's machines at once: each by its own rights, state and quotas, and nothing twice."""

import pytest

from tests.services.people import Statements, acting, events_of, join, launch
from zentry_web.domain.label import Label
from zentry_web.domain.vms.fleet import MAX_ORDERED, Change, Wanted
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, RateLimitedError, ValidationError
from zentry_web.services.shared.one_by_one import EachOutcome

pytestmark = pytest.mark.integration

STOP, START = Wanted(Change.STOP), Wanted(Change.START)


@pytest.fixture
def bulk(cloud):
    return cloud.vms.bulk


@pytest.fixture
def site(cloud, alice):
    return cloud.project(alice, "Website")


@pytest.fixture
def machines(cloud, alice, site):
    """Three of Alice, running, by name."""
    return {name: cloud.launch(alice, site, name, answered=False) for name in ("web-1", "web-2", "web-3")}


def ids(machines, *names):
    return [machines[name].id for name in names or machines]


def told(results):
    return {each.thing.name: (str(each.outcome), each.text) for each in results}


def outcomes(results):
    return {each.thing.name: str(each.outcome) for each in results}


def test_pressed_twice_stops_once(bulk, cloud, machines, alice, core):
    assert outcomes(bulk.run(STOP, ids(machines), actor=acting(alice))) == dict.fromkeys(machines, "done")
    again = bulk.run(STOP, ids(machines), actor=acting(alice))
    assert told(again) == dict.fromkeys(machines, ("unchanged", "Is off or goes off already."))
    assert len(events_of(core, "vm.stop")) == 3


def test_one_that_is_refused_holds_up_no_other(bulk, cloud, machines, alice):
    cloud.vms.bin.set_protection(machines["web-2"].id, True, actor=acting(alice))
    wanted = Wanted(Change.DELETE, confirm="3 machines")
    results = bulk.run(wanted, ids(machines), actor=acting(alice))
    assert outcomes(results) == {"web-1": "done", "web-2": "refused", "web-3": "done"}
    assert "protected" in told(results)["web-2"][1]
    left = cloud.vms.list_vms(alice.id, actor=acting(alice)).vms
    assert {vm.name for vm in left if vm.state != VMState.DELETING} == {"web-2"}


def test_deleting_twice_is_told_as_done_already(bulk, cloud, machines, alice):
    cloud.keep_deleted(7)
    wanted = Wanted(Change.DELETE, confirm="2 machines")
    some = ids(machines, "web-1", "web-2")
    bulk.run(wanted, some, actor=acting(alice))
    assert set(outcomes(bulk.run(wanted, some, actor=acting(alice))).values()) == {"unchanged"}
    one = Wanted(Change.DELETE, confirm="web-3")
    assert outcomes(bulk.run(one, ids(machines, "web-3"), actor=acting(alice))) == {"web-3": "done"}


@pytest.mark.error
@pytest.mark.parametrize("typed", ["", "2 machines", "web-1", "3"])
def test_a_deletion_is_confirmed_by_the_number(bulk, cloud, machines, alice, typed):
    with pytest.raises(ValidationError) as caught:
        bulk.run(Wanted(Change.DELETE, confirm=typed), ids(machines), actor=acting(alice))
    assert set(caught.value.details) == {"confirm"}
    assert len(cloud.vms.list_vms(alice.id).vms) == 3


def test_each_project_s_role_counts(bulk, cloud, container, machines, site, alice, bob):
    lab = cloud.project(alice, "Lab")
    other = launch(container, alice, lab, "calc")
    join(container, site, bob, "restricted")
    join(container, lab, bob, "viewer")
    some = [*ids(machines, "web-1"), other.id]
    results = bulk.run(STOP, some, actor=acting(bob))
    assert outcomes(results) == {"web-1": "done", "calc": "refused"}
    assert "viewer" in told(results)["calc"][1]
    labels = bulk.run(Wanted(Change.LABEL, labels="x"), some, actor=acting(bob))
    assert set(outcomes(labels).values()) == {"refused"}


def test_what_strangers_name_is_not_there(bulk, machines, charlie, container, cloud):
    mine = launch(container, charlie, cloud.project(charlie, "Own"), "own-1")
    results = bulk.run(STOP, [*ids(machines), mine.id, "vm_none", "\x00"], actor=acting(charlie))
    assert outcomes(results) == {"own-1": "done"}
    with pytest.raises(ValidationError) as caught:
        bulk.run(STOP, ids(machines), actor=acting(charlie))
    assert set(caught.value.details) == {"vms"}
    assert bulk.list_chosen(ids(machines), actor=acting(charlie)) == []


def test_credits_are_counted_one_by_one(bulk, cloud, machines, alice):
    bulk.run(STOP, ids(machines), actor=acting(alice))
    cloud.worker.work()
    assert {vm.state for vm in bulk.list_chosen(ids(machines), actor=acting(alice))} == {VMState.STOPPED}
    hour = machines["web-1"].running_micro_per_hour
    cloud.set_wallet(alice, 2 * hour + hour // 2)
    results = bulk.run(START, ids(machines), actor=acting(alice))
    assert outcomes(results) == {"web-1": "done", "web-2": "done", "web-3": "refused"}
    (refused,) = [each for each in results if each.outcome == EachOutcome.REFUSED]
    assert refused.error.error_code == "INSUFFICIENT_CREDITS"


def test_labels_are_added_and_taken_away(bulk, cloud, machines, alice, core):
    cloud.vms.labels.set(machines["web-1"].id, "env=dev, old=1, Team=a", actor=acting(alice))
    some = ids(machines, "web-1", "web-2")
    add = Wanted(Change.LABEL, labels="ENV=prod, web")
    assert set(outcomes(bulk.run(add, some, actor=acting(alice))).values()) == {"done"}
    assert cloud.vms.labels.get(some[0]) == (Label("ENV", "prod"), Label("Team", "a"), Label("old", "1"), Label("web"))
    assert cloud.vms.labels.get(some[1]) == (Label("ENV", "prod"), Label("web"))
    assert set(outcomes(bulk.run(add, some, actor=acting(alice))).values()) == {"unchanged"}
    away = Wanted(Change.UNLABEL, labels="env, old=2, team=a")
    assert outcomes(bulk.run(away, some, actor=acting(alice))) == {"web-1": "done", "web-2": "done"}
    assert cloud.vms.labels.get(some[0]) == (Label("old", "1"), Label("web"))
    assert len(events_of(core, "vm.labels")) == 5


def test_too_many_labels_are_one_machine_s_affair(bulk, cloud, machines, alice):
    cloud.vms.labels.set(machines["web-1"].id, ", ".join(f"k{n}" for n in range(20)), actor=acting(alice))
    results = bulk.run(Wanted(Change.LABEL, labels="one-more"), ids(machines), actor=acting(alice))
    assert outcomes(results) == {"web-1": "refused", "web-2": "done", "web-3": "done"}
    assert "more than 20" in told(results)["web-1"][1]


@pytest.mark.error
@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted(Change.LABEL), "labels"), (Wanted(Change.LABEL, labels="two words"), "labels"),
        (Wanted(Change.UNLABEL, labels=" , "), "labels"), (Wanted(Change.MOVE), "project_id"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_done(bulk, machines, alice, wanted, field, core):
    with pytest.raises(ValidationError) as caught:
        bulk.run(wanted, ids(machines), actor=acting(alice))
    assert set(caught.value.details) == {field}
    assert events_of(core, "vm.labels") == []


def test_moving_counts_quotas_one_by_one(bulk, cloud, machines, alice):
    shop = cloud.project(alice, "Shop")
    cloud.vms.quotas.set_limits(shop.id, {"vms": "2"})
    wanted = Wanted(Change.MOVE, project_id=shop.id)
    results = bulk.run(wanted, ids(machines), actor=acting(alice))
    assert outcomes(results) == {"web-1": "done", "web-2": "done", "web-3": "refused"}
    again = bulk.run(wanted, ids(machines), actor=acting(alice))
    assert outcomes(again) == {"web-1": "unchanged", "web-2": "unchanged", "web-3": "refused"}


@pytest.mark.error
def test_into_a_project_of_somebody_else_nothing_is_moved(bulk, cloud, container, machines, alice, charlie):
    theirs = cloud.project(charlie, "Theirs")
    wanted = Wanted(Change.MOVE, project_id=theirs.id)
    with pytest.raises(NotFoundError):
        bulk.run(wanted, ids(machines), actor=acting(alice))
    join(container, theirs, alice, "restricted")
    with pytest.raises(PermissionDeniedError):
        bulk.run(wanted, ids(machines), actor=acting(alice))


@pytest.mark.error
def test_not_more_than_can_be_shown(bulk, machines, alice):
    with pytest.raises(ValidationError):
        bulk.run(STOP, [f"vm_{n}" for n in range(MAX_ORDERED + 1)], actor=acting(alice))


@pytest.mark.error
def test_too_often(bulk, machines, alice, core):
    for _ in range(60):
        bulk.run(START, ids(machines, "web-1"), actor=acting(alice))
    with pytest.raises(RateLimitedError):
        bulk.run(STOP, ids(machines, "web-1"), actor=acting(alice))
    assert events_of(core, "vm.stop") == []


def test_choosing_takes_as_many_statements_for_any_number(bulk, container, machines, alice):
    counts = []
    for some in (ids(machines, "web-1"), ids(machines)):
        with Statements(container.database) as statements:
            bulk.list_chosen(some, actor=acting(alice))
        counts.append(len([text for text in statements.texts if text.startswith("SELECT")]))
    assert counts[0] == counts[1] <= 3
