"""Settings that admins change in the interface, looked up where they are used (docs/adr/0015).

The environment comes first: what the operator set there is shown and cannot be changed here. Everything else is read
from the database at each use, in the transaction of whoever asks: a change counts at once, in all processes.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from zentry_web.domain.event import Event
from zentry_web.domain.setting import (
    DEFINITIONS,
    Definition,
    Setting,
    SettingKey,
    SettingValue,
    parse_setting,
    show_setting,
)
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbEvent, DbSetting, DbUser
from zentry_web.services.access import require_admin, require_recent_proof
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.event_log import read_events
from zentry_web.services.fields import invalid
from zentry_web.services.notices import MailSettings, Notices

BOUND = timedelta(hours=24)  # so long whoever raises a limit on themselves is held to the old one
_MOVED = "Somebody else changed this setting meanwhile. Look at it again."
_PINNED = "This is set by the environment of Zentry. It can only be changed there."


class Settings(BaseService):
    """``defaults`` differ from those of the definitions where the operator chose so; ``pinned`` cannot be changed."""

    name = "settings"

    def __init__(
        self,
        core: Core,
        defaults: Mapping[SettingKey, SettingValue] | None = None,
        pinned: Collection[SettingKey] = (),
        *,
        mail: MailSettings | None = None,
    ) -> None:
        super().__init__(core)
        self._defaults = {key: definition.default for key, definition in DEFINITIONS.items()} | dict(defaults or {})
        self._pinned = frozenset(pinned)
        self._notices = Notices(core, mail)

    # -- for services ---------------------------------------------------------------------------

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

    def limit_for(self, key: SettingKey, user_id: str) -> int:
        """The number that holds for one admin: who has raised it is held to what it was, for 24 hours."""
        if key in self._pinned:
            return self.number(key)
        with self.reading() as session:
            row = session.get(DbSetting, key.value)
            now = self._value(row, key)
            assert isinstance(now, int)
            if row is None or row.changed_by != user_id or row.bound_until is None or row.bound_until <= self.now():
                return now
            return min(now, int(row.bound_to or 0))

    # -- for admins -----------------------------------------------------------------------------

    def list_settings(self, *, actor: Actor = SYSTEM) -> list[Setting]:
        """All of them, with who changed each last; admins only. One statement."""
        require_admin(actor)
        query = select(DbSetting, DbUser.name).outerjoin(DbUser, DbUser.id == DbSetting.changed_by)
        with self.reading() as session:
            rows = {row.key: (row, name) for row, name in session.execute(query)}
        return [
            self._setting(definition, *rows.get(key.value, (None, None))) for key, definition in DEFINITIONS.items()
        ]

    def get_setting(self, key: str, *, actor: Actor = SYSTEM) -> Setting:
        """One of them; admins only. Raises NotFoundError."""
        definition = _definition(key)
        return next(each for each in self.list_settings(actor=actor) if each.key == definition.key)

    def change(self, key: str, value: object, version: int, *, actor: Actor = SYSTEM) -> Setting:
        """Set it, for all processes from now on; admins only; audited with the old and the new value.

        ``version`` is the one that was seen. Raises ValidationError (``value``), ConflictError (pinned, or changed
        meanwhile), NotFoundError, ProofRequiredError (what is about money).
        """
        definition = self._require(key, actor)
        try:
            parsed = parse_setting(definition, value)
        except ValueError as error:
            raise invalid({"value": str(error)}) from None
        return self._write(definition, parsed, version, actor)

    def reset(self, key: str, version: int, *, actor: Actor = SYSTEM) -> Setting:
        """Back to what it is where nobody has changed it. Raises as ``change``."""
        return self._write(self._require(key, actor), None, version, actor)

    def list_history(self, key: str, *, actor: Actor = SYSTEM, limit: int = 20) -> list[Event]:
        """Who changed it when, from what to what, newest first; admins only. Raises NotFoundError."""
        require_admin(actor)
        wanted = DbEvent.resource_id == _definition(key).key.value, DbEvent.action == "setting.change"
        with self.reading() as session:
            return read_events(session, *wanted, limit=limit)

    # -- inside ---------------------------------------------------------------------------------

    def _require(self, key: str, actor: Actor) -> Definition:
        require_admin(actor)
        definition = _definition(key)
        if definition.key in self._pinned:
            raise ConflictError(_PINNED)
        if definition.is_money:
            require_recent_proof(actor, self.now())
        return definition

    def _write(self, definition: Definition, value: SettingValue | None, version: int, actor: Actor) -> Setting:
        key = definition.key
        with self.transaction() as session:
            row = session.get(DbSetting, key.value, with_for_update=True)
            if version != (row.version if row else 0):
                raise ConflictError(_MOVED)
            before, after = self._value(row, key), self._defaults[key] if value is None else value
            if row is None:
                row = DbSetting(key=key.value, bound_to=None, bound_until=None)
                session.add(row)
            if key == SettingKey.APPROVAL_CREDITS:
                self._bind(row, int(str(before)), actor)
            row.value = list(value) if isinstance(value, tuple) else value
            row.changed_by, row.changed_at = actor.id, self.now()
            session.flush()
            if before != after:
                self._log(definition, before, after, actor)
            return self._setting(definition, row, session.scalar(select(DbUser.name).where(DbUser.id == actor.id)))

    def _bind(self, row: DbSetting, before: int, actor: Actor) -> None:
        """Whoever may raise the limit on what they do alone does not do so in one go with what it stops."""
        now = self.now()
        if row.changed_by == actor.id and row.bound_until is not None and row.bound_until > now:
            before = min(before, int(row.bound_to or 0))
        row.bound_to, row.bound_until = before, now + BOUND

    def _log(self, definition: Definition, before: SettingValue, after: SettingValue, actor: Actor) -> None:
        details: dict[str, Any] = {"name": definition.title, "from": _plain(before), "to": _plain(after)}
        event_id = self.log_audit_event(
            actor.id, "setting.change", "setting", definition.key.value, details, actor=actor
        )
        if definition.is_money:
            title = f"“{definition.title}” is now {show_setting(definition, after)}"
            body = f"It was {show_setting(definition, before)}. An admin changed it for everybody."
            for admin_id in self._other_admins(actor):
                url = f"/admin/settings/{definition.key}"
                self._notices.tell(admin_id, "setting", event_id, title, body, url=url)

    def _other_admins(self, actor: Actor) -> list[str]:
        others = DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id != actor.id
        with self.reading() as session:
            return list(session.scalars(select(DbUser.id).where(*others).order_by(DbUser.id)))

    def _value(self, row: DbSetting | None, key: SettingKey) -> SettingValue:
        if row is None or row.value is None:
            return self._defaults[key]
        return tuple(row.value) if isinstance(row.value, list) else row.value

    def _setting(self, definition: Definition, row: DbSetting | None, name: str | None) -> Setting:
        pinned = definition.key in self._pinned
        default = self._defaults[definition.key]
        return Setting(
            definition=definition,
            value=default if pinned else self._value(row, definition.key),
            default=default,
            is_pinned=pinned,
            is_default=pinned or row is None or row.value is None,
            version=row.version if row else 0,
            changed_by=row.changed_by if row else "",
            changed_by_name="Zentry" if row and row.changed_by == SYSTEM.id else (name or ""),
            changed_at=row.changed_at if row else None,
        )


def _definition(key: str) -> Definition:
    try:
        return DEFINITIONS[SettingKey(key)]
    except ValueError:
        raise NotFoundError("There is no such setting.") from None


def _plain(value: SettingValue) -> Any:
    return list(value) if isinstance(value, tuple) else value
