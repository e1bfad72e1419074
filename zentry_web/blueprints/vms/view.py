"""What the pages about machines need, loaded from the services."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from zentry_web.blueprints.vms.connect import connection
from zentry_web.domain.event import Event
from zentry_web.domain.language import lazy
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.naming import parse_count
from zentry_web.domain.vms.steps import VMPage
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import NotFoundError, PermissionDeniedError
from zentry_web.web.input.paging import last_key
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.context import get_compute
from zentry_web.web.output.curves import draw
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

ACTIVITY_ROWS, LAST_EVENTS = 15, 5
LAST_LINES = 12  # of its console, where it gives no sign of life
TABLE_POINTS, SMALL_POINTS, DRAWN_POINTS = 12, 24, 120
CHARTS = ("cpu", "memory", "disk", "network")
GIB = 1024  # MiB
HOUR = timedelta(hours=1)
RANGES = {
    "15m": (lazy("15 min"), timedelta(minutes=15)),
    "1h": (lazy("1 hour"), timedelta(hours=1)),
    "6h": (lazy("6 hours"), timedelta(hours=6)),
    "24h": (lazy("24 hours"), timedelta(hours=24)),
}
DEFAULT_RANGE = "1h"
NEW = timedelta(minutes=40)


def find_size(sizes: list[Size], size_id: str | None) -> Size | None:
    """The size of that id, if it is among those on offer."""
    return next((size for size in sizes if size.id == size_id), None)


def find_image(images: list[Image], image_id: str | None) -> Image | None:
    """The image of that id, if it is among those on offer."""
    return next((image for image in images if image.id == image_id), None)


def price_context(sizes: list[Size], images: list[Image], chosen: Mapping[str, str | None]) -> dict[str, Any]:
    """What the launch page says of prices: of every size with the chosen image, and of the chosen size in the chosen
    project, whose owner pays. ``chosen``: project_id, size_id, image_id, count."""
    size, image = find_size(sizes, chosen["size_id"]), find_image(images, chosen["image_id"])
    context: dict[str, Any] = {"sizes": sizes, "size": size, "image": image, "project_id": chosen["project_id"]}
    context |= dict.fromkeys(("quote", "payer", "room", "cap", "plan"))
    if size is None or not chosen["project_id"]:
        return context
    try:
        count = parse_count(chosen["count"]) or 1
        found = services().vms.payer.quote(chosen["project_id"], size, image, count, actor=current_actor())
    except (NotFoundError, PermissionDeniedError):  # the form says so when it is sent
        return context
    payer = None if found.is_own else found.payer_name
    context["plan"] = services().vms.planning.of_launch(found.quote, size, found.room)
    return context | {"quote": found.quote, "payer": payer, "room": found.room, "cap": found.cap}


def status_context(vm_id: str) -> dict[str, Any]:
    """State, operation, steps and how fresh they are; how to connect."""
    page = services().vms.get_vm_page(vm_id, actor=current_actor())
    console = services().monitoring.read_console(page.vm).text if _shows_console(page.vm) else ""
    return _status(page, console) | {"connect": connection(page.vm, console)}


def _status(page: VMPage, console: str) -> dict[str, Any]:
    vm = page.vm
    prices = services().billing.price_changes.list_coming_of_vm(vm)
    last_words = "\n".join(console.rstrip().splitlines()[-LAST_LINES:]) if vm.is_silent else ""
    return {"page": page, "vm": vm, "coming_prices": prices, "last_words": last_words}


def activity_context(vm_id: str, *, before: int | None = None) -> dict[str, Any]:
    """The machine's events as lines."""
    vms, actor = services().vms, current_actor()
    vm = vms.payer.with_funds(vms.get_vm(vm_id, actor=actor))
    return {"vm": vm} | _lines(vm, vms.list_vm_activity(vm_id, actor=actor, before=before, limit=ACTIVITY_ROWS))


def _lines(vm: VM, events: list[Event]) -> dict[str, Any]:
    actor, now = current_actor(), services().clock.now()
    return {
        "lines": activity_lines(events, reader_id=actor.id, with_address=True, rights=lambda event: vm.rights, now=now),
        "older_before": last_key(events, "seq", ACTIVITY_ROWS),
    }


def console_context(vm_id: str) -> dict[str, Any]:
    """The console's text and its age. Raises NotFoundError, PermissionDeniedError (viewers)."""
    vm = services().vms.get_vm(vm_id, actor=current_actor(), action=ProjectAction.CONSOLE)
    return {"vm": services().vms.payer.with_funds(vm), "console": services().monitoring.read_console(vm)}


def _shows_console(vm: VM) -> bool:
    """Not (nor the host key there) to those who may not see it, and to whoever looks at another person's pages."""
    return vm.allows(ProjectAction.CONSOLE) and current_actor().viewer_id is None


def figures_context(vm: VM) -> dict[str, Any]:
    """What it has cost its owner, and its last hour in few points."""
    now = services().clock.now()
    recent = services().monitoring.read_metrics(vm.id, now - HOUR, now, max_points=SMALL_POINTS)
    return _spend(vm) | {"recent": recent}


def _spend(vm: VM) -> dict[str, Any]:
    user = me()
    zone = user.time_zone if user.id == vm.owner_id else None
    return {"spend": services().billing.reports.vm_spend(vm.id, vm.owner_id, zone)}


def load_series(vm_id: str, chosen: str, *, after: int | None = None, max_points: int = 500) -> MetricSeries:
    """The figures of the chosen range up to now, or only those later than ``after`` (epoch seconds)."""
    start, end = _period(chosen)
    newer = datetime.fromtimestamp(after, UTC) if after and 0 < after < 2**33 else None
    return services().monitoring.get_vm_metrics(
        vm_id, actor=current_actor(), start=start, end=end, after=newer, max_points=max_points
    )


def _period(chosen: str) -> tuple[datetime, datetime]:
    _, length = RANGES.get(chosen, RANGES[DEFAULT_RANGE])
    end = services().clock.now()
    return end - length, end


def metrics_context(vm: VM, chosen: str) -> dict[str, Any]:
    """The chosen range (a new machine's figures would be lost in an hour), its drawings, a coarse series for tables."""
    is_new = services().clock.now() - vm.created_at < NEW
    active = chosen if chosen in RANGES else ("15m" if is_new else DEFAULT_RANGE)
    fine, coarse = (
        services().monitoring.read_metrics(vm.id, *_period(active), max_points=points)
        for points in (DRAWN_POINTS, TABLE_POINTS)
    )
    kinds = {kind: kind for kind in CHARTS} | ({"memory": "memory_gib"} if vm.memory_mib >= GIB else {})
    drawings = {chart: draw(kind, fine, viewer_zone()) for chart, kind in kinds.items()}
    return {"ranges": RANGES, "active_range": active, "series": coarse, "drawings": drawings, "kinds": kinds}


def vm_context(vm_id: str) -> dict[str, Any]:
    """Everything on a machine's first page. The machine is read once."""
    page = services().vms.get_vm_page(vm_id, actor=current_actor(), events=LAST_EVENTS, compute=get_compute())
    vm, now = page.vm, services().clock.now()
    recent, console = services().monitoring.read_at_a_glance(
        vm, now - HOUR, now, max_points=SMALL_POINTS, with_console=_shows_console(vm)
    )
    found = {"connect": connection(vm, console), "recent": recent}
    return _status(page, console) | _lines(vm, list(page.events)) | _spend(vm) | found
