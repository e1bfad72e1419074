"""The host's clock nine days ahead for a while, by the real faketime: nobody pays for or loses what did not happen."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from tests.conftest import ROOT, make_config
from tests.real.worker_process import rig_on
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbCharge, DbHeartbeat, DbLeader, DbNotice, DbSample, DbStatement, DbUser

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

LEAP = "+9d"
MINUTES = timedelta(minutes=10)


@pytest.fixture
def rig(tmp_path):
    config = make_config(tmp_path / "data")
    migrate(config)
    with rig_on(config) as found:
        yield found


def start_leapt(rig):
    """A worker for which the machine's clock is nine days ahead: a child of faketime's, in a session of their own."""
    worker = rig.worker
    environment = worker._environment | {"FAKETIME_DONT_RESET": "1"}
    with worker._log.open("ab") as log:
        worker.process = subprocess.Popen(
            ["faketime", "-f", LEAP, sys.executable, "-m", "zentry_web", "worker"],
            cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def rounds(rig):
    """When each loop of any worker last went round."""
    return {row.loop: row.at for row in rig.rows(select(DbHeartbeat))}


def test_a_clock_nine_days_ahead_charges_erases_closes_and_leases_nothing(rig):
    rig.billing.settings._defaults[SettingKey.BIN_DAYS] = 7
    runs, binned = rig.launch("runs"), rig.launch("binned")
    rig.worker.start()
    rig.worker.wait_for(rig.is_settled, 120, "both to run")
    rig.vms.delete_vm(binned.id, binned.name, actor=rig.me)
    rig.worker.wait_for(lambda: rig.state(binned) == VMState.BINNED, 120, "one to be in the bin")
    rig.worker.kill()
    leaving = datetime.now(UTC) + timedelta(days=7)
    with rig.container.database.writing() as session:
        session.execute(update(DbUser).where(DbUser.id == rig.alice.id).values(deletion_at=leaving))
        session.commit()
        admin = rig.container.get_auth_service().create_admin("admin@example.com", "Admin")
    assert admin

    began = datetime.now(UTC)
    start_leapt(rig)
    loops = {"reconcile", "bill", "land", "purge", "housekeeping", "verify", "sample"}

    def all_went_round():
        return {loop for loop, at in rounds(rig).items() if at > began} >= loops

    rig.worker.wait_for(all_went_round, 240, "every loop to go round under the leap")
    os.killpg(rig.worker.process.pid, signal.SIGKILL)
    rig.worker.process.wait(30)
    rig.worker.process = None

    near = datetime.now(UTC) + MINUTES
    assert rig.state(binned) == VMState.BINNED
    assert rig.state(runs) == VMState.RUNNING
    assert rig.rows(select(DbUser.deletion_at).where(DbUser.id == rig.alice.id)) == [leaving]
    assert rig.rows(select(func.count()).select_from(DbStatement)) == [0]
    assert not [each for each in rig.rows(select(DbCharge.to_at)) if each > near]
    assert max(rig.rows(select(DbLeader.lease_until))) < near
    assert max(rounds(rig).values()) < near
    told = rig.rows(select(DbNotice.title).where(DbNotice.kind == "clock"))
    assert told == ["The host's clock leapt"]
    with rig.container.parts.metrics_database.reading() as session:
        assert not [at for at in session.scalars(select(DbSample.at)) if at > near]

    with rig.container.database.writing() as session:
        session.execute(update(DbUser).where(DbUser.id == rig.alice.id).values(deletion_at=None))
        session.commit()
    rig.worker.start()  # the clock is right again
    again = datetime.now(UTC)
    rig.worker.wait_for(lambda: rounds(rig)["bill"] > again, 120, "it to go on by itself")
    rig.worker.end()
    broken = [check for check in rig.billing.verify() if not check.ok]
    assert broken == []
