"""What the pages about machines need, loaded from the services."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.vm import VM, Image, Size, VMOrder, VMState
from zentry_web.services.errors import NotFoundError, PermissionDeniedError
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor
from zentry_web.web.paging import PAGE_SIZE, last_key, text_argument
from zentry_web.web.services import services

ACTIVITY_ROWS = 15
TABLE_POINTS = 12
RANGES = {
    "15m": ("15 min", timedelta(minutes=15)),
    "1h": ("1 hour", timedelta(hours=1)),
    "6h": ("6 hours", timedelta(hours=6)),
    "24h": ("24 hours", timedelta(hours=24)),
}
DEFAULT_RANGE = "1h"
NEW = timedelta(minutes=40)


@dataclass(frozen=True, slots=True)
class ListView:
    """What the address of the list says: search, filters, order, page."""

    search: str
    project_id: str
    state: VMState | None
    label: str
    sort: VMOrder
    before: str

    @classmethod
    def from_request(cls) -> "ListView":
        """Read the query; what makes no sense is left out."""
        state = text_argument("state")
        sort = text_argument("sort")
        known = state in {item.value for item in VMState if item != VMState.DELETED}
        return cls(
            search=text_argument("q"),
            project_id=text_argument("project"),
            state=VMState(state) if known else None,
            label=text_argument("label"),
            sort=VMOrder(sort) if sort in list(VMOrder) else VMOrder.NEWEST,
            before=text_argument("before"),
        )

    def query(self) -> dict[str, Any]:
        """The arguments of VMService.list_vms."""
        return {
            "project_id": self.project_id or None,
            "state": self.state,
            "search": self.search,
            "label": self.label,
            "before": self.before or None,
            "limit": PAGE_SIZE,
            "order": self.sort,
        }

    @property
    def is_filtered(self) -> bool:
        return bool(self.search or self.project_id or self.state or self.label)


def find_size(sizes: list[Size], size_id: str | None) -> Size | None:
    """The size of that id, if it is among those on offer."""
    return next((size for size in sizes if size.id == size_id), None)


def find_image(images: list[Image], image_id: str | None) -> Image | None:
    """The image of that id, if it is among those on offer."""
    return next((image for image in images if image.id == image_id), None)


def price_context(sizes: list[Size], images: list[Image], chosen: Mapping[str, str | None]) -> dict[str, Any]:
    """What the launch page says of prices: of every size with the chosen image, and of the chosen size in the chosen
    project, whose owner pays. ``chosen``: project_id, size_id, image_id."""
    size, image = find_size(sizes, chosen["size_id"]), find_image(images, chosen["image_id"])
    context: dict[str, Any] = {"sizes": sizes, "size": size, "image": image, "quote": None, "payer": None, "room": None}
    if size is None or not chosen["project_id"]:
        return context
    try:
        found = services().get_vm_service().payer.quote(chosen["project_id"], size, image, actor=current_actor())
    except (NotFoundError, PermissionDeniedError):  # the form says so when it is sent
        return context
    payer = None if found.is_own else found.payer_name
    return context | {"quote": found.quote, "payer": payer, "room": found.room}


def status_context(vm_id: str) -> dict[str, Any]:
    """State, operation, steps and how fresh they are."""
    page = services().get_vm_service().get_vm_page(vm_id, actor=current_actor())
    changes = services().get_billing_service().price_changes
    prices = changes.list_coming_of(vm_id, actor=current_actor())
    return {"page": page, "vm": page.vm, "coming_prices": prices}


def named_console_context(vm_id: str) -> dict[str, Any]:
    """The console for those who may see it, else nothing: the machine's page goes without."""
    vm = services().get_vm_service().get_vm(vm_id, actor=current_actor())
    return console_context(vm_id) if vm.allows("console") else {"vm": vm, "console": None}


def activity_context(vm_id: str, *, before: int | None = None) -> dict[str, Any]:
    """The machine's events as lines."""
    vms, actor = services().get_vm_service(), current_actor()
    vm = vms.get_vm(vm_id, actor=actor)
    events = vms.list_vm_activity(vm_id, actor=actor, before=before, limit=ACTIVITY_ROWS)
    return {
        "vm": vm,
        "lines": activity_lines(events, viewer_id=actor.id, with_address=True),
        "older_before": last_key(events, "seq", ACTIVITY_ROWS),
    }


def console_context(vm_id: str) -> dict[str, Any]:
    """The console's text and its age."""
    actor = current_actor()
    vm = services().get_vm_service().get_vm(vm_id, actor=actor)
    return {"vm": vm, "console": services().get_monitoring_service().get_console(vm_id, actor=actor)}


def load_series(vm_id: str, chosen: str, *, after: int | None = None, max_points: int = 500) -> MetricSeries:
    """The figures of the chosen range up to now, or only those later than ``after`` (epoch seconds)."""
    _, length = RANGES.get(chosen, RANGES[DEFAULT_RANGE])
    end = datetime.now(UTC)
    newer = datetime.fromtimestamp(after, UTC) if after and 0 < after < 2**33 else None
    return (
        services()
        .get_monitoring_service()
        .get_vm_metrics(vm_id, actor=current_actor(), start=end - length, end=end, after=newer, max_points=max_points)
    )


def metrics_context(vm: VM, chosen: str) -> dict[str, Any]:
    """The chosen range (a new machine's figures would be lost in an hour), and a coarse series for the tables."""
    is_new = datetime.now(UTC) - vm.created_at < NEW
    active = chosen if chosen in RANGES else ("15m" if is_new else DEFAULT_RANGE)
    return {"ranges": RANGES, "active_range": active, "series": load_series(vm.id, active, max_points=TABLE_POINTS)}


def vm_context(vm_id: str) -> dict[str, Any]:
    """Everything on a machine's page but the figures."""
    return named_console_context(vm_id) | activity_context(vm_id) | status_context(vm_id)
