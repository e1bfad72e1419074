"""For admins: overview, machines of all, images, the audit trail, health."""

import json
from typing import Any

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import OfferForm
from zentry_web.domain.bill_csv import iso
from zentry_web.domain.event import Event, Outcome
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor, require_admin_page
from zentry_web.web.files import csv_file
from zentry_web.web.flash import success
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import PAGE_SIZE, last_key, number_argument, pages, text_argument
from zentry_web.web.services import services

TRAIL_COLUMNS = (
    "seq", "at", "action", "outcome", "actor_id", "actor", "resource_type", "resource_id", "owner_id", "project_id",
    "vm_id", "operation_id", "details", "address", "reason", "personal",
)  # fmt: skip
blueprint = Blueprint("admin", __name__, url_prefix="/admin")
blueprint.before_request(require_admin_page)


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """How the whole of Zentry is doing."""
    found = services().get_user_service().get_admin_overview(actor=current_actor())
    template = "admin/_overview.html" if is_htmx() else "admin/overview.html"
    return render_template(template, overview=found, **_verified())


@blueprint.get("/images")
def images() -> ResponseReturnValue:
    """All images, and which of them the hypervisor has."""
    service = services().get_vm_service()
    return render_template(
        "admin/images.html", images=service.list_images(include_inactive=True), compute=service.get_compute_status()
    )


@blueprint.post("/images/<image_id>")
def offer_image(image_id: str) -> ResponseReturnValue:
    """Put an image on offer or take it off."""
    active = bool(OfferForm().active.data)
    services().get_vm_service().update_image(image_id, {"active": active}, actor=current_actor())
    success("The image is on offer." if active else "The image is no longer on offer.")
    return redirect(url_for("admin.images"), 303)


@blueprint.get("/audit")
def audit() -> ResponseReturnValue:
    """Who did what: filtered by action, person, thing and outcome."""
    filters = _trail_filters()
    before = number_argument("before")
    found = services().get_user_service().search_audit(actor=current_actor(), before=before, limit=PAGE_SIZE, **filters)
    lines = activity_lines(found)
    template = "admin/_audit.html" if is_htmx() else "admin/audit.html"
    asked: dict[str, Any] = {name: value for name, value in filters.items() if value}
    file_url = url_for("admin.audit_file", **asked)
    shown = {"lines": lines, "filters": filters, "outcomes": list(Outcome), "file_url": file_url}
    return render_template(template, **shown, **pages(last_key(found, "seq")))


@blueprint.get("/audit.csv")
def audit_file() -> Response:
    """The same events as a file, newest first."""
    found = services().get_user_service().export_audit(actor=current_actor(), **_trail_filters())
    return csv_file("zentry-audit", TRAIL_COLUMNS, (_trail_row(event) for event in found))


def _trail_filters() -> dict[str, str]:
    return {name: text_argument(name) for name in ("action", "actor_id", "resource_id", "outcome")}


def _trail_row(event: Event) -> tuple[object, ...]:
    intact = {True: "intact", False: "altered", None: ""}[event.personal_intact]
    return (
        event.seq, iso(event.at), event.action, str(event.outcome), event.actor_id, event.actor_name,
        event.resource_type, event.resource_id, event.owner_id or "", event.project_id or "", event.vm_id or "",
        event.operation_id or "", json.dumps(event.details, sort_keys=True), event.personal.get("address", ""),
        event.personal.get("reason", ""), intact,
    )  # fmt: skip


@blueprint.get("/system")
def system() -> ResponseReturnValue:
    """Services, worker and hypervisor: whether each works and since when."""
    monitoring = services().get_monitoring_service()
    template = "admin/_system.html" if is_htmx() else "admin/system.html"
    return render_template(
        template,
        services=services().health_check_all(),
        parts=monitoring.list_service_health(),
        heartbeats=monitoring.list_heartbeats(),
        compute=monitoring.get_compute_status(),
        verifies_email=services().get_auth_service().verification.enabled,
        **_verified(),
    )


def _verified() -> dict[str, object]:
    """The worker's last run of the ledger's checks, and whether it is too old to rely on."""
    run = services().get_billing_service().books.verification.get_latest()
    return {"verified": run, "verify_stale": run is None or run.is_stale(services().clock.now())}
