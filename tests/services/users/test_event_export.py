"""The trail in the logs: every event, in order, with its number, over kills and gaps."""

import pytest
from sqlalchemy import insert, text
from structlog.testing import capture_logs

from tests.services.people import acting
from zentry_web.models import DbEvent

pytestmark = [pytest.mark.integration, pytest.mark.asvs("16.4.3")]


@pytest.fixture
def export(container):
    return container.get_user_service().event_export


def lines(export):
    with capture_logs() as logs:
        export.run()
    return [line for line in logs if line["event"] == "trail"]


def test_every_event_once_in_order_with_its_number_and_nothing_personal(container, export, alice, admin):
    first = lines(export)
    assert [line["seq"] for line in first] == list(range(1, len(first) + 1))
    assert {"auth.signup"} <= {line["action"] for line in first}
    assert alice.email not in str(first)
    assert lines(export) == []
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    (line, *_) = lines(export)
    assert (line["seq"], line["action"], line["actor"]) == (first[-1]["seq"] + 1, "user.disable", admin.id)


def test_more_than_fits_one_look_is_written_at_once(container, export, alice, monkeypatch):
    monkeypatch.setattr("zentry_web.services.users.event_export.AT_ONCE", 2)
    for number in range(5):
        container.get_auth_service().update_profile(alice.id, {"name": f"Alice {number}"}, actor=acting(alice))
    seen = [line["seq"] for line in lines(export)]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 5


def test_a_number_that_is_missing_is_waited_for_and_then_passed_over(container, core, clock, export, alice):
    """On PostgreSQL an open transaction holds a number that others have gone past; an undone one leaves it unused."""
    last = lines(export)[-1]["seq"]
    with core.database.writing() as session, session.begin():
        values = dict.fromkeys(("id", "actor_id", "action", "outcome", "resource_type", "resource_id"), "x")
        session.execute(insert(DbEvent).values(seq=last + 2, at=clock.now(), details={}, **values))
    assert lines(export) == []
    clock.advance(61)
    assert [line["seq"] for line in lines(export)] == [last + 2]
    with core.database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM event_export")) == 1
