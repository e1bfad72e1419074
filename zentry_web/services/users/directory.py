"""The list of all accounts for admins: searched, filtered, sorted, paged by key, and as rows of a file."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.list_keys import amount_bounds, count_bounds, date_bounds
from zentry_web.domain.people.directory import PeopleSort, PeopleState
from zentry_web.domain.people.factor import FactorKind
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.text import folded
from zentry_web.domain.user import SYSTEM, Actor, UserRow
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbAccount, DbAuthSession, DbEvent, DbFactor, DbUser, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.account_rows import as_user
from zentry_web.services.shared.comparing import conditions_of, inclusive, within
from zentry_web.services.shared.fields import email_part, storable
from zentry_web.services.shared.paging import CHUNK, beyond, in_chunks, in_order, page_of
from zentry_web.services.shared.rate_limits import RateLimiter

_WALLET = (DbAccount.owner_id == DbUser.id) & (DbAccount.kind == AccountKind.WALLET)
_balance = func.coalesce(DbAccount.balance, 0)
_ID = DbUser.id.expression
# What each order compares, and whether the largest comes first; the id decides between equals.
_ORDERS: dict[PeopleSort, tuple[ColumnElement[Any], bool]] = {
    PeopleSort.NEWEST: (_ID, True),
    PeopleSort.OLDEST: (_ID, False),
    PeopleSort.NAME: (func.lower(DbUser.name), False),
    PeopleSort.NAME_DOWN: (func.lower(DbUser.name), True),
    PeopleSort.EMAIL: (DbUser.email_key.expression, False),
    PeopleSort.LEAST: (_balance, False),
    PeopleSort.MOST: (_balance, True),
}


class UserDirectory(BaseService):
    """Who there is; a part of UserService. Amounts are micro-credits."""

    name = "user_directory"

    def list_people(
        self,
        wanted: ListSearch | None = None,
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
            query = _query(wanted or ListSearch())
            key, largest_first = _ORDERS[sort]
            if before is not None:
                seen = session.execute(_base(key).where(DbUser.id == before)).first()
                if seen is not None:
                    query = query.where(beyond(key, seen[0], _ID, before, largest_first=largest_first))
            query = query.order_by(*in_order(key, _ID, largest_first=largest_first))
            return _user_rows(session, list(session.scalars(query.limit(limit))))

    def count(self, wanted: ListSearch, *, actor: Actor = SYSTEM) -> int:
        """How many accounts fit; for admins. One statement."""
        require_admin(actor)
        query = _base(func.count(DbUser.id)).where(*_conditions(wanted))
        with self.reading() as session:
            return session.scalar(query) or 0

    def list_ids(self, wanted: ListSearch, *, actor: Actor = SYSTEM, limit: int) -> list[str]:
        """The ids of the newest accounts that fit; for admins."""
        require_admin(actor)
        with self.reading() as session:
            query = _query(wanted).with_only_columns(DbUser.id).order_by(DbUser.id.desc()).limit(limit)
            return list(session.scalars(query))

    def list_by_ids(self, ids: list[str], *, actor: Actor = SYSTEM) -> list[UserRow]:
        """These accounts, newest first, as far as they exist; for admins."""
        require_admin(actor)
        with self.reading() as session:
            query = select(DbUser).where(DbUser.id.in_(ids)).order_by(DbUser.id.desc())
            return _user_rows(session, list(session.scalars(query)))

    def count_factors(self, user_id: str, *, actor: Actor = SYSTEM) -> dict[FactorKind, int]:
        """Which kinds of second factors an account has, and how many of each; for admins, who see no more of them."""
        require_admin(actor)
        query = select(DbFactor.kind, func.count()).where(DbFactor.user_id == user_id)
        with self.reading() as session:
            return {FactorKind(kind): count for kind, count in session.execute(query.group_by(DbFactor.kind))}

    def export(
        self, wanted: ListSearch, *, actor: Actor = SYSTEM, sort: PeopleSort = PeopleSort.NEWEST
    ) -> Iterator[UserRow]:
        """Every account that fits, for a file; for admins. That it was taken is audited.

        Read in chunks, none of which holds a transaction open for the others. Raises PermissionDeniedError,
        RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        named = {term.key: term.value for term in wanted.terms if term.key in ("role", "state") and not term.negated}
        details = {"role": named.get("role"), "state": named.get("state"), "searched": bool(wanted)}
        self.audit("user.list_export", Subject("user_list", "all"), details, actor=actor)

        def read(before: str | None) -> tuple[Sequence[UserRow], str | None]:
            rows = self.list_people(wanted, actor=actor, sort=sort, before=before, limit=CHUNK)
            return page_of(rows, CHUNK, lambda row: row.user.id)

        return in_chunks(read)


def _base(*columns: Any) -> Select[Any]:
    return select(*columns).select_from(DbUser).outerjoin(DbAccount, _WALLET)


def _query(wanted: ListSearch) -> Select[Any]:
    return _base(DbUser).where(*_conditions(wanted))


def _conditions(wanted: ListSearch) -> list[ColumnElement[bool]]:
    def condition(term: Term) -> ColumnElement[bool]:
        value = storable(term.value)
        if term.key == "since":
            return within(DbUser.created_at, *date_bounds(value, wanted.zone))
        return _CONDITIONS[term.key](value)

    return conditions_of(wanted, condition)


def _state(value: str) -> ColumnElement[bool]:
    state = PeopleState(value)
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


def _factor(value: str) -> ColumnElement[bool]:
    has = exists().where(DbFactor.user_id == DbUser.id)
    return has if value == "yes" else not_(has)


def _machines(value: str) -> ColumnElement[bool]:
    theirs = (DbVM.owner_id == DbUser.id) & DbVM.deleted_at.is_(None)
    bounds = count_bounds(value)
    if bounds in ((1, None), (None, 0), (0, 0)):  # any, or none
        return exists().where(theirs) if bounds[0] else not_(exists().where(theirs))
    return within(select(func.count()).select_from(DbVM).where(theirs).scalar_subquery(), *inclusive(bounds))


def _email(value: str) -> ColumnElement[bool]:
    return DbUser.email_key.contains(email_part(value), autoescape=True)


def _name(value: str) -> ColumnElement[bool]:
    return or_(
        DbUser.name.contains(value, autoescape=True), func.lower(DbUser.name).contains(folded(value), autoescape=True)
    )


_CONDITIONS: dict[str, Callable[[str], ColumnElement[bool]]] = {
    "": lambda value: or_(_email(value), _name(value), DbUser.id == value),
    "role": lambda value: DbUser.role == value,
    "state": _state,
    "credits": lambda value: within(_balance, *inclusive(amount_bounds(value))),
    "machines": _machines,
    "factor": _factor,
    "name": _name,
    "email": _email,
}


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
            user=as_user(user),
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
