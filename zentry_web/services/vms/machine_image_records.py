"""Recording what came of images of machines' disks, and tidying what an operation that was overtaken left."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.images import ImageFacts
from zentry_web.domain.credits.storage import NewStored, StoredKind
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.image import ImageSource, VersionState
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbImage, DbImagePriceVersion, DbImageVersion, DbOperation, DbProject, DbVM
from zentry_web.services.base_service import Core
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.machine_images import MachineImages
from zentry_web.services.vms.runs import Runs


class MachineImageRecords(Runs):
    """Used by the worker. Every method is one short transaction, or one for each thing."""

    name = "machine_image_records"

    def __init__(self, core: Core, basis: VMBasis, images: MachineImages) -> None:
        super().__init__(core, basis.billing, basis.operations)
        self._monitoring, self._images = basis.monitoring, images

    def driver_name(self, claim: Claim) -> str:
        """What the driver calls the image that an operation makes."""
        with self.reading() as session:
            return session.get_one(DbImageVersion, claim.details["version_id"]).driver_name

    def made(self, claim: Claim, facts: ImageFacts, names: tuple[str, ...]) -> bool:
        """It is there: from now on it is paid for, and machines can be launched from it; at what its machine's image
        adds to the price. ``names``: the images on the host now. False: the claim was overtaken."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            image = session.get_one(DbImage, claim.details["image_id"])
            version = session.get_one(DbImageVersion, claim.details["version_id"])
            version.state, version.sha256, version.ended_at = VersionState.READY, facts.sha256, self.now()
            version.size_bytes, version.disk_bytes = facts.size_bytes, facts.disk_bytes
            image.min_disk_gib = -(-facts.disk_bytes // 1024**3)
            # It stays in the project that it was ordered for; the payer is that of now.
            project = session.get_one(DbProject, image.project_id)
            thing = NewStored(
                image.id, StoredKind.IMAGE, vm.id, project.owner_id, project.id, image.name, facts.size_bytes
            )
            self._billing.storage.begin(session, thing, event_id)
            if vm.image_price_version_id is not None:
                micro = session.get_one(DbImagePriceVersion, vm.image_price_version_id).micro_per_hour
                self._billing.price_list.take_over(session, image.id, micro)
            vm.state = VMState.STOPPED if vm.run_id is None else VMState.RUNNING

        # Launches ask which there are: it is written down now, not with the next look at the host.
        known = self._monitoring.get_compute_status()
        self._monitoring.processes.record_compute(ok=known.ok, detail=known.detail, images=names)
        return self.end(claim, record)

    def never_made(self, claim: Claim) -> None:
        """An image that failed leaves nothing."""
        with self.locked(claim.vm_id) as (session, _vm):
            self._forget(session, claim.details["version_id"])

    def list_over(self, keys: Collection[str]) -> list[str]:
        """Of these operations, those that are over, or that nobody knows: what was copied for them is left over."""
        with self.reading() as session:
            open_ones = select(DbOperation.id).where(
                DbOperation.id.in_(keys), DbOperation.state.in_(OPEN_OPERATION_STATES)
            )
            known = set(session.scalars(open_ones))
        return [key for key in keys if key not in known]

    def tidy(self) -> None:
        """Forget images whose making was overtaken; delete those that nobody pays for any more, and those of projects
        that are gone. Safe to repeat."""
        machine = DbImageVersion.source == ImageSource.MACHINE
        with self.reading() as session:
            over = (
                ~select(DbOperation.id)
                .where(DbOperation.id == DbImageVersion.reference, DbOperation.state.in_(OPEN_OPERATION_STATES))
                .exists()
            )
            half = select(DbImageVersion.id).where(machine, DbImageVersion.state == VersionState.IMPORTING, over)
            unmade = list(session.scalars(half))
            gone = (
                select(DbImage.project_id)
                .join(DbProject, DbProject.id == DbImage.project_id)
                .where(DbProject.deleted_at.is_not(None), DbImage.deleted_at.is_(None))
                .distinct()
            )
            projects = [project_id for project_id in session.scalars(gone) if project_id]
        each_alone("forget image", unmade, self._overtaken)
        each_alone("images of project", projects, self._drop_all)
        unpaid = self._billing.stored_grace.list_over(StoredKind.IMAGE)
        each_alone("delete unpaid image", unpaid, lambda each: self._delete(each[1]), lambda each: each[1])

    def _overtaken(self, version_id: str) -> None:
        """The worker removes what there is of it on the host, and then its row."""
        with self.transaction() as session:
            row = session.get(DbImageVersion, version_id, with_for_update=True)
            if row is not None and row.state == VersionState.IMPORTING:
                row.state = VersionState.REMOVING
                session.get_one(DbImage, row.image_id).deleted_at = self.now()

    def _drop_all(self, project_id: str) -> None:
        with self.transaction() as session:
            owner_id = session.get_one(DbProject, project_id).owner_id
            self._billing.wallets.lock(owner_id)
            self._images.drop_of_project(session, session.get_one(DbProject, project_id), SYSTEM)

    def _delete(self, image_id: str) -> None:
        with self.reading() as session:
            project_id = session.get_one(DbImage, image_id).project_id
        self._images.delete(project_id or "", image_id, actor=SYSTEM)

    def _forget(self, session: Session, version_id: str) -> None:
        row = session.get(DbImageVersion, version_id)
        if row is not None and row.state == VersionState.IMPORTING:
            image_id = row.image_id
            session.execute(delete(DbImageVersion).where(DbImageVersion.id == version_id))
            session.execute(delete(DbImage).where(DbImage.id == image_id))
