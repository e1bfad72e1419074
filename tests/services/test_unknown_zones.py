"""An account's time zone that this system does not know: UTC for that account, and nothing for the others."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from tests.conftest import ROOT
from zentry_web.domain.credits.usage import local_month, month_start
from zentry_web.domain.zones import find_zone, zone_of
from zentry_web.models import DbUsageInterval, DbUser

pytestmark = pytest.mark.integration

GONE = "Asia/Atlantis"
NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


@pytest.mark.unit
@pytest.mark.parametrize("name", [GONE, "", "../../etc/passwd", "/etc/passwd", "Europe", "a" * 300, "Nul\0"])
def test_what_is_no_zone_here_is_utc(name):
    assert find_zone(name) is None
    assert zone_of(name).key == "UTC"
    assert month_start(NOW, name) == datetime(2026, 11, 1, tzinfo=UTC)
    assert local_month(NOW, name) == "2026-11"


@pytest.mark.unit
def test_zones_come_with_zentry_where_the_system_has_none():
    """tzdata is among what Zentry runs on: a system without zone files knows every zone."""
    code = "import zoneinfo; zoneinfo.reset_tzpath(()); print(zoneinfo.ZoneInfo('Asia/Calcutta').key)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Asia/Calcutta"
    assert "\ntzdata==" in (ROOT / "scripts/requirements.lock").read_text()


def test_one_accounts_zone_holds_up_no_other_and_its_owner_is_told(cloud, alice, bob):
    vms = [cloud.launch(user, cloud.project(user), name=user.name.lower()) for user in (alice, bob)]
    with cloud.container.database.writing() as session:
        session.execute(update(DbUser).where(DbUser.id == alice.id).values(time_zone=GONE))
        session.execute(update(DbUsageInterval).where(DbUsageInterval.owner_id == alice.id).values(time_zone=GONE))
        session.commit()
    cloud.clock.advance(3605)
    cloud.worker.reconciler.run()
    assert cloud._biller._round("bill", cloud._biller._bill, 5) == ""
    cloud._biller._round("land", dict((job, once) for job, once, _ in cloud._biller.loops())["land"], 5)  # noqa: C402
    for vm in vms:
        assert cloud.charges(vm)
        assert cloud.hold(vm).paid_until > cloud.clock.now()
    for _ in range(2):
        assert cloud._biller._round("housekeeping", cloud._biller._keep_house, 5) == ""
    told = [notice for notice in cloud.billing.notices.list_notices(alice.id) if notice.kind == "zone"]
    assert [notice.title for notice in told] == [f"This system does not know your time zone, {GONE}"]
    assert not [notice for notice in cloud.billing.notices.list_notices(bob.id) if notice.kind == "zone"]
    cloud.assert_sound()
