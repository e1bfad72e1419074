"""A form of a top-up sent many times at once, on both databases: one payment, and the same answer to everybody."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from tests.services.billing_world import World
from zentry_web.adapters.payments.base import ProviderAway
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbPayment
from zentry_web.services.errors import ConflictError, ProviderUnavailableError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ALICE = Actor("alice", Role.USER)
CREDIT = 1_000_000
AT_ONCE = 10


@pytest.fixture
def world(core):
    """Alice, and a provider that never answers: what is written before it is asked is all that is looked at."""
    made = World(core)
    made.person("alice")

    def away(_order):
        raise ProviderAway("nobody there")

    made.billing.payments.provider = SimpleNamespace(name="test", is_test=True, create_intent=away)
    return made


def together(world, amounts):
    """Send the form once for each of these amounts at the same moment; the errors."""
    barrier = threading.Barrier(len(amounts))

    def send(amount):
        barrier.wait()
        try:
            world.billing.payments.start_top_up("alice", amount, actor=ALICE, idempotency_key="form")
        except (ConflictError, ProviderUnavailableError) as error:
            return type(error)
        return None

    with ThreadPoolExecutor(len(amounts)) as pool:
        return list(pool.map(send, amounts))


def payments(world):
    return [row[0] for row in world.rows(select(DbPayment.id))]


def test_the_same_form_at_once_is_one_payment_and_one_answer(world):
    for _ in range(3):  # rounds: whether two meet is chance
        assert set(together(world, [5 * CREDIT] * AT_ONCE)) == {ProviderUnavailableError}
        assert len(payments(world)) == 1


def test_the_same_key_with_another_amount_is_refused(world):
    errors = together(world, [5 * CREDIT, 6 * CREDIT])
    assert sorted(error.__name__ for error in errors) == ["ConflictError", "ProviderUnavailableError"]
    assert len(payments(world)) == 1
