"""Accepting a launch: what may be chosen, the VM's row, its hold and its operation. The worker makes the machine."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.people.ssh_key import PublicKey
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.stored_texts import said
from zentry_web.domain.user import Actor, User
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.image import user_data_problem
from zentry_web.domain.vms.launch_source import LaunchSource, SourceKind
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.models import DbProject, DbSshKey, DbVM
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.errors import ValidationError
from zentry_web.services.shared.access import find_role, require_staying
from zentry_web.services.shared.labels import VMLabels
from zentry_web.services.shared.request_keys import check_key, require_same
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.launch_request import Access, LaunchRequest
from zentry_web.services.vms.launch_sources import LaunchSources, launch_details
from zentry_web.services.vms.operations import PATIENCE
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.queries import find_taken, read_vm
from zentry_web.services.vms.quotas import size_amounts
from zentry_web.services.vms.sizes import columns_of


class VMLaunching(BaseService):
    """The requests' side of a launch; a part of VMService."""

    name = "vm_launching"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations
        self._catalogue, self._payer, self._quotas = basis.catalogue, basis.payer, basis.quotas
        self.sources = LaunchSources(core, basis.catalogue)
        self._labels = VMLabels(core)

    def request(
        self,
        request: LaunchRequest,
        current_user: User,
        *,
        actor: Actor,
        idempotency_key: str | None = None,
        shown: Rates | None = None,
    ) -> list[VM]:
        """See VMService.create_vms."""
        check_key(idempotency_key)
        fingerprint = body_hash(current_user.id, *(getattr(request, name) for name in LaunchRequest.__slots__))
        keys = _keys_of_each(idempotency_key, request.count)
        with self._payer.words(actor, project_id=request.project_id), self.transaction() as session:
            project = self._payer.lock(session, actor, request.project_id, ProjectAction.LAUNCH)
            if idempotency_key and (made := _made_before(session, keys, fingerprint)):
                return [read_vm(session, vm_id) for vm_id in made]
            require_staying(session, actor, project.owner_id)
            source = self.sources.read(session, *request.source, actor) if request.source else None
            size, image = self._check_choice(session, request, source, actor)
            ssh_keys = take_keys(session, current_user.id, request, self.now())
            vms = [self._new_vm(request, name, size, image, project.owner_id, ssh_keys) for name in request.names]
            for vm, key in zip(vms, keys, strict=True):
                vm.idempotency_key, vm.body_hash = key, fingerprint
            self._require_all(project, size, vms, shown, actor)
            session.add_all(vms)
            session.flush()
            details = {"size": size.name, "image": image.common_name} | launch_details(source)
            for vm in vms:
                self._accept(session, vm, request, details, actor)
            return [read_vm(session, vm.id) for vm in vms]

    def _accept(
        self, session: Session, vm: DbVM, request: LaunchRequest, details: dict[str, str], actor: Actor
    ) -> None:
        self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
        row = self._operations.accept(session, vm, OperationKind.CREATE, "owner", details, actor=actor)[1]
        if request.source:  # a disk is copied first
            row.give_up_at = self.now() + PATIENCE[OperationKind.IMAGE]
        if request.labels:
            self._labels.write(session, vm, request.labels, actor)

    def _require_all(self, project: DbProject, size: Size, vms: list[DbVM], shown: Rates | None, actor: Actor) -> None:
        """Refuse what quota, price shown, budget or credits do not allow of all of them together."""
        first, count = vms[0], len(vms)
        running, stopped = first.running_micro_per_hour * count, first.stopped_micro_per_hour * count
        self._quotas.require_room(project.id, project.owner_id, size_amounts(size).times(count))
        other_price = _(
            "%(name)s comes at another price than this page showed: nothing was ordered yet.", name=size.name
        )
        require_shown(shown, Rates(running, stopped), other_price)
        self._billing.budgets.require_room(first, running, actor=actor)
        self._payer.require_holds(project.owner_id, first.running_micro_per_hour, count)

    def _check_choice(
        self, session: Session, request: LaunchRequest, source: LaunchSource | None, actor: Actor
    ) -> tuple[Size, Image]:
        size = self._catalogue.find_size(session, request.size_id)
        image = source.image if source else self._catalogue.find_image(session, request.image_id)
        status = self._monitoring.get_compute_status()
        errors: dict[str, str] = {}
        if size is None or not size.active:
            errors["size_id"] = _("This size is no longer on offer. Choose another.")
        problem = (
            _source_problem(source, status) if source else self._image_problem(session, request, image, status, actor)
        )
        if problem:
            errors["image_id"] = problem
        elif image is not None and size is not None and (problem := _size_problem(size, image, source, status)):
            errors.setdefault("size_id", problem)
        if image is not None and (problem := user_data_problem(image.user_data, request.user_data)):
            errors["user_data"] = problem
        if taken := find_taken(session, request.project_id, request.names):
            errors["name"] = _("This project already has a machine named “%(taken)s”.", taken=taken)
        if errors or size is None or image is None:
            raise ValidationError(_("Please check the marked fields."), details=errors)
        return size, image

    def _image_problem(
        self, session: Session, request: LaunchRequest, image: Image | None, status: ComputeStatus, actor: Actor
    ) -> str:
        """Why the image cannot be had; '' if it can. Strangers to another project learn nothing of its images."""
        if image is not None and image.project_id not in (None, request.project_id):
            if find_role(session, actor, image.project_id or "") is not None:
                return _("This image belongs to another project. Choose one of this project’s.")
            return _("This image is no longer on offer. Choose another.")
        if image is None or not image.can_launch:
            return _("This image is no longer on offer. Choose another.")
        if status.ok and image.driver_name not in status.images:
            return _("This image is not on the host at present. Choose another.")
        return ""

    def _new_vm(self, request: LaunchRequest, name: str, size: Size, image: Image, owner_id: str, keys: str) -> DbVM:
        return DbVM(
            id=self.new_id("vm"),
            project_id=request.project_id,
            owner_id=owner_id,
            name=name,
            state=VMState.CREATING,
            **columns_of(size, image),
            ssh_key=keys,
            user_data=request.user_data,
            address="",
            reach="",
            state_reason="",
            made=False,
            created_at=self.now(),
        )


def _source_problem(source: LaunchSource, status: ComputeStatus) -> str:
    """Why nothing can be made of it now; '' if something can."""
    if source.kind == SourceKind.BACKUP and status.backups is not None and status.backups.trouble:
        return str(said(status.backups.trouble))
    if status.ok and source.image.driver_name not in status.images:
        return _("%(image)s, which it boots, is not on the host any more.", image=source.image.common_name)
    return ""


def _size_problem(size: Size, image: Image, source: LaunchSource | None, status: ComputeStatus) -> str:
    """Why a machine of that size cannot have the image, or that disk, or none can be; '' if it can."""
    if source is not None and size.disk_gib < source.disk_gib:
        if source.kind == SourceKind.BACKUP:
            return _("This backup needs a disk of at least %(gib)s GiB.", gib=source.disk_gib)
        return _("This snapshot needs a disk of at least %(gib)s GiB.", gib=source.disk_gib)
    if size.memory_mib < image.min_memory_mib:
        return _("This image needs at least %(memory)s of memory.", memory=format_memory(image.min_memory_mib))
    if size.disk_gib < image.min_disk_gib:
        return _("This image needs a disk of at least %(gib)s GiB.", gib=image.min_disk_gib)
    if not _fits_host(size, status):
        return _("No host here is large enough for this size. Choose a smaller one.")
    return ""


def take_keys(session: Session, user_id: str, request: LaunchRequest | Access, now: datetime) -> str:
    """The lines of the ticked keys and of the pasted one, each once. Raises ValidationError (``ssh_key_ids``)."""
    if not request.ssh_key_ids:
        return request.ssh_key
    mine = DbSshKey.user_id == user_id, DbSshKey.id.in_(request.ssh_key_ids)
    rows = list(session.scalars(select(DbSshKey).where(*mine).order_by(DbSshKey.id)))
    if len(rows) < len(request.ssh_key_ids):
        sentence = _("A key that was ticked is not in your account any more. Choose again.")
        raise ValidationError(sentence, details={"ssh_key_ids": sentence})
    for row in rows:
        row.last_used_at = now
    lines = [PublicKey(row.kind, row.bits, row.blob, row.comment, row.fingerprint).line for row in rows]
    by_key = {line.split()[1]: line for line in [*lines, *filter(None, [request.ssh_key])]}
    return "\n".join(by_key.values())


def _fits_host(size: Size, status: ComputeStatus) -> bool:
    """Whether the host could hold it if it were empty; what is free now is the worker's to find out."""
    vcpus, memory_mib = (status.capacity.get(name) for name in ("vcpus", "memory_mib"))
    return (vcpus is None or size.vcpus <= vcpus) and (memory_mib is None or size.memory_mib <= memory_mib)


def _keys_of_each(key: str | None, count: int) -> list[str | None]:
    """The request's key for the first machine; the others' go on from it with a sign that no form's key has."""
    return [key and (key if not place else f"{key}+{place}") for place in range(count)]


def _made_before(session: Session, keys: list[str | None], fingerprint: str) -> list[str]:
    """The machines that this request has made already, in order."""
    found = session.execute(
        select(DbVM.id, DbVM.body_hash).where(DbVM.idempotency_key.in_(keys)).order_by(DbVM.id)
    ).all()
    if found:
        require_same(
            all(row.body_hash == fingerprint for row in found),
            _("This form was already used to launch another machine. Open a new one."),
        )
    return [row.id for row in found]
