"""For admins: what came in and what Zentry owes, per day; what was written off. The period is in the address."""

from typing import Any

from flask import Response, jsonify, render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.credits.books import BookDay, day_number
from zentry_web.domain.language import dated
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.zones import zone_of
from zentry_web.web.input.paging import number_argument, pages
from zentry_web.web.input.period import Period
from zentry_web.web.output.charts import payload
from zentry_web.web.output.files import csv_file
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

UTC_ZONE = zone_of("UTC")
COLUMNS = (
    "usage_micro", "grants_micro", "payments_micro", "refunds_micro", "write_offs_micro", "promo_given_micro",
    "promo_used_micro", "promo_expired_micro", "liability_micro", "promo_open_micro",
)  # fmt: skip
LINES = ("at", "person_id", "person", "vm_id", "vm", "interval_id", "transfer_id", "amount_micro", "why")


def _asked() -> tuple[Period, list[BookDay]]:
    """The period (days are UTC's, as the sums are) and its days, none beyond today."""
    now = services().clock.now()
    period = Period.from_request(now, UTC_ZONE)
    last = min(day_number(period.end) - 1, day_number(now))
    first = min(day_number(period.start), last)
    return period, services().billing.books.totals.list_days(first, last, actor=current_actor())


@blueprint.get("/books")
def books() -> ResponseReturnValue:
    """Revenue, grants, payments, refunds, write-offs and liability of a period."""
    period, days = _asked()
    totals = {name: sum(getattr(day, name) for day in days) for name in COLUMNS[:-2]}
    shown = {"days": days, "last_day": dated(days[-1].day, "%-d %b"), "totals": totals}
    return render_template("admin/books.html", period=period, **shown)


@blueprint.get("/books.json")
def books_series() -> ResponseReturnValue:
    """Each day's sums, for the charts."""
    _, days = _asked()
    columns: dict[str, Any] = {name: tuple(getattr(day, name) for day in days) for name in COLUMNS}
    times = tuple(int(day.day.timestamp()) for day in days)
    return jsonify(payload(MetricSeries("", days[0].day, days[-1].day, 86400, times, columns)))


@blueprint.get("/books.csv")
def books_file() -> Response:
    """The same as a file."""
    period, days = _asked()
    rows = ([f"{day.day:%Y-%m-%d}", *(getattr(day, name) for name in COLUMNS)] for day in days)
    return csv_file(f"zentry-books-{period.first}-{period.last}", ("day", *COLUMNS), rows)


@blueprint.get("/write-offs")
def write_offs() -> ResponseReturnValue:
    """What nobody paid, line by line."""
    period, actor = Period.from_request(services().clock.now()), current_actor()
    service = services().billing.books.write_offs
    lines, following = service.list_write_offs(
        period.start, period.end, actor=actor, before=number_argument("before")
    )  # fmt: skip
    total = service.total(period.start, period.end, actor=actor)
    return render_template("admin/write_offs.html", period=period, lines=lines, total=total, **pages(following))


@blueprint.get("/write-offs.csv")
def write_offs_file() -> Response:
    """The same as a file."""
    period = Period.from_request(services().clock.now())
    found = services().billing.books.write_offs.export(period.start, period.end, actor=current_actor())
    rows = (
        (
            iso(line.at), line.owner_id, line.owner_email, line.vm_id or "", line.vm_name, line.interval_id or "",
            line.transfer_id, line.amount_micro, line.why,
        )
        for line in found
    )  # fmt: skip
    return csv_file(f"zentry-write-offs-{period.first}-{period.last}", LINES, rows)
