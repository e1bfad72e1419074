"""Where credits went, how they will go on, and what would change that."""

from datetime import datetime, timedelta, tzinfo
from functools import cache, partial
from typing import Any

from flask import get_template_attribute, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.bills import shown_amounts
from zentry_web.domain.credits.forecast import BalancePoint, Changes
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.text import whole_number
from zentry_web.domain.vms.catalogue import Image
from zentry_web.web.input.paging import PAGE_SIZE, pages, text_argument
from zentry_web.web.input.period import Period
from zentry_web.web.output.charts import payload
from zentry_web.web.output.curves import balance_curve
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

VIEWS = ("vm", "project", "size", "day")
PAST = FUTURE = timedelta(days=30)
DAY_SECONDS = 86400
MOST_LAUNCHES = 1000
SIZE_OF = "size."  # a field of the what-if: the new size of the VM whose id follows
DECIMALS = 4


@blueprint.get("/spend")
def spend() -> ResponseReturnValue:
    """What a period cost, by machine, project, size or day; all of it in the address."""
    period = Period.from_request(services().clock.now())
    found = services().billing.spending.get_spend(
        me().id, period.start, period.end, actor=current_actor()
    )  # fmt: skip
    by = text_argument("by") if text_argument("by") in VIEWS else "vm"
    groups = getattr(found, f"by_{by}")
    shown = shown_amounts([group.amount_micro for group in groups], DECIMALS)
    rows = list(zip(groups, shown, strict=True))[:: -1 if by == "day" else 1]
    keys, before = [group.key for group, _ in rows], text_argument("before")
    first = keys.index(before) + 1 if before in keys else 0
    page = rows[first : first + PAGE_SIZE]
    return render_template(
        "billing/spend.html",
        spend=found,
        period=period,
        by=by,
        rows=page,
        total=sum(shown),
        is_any=any(group.amount_micro for group in groups),  # also less than what is shown
        rest_micro=sum(shown) - sum(micro for _, micro in page),
        **pages(page[-1][0].key if len(rows) > first + PAGE_SIZE else None),
    )


@blueprint.get("/spend.json")
def spend_series() -> ResponseReturnValue:
    """Each day's cost, for the chart."""
    period = Period.from_request(services().clock.now())
    found = services().billing.spending.get_spend(
        me().id, period.start, period.end, actor=current_actor()
    )  # fmt: skip
    days = [datetime.fromisoformat(f"{group.key}T00:00:00+00:00") for group in found.by_day]
    columns = {"amount_micro": tuple(group.amount_micro for group in found.by_day)}
    return jsonify(_series(days, columns))


@blueprint.get("/history")
def history() -> ResponseReturnValue:
    """The balance's past and future, with a table of it; for htmx a drawing of it."""
    points = _points()
    if is_htmx():
        return render_template("billing/_curve.html", curve=balance_curve(points, FUTURE))
    return render_template("billing/history.html", points=points[:: max(1, len(points) // 40)])


@blueprint.get("/history.json")
def history_series() -> ResponseReturnValue:
    """The balance in the past and as it will be, for the chart."""
    points = _points()
    columns = {
        "total_micro": tuple(None if point.projected else point.micro for point in points),
        "projected_micro": tuple(point.micro if point.projected else None for point in points),
    }
    return jsonify(_series([point.at for point in points], columns, viewer_zone()))


@blueprint.route("/what-if", methods=["GET", "POST"])
def what_if() -> ResponseReturnValue:
    """How long credits would last if some machines stopped, changed their size, or were launched."""
    user, actor, vms = me(), current_actor(), services().vms
    sizes, images = vms.list_sizes(), vms.list_images()
    spending = services().billing.spending
    changes = _changes(request.values, images)
    answer = spending.what_if(user.id, changes, sizes, actor=actor)
    if is_htmx() and request.method == "POST":
        return render_template("billing/_what_if_answer.html", answer=answer)
    options = cache(partial(get_template_attribute("billing/_size_options.html", "size_options"), sizes))
    image = _image(request.values, images)
    return render_template(
        "billing/what_if.html",
        answer=answer,
        changes=changes,
        size_options=options,
        sizes=sizes,
        images=images,
        image=image,
    )


def _image(values: MultiDict[str, str], images: list[Image]) -> Image | None:
    """The image to launch with: the one chosen, else the first."""
    first = images[0] if images else None
    return next((image for image in images if image.id == values.get("image")), first)


def _changes(values: MultiDict[str, str], images: list[Image]) -> Changes:
    """The form's fields: stop=VM, size.VM=SIZE, launch=SIZE with count and image."""
    sizes = {name.removeprefix(SIZE_OF): size_id for name, size_id in values.items() if name.startswith(SIZE_OF)}
    count = min(MOST_LAUNCHES, max(1, whole_number(values.get("count", "")) or 1))
    launch = values.get("launch", "")
    return Changes(
        stop=frozenset(values.getlist("stop")),
        sizes={vm_id: size_id for vm_id, size_id in sizes.items() if size_id},
        launch={launch: count} if launch else {},
        surcharge_micro_per_hour=image.surcharge_micro_per_hour if (image := _image(values, images)) else 0,
    )


def _points() -> list[BalancePoint]:
    billing = services().billing
    return billing.spending.get_balances(me().id, past=PAST, future=FUTURE, actor=current_actor())


def _series(moments: list[datetime], columns: dict[str, Any], zone: tzinfo | None = None) -> dict[str, Any]:
    times = tuple(int(moment.timestamp()) for moment in moments)
    return payload(MetricSeries("", moments[0], moments[-1], DAY_SECONDS, times, columns), zone)
