"""Alembic's entry point for both databases; zentry_web.migrate hands over the connection and says which."""

from typing import Any

from alembic import context

from zentry_web.models.types import UTCDateTime, UTCSecond

config = context.config


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Our column types are plain integers to a migration: it must not change when the code does."""
    if kind == "type" and isinstance(item, UTCDateTime | UTCSecond):
        return "sa.BigInteger()"
    return False


def compare_type(_context: Any, _inspected: Any, _column: Any, inspected: Any, model: Any) -> bool | None:
    """BigInteger and the types on it are one; the rest is compared the usual way."""
    if isinstance(model, UTCDateTime | UTCSecond):
        return not str(inspected).upper().startswith(("BIGINT", "INTEGER"))
    return None


context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    render_as_batch=True,
    render_item=render_item,
    compare_type=compare_type,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
