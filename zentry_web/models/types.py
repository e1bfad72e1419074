"""Column types that mean the same on SQLite and PostgreSQL (ADR 0003: time is stored as integers)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)

# SQLite only numbers rows by itself for a column that is exactly INTEGER.
AutoInteger = BigInteger().with_variant(Integer, "sqlite")


class _Epoch(TypeDecorator[datetime]):
    """An aware datetime kept as a whole number of units since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True
    unit: timedelta

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return (value - _EPOCH) // self.unit

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _EPOCH + int(value) * self.unit


class UTCDateTime(_Epoch):
    """A moment, to the microsecond."""

    cache_ok = True
    unit = _MICROSECOND


class UTCSecond(_Epoch):
    """A moment in whole seconds: what billing counts in."""

    cache_ok = True
    unit = _SECOND
