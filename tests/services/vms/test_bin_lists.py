"""The bin as a list: sorted and counted; several machines restored or purged at once, each by itself."""

import pytest

from tests.services.people import acting, join
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.vms.bin import BinChange, BinSort, rates_back
from zentry_web.domain.vms.fleet import MAX_ORDERED
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import Rates
from zentry_web.services.errors import NotFoundError, PriceChangedError, RateLimitedError, ValidationError
from zentry_web.services.shared.one_by_one import EachOutcome

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    cloud.keep_deleted(7)
    return cloud.project(alice)


@pytest.fixture
def binned(cloud, alice, project):
    """Three machines, deleted a minute after each other, the last name first."""
    made = [cloud.launch(alice, project, name, answered=False) for name in ("web-3", "web-2", "web-1")]
    for vm in made:
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
        cloud.worker.work()
        cloud.clock.advance(60)
    return made


@pytest.fixture
def lists(cloud):
    return cloud.vms.bin_lists


def ids(machines):
    return [vm.id for vm in machines]


def outcomes(results):
    return {each.thing.name: each.outcome for each in results}


def price(lists, machines, user):
    return rates_back(lists.list_chosen(ids(machines), actor=acting(user)))


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (BinSort.LATEST, "web-1"), (BinSort.EARLIEST, "web-3"), (BinSort.NAME, "web-1"), (BinSort.NAME_DOWN, "web-3"),
        (BinSort.SOONEST, "web-3"), (BinSort.LONGEST, "web-1"),
    ],
)  # fmt: skip
def test_it_is_sorted_and_paged_in_that_order(cloud, alice, binned, sort, first):
    seen, before = [], ""
    while page := cloud.vms.bin.list_binned(alice.id, actor=acting(alice), before=before, limit=2, sort=sort):
        seen += [vm.name for vm in page]
        before = page[-1].id
    assert seen[0] == first
    assert sorted(seen) == ["web-1", "web-2", "web-3"]
    assert seen in (sorted(seen), sorted(seen, reverse=True))


def test_it_is_counted_as_it_is_searched(lists, alice, bob, binned):
    name = ListSearch((Term("name", "web-2"),))
    assert lists.count(alice.id, actor=acting(alice)) == 3
    assert lists.count(alice.id, actor=acting(alice), search=name) == 1
    assert lists.count(bob.id, actor=acting(bob)) == 0
    with pytest.raises(NotFoundError):
        lists.count(alice.id, actor=acting(bob))


def test_the_file_has_all_of_them(lists, alice, binned, monkeypatch):
    monkeypatch.setattr("zentry_web.services.vms.bin_lists.CHUNK", 2)
    found = lists.export(alice.id, actor=acting(alice), sort=BinSort.NAME)
    assert [vm.name for vm in found] == ["web-1", "web-2", "web-3"]


def test_several_come_back_stopped_under_their_names(cloud, lists, alice, binned):
    shown = price(lists, binned, alice)
    assert shown.stopped == sum(vm.stopped_micro_per_hour for vm in binned)
    results = lists.run(BinChange.RESTORE, ids(binned), actor=acting(alice), shown=shown)
    assert outcomes(results) == dict.fromkeys(("web-1", "web-2", "web-3"), EachOutcome.DONE)
    assert {cloud.vm(vm).state for vm in binned} == {VMState.STOPPED}
    assert lists.count(alice.id, actor=acting(alice)) == 0
    cloud.live(30)
    cloud.assert_sound()


def test_one_that_is_refused_holds_up_no_other(cloud, lists, alice, project, binned):
    cloud.ask(alice, project, "web-2")
    results = lists.run(BinChange.RESTORE, ids(binned), actor=acting(alice), shown=price(lists, binned, alice))
    assert outcomes(results)["web-2"] == EachOutcome.REFUSED
    assert "another machine named" in next(each.text for each in results if each.outcome == EachOutcome.REFUSED)
    assert [vm.name for vm in cloud.vms.bin.list_binned(alice.id, actor=acting(alice))] == ["web-2"]


def test_at_another_price_than_was_shown_none_comes_back(lists, alice, binned):
    with pytest.raises(PriceChangedError):
        lists.run(BinChange.RESTORE, ids(binned), actor=acting(alice), shown=Rates(stopped=1))
    assert lists.count(alice.id, actor=acting(alice)) == 3


def test_several_are_purged_once_their_number_was_typed(cloud, lists, alice, binned):
    with pytest.raises(ValidationError) as refused:
        lists.run(BinChange.PURGE, ids(binned), actor=acting(alice), confirm="web-1")
    assert "3 machines" in refused.value.details["confirm"]
    for outcome in (EachOutcome.DONE, EachOutcome.UNCHANGED):  # pressed twice
        results = lists.run(BinChange.PURGE, ids(binned), actor=acting(alice), confirm="3 machines")
        assert set(outcomes(results).values()) == {outcome}
    cloud.worker.work()
    assert {cloud.row(vm).state for vm in binned} == {VMState.DELETED}
    cloud.assert_sound()


def test_only_who_may_delete_there_finds_them(cloud, lists, alice, bob, charlie, project, binned):
    join(cloud.container, project, bob, ProjectRole.VIEWER)
    for stranger in (bob, charlie):
        assert lists.list_chosen(ids(binned), actor=acting(stranger)) == []
        with pytest.raises(ValidationError):
            lists.run(BinChange.PURGE, ids(binned), actor=acting(stranger), confirm="3 machines")
    cloud.projects.members.change_role(project.id, bob.id, ProjectRole.MEMBER, actor=acting(alice))
    assert len(lists.list_chosen(ids(binned), actor=acting(bob))) == 3


def test_too_many_none_and_too_often_are_refused(lists, alice, binned):
    for vm_ids in ([], ["vm_none"], [f"vm_{number}" for number in range(MAX_ORDERED + 1)]):
        with pytest.raises(ValidationError) as refused:
            lists.run(BinChange.PURGE, vm_ids, actor=acting(alice), confirm="")
        assert "vms" in refused.value.details
    guest = acting(alice, address="10.9.8.7")
    with pytest.raises(RateLimitedError):  # noqa: PT012
        for _ in range(61):
            lists.run(BinChange.PURGE, ids(binned), actor=guest, confirm="3 machines")
