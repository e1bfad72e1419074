"""Booting the rescue system in the place of a machine's own, and its own again. The worker does both
(worker/operations/rescuing.py)."""

import json
from typing import Any

from sqlalchemy import select

from zentry_web.domain.language import _
from zentry_web.domain.one_time_password import new_password
from zentry_web.domain.people.ssh_key import PublicKey
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OperationKind
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.models import DbOperation, DbSshKey, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_open
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import reason_of


class VMRescuing(BaseService):
    """A part of VMService. Both take the right to launch: who has it puts keys of their own on machines."""

    name = "vm_rescuing"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._operations = basis.billing, basis.operations

    def request(self, vm_id: str, current_user: User, *, actor: Actor = SYSTEM) -> str:
        """Accept a rescue; the password of its root, which is told this once and kept nowhere in clear.

        The keys of ``current_user``'s account let in, too, and those of the machine. The bill goes on as it is. Raises
        NotFoundError, PermissionDeniedError, ConflictError (the state; it is in rescue already).
        """
        password, password_hash = new_password()
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.LAUNCH)
            if vm.rescued_at is not None:
                raise ConflictError(_("%(name)s is in rescue already.", name=vm.name))
            rows = session.scalars(select(DbSshKey).where(DbSshKey.user_id == current_user.id).order_by(DbSshKey.id))
            lines = [PublicKey(row.kind, row.bits, row.blob, row.comment, row.fingerprint).line for row in rows]
            keys = {line.split()[1]: line for line in [*vm.ssh_key.splitlines(), *lines]}
            row = self._accept(vm, OperationKind.RESCUE, actor)
            row.secret = json.dumps({"password_hash": password_hash, "ssh_keys": list(keys.values())})
            return password

    def leave(self, vm_id: str, *, actor: Actor = SYSTEM) -> None:
        """Accept booting as before. Raises NotFoundError, PermissionDeniedError, ConflictError (the state; it is not
        in rescue)."""
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.LAUNCH)
            if vm.rescued_at is None:
                raise ConflictError(_("%(name)s is not in rescue.", name=vm.name))
            self._accept(vm, OperationKind.UNRESCUE, actor)

    def read_access(self, claim: Claim) -> dict[str, Any] | None:
        """Who may log in to the rescue system that is about to boot, as RescueAccess takes it; None: something has
        overtaken the rescue. For the worker."""
        with self.reading() as session:
            secret = session.get_one(DbOperation, claim.operation_id).secret
            return dict(json.loads(secret)) if secret else None

    def _accept(self, vm: DbVM, kind: OperationKind, actor: Actor) -> DbOperation:
        if kind not in ALLOWED_ACTIONS[VMState(vm.state)]:
            text = _("%(name)s is %(state)s: that cannot be done now.", name=vm.name, state=state_words(vm.state))
            raise ConflictError(text)
        with self.transaction() as session:
            require_open(session, vm.project_id)
            details = {"run_id": vm.run_id}
            return self._operations.accept(session, vm, kind, reason_of(vm, actor), details, actor=actor)[1]
