"""What a machine can be made of: sizes and images with their prices."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.vms.image import UserDataKind


@dataclass(frozen=True, slots=True)
class ComingPrice:
    """A price that has been announced and not begun. Of an image, what it adds; it adds nothing while stopped."""

    starts_at: datetime
    running_micro_per_hour: int
    stopped_micro_per_hour: int


@dataclass(frozen=True, slots=True)
class Size:
    """An entry of the size catalogue with the price in force."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    active: bool
    price_version_id: str
    price_version: int
    running_micro_per_hour: int
    disk_micro_per_gib_hour: int
    coming: ComingPrice | None = None

    @property
    def stopped_micro_per_hour(self) -> int:
        """What a stopped VM of this size goes on costing: its disk."""
        return self.disk_micro_per_gib_hour * self.disk_gib


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine can be made from, with its newest version that is ready."""

    id: str
    name: str
    driver_name: str  # what the compute driver calls that version; of its first one where none is ready
    description: str
    min_memory_mib: int
    active: bool
    surcharge_micro_per_hour: int = 0  # what it adds to the size's price while running
    price_version_id: str | None = None  # None: it never had a price and adds nothing
    price_version: int | None = None
    coming: ComingPrice | None = None
    version_id: str | None = None  # None: none is ready
    version: int | None = None
    architecture: str = "x86_64"
    min_disk_gib: int = 1
    default_user: str = "root"
    first_login: str = ""  # more about it, as an admin wrote it
    user_data: UserDataKind = UserDataKind.SCRIPT
    project_id: str | None = None  # whose it is; None: everybody's

    @property
    def common_name(self) -> str:
        """Its name for what is kept where everybody's names are not: '' for a project's own."""
        return self.name if self.project_id is None else ""

    @property
    def can_launch(self) -> bool:
        """Whether machines may be made from it, as far as the catalogue says."""
        return self.active and self.version_id is not None


def next_price(size: Size, image: Image | None) -> ComingPrice | None:
    """The next announced price of a machine of that size with that image; None when nothing is announced."""
    coming = [each.coming for each in (size, image) if each is not None and each.coming is not None]
    if not coming:
        return None
    at = min(price.starts_at for price in coming)
    running, stopped = size.running_micro_per_hour, size.stopped_micro_per_hour
    surcharge = image.surcharge_micro_per_hour if image else 0
    if size.coming and size.coming.starts_at == at:
        running, stopped = size.coming.running_micro_per_hour, size.coming.stopped_micro_per_hour
    if image and image.coming and image.coming.starts_at == at:
        surcharge = image.coming.running_micro_per_hour
    return ComingPrice(at, running + surcharge, stopped)
