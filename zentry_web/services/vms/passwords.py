"""A new password for a user of a guest, which the agent in it sets. The worker has that done
(worker/operations/passwords.py)."""

import json
from dataclasses import dataclass

from zentry_web.domain.language import _
from zentry_web.domain.one_time_password import new_password
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.obstacles import NO_AGENT
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OperationKind
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.models import DbImage, DbOperation
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_open
from zentry_web.services.shared.fields import invalid
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import reason_of


@dataclass(frozen=True, slots=True)
class PasswordToSet:
    """For the worker: whose, and its hash as /etc/shadow keeps it."""

    user: str
    password_hash: str


class VMPasswords(BaseService):
    """A part of VMService. It takes the right to launch, as rescue does: whoever has it gets into machines."""

    name = "vm_passwords"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._operations = basis.billing, basis.operations

    def request(self, vm_id: str, user: str = "root", *, actor: Actor = SYSTEM) -> str:
        """Accept a new password for root or the user that the machine's image logs in; the password, which is told
        this once and kept nowhere in clear. It holds once the operation has succeeded.

        Raises ValidationError (``user``), NotFoundError, PermissionDeniedError, ConflictError (the state; it is in
        rescue; no agent answers).
        """
        password, password_hash = new_password()
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.LAUNCH)
            if user not in ("root", session.get_one(DbImage, vm.image_id).default_user):
                raise invalid({"user": _("Choose one of these users.")})
            if OperationKind.PASSWORD not in ALLOWED_ACTIONS[VMState(vm.state)]:
                text = _("%(name)s is %(state)s: that cannot be done now.", name=vm.name, state=state_words(vm.state))
                raise ConflictError(text)
            if vm.rescued_at is not None:
                raise ConflictError(_("%(name)s is in rescue. Leave that first.", name=vm.name))
            if not vm.agent:
                raise ConflictError(str(NO_AGENT))
            require_open(session, vm.project_id)
            row = self._operations.accept(
                session, vm, OperationKind.PASSWORD, reason_of(vm, actor), {"user": user}, actor=actor
            )[1]
            row.secret = json.dumps({"user": user, "password_hash": password_hash})
            return password

    def read(self, claim: Claim) -> PasswordToSet | None:
        """What is to be set; None: something has overtaken that. For the worker."""
        with self.reading() as session:
            secret = session.get_one(DbOperation, claim.operation_id).secret
            return PasswordToSet(**json.loads(secret)) if secret else None
