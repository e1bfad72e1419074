"""Reading: one snapshot for many statements, and a look that is a single one."""

import pytest
from sqlalchemy import event, text

from zentry_web.services.base_service import BaseService

pytestmark = pytest.mark.integration


@pytest.fixture
def service(core):
    return BaseService(core)


def test_a_look_takes_one_statement_and_no_transaction(service, core):
    said: list[str] = []
    event.listen(core.database.engine, "before_cursor_execute", lambda *found: said.append(found[2]))
    with service.looking() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1
        assert not core.database.is_sqlite or not session.connection().connection.driver_connection.in_transaction
    assert said == ["SELECT 1"]
    with service.reading() as session:
        session.execute(text("SELECT 1"))
    # The snapshot's BEGIN; on PostgreSQL the driver says it, which is not seen here.
    assert said[1:] == (["BEGIN DEFERRED", "SELECT 1"] if core.database.is_sqlite else ["SELECT 1"])


def test_a_look_joins_what_is_open_and_writes_nothing(service):
    with service.transaction() as outer, service.looking() as inner:
        assert inner is outer
    with service.looking(), pytest.raises(RuntimeError), service.transaction():
        pytest.fail("this writes")
