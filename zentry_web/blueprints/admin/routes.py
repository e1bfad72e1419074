"""For admins: overview, health."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.language import _
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.curves import draw
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, require_admin_page

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
blueprint.before_request(require_admin_page)


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """How the whole of Zentry is doing."""
    found, now = services().users.get_admin_overview(actor=current_actor()), services().clock.now()
    images = services().vms.images.list_names(found.compute.images, actor=current_actor())
    return render_template(
        "admin/overview.html",
        overview=found,
        now=now,
        since=now - timedelta(days=1),
        days=_last_days(now),
        drawings=None,
        failed=activity_lines(found.troubles.failed),
        mails=services().waiting_mails(),
        disk=services().monitoring.disk_health(),
        images=images,
        **_verified(),
    )


@blueprint.get("/growth")
def growth() -> ResponseReturnValue:
    """What was used and paid, and how many signed up, on each of the last days: as the overview draws it."""
    days = services().users.installation.list_growth(actor=current_actor())
    columns: dict[str, Any] = {
        name: tuple(getattr(day, name) for day in days) for name in ("usage_micro", "payments_micro", "sign_ups")
    }
    times = tuple(int(day.day.timestamp()) for day in days)
    series = MetricSeries("", days[0].day, days[-1].day, 86400, times, columns)
    drawings = {kind: draw(kind, series, UTC) for kind in ("income", "sign_ups")}
    return render_template("admin/_growth.html", drawings=drawings, days=_last_days(services().clock.now()))


@blueprint.get("/system")
def system() -> ResponseReturnValue:
    """Services, worker and hypervisor: whether each works and since when."""
    monitoring = services().monitoring
    return render_template(
        "admin/system.html",
        services=services().health_check_all(),
        parts=[*monitoring.list_service_health(), *monitoring.clock_health(), *monitoring.disk_health()],
        heartbeats=monitoring.list_heartbeats(),
        compute=monitoring.get_compute_status(),
        verifies_email=services().auth.verification.enabled,
        mails=services().waiting_mails(),
        trial=services().users.mail_check.get_latest(actor=current_actor()),
        strays=services().vms.strays.count(actor=current_actor()),
        **_verified(),
    )


@blueprint.post("/system/test-mail")
def test_mail() -> ResponseReturnValue:
    """Have the worker send whoever asks a mail, to see whether it arrives."""
    address = services().users.mail_check.send_test(actor=current_actor())
    success(_("A test mail to %(address)s waits to be sent. The Mail card says what becomes of it.", address=address))
    return redirect(url_for("admin.system"), 303)


def _last_days(now: datetime) -> dict[str, date]:
    return {"from": (now - timedelta(days=29)).date(), "to": now.date()}


def _verified() -> dict[str, object]:
    """The worker's last run of the ledger's checks, and whether it is too old to rely on."""
    run = services().billing.books.verification.get_latest()
    return {"verified": run, "verify_stale": run is None or run.is_stale(services().clock.now())}
