"""Where credits went, how they will go on, and what would change that."""

from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from flask import get_template_attribute, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.bills import shown_amounts
from zentry_web.domain.forecast import BalancePoint, Changes
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.vm import Image
from zentry_web.web.actor import current_actor, me
from zentry_web.web.charts import payload
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import text_argument
from zentry_web.web.period import Period
from zentry_web.web.services import services

VIEWS = {"vm": "Machine", "project": "Project", "size": "Size", "day": "Day"}
PAST = FUTURE = timedelta(days=30)
DAY_SECONDS = 86400
MOST_LAUNCHES = 1000
SIZE_OF = "size."  # a field of the what-if: the new size of the VM whose id follows
DECIMALS = 4


@blueprint.get("/spend")
def spend() -> ResponseReturnValue:
    """What a period cost, by machine, project, size or day; all of it in the address."""
    period = Period.from_request(services().clock.now())
    found = services().get_billing_service().spending.get_spend(
        me().id, period.start, period.end, actor=current_actor()
    )  # fmt: skip
    by = text_argument("by") if text_argument("by") in VIEWS else "vm"
    groups = getattr(found, f"by_{by}")
    shown = shown_amounts([group.amount_micro for group in groups], DECIMALS)
    rows = list(zip(groups, shown, strict=True))
    return render_template(
        "billing/spend.html", spend=found, period=period, by=by, views=VIEWS, rows=rows, total=sum(shown)
    )


@blueprint.get("/spend.json")
def spend_series() -> ResponseReturnValue:
    """Each day's cost, for the chart."""
    period = Period.from_request(services().clock.now())
    found = services().get_billing_service().spending.get_spend(
        me().id, period.start, period.end, actor=current_actor()
    )  # fmt: skip
    days = [datetime.fromisoformat(f"{group.key}T00:00:00+00:00") for group in found.by_day]
    columns = {"amount_micro": tuple(group.amount_micro for group in found.by_day)}
    return jsonify(_series(days, columns, DAY_SECONDS))


@blueprint.get("/history")
def history() -> ResponseReturnValue:
    """The balance's past and future: a part of the credits page, or a page of its own."""
    points = _points()
    template = "billing/_history.html" if is_htmx() else "billing/history.html"
    return render_template(template, points=points[:: max(1, len(points) // 40)])


@blueprint.get("/history.json")
def history_series() -> ResponseReturnValue:
    """The balance in the past and as it will be, for the chart."""
    points = _points()
    columns = {
        "total_micro": tuple(None if point.projected else point.micro for point in points),
        "projected_micro": tuple(point.micro if point.projected else None for point in points),
    }
    return jsonify(_series([point.at for point in points], columns, DAY_SECONDS))


@blueprint.route("/what-if", methods=["GET", "POST"])
def what_if() -> ResponseReturnValue:
    """How long credits would last if some machines stopped, changed their size, or were launched."""
    user, actor, vms = me(), current_actor(), services().get_vm_service()
    sizes, images = vms.list_sizes(), vms.list_images()
    spending = services().get_billing_service().spending
    changes = _changes(request.values, images)
    answer = spending.what_if(user.id, changes, sizes, actor=actor)
    if is_htmx() and request.method == "POST":
        return render_template("billing/_what_if_answer.html", answer=answer)
    template = "billing/_what_if.html" if is_htmx() else "billing/what_if.html"
    options = cache(partial(get_template_attribute("billing/_size_options.html", "size_options"), sizes))
    image = _image(request.values, images)
    return render_template(
        template, answer=answer, changes=changes, size_options=options, sizes=sizes, images=images, image=image
    )


def _image(values: MultiDict[str, str], images: list[Image]) -> Image | None:
    """The image to launch with: the one chosen, else the first."""
    first = images[0] if images else None
    return next((image for image in images if image.id == values.get("image")), first)


def _changes(values: MultiDict[str, str], images: list[Image]) -> Changes:
    """The form's fields: stop=VM, size.VM=SIZE, launch=SIZE with count and image."""
    sizes = {name.removeprefix(SIZE_OF): size_id for name, size_id in values.items() if name.startswith(SIZE_OF)}
    count = min(MOST_LAUNCHES, max(1, values.get("count", 1, type=int)))
    launch = values.get("launch", "")
    return Changes(
        stop=frozenset(values.getlist("stop")),
        sizes={vm_id: size_id for vm_id, size_id in sizes.items() if size_id},
        launch={launch: count} if launch else {},
        surcharge_micro_per_hour=image.surcharge_micro_per_hour if (image := _image(values, images)) else 0,
    )


def _points() -> list[BalancePoint]:
    billing = services().get_billing_service()
    return billing.spending.get_balances(me().id, past=PAST, future=FUTURE, actor=current_actor())


def _series(moments: list[datetime], columns: dict[str, Any], step: int) -> dict[str, Any]:
    times = tuple(int(moment.timestamp()) for moment in moments)
    return payload(MetricSeries("", moments[0], moments[-1], step, times, columns))
