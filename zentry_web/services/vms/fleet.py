"""The machines of everybody, for admins: looked through, exported, and told what to do, several at a time.

Whatever an admin orders here has a reason. It is written down, and the owner is told in the same transaction.
"""

from collections.abc import Iterator, Sequence

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.fleet import MAX_ORDERED, MAX_WHY, ORDERS, VMFilter
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ValidationError
from zentry_web.services.shared.access import member_projects, require_admin, require_recent_proof, require_self
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.one_by_one import Became, EachOutcome, EachResult, do_each
from zentry_web.services.shared.paging import CHUNK, in_chunks
from zentry_web.services.shared.rate_limits import RateLimiter
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.queries import as_vm, read_list, vm_query


class Fleet(BaseService):
    """A part of VMService."""

    name = "vm_fleet"

    def __init__(self, core: Core, notices: Notices, actions: VMActions) -> None:
        super().__init__(core)
        self._notices = notices
        self._actions = actions

    # -- looking --------------------------------------------------------------------------------

    def list_chosen(self, vm_ids: Sequence[str], *, actor: Actor = SYSTEM) -> list[VM]:
        """These machines by owner and name, as far as they exist; admins only. One statement."""
        require_admin(actor)
        ids = [each[:40] for each in vm_ids[:MAX_ORDERED]]
        query = vm_query().where(DbVM.id.in_(ids), DbVM.deleted_at.is_(None))
        with self.reading() as session:
            return [as_vm(row) for row in session.execute(query.order_by(DbUser.email_key, DbVM.name, DbVM.id))]

    def export(self, wanted: VMFilter, user_id: str | None = None, *, actor: Actor = SYSTEM) -> Iterator[VM]:
        """Every machine of a person's projects that fits, for a file; without one everybody's, for admins, which is
        audited. Read in chunks, none of which holds a transaction open for the others. Raises RateLimitedError."""
        within = None
        if user_id is None:
            require_admin(actor)
        else:
            require_self(actor, user_id)
            within = DbVM.project_id.in_(member_projects(user_id))
        RateLimiter(self._core).check_actor("file", actor)
        if user_id is None:
            details = {"state": wanted.state, "size": wanted.size_id, "searched": bool(wanted)}
            self.audit("vm.list_export", Subject("vm_list", "all"), details, actor=actor)

        def read(before: str | None) -> tuple[list[VM], str | None]:
            with self.reading() as session:
                page = read_list(session, wanted, actor, within=within, before=before, limit=CHUNK)
            return page.vms, page.next_before

        return in_chunks(read)

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
            raise ValidationError(_("This cannot be ordered here."))
        if kind == OperationKind.DELETE:
            require_recent_proof(actor, self.now())
        fields = Fields({"why": why})
        why = fields.take("why", _parse_why, "")
        fields.check()
        if len(set(vm_ids)) > MAX_ORDERED:
            raise invalid({"vms": _("Order for at most %(most)s machines at a time.", most=MAX_ORDERED)})
        chosen = self.list_chosen(list(dict.fromkeys(vm_ids)), actor=actor)
        if not chosen:
            raise invalid({"vms": _("Choose at least one machine.")})
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

    def _order_one(self, kind: OperationKind, vm: VM, why: str, names: list[str], key: str, actor: Actor) -> EachResult:
        with self.transaction():
            self._actions.order(kind, vm, actor=actor)
            details = {"reason": "admin", "order": kind}
            self.audit("vm.admin_order", Subject.vm(vm), details, actor=actor, personal={"reason": why})
            if vm.owner_id != actor.id:
                self._tell(kind, vm, why, names, key)
        return EachOutcome.DONE, ""

    def _tell(self, kind: OperationKind, vm: VM, why: str, names: list[str], key: str) -> None:
        """Once for all machines of one owner: before the first of them is done with."""
        if len(names) == 1:
            words = say(f"ordered_{kind}", vm=vm.name, why=why)
        else:
            lines = "\n".join(f"- {name}" for name in names)
            words = say(f"ordered_{kind}_many", count=len(names), why=why, lines=lines)
        is_one = kind != OperationKind.DELETE and len(names) == 1
        target = Target(Place.VM, vm.id) if is_one else Target(Place.VMS)
        self._notices.tell(vm.owner_id, "admin_order", key, *words, target=target)


def _parse_why(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(_("Say why: the owner reads it."))
    return clean_name(value, longest=MAX_WHY)
