"""Settings that admins change in the interface, looked up where they are used (docs/adr/0015).

The environment comes first: what the operator set there is shown and cannot be changed here. Everything else is read
from the database at each use, in the transaction of whoever asks: a change counts at once, in all processes.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.books import Approval, Move, MoveKind
from zentry_web.domain.event import Event, Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.setting import (
    DEFINITIONS,
    Definition,
    Setting,
    SettingKey,
    SettingKind,
    SettingValue,
    comes_to,
    parse_setting,
    show_setting,
)
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbEvent, DbSetting, DbUser
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_admin, require_recent_proof
from zentry_web.services.shared.event_log import read_events
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.second_admin import SecondAdmin
from zentry_web.services.shared.setting_values import CHANGE, SettingValues

_MOVED = lazy("Somebody else changed this setting meanwhile. Look at it again.")
_PINNED = lazy("This is set by the environment of Zentry. It can only be changed there.")


class Settings(SettingValues):
    """The values in force, and what admins do to them."""

    name = "settings"

    def __init__(
        self,
        core: Core,
        defaults: Mapping[SettingKey, SettingValue] | None = None,
        pinned: Collection[SettingKey] = (),
    ) -> None:
        super().__init__(core, defaults, pinned)
        self._notices = Notices(core)
        self.second_admin = SecondAdmin(core, self._notices, SettingValues(core, defaults, pinned))

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

    def change(self, key: str, value: object, version: int, *, actor: Actor = SYSTEM) -> Setting | Approval:
        """Set it, for all processes from now on; admins only; audited with the old and the new value.

        What can come to more than before and than an admin may move alone becomes a request to a second admin.
        ``version`` is the one that was seen. Raises ValidationError (``value``), ConflictError (pinned, changed
        meanwhile, waits already, an admin of less than 24 hours), NotFoundError, ProofRequiredError (what is about
        money).
        """
        definition = self._require(key, actor)
        try:
            parsed = parse_setting(definition, value)
        except ValueError as error:
            raise invalid({"value": str(error)}) from None
        return self._write(definition, parsed, version, actor)

    def reset(self, key: str, version: int, *, actor: Actor = SYSTEM) -> Setting | Approval:
        """Back to what it is where nobody has changed it. Raises as ``change``."""
        return self._write(self._require(key, actor), None, version, actor)

    def carry_out(self, request: Approval, actor: Actor) -> None:
        """Change what a second admin has agreed to change, in the caller's transaction. Raises as ``change``."""
        terms, definition = request.move.terms, self._require(request.move.target, actor)
        self._write(definition, terms["value"], terms["version"], actor, is_agreed=True)

    def list_history(self, key: str, *, actor: Actor = SYSTEM, limit: int = 20) -> list[Event]:
        """Who changed it when, from what to what, newest first; admins only. Raises NotFoundError."""
        require_admin(actor)
        wanted = DbEvent.resource_id == _definition(key).key.value, DbEvent.action == CHANGE
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
            self.second_admin.require_settled(actor)
        return definition

    def _write(
        self, definition: Definition, value: SettingValue | None, version: int, actor: Actor, *, is_agreed: bool = False
    ) -> Setting | Approval:
        key = definition.key
        with self.transaction() as session:
            if definition.is_money:  # what sign-ups bring depends on two settings: both at once are weighed in turn
                session.execute(select(DbUser.id).where(DbUser.id == actor.id).with_for_update(key_share=True))
            row = session.get(DbSetting, key.value, with_for_update=True)
            if version != (row.version if row else 0):
                raise ConflictError(_MOVED)
            before, after = self._value(row, key), self._defaults[key] if value is None else value
            if definition.is_money and not is_agreed:
                terms = {"value": value, "version": version, "title": definition.title}
                terms |= {"from": show_setting(definition, before), "to": show_setting(definition, after)}
                waits = self._consider(session, key, int(str(before)), int(str(after)), terms, actor)
                if waits is not None:
                    return waits
            if row is None:
                row = DbSetting(key=key.value)
                session.add(row)
            row.value = list(value) if isinstance(value, tuple) else value
            row.changed_by, row.changed_at = actor.id, self.now()
            session.flush()
            if before != after:
                self._log(definition, before, after, actor)
            return self._setting(definition, row, session.scalar(select(DbUser.name).where(DbUser.id == actor.id)))

    def _consider(
        self, session: Session, key: SettingKey, before: int, after: int, terms: dict[str, Any], actor: Actor
    ) -> Approval | None:
        """The request that a change becomes when it can come to more than before and needs a second admin."""
        others = {each: self.number(each) for each in (SettingKey.STARTING_CREDITS, SettingKey.SIGNUPS_PER_HOUR)}
        most = comes_to(key, after, others)
        if most <= comes_to(key, before, others):
            return None
        found = self.second_admin.find_open(session, MoveKind.SETTING, key)
        if found is not None and found.asked_by == actor.id and found.move.terms == terms:
            return found  # pressed twice

        def check() -> None:
            if found is not None:
                raise ConflictError(_("A change of this setting waits for a second admin already: see Approvals."))

        reason = f"Sign-ups from one network address could then get {format_credits(most)} credits a day."
        if key == SettingKey.APPROVAL_CREDITS:
            reason = "So much one admin could then move alone within 24 hours."
        move = Move(MoveKind.SETTING, actor.id, most, reason, key, terms)
        return self.second_admin.consider(session, move, self.new_id("setting"), actor=actor, check=check)

    def _log(self, definition: Definition, before: SettingValue, after: SettingValue, actor: Actor) -> None:
        details: dict[str, Any] = {"name": definition.title, "from": _plain(before), "to": _plain(after)}
        if definition.kind == SettingKind.TEXT:  # the trail need not keep every version of a long text
            details |= {"from": show_setting(definition, before), "to": show_setting(definition, after)}
        event_id = self.audit(CHANGE, Subject("setting", definition.key.value), details, actor=actor)
        if definition.is_money:
            now, was = show_setting(definition, after), show_setting(definition, before)
            words = say("setting_changed", setting=definition.title, now=now, before=was)
            for admin_id in self._other_admins(actor):
                target = Target(Place.SETTING, definition.key)
                self._notices.tell(admin_id, "setting", event_id, *words, target=target)

    def _other_admins(self, actor: Actor) -> list[str]:
        others = DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id != actor.id
        with self.reading() as session:
            return list(session.scalars(select(DbUser.id).where(*others).order_by(DbUser.id)))

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
        raise NotFoundError(_("There is no such setting.")) from None


def _plain(value: SettingValue) -> Any:
    return list(value) if isinstance(value, tuple) else value
