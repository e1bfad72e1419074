"""The worker's side of images: what is to be made or removed, how far it is, how it ended."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.images import ImageFacts
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.image import WORKING, ImageSource, ImageWork, VersionState
from zentry_web.models import DbImage, DbImageVersion
from zentry_web.services.base_service import BaseService

_WORK = (*WORKING, VersionState.REMOVING)


class ImageMaking(BaseService):
    """A part of VMService. Every method is one short transaction; a version that is in another state meanwhile is left
    as it is."""

    name = "image_making"

    def list_work(self) -> list[ImageWork]:
        """What is to be made or removed, oldest first."""
        # Images of machines' disks are made by operations.
        ours = (DbImageVersion.source != ImageSource.MACHINE) | (DbImageVersion.state == VersionState.REMOVING)
        query = select(DbImageVersion).where(DbImageVersion.state.in_(_WORK), ours).order_by(DbImageVersion.id)
        with self.reading() as session:
            return [
                ImageWork(
                    row.id,
                    row.driver_name,
                    VersionState(row.state),
                    ImageSource(row.source),
                    row.reference,
                    row.expected_sha256,
                )
                for row in session.scalars(query)
            ]

    def is_wanted(self, version_id: str) -> bool:
        """Whether a version that is being made is still to be made."""
        with self.reading() as session:
            row = session.get(DbImageVersion, version_id)
            return row is not None and row.state in WORKING and not row.cancelling

    def report(self, version_id: str, step: str, done: int, total: int) -> None:
        """How far it is: pages show it."""
        with self.transaction() as session:
            if (row := self._working(session, version_id)) is not None:
                row.step, row.done_bytes, row.total_bytes = step, done, total

    def made(self, version_id: str, facts: ImageFacts) -> None:
        """It is there: machines can be launched from it."""
        with self.transaction() as session:
            if (row := self._working(session, version_id)) is None:
                return
            row.state, row.sha256 = VersionState.READY, facts.sha256
            row.size_bytes, row.disk_bytes = facts.size_bytes, facts.disk_bytes
            self._end(session, row, "image.ready", Outcome.SUCCEEDED)
            image = session.get_one(DbImage, row.image_id)
            image.min_disk_gib = max(image.min_disk_gib, -(-facts.disk_bytes // 1024**3))

    def failed(self, version_id: str, reason: str) -> None:
        """It cannot be made, and nothing of it is left on the host."""
        with self.transaction() as session:
            if (row := self._working(session, version_id)) is not None:
                row.state, row.reason = VersionState.FAILED, reason
                self._end(session, row, "image.failed", Outcome.FAILED)

    def removed(self, version_id: str) -> None:
        """It is off the host."""
        with self.transaction() as session:
            row = session.get(DbImageVersion, version_id, with_for_update=True)
            if row is not None and row.state == VersionState.REMOVING:
                row.state, row.ended_at = VersionState.REMOVED, self.now()

    def _working(self, session: Session, version_id: str) -> DbImageVersion | None:
        row = session.get(DbImageVersion, version_id, with_for_update=True)
        return row if row is not None and row.state in WORKING else None

    def _end(self, session: Session, row: DbImageVersion, action: str, outcome: Outcome) -> None:
        row.step, row.done_bytes, row.total_bytes, row.cancelling = "", 0, 0, False
        row.ended_at = self.now()
        name = session.get_one(DbImage, row.image_id).name
        details = {"name": name, "version": row.number} | ({"reason": row.reason} if row.reason else {})
        self.audit(action, Subject("image", row.image_id), details, actor=SYSTEM, outcome=outcome)
