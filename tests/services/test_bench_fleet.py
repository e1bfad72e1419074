"""The bench's bare rows are a ledger like any other: in order before and after Zentry goes on with it."""

from datetime import timedelta

import pytest

from bench.fleet import Fleet, load
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration


def test_a_fleet_with_a_past_passes_verify_and_is_settled(config, clock):
    fleet = Fleet(owners=4, vms=2, hours=300, first_vms=3)
    load(config.business_url, fleet)
    clock.set(fleet.settled_until + timedelta(minutes=50))
    container = build_container(config, clock=clock)
    billing = container.get_billing_service()
    assert [check for check in billing.verify() if not check.ok] == []
    assert billing.runs.settle(clock.now()) == 0
    clock.advance(hours=2)
    assert billing.runs.settle(clock.now()) == 2 * (3 + 3 * 2)
    assert billing.runs.renew_holds() == []
    assert [check for check in billing.verify() if not check.ok] == []
    container.close()
