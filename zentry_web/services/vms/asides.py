"""What a machine was before a rebuild, kept for an hour, while its disk lies aside on the host (docs/adr/0038)."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.models import DbDiskAside, DbImagePriceVersion, DbVM

KEPT_FOR = timedelta(hours=1)
PUTTING_ASIDE = (OperationKind.REBUILD, OperationKind.RECOVER)
_FIELDS = ("image_id", "image_version_id", "image_price_version_id", "ssh_key", "user_data")


def find_last(session: Session, vm_id: str, now: datetime) -> DbDiskAside | None:
    """The newest rebuild of this machine that can be undone."""
    mine = DbDiskAside.vm_id == vm_id, DbDiskAside.until > now
    return session.scalar(select(DbDiskAside).where(*mine).order_by(DbDiskAside.operation_id.desc()).limit(1))


def aside_of(claim: Claim) -> str:
    """The id of what has put a disk aside: of the operation itself, or of the one that is undone."""
    return claim.operation_id if claim.kind in PUTTING_ASIDE else str(claim.details["aside"])


def running_price(session: Session, vm: DbVM, image_price_version_id: str | None) -> int:
    """What a running hour of this machine costs with that version of an image's surcharge in the place of its own."""
    prices = {vm.image_price_version_id, image_price_version_id} - {None}
    query = select(DbImagePriceVersion.id, DbImagePriceVersion.micro_per_hour).where(DbImagePriceVersion.id.in_(prices))
    found: dict[str | None, int] = {row.id: row.micro_per_hour for row in session.execute(query)}
    return vm.running_micro_per_hour - found.get(vm.image_price_version_id, 0) + found.get(image_price_version_id, 0)


def exchange(session: Session, vm: DbVM, claim: Claim, now: datetime) -> None:
    """A rebuild or a restore has succeeded, or one was undone: what the machine is and what it was change places.

    What was put aside before this one is gone, and so is what was undone.
    """
    row = session.get_one(DbDiskAside, aside_of(claim))
    vm.running_micro_per_hour = running_price(session, vm, row.image_price_version_id)
    for field in _FIELDS:
        mine, other = getattr(vm, field), getattr(row, field)
        setattr(vm, field, other)
        setattr(row, field, mine)
    if claim.kind in PUTTING_ASIDE:
        row.until = now + KEPT_FOR
        session.execute(
            delete(DbDiskAside).where(DbDiskAside.vm_id == vm.id, DbDiskAside.operation_id != row.operation_id)
        )
    else:
        session.delete(row)


def forget_attempts(session: Session, vm_id: str) -> None:
    """The rebuild under way, if any, came to nothing: it failed, or was overtaken and taken back."""
    session.execute(delete(DbDiskAside).where(DbDiskAside.vm_id == vm_id, DbDiskAside.until.is_(None)))
