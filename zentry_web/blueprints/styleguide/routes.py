"""/styleguide: each component of templates/components in its states, with made-up data."""

import math
from datetime import UTC, datetime, timedelta

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.domain.credits.billing import Balance
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.steps import Step
from zentry_web.web.output.charts import payload
from zentry_web.web.output.filters import viewer_zone

blueprint = Blueprint("styleguide", __name__, url_prefix="/styleguide")

SIZES = tuple(
    Size(name, name, vcpus, memory, disk, True, f"price-{name}", 1, price, 100)
    for name, vcpus, memory, disk, price in (
        ("nano", 1, 128, 1, 5_000),
        ("micro", 1, 512, 5, 15_000),
        ("small", 2, 2048, 20, 50_000),
        ("medium", 4, 4096, 40, 100_000),
        ("large", 8, 8192, 80, 200_000),
    )
)


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """The page with everything."""
    now = datetime.now(UTC)
    steps = tuple(
        Step(name, status, now - timedelta(seconds=40) if status == "done" else None)
        for name, status in zip(
            ("queued", "disk", "boot", "running", "answered"),
            ("done", "done", "done", "current", "waiting"),
            strict=True,
        )
    )
    balance = Balance(now, 4_812_345, 50_000, 1_234, 65_000)
    return render_template(
        "styleguide.html", now=now, hour_ago=now - timedelta(hours=1), states=list(VMState), steps=steps,
        failed_steps=(*steps[:2], Step("boot", "failed")), sizes=SIZES, sample=balance,
    )  # fmt: skip


@blueprint.get("/fragment")
def fragment() -> ResponseReturnValue:
    """What a dialog link loads."""
    return render_template("_styleguide_dialog.html")


@blueprint.get("/metrics.json")
def metrics() -> ResponseReturnValue:
    """A made-up hour in the shape that charts expect."""
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(hours=1)
    times = tuple(range(int(start.timestamp()), int(end.timestamp()), 10))
    gap = range(100, 130)
    wave = [50 + 30 * math.sin(i / 30) + (i * 7919 % 13) for i in range(len(times))]
    shown = tuple(None if i in gap else value for i, value in enumerate(wave))
    columns = {
        "cpu_percent": shown,
        "memory_used_bytes": tuple(None if v is None else 3e8 + v * 1e6 for v in shown),
        "memory_total_bytes": tuple(536_870_912.0 for _ in times),
        "disk_read_bytes_per_s": tuple(None if v is None else v * 4e4 for v in shown),
        "disk_write_bytes_per_s": tuple(None if v is None else v * 9e4 for v in shown),
        "net_rx_bytes_per_s": tuple(None if v is None else v * 2e3 for v in shown),
        "net_tx_bytes_per_s": tuple(None if v is None else v * 7e2 for v in shown),
    }
    return payload(MetricSeries("vm_styleguide", start, end, 10, times, columns), viewer_zone())


@blueprint.get("/spend.json")
def spend() -> ResponseReturnValue:
    """Two weeks of made-up spend."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=13)
    first = int(day.timestamp())
    times = [number * 86400 for number in range(14)]
    amounts = [200_000 + 91_000 * (number * 5 % 7) for number in range(14)]
    return {"start": first, "step": 86400, "times": times, "columns": {"amount_micro": amounts}}


@blueprint.get("/broken")
def broken() -> ResponseReturnValue:
    """Fails, to see what a failed panel looks like."""
    raise RuntimeError("broken on purpose")
