"""NUL, which PostgreSQL takes nowhere: whoever asks for an id with one is answered as on SQLite."""

import pytest
from sqlalchemy import bindparam, select

from zentry_web.models import DbUser

pytestmark = [pytest.mark.integration, pytest.mark.error]


@pytest.mark.parametrize("nobody", ["\x00", "usr_\x00", "\x00" * 500])
def test_no_statement_stumbles_over_nul(core, nobody):
    with core.database.reading() as session:
        assert session.scalar(select(DbUser.id).where(DbUser.id == nobody)) is None
        assert session.scalars(select(DbUser.id).where(DbUser.id.in_([nobody, "x"]))).all() == []
        assert session.get(DbUser, nobody) is None
        assert session.scalar(select(bindparam("word", "a plain ‘word’"))) == "a plain ‘word’"
