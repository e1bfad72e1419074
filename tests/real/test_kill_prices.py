"""kill -9 while owners are told of new prices and machines are switched to them: once each, at the second announced."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import make_config
from tests.real.worker_process import rig_on
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.user import Actor, Role
from zentry_web.migrate import migrate
from zentry_web.models import DbNotice, DbPriceChange, DbPriceTold, DbUsageInterval

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ADMIN = Actor("admin", Role.ADMIN)
CHEAPER = PriceItem(ItemKind.SIZE, "size_nano", 4_000, 90)


def test_every_step_of_telling_and_switching(tmp_path):
    config = make_config(tmp_path / "data")
    migrate(config)
    with rig_on(config) as rig:
        vm = rig.launch("web")
        rig.settle()
        changes = rig.billing.price_changes
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        change = changes.save_draft("Cheaper", start, [CHEAPER], actor=ADMIN)
        changes.publish(change, actor=ADMIN)
        for step in ("told_written", "told_committed", "switch_written", "switch_committed"):
            rig.worker.kill_at(f"prices.{step}")
        rig.worker.start()
        is_done = select(DbPriceChange.finished_at).where(DbPriceChange.finished_at.is_not(None))
        rig.worker.wait_for(lambda: rig.rows(is_done), 60, "the change to be finished")
        rig.worker.end()
        (told,) = rig.rows(select(DbPriceTold))
        assert len(rig.rows(select(DbNotice).where(DbNotice.kind == "prices"))) == 1
        before, after = rig.rows(select(DbUsageInterval).order_by(DbUsageInterval.start_at))
        assert (before.end_at, before.rate_micro_per_hour) == (told.effective_at, 5_000)
        assert (after.start_at, after.end_at, after.rate_micro_per_hour) == (told.effective_at, None, 4_000)
        assert after.vm_id == vm.id
        rig.assert_sound()
