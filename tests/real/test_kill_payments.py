"""kill -9 of the worker at every commit point of payments: nobody is charged or credited twice, nothing is lost.

The test provider's memory lies in a file of its own, as the real one's lies elsewhere: it outlives the worker.
"""

import json
import sqlite3
from dataclasses import replace

import pytest

from tests.conftest import make_config
from tests.real.worker_process import Rig
from tests.services.payment_world import CREDIT, Till
from zentry_web.domain.credits.payments import AutoTopUp, PaymentState
from zentry_web.domain.user import SYSTEM
from zentry_web.migrate import migrate
from zentry_web.services.errors import ProviderUnavailableError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def rig(tmp_path):
    config = make_config(tmp_path / "data")
    migrate(config)
    made = Rig(config, ZENTRY_ENVIRONMENT="test", ZENTRY_SECRET_KEY="test-secret-key")
    yield made
    made.close()


@pytest.fixture
def till(rig):
    return Till(rig.container, rig.alice)


def intents(rig):
    """What the provider has in its memory."""
    database = sqlite3.connect(rig.config.data / "test-payments.sqlite")
    rows = [json.loads(body) for (body,) in database.execute("SELECT body FROM intent")]
    database.close()
    return rows


def is_due_now(rig):
    """The worker puts a look off by half a minute: no test waits for that."""
    with rig.container.database.writing() as session:
        session.connection().exec_driver_sql("UPDATE payment SET look_at = 0 WHERE look_at IS NOT NULL")
        session.commit()


def finish(rig, question, what):
    rig.worker.start()
    rig.worker.wait_for(question, 60, what)
    rig.worker.end()
    assert [check for check in rig.billing.verify() if not check.ok] == []


def test_automatic_top_up_killed_at_every_step(rig, till):
    card = till.kept().id
    wanted = AutoTopUp(True, 50 * CREDIT, 0, 20 * CREDIT, 100 * CREDIT, card)
    till.billing.auto_top_ups.set_settings(till.user.id, wanted, actor=till.me)
    rig.worker.kill_at("payments.auto_written")
    for step in ("payments.look_claimed", "payments.introduced", "payments.taken_in"):
        is_due_now(rig)
        rig.worker.kill_at(step)
    is_due_now(rig)
    finish(rig, lambda: till.wallet == 26 * CREDIT, "the top-up to come in")
    (made,) = [each for each in intents(rig) if each["minor"] == 2000]
    assert made["state"] == "succeeded"
    assert till.kinds == ["payment", "payment"], "the card's first one, and this"
    assert len([each for each in till.titles if "20.00" in each]) == 1


def test_a_payment_under_way_killed_at_every_step(rig, till):
    payment = till.start(10)
    till.provider.act(payment.provider_ref, "pay")  # and its webhook was lost
    for step in ("payments.look_claimed", "payments.taken_in"):
        is_due_now(rig)
        rig.worker.kill_at(step)
    is_due_now(rig)
    finish(rig, lambda: till.wallet == 15 * CREDIT, "the payment to come in")
    assert till.get(payment).state == PaymentState.SUCCEEDED
    assert till.kinds == ["payment"]


def test_a_refund_killed_at_every_step(rig, till, monkeypatch):
    payment = till.pay(10)

    def away(*_given):
        raise ProviderUnavailableError("the web process was killed here")

    with monkeypatch.context() as patch:
        patch.setattr(till.billing.payment_desk, "finish", away)
        with pytest.raises(ProviderUnavailableError):
            till.billing.payment_desk.refund(payment.id, 400, "why", actor=SYSTEM)
    for step in ("payments.refund_made", "payments.taken_in"):
        rig.worker.kill_at(step)
    finish(rig, lambda: till.billing.payment_desk.list_open() == [], "the refund to be finished")
    assert till.wallet == 11 * CREDIT
    assert [each["refunded_minor"] for each in intents(rig)] == [400]
    assert till.kinds == ["payment", "pay_refund"]


def test_the_web_process_is_killed_before_the_provider_knows(rig, till):
    """What a killed request leaves is a row without the provider's id: the worker makes it known."""
    till.payments._core = replace(till.payments._core, checkpoint=_die)
    with pytest.raises(_Died):
        till.start(10)
    assert not (rig.config.data / "test-payments.sqlite").exists(), "the provider was not asked"
    is_due_now(rig)
    (payment,) = till.payments.list_payments(till.user.id)
    finish(rig, lambda: till.get(payment).provider_ref, "the provider to know it")
    assert len(intents(rig)) == 1


class _Died(BaseException):
    """SIGKILL, as far as a test's own process can show it."""


def _die(name):
    if name == "payments.started":
        raise _Died
