"""Write-offs: a line per charge that was not paid in full, why, and their sum."""

from datetime import timedelta

import pytest

from tests.services.billing_world import World
from tests.services.people import Statements
from zentry_web.domain.user import Actor, Role
from zentry_web.services.billing.books import write_offs
from zentry_web.services.errors import PermissionDeniedError

pytestmark = pytest.mark.integration


@pytest.fixture
def world(core):
    """A machine that ran on for three hours on one hour's credits while no worker looked, and one in time."""
    made = World(core)
    made.person("alice", credits=6_000)
    made.person("bob", credits=5_000)
    late, short = made.vm("alice", size="nano"), made.vm("bob", size="nano")
    made.start(late)
    made.pass_time(hours=3)
    made.settle()
    made.delete(late)
    made.start(short)
    for _ in range(2):
        made.pass_time(hours=1)
        made.settle()
    return made


def listed(world, **more):
    now = world.clock.now()
    return world.billing.books.write_offs.list_write_offs(now - timedelta(days=1), now + timedelta(seconds=1), **more)


def test_each_charge_that_was_not_paid_with_its_reason(world):
    lines, following = listed(world)
    assert following is None
    assert [(line.owner_id, line.amount_micro, line.why.split(":")[0]) for line in lines] == [
        ("bob", 5_000, "Nobody could pay"),
        ("alice", 5_000, "Nobody could pay"),
        ("alice", 4_000, "The worker was away or a host did not answer"),
    ]
    assert all(line.interval_id and line.vm_name and line.transfer_id for line in lines)
    assert sum(line.amount_micro for line in lines) == -world.account("write_off")


def test_totals_periods_and_pages(world, monkeypatch):
    service, now = world.billing.books.write_offs, world.clock.now()
    day = now - timedelta(days=1), now + timedelta(seconds=1)
    assert service.total(*day) == 14_000
    assert service.total(now, now + timedelta(seconds=1)) == 5_000
    assert service.total(now + timedelta(days=1), now + timedelta(days=2)) == 0
    first, following = listed(world, limit=1)
    second, _ = listed(world, limit=5, before=following)
    assert first + second == listed(world)[0]
    monkeypatch.setattr(write_offs, "CHUNK", 1)
    assert list(service.export(*day)) == listed(world)[0]


def test_two_statements_and_admins_only(world):
    with Statements(world.database) as statements:
        listed(world)
    assert statements.count <= 3
    with pytest.raises(PermissionDeniedError):
        listed(world, actor=Actor("alice", Role.USER))
