"""The settings' values in force: the environment's, else the database's, else the default."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from sqlalchemy import select

from zentry_web.domain.credits.books import LATELY
from zentry_web.domain.setting import DEFINITIONS, SettingKey, SettingValue
from zentry_web.models import DbEvent, DbSetting
from zentry_web.services.base_service import BaseService, Core

CHANGE = "setting.change"


class SettingValues(BaseService):
    """``defaults`` differ from those of the definitions where the operator chose so; ``pinned`` cannot be changed."""

    name = "setting_values"

    def __init__(
        self,
        core: Core,
        defaults: Mapping[SettingKey, SettingValue] | None = None,
        pinned: Collection[SettingKey] = (),
    ) -> None:
        super().__init__(core)
        self._defaults = {key: definition.default for key, definition in DEFINITIONS.items()} | dict(defaults or {})
        self._pinned = frozenset(pinned)

    def get(self, key: SettingKey) -> SettingValue:
        """The value in force. One look by primary key; none for what the environment sets."""
        if key in self._pinned:
            return self._defaults[key]
        with self.reading() as session:
            return self._value(session.get(DbSetting, key.value), key)

    def get_several(self, keys: Collection[SettingKey]) -> dict[SettingKey, SettingValue]:
        """The values in force of these. One statement; none where the environment sets them all."""
        asked = [key.value for key in keys if key not in self._pinned]
        rows: dict[str, DbSetting] = {}
        if asked:
            with self.reading() as session:
                rows = {row.key: row for row in session.scalars(select(DbSetting).where(DbSetting.key.in_(asked)))}
        return {key: self._value(rows.get(key.value), key) for key in keys}

    def number(self, key: SettingKey) -> int:
        """The value of a setting that is a number, or an amount in micro-credits."""
        value = self.get(key)
        assert isinstance(value, int)
        return value

    def days(self, key: SettingKey) -> timedelta:
        """The value of a setting that is a number of days."""
        return timedelta(days=self.number(key))

    def words(self, key: SettingKey) -> tuple[str, ...]:
        """The value of a setting that is a list of words."""
        value = self.get(key)
        assert isinstance(value, tuple)
        return value

    def text(self, key: SettingKey) -> str:
        """The value of a setting that is a text or an address; '' when there is none."""
        return str(self.get(key))

    def approval_limit(self) -> int:
        """What one admin may move alone: the lowest that it was within 24 hours, whoever changed it."""
        now = self.number(SettingKey.APPROVAL_CREDITS)
        if SettingKey.APPROVAL_CREDITS in self._pinned:
            return now
        changes = select(DbEvent.details).where(
            DbEvent.resource_id == SettingKey.APPROVAL_CREDITS.value, DbEvent.action == CHANGE,
            DbEvent.at > self.now() - LATELY,
        )  # fmt: skip
        with self.reading() as session:
            return min([now, *(int(details["from"]) for details in session.scalars(changes))])

    def _value(self, row: DbSetting | None, key: SettingKey) -> SettingValue:
        if row is None or row.value is None:
            return self._defaults[key]
        return tuple(row.value) if isinstance(row.value, list) else row.value
