"""Accepting a launch: what may be chosen, the VM's row, its hold and its operation. The worker makes the machine."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.ssh_key import PublicKey
from zentry_web.domain.user import Actor, User
from zentry_web.domain.vm import VM, Image, OperationKind, Size, VMState
from zentry_web.models import DbSshKey, DbVM
from zentry_web.services.access import require_staying
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.labels import VMLabels
from zentry_web.services.quotas import Quotas, size_amounts
from zentry_web.services.vm_catalogue import Catalogue
from zentry_web.services.vm_landing import Accept
from zentry_web.services.vm_payer import Payer
from zentry_web.services.vm_queries import read_vm
from zentry_web.services.vm_requests import LaunchRequest, parse_launch

_LONGEST_KEY = 100


class VMLaunching(BaseService):
    """The requests' side of a launch; a part of VMService."""

    name = "vm_launching"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        catalogue: Catalogue,
        payer: Payer,
        quotas: Quotas,
        compute_status: Callable[[], ComputeStatus],
        accept: Accept,
        labels: VMLabels,
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._catalogue = catalogue
        self._payer = payer
        self._quotas = quotas
        self._compute_status = compute_status
        self._accept = accept
        self._labels = labels

    def request(
        self, vm_data: dict[str, Any], current_user: User, *, actor: Actor, idempotency_key: str | None = None
    ) -> VM:
        """See VMService.create_vm."""
        request = parse_launch(vm_data)
        if idempotency_key is not None and not 0 < len(idempotency_key) <= _LONGEST_KEY:
            raise ValidationError("That request key is not usable.", details={"idempotency_key": "Not usable."})
        fingerprint = body_hash(current_user.id, *(getattr(request, name) for name in LaunchRequest.__slots__))
        with self._payer.words(actor, project_id=request.project_id), self.transaction() as session:
            project = self._payer.lock(session, actor, request.project_id, ProjectAction.LAUNCH)
            if idempotency_key and (made := _made_before(session, idempotency_key, fingerprint)):
                return read_vm(session, made)
            require_staying(session, actor, project.owner_id)
            size, image = self._check_choice(session, request)
            keys = self._take_keys(session, current_user.id, request)
            self._quotas.require_room(project.id, project.owner_id, size_amounts(size))
            vm = self._new_vm(request, size, image, project.owner_id, keys)
            vm.idempotency_key, vm.body_hash = idempotency_key, fingerprint
            session.add(vm)
            session.flush()
            self._billing.budgets.require_room(vm, vm.running_micro_per_hour, actor=actor)
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            self._accept(session, vm, OperationKind.CREATE, actor, "owner", {"size": size.name, "image": image.name})
            if request.labels:
                self._labels.write(session, vm, request.labels, actor)
            return read_vm(session, vm.id)

    def _check_choice(self, session: Session, request: LaunchRequest) -> tuple[Size, Image]:
        size = self._catalogue.find_size(session, request.size_id)
        image = self._catalogue.find_image(session, request.image_id)
        status = self._compute_status()
        errors: dict[str, str] = {}
        if size is None or not size.active:
            errors["size_id"] = "This size is no longer on offer. Choose another."
        if image is None or not image.active:
            errors["image_id"] = "This image is no longer on offer. Choose another."
        elif status.ok and image.driver_name not in status.images:
            errors["image_id"] = "This image is not on the host at present. Choose another."
        elif size is not None and size.memory_mib < image.min_memory_mib:
            errors["size_id"] = f"This image needs at least {image.min_memory_mib} MiB of memory."
        elif size is not None and not _fits_host(size, status):
            errors["size_id"] = "No host here is large enough for this size. Choose a smaller one."
        taken = select(DbVM.id).where(
            DbVM.project_id == request.project_id, DbVM.name == request.name, DbVM.deleted_at.is_(None)
        )
        if session.scalar(taken):
            errors["name"] = f"This project already has a machine named “{request.name}”."
        if errors or size is None or image is None:
            raise ValidationError("Please check the marked fields.", details=errors)
        return size, image

    def _take_keys(self, session: Session, user_id: str, request: LaunchRequest) -> str:
        """The lines of the ticked keys and of the pasted one, each once. Raises ValidationError (``ssh_key_ids``)."""
        if not request.ssh_key_ids:
            return request.ssh_key
        mine = DbSshKey.user_id == user_id, DbSshKey.id.in_(request.ssh_key_ids)
        rows = list(session.scalars(select(DbSshKey).where(*mine).order_by(DbSshKey.id)))
        if len(rows) < len(request.ssh_key_ids):
            sentence = "A key that was ticked is not in your account any more. Choose again."
            raise ValidationError(sentence, details={"ssh_key_ids": sentence})
        for row in rows:
            row.last_used_at = self.now()
        lines = [PublicKey(row.kind, row.bits, row.blob, row.comment, row.fingerprint).line for row in rows]
        by_key = {line.split()[1]: line for line in [*lines, *filter(None, [request.ssh_key])]}
        return "\n".join(by_key.values())

    def _new_vm(self, request: LaunchRequest, size: Size, image: Image, owner_id: str, keys: str) -> DbVM:
        return DbVM(
            id=self.new_id("vm"),
            project_id=request.project_id,
            owner_id=owner_id,
            name=request.name,
            state=VMState.CREATING,
            size_id=size.id,
            image_id=image.id,
            price_version_id=size.price_version_id,
            image_price_version_id=image.price_version_id,
            vcpus=size.vcpus,
            memory_mib=size.memory_mib,
            disk_gib=size.disk_gib,
            running_micro_per_hour=size.running_micro_per_hour + image.surcharge_micro_per_hour,
            stopped_micro_per_hour=size.stopped_micro_per_hour,
            ssh_key=keys,
            user_data=request.user_data,
            address="",
            reach="",
            state_reason="",
            made=False,
            created_at=self.now(),
        )


def _fits_host(size: Size, status: ComputeStatus) -> bool:
    """Whether the host could hold it if it were empty; what is free now is the worker's to find out."""
    vcpus, memory_mib = (status.capacity.get(name) for name in ("vcpus", "memory_mib"))
    return (vcpus is None or size.vcpus <= vcpus) and (memory_mib is None or size.memory_mib <= memory_mib)


def _made_before(session: Session, key: str, fingerprint: str) -> str | None:
    made = session.scalar(select(DbVM).where(DbVM.idempotency_key == key))
    if made is None:
        return None
    if made.body_hash != fingerprint:
        raise ConflictError("This form was already used to launch another machine. Open a new one.")
    return made.id
