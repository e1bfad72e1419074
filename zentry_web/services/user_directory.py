"""The list of all accounts for admins: searched, filtered, sorted, paged by key, and as rows of a file."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind
from zentry_web.domain.directory import LOW_MICRO, PeopleFilter, PeopleMark, PeopleSort, PeopleState
from zentry_web.domain.event import Outcome
from zentry_web.domain.factor import FactorKind
from zentry_web.domain.text import folded
from zentry_web.domain.user import SYSTEM, Actor, UserRow
from zentry_web.domain.vm import VMState
from zentry_web.models import DbAccount, DbAuthSession, DbEvent, DbFactor, DbUser, DbVM
from zentry_web.services.access import require_admin
from zentry_web.services.account_rows import to_user
from zentry_web.services.base_service import BaseService
from zentry_web.services.fields import storable
from zentry_web.services.rate_limit import RateLimiter

CHUNK = 500  # rows of a file that are read at once
_WALLET = (DbAccount.owner_id == DbUser.id) & (DbAccount.kind == AccountKind.WALLET)
_balance = func.coalesce(DbAccount.balance, 0)
# What each order compares, and whether the largest comes first; the id decides between equals.
_ORDERS: dict[PeopleSort, tuple[ColumnElement[Any], bool]] = {
    PeopleSort.NEWEST: (DbUser.id.expression, True),
    PeopleSort.OLDEST: (DbUser.id.expression, False),
    PeopleSort.NAME: (func.lower(DbUser.name), False),
    PeopleSort.EMAIL: (DbUser.email_key.expression, False),
    PeopleSort.LEAST: (_balance, False),
    PeopleSort.MOST: (_balance, True),
}


class UserDirectory(BaseService):
    """Who there is; a part of UserService. Amounts are micro-credits."""

    name = "user_directory"

    def list_people(
        self,
        wanted: PeopleFilter | None = None,
        *,
        actor: Actor = SYSTEM,
        sort: PeopleSort = PeopleSort.NEWEST,
        before: str | None = None,
        limit: int = 50,
    ) -> list[UserRow]:
        """Accounts that fit, with credits, VMs, factors and when they were last seen; for admins.

        ``before`` is the id of the last row seen, in the same order. Six statements at most, whatever the number.
        Raises PermissionDeniedError.
        """
        require_admin(actor)
        with self.reading() as session:
            query = _query(wanted or PeopleFilter())
            key, largest_first = _ORDERS[sort]
            if before is not None:
                seen = session.execute(_base(key).where(DbUser.id == storable(before))).first()
                if seen is not None:
                    query = query.where(_beyond(key, seen[0], storable(before), largest_first))
            order = (key.desc(), DbUser.id.desc()) if largest_first else (key.asc(), DbUser.id.asc())
            return _user_rows(session, list(session.scalars(query.order_by(*order).limit(limit))))

    def list_ids(self, wanted: PeopleFilter, *, actor: Actor = SYSTEM, limit: int) -> list[str]:
        """The ids of the newest accounts that fit; for admins."""
        require_admin(actor)
        with self.reading() as session:
            query = _query(wanted).with_only_columns(DbUser.id).order_by(DbUser.id.desc()).limit(limit)
            return list(session.scalars(query))

    def list_by_ids(self, ids: list[str], *, actor: Actor = SYSTEM) -> list[UserRow]:
        """These accounts, newest first, as far as they exist; for admins."""
        require_admin(actor)
        with self.reading() as session:
            query = select(DbUser).where(DbUser.id.in_([storable(each) for each in ids])).order_by(DbUser.id.desc())
            return _user_rows(session, list(session.scalars(query)))

    def count_factors(self, user_id: str, *, actor: Actor = SYSTEM) -> dict[FactorKind, int]:
        """Which kinds of second factors an account has, and how many of each; for admins, who see no more of them."""
        require_admin(actor)
        query = select(DbFactor.kind, func.count()).where(DbFactor.user_id == user_id)
        with self.reading() as session:
            return {FactorKind(kind): count for kind, count in session.execute(query.group_by(DbFactor.kind))}

    def export(
        self, wanted: PeopleFilter, *, actor: Actor = SYSTEM, sort: PeopleSort = PeopleSort.NEWEST
    ) -> Iterator[UserRow]:
        """Every account that fits, for a file; for admins. That it was taken is audited.

        Read in chunks, none of which holds a transaction open for the others. Raises PermissionDeniedError,
        RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        details = {"role": wanted.role, "state": wanted.state, "mark": wanted.mark, "searched": bool(wanted.search)}
        self.log_audit_event(actor.id, "user.list_export", "user_list", "all", details, actor=actor)
        return self._chunks(wanted, actor, sort)

    def _chunks(self, wanted: PeopleFilter, actor: Actor, sort: PeopleSort) -> Iterator[UserRow]:
        before: str | None = None
        while True:
            rows = self.list_people(wanted, actor=actor, sort=sort, before=before, limit=CHUNK)
            yield from rows
            if len(rows) < CHUNK:
                return
            before = rows[-1].user.id


def _base(*columns: Any) -> Select[Any]:
    return select(*columns).select_from(DbUser).outerjoin(DbAccount, _WALLET)


def _query(wanted: PeopleFilter) -> Select[Any]:
    return _base(DbUser).where(*_conditions(wanted))


def _beyond(key: ColumnElement[Any], at: object, user_id: str, largest_first: bool) -> ColumnElement[bool]:
    if largest_first:
        return or_(key < at, and_(key == at, DbUser.id < user_id))
    return or_(key > at, and_(key == at, DbUser.id > user_id))


def _conditions(wanted: PeopleFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search := storable(wanted.search).strip():
        found.append(_matches(search))
    if wanted.role is not None:
        found.append(DbUser.role == wanted.role)
    if wanted.state is not None:
        found.append(_state(wanted.state))
    if wanted.mark is not None:
        found.append(_mark(wanted.mark))
    return found


def _state(state: PeopleState) -> ColumnElement[bool]:
    if state == PeopleState.ACTIVE:
        return DbUser.disabled_at.is_(None)
    if state == PeopleState.DISABLED:
        return DbUser.disabled_at.is_not(None)
    if state == PeopleState.LEAVING:
        return DbUser.deletion_at.is_not(None)
    logged_in = exists().where(
        DbEvent.resource_id == DbUser.id,
        DbEvent.action.in_(("auth.login", "auth.link_redeemed")),
        DbEvent.outcome == Outcome.SUCCEEDED,
    )
    return not_(or_(logged_in, exists().where(DbAuthSession.user_id == DbUser.id)))


def _mark(mark: PeopleMark) -> ColumnElement[bool]:
    if mark == PeopleMark.VMS:
        return exists().where(DbVM.owner_id == DbUser.id, DbVM.deleted_at.is_(None))
    if mark == PeopleMark.LOW:
        return _balance < LOW_MICRO
    return not_(exists().where(DbFactor.user_id == DbUser.id))


def _matches(search: str) -> ColumnElement[bool]:
    return or_(
        DbUser.email_key.contains(folded(search), autoescape=True),
        DbUser.name.contains(search, autoescape=True),
        func.lower(DbUser.name).contains(folded(search), autoescape=True),
        DbUser.id == search,
    )


def _user_rows(session: Session, users: list[DbUser]) -> list[UserRow]:
    """With what lists show of each; four statements, none for nobody."""
    if not users:
        return []
    ids = [user.id for user in users]
    accounts = select(DbAccount.owner_id, DbAccount.kind, DbAccount.balance).where(DbAccount.owner_id.in_(ids))
    balances = {(owner_id, kind): balance for owner_id, kind, balance in session.execute(accounts)}
    vms = select(DbVM.owner_id, DbVM.state, func.count()).where(DbVM.owner_id.in_(ids), DbVM.deleted_at.is_(None))
    counts: dict[str, dict[str, int]] = {}
    for owner_id, state, count in session.execute(vms.group_by(DbVM.owner_id, DbVM.state)):
        counts.setdefault(owner_id, {})[state] = count
    seen = select(DbAuthSession.user_id, func.max(DbAuthSession.last_seen_at)).where(DbAuthSession.user_id.in_(ids))
    seen_at = {row[0]: row[1] for row in session.execute(seen.group_by(DbAuthSession.user_id))}
    guarded = set(session.scalars(select(DbFactor.user_id).where(DbFactor.user_id.in_(ids)).distinct()))
    return [
        UserRow(
            user=to_user(user),
            wallet_micro=balances.get((user.id, AccountKind.WALLET), 0),
            held_micro=balances.get((user.id, AccountKind.HELD), 0),
            vm_count=sum(counts.get(user.id, {}).values()),
            running_count=counts.get(user.id, {}).get(VMState.RUNNING, 0),
            last_seen_at=seen_at.get(user.id),
            has_factor=user.id in guarded,
            deletion_at=user.deletion_at,
            has_password=user.password_hash is not None,
        )
        for user in users
    ]
