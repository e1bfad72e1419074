"""The machines of everybody, for admins: looked through, exported, and told what to do, several at a time.

Whatever an admin orders here has a reason. It is written down, and the owner is told in the same transaction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.fleet import MAX_ORDERED, MAX_WHY, ORDERS, FleetFilter, FleetSort
from zentry_web.domain.text import clean_name, folded
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import VM, OperationKind
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.services.access import require_admin, require_recent_proof
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.each import Answer, Became, Outcome, do_each
from zentry_web.services.errors import ValidationError
from zentry_web.services.fields import Fields, invalid, storable
from zentry_web.services.key_paging import beyond
from zentry_web.services.labels import labelled, with_labels
from zentry_web.services.notices import Notices
from zentry_web.services.rate_limit import RateLimiter
from zentry_web.services.vm_queries import VMList, as_vm, vm_query, with_rights

CHUNK = 500  # rows of a file that are read at once
_DONE = {
    OperationKind.START: "start",
    OperationKind.STOP: "stop",
    OperationKind.REBOOT: "restart",
    OperationKind.FORCE_OFF: "cut the power of",
    OperationKind.DELETE: "delete",
}
Order = Callable[[VM, Actor], object]
# What each order compares, and whether the largest comes first; the id decides between equals.
_SORTS: dict[FleetSort, tuple[ColumnElement[Any], bool]] = {
    FleetSort.NEWEST: (DbVM.id.expression, True),
    FleetSort.OLDEST: (DbVM.id.expression, False),
    FleetSort.NAME: (DbVM.name.expression, False),
    FleetSort.OWNER: (DbUser.email_key.expression, False),
    FleetSort.DEAREST: (DbVM.running_micro_per_hour.expression, True),
}


class Fleet(BaseService):
    """A part of VMService; ``orders`` are its ways to start, stop, reboot, force off and delete one VM."""

    name = "vm_fleet"

    def __init__(self, core: Core, notices: Notices, orders: Mapping[OperationKind, Order]) -> None:
        super().__init__(core)
        self._notices = notices
        self._orders = orders

    # -- looking --------------------------------------------------------------------------------

    def list_fleet(
        self,
        wanted: FleetFilter,
        *,
        actor: Actor = SYSTEM,
        sort: FleetSort = FleetSort.NEWEST,
        before: str | None = None,
        limit: int = 50,
    ) -> VMList:
        """One page of everybody's machines; admins only. ``before`` is the id of the last one seen, in that order.

        Four statements, whatever the number.
        """
        require_admin(actor)
        key, largest_first = _SORTS[sort]
        conditions = _conditions(wanted)
        count = select(func.count()).select_from(DbVM).join(DbProject, DbProject.id == DbVM.project_id)
        query: Any = vm_query().where(*conditions)
        with self.reading() as session:
            total = session.scalar(count.join(DbUser, DbUser.id == DbVM.owner_id).where(*conditions)) or 0
            if before is not None:
                query = _beyond(session, query, key, storable(before), largest_first)
            order = (key.desc(), DbVM.id.desc()) if largest_first else (key.asc(), DbVM.id.asc())
            rows = session.execute(query.order_by(*order).limit(limit + 1)).all()
            vms = with_rights(session, with_labels(session, [as_vm(row) for row in rows[:limit]]), actor)
        return VMList(vms, total, vms[-1].id if len(rows) > limit else None)

    def list_chosen(self, vm_ids: Sequence[str], *, actor: Actor = SYSTEM) -> list[VM]:
        """These machines by owner and name, as far as they exist; admins only. One statement."""
        require_admin(actor)
        ids = [storable(each)[:40] for each in vm_ids[:MAX_ORDERED]]
        query = vm_query().where(DbVM.id.in_(ids), DbVM.deleted_at.is_(None))
        with self.reading() as session:
            return [as_vm(row) for row in session.execute(query.order_by(DbUser.email_key, DbVM.name, DbVM.id))]

    def export(self, wanted: FleetFilter, *, actor: Actor = SYSTEM, sort: FleetSort = FleetSort.NEWEST) -> Iterator[VM]:
        """Every machine that fits, for a file; admins only. That it was taken is audited. Read in chunks, none of
        which holds a transaction open for the others. Raises RateLimitedError."""
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        details = {"state": wanted.state, "size": wanted.size_id, "searched": bool(wanted)}
        self.log_audit_event(actor.id, "vm.list_export", "vm_list", "all", details, actor=actor)
        return self._chunks(wanted, actor, sort)

    # -- ordering -------------------------------------------------------------------------------

    def order(
        self, kind: OperationKind, vm_ids: Sequence[str], why: str, *, actor: Actor, key: str = ""
    ) -> list[Became[VM]]:
        """Order the same for some machines, each in a transaction of its own; admins only.

        What the state, protection, credits or a quota of one machine forbid is said and does not hold up the others.
        Owners are told ``why`` once per ``key``. Raises ValidationError (``why``, ``vms``), ProofRequiredError
        (delete).
        """
        require_admin(actor)
        if kind not in ORDERS:
            raise ValidationError("This cannot be ordered here.")
        if kind == OperationKind.DELETE:
            require_recent_proof(actor, self.now())
        fields = Fields({"why": why})
        why = fields.take("why", _parse_why, "")
        fields.check()
        if len(set(vm_ids)) > MAX_ORDERED:
            raise invalid({"vms": f"Order for at most {MAX_ORDERED} machines at a time."})
        chosen = self.list_chosen(list(dict.fromkeys(vm_ids)), actor=actor)
        if not chosen:
            raise invalid({"vms": "Choose at least one machine."})
        key = f"{actor.id}|{key[:100]}" if key else self.new_id("key")
        able = {vm.id for vm in chosen if vm.may(kind)}
        names: dict[str, list[str]] = {}
        for vm in chosen:
            if vm.id in able:
                names.setdefault(vm.owner_id, []).append(f"{vm.name} ({vm.project_name})")
        return do_each(
            chosen,
            lambda vm: self._order_one(kind, vm, why, names.get(vm.owner_id, []), key, actor),
            self.give_way,
        )

    def _order_one(self, kind: OperationKind, vm: VM, why: str, names: list[str], key: str, actor: Actor) -> Answer:
        with self.transaction():
            self._orders[kind](vm, actor)
            self.log_audit_event(
                actor.id, "vm.admin_order", "vm", vm.id, {"reason": "admin", "order": kind}, actor=actor,
                owner_id=vm.owner_id, project_id=vm.project_id, vm_id=vm.id, personal={"reason": why},
            )  # fmt: skip
            if vm.owner_id != actor.id:
                self._tell(kind, vm, why, names, key)
        return Outcome.DONE, ""

    def _tell(self, kind: OperationKind, vm: VM, why: str, names: list[str], key: str) -> None:
        """Once for all machines of one owner: before the first of them is done with."""
        what = vm.name if len(names) == 1 else f"{len(names)} of your machines"
        body = f"An admin ordered this. The reason: {why}"
        if len(names) > 1:
            body += "\n\n" + "\n".join(f"- {name}" for name in names)
        url = "/vms" if kind == OperationKind.DELETE or len(names) > 1 else f"/vms/{vm.id}"
        self._notices.tell(vm.owner_id, "admin_order", key, f"An admin had Zentry {_DONE[kind]} {what}", body, url=url)

    # -- inside ---------------------------------------------------------------------------------

    def _chunks(self, wanted: FleetFilter, actor: Actor, sort: FleetSort) -> Iterator[VM]:
        before: str | None = None
        while True:
            page = self.list_fleet(wanted, actor=actor, sort=sort, before=before, limit=CHUNK)
            yield from page.vms
            if page.next_before is None:
                return
            before = page.next_before


def _parse_why(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Say why: the owner reads it.")
    return clean_name(value, longest=MAX_WHY)


def _conditions(wanted: FleetFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [DbVM.deleted_at.is_(None), *labelled(wanted.label)]
    if search := storable(wanted.search).strip().lower():
        found.append(or_(DbVM.name.contains(search, autoescape=True), DbVM.address == search, DbVM.id == search))
    if owner := storable(wanted.owner).strip():
        found.append(or_(DbUser.email_key.contains(folded(owner), autoescape=True), DbUser.id == owner))
    if project := storable(wanted.project).strip():
        found.append(or_(DbProject.name_key.contains(folded(project), autoescape=True), DbProject.id == project))
    if wanted.size_id:
        found.append(DbVM.size_id == storable(wanted.size_id))
    if wanted.state is not None:
        found.append(DbVM.state == wanted.state)
    return found


def _beyond(
    session: Session, query: Select[Any], key: ColumnElement[Any], vm_id: str, largest_first: bool
) -> Select[Any]:
    """The rest of the list after that machine; the whole of it when there is none."""
    seen = session.execute(
        select(key).select_from(DbVM).join(DbUser, DbUser.id == DbVM.owner_id).where(DbVM.id == vm_id)
    )
    found = seen.first()
    if found is None:
        return query
    return query.where(beyond(key, found[0], DbVM.id.expression, vm_id, largest_first=largest_first))
