"""Charts: Plotly's layout and trace skeletons, built and validated once per process; data travels apart.

A page carries the skeletons of its chart for both themes (``chart_skeletons(kind)``) and the browser fetches
compact columns (``payload(series)``). static/js/charts.js joins the two: every trace names its column in
``meta.column`` and is multiplied by ``meta.scale``. Building the first figure of a process takes about half
a second, so ``warm_up()`` runs before requests are served.

The data's shape: ``{"start": epoch s, "end": epoch s, "step": s, "times": [seconds since start, …],
"columns": {name: [number or null, …]}, "clock": [[epoch s, seconds ahead of UTC, "CET"], …]}``. Answers to
``?after=EPOCH`` hold only points later than that. ``clock`` says which time the viewer's clock shows from when on;
without it the times are days, and midnight UTC stands for the day.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any

from babel import Locale, UnknownLocaleError
from flask import Flask
from plotly import graph_objects as go

from zentry_web.domain.language import ENGLISH, language, lazy
from zentry_web.domain.monitoring import MetricSeries

THEMES = ("light", "dark")
MIB, GIB = 1 / 2**20, 1 / 2**30
DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Palette:
    """A theme's colours, the same as in static/css/zentry.css."""

    text: str
    grid: str
    surface: str
    strong: str
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace: which column it shows, under which name."""

    column: str
    name: str
    colour: int = 0
    scale: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of chart: its traces and how its values read."""

    lines: tuple[Trace, ...]
    suffix: str = ""
    tick_format: str = ""
    hover_format: str = ".1f"
    maximum: float | None = None
    at_least: float = 0  # the axis reaches up to here even when all values are tiny
    bars: bool = False
    days: bool = False  # lines with a point for each day


PALETTES = {
    "light": Palette(
        "#5b6475", "rgba(15,23,42,.08)", "#ffffff", "#14171f", ("#3b5bdb", "#0ca678", "#e67700", "#ae3ec9", "#868e96")
    ),
    "dark": Palette(
        "#a3adc2",
        "rgba(255,255,255,.08)",
        "#1b2230",
        "#e6eaf2",
        ("#6d8dff", "#20c997", "#fcc419", "#da77f2", "#868e96"),
    ),
}

KINDS = {
    "cpu": Kind((Trace("cpu_percent", lazy("CPU")),), suffix="%", maximum=100),
    "memory": Kind(
        (
            Trace("memory_used_bytes", lazy("Used"), scale=MIB),
            Trace("memory_total_bytes", lazy("Total"), 1, MIB, dashed=True),
        ),
        suffix=" MiB",
        hover_format=",.0f",
        tick_format=",.0f",
    ),
    "memory_gib": Kind(  # of a machine that has a GiB or more
        (
            Trace("memory_used_bytes", lazy("Used"), scale=GIB),
            Trace("memory_total_bytes", lazy("Total"), 1, GIB, dashed=True),
        ),
        suffix=" GiB",
        hover_format=",.2~f",
        tick_format=",.2~f",
    ),
    "disk": Kind(
        (Trace("disk_read_bytes_per_s", lazy("Read")), Trace("disk_write_bytes_per_s", lazy("Written"), 2)),
        suffix="B/s",
        tick_format=".3~s",
        hover_format=".3s",
        at_least=1000,
    ),
    "network": Kind(
        (Trace("net_rx_bytes_per_s", lazy("Received")), Trace("net_tx_bytes_per_s", lazy("Sent"), 2)),
        suffix="B/s",
        tick_format=".3~s",
        hover_format=".3s",
        at_least=1000,
    ),
    "balance": Kind(
        (
            Trace("total_micro", lazy("Balance"), scale=1e-6),
            Trace("projected_micro", lazy("Projected"), 2, 1e-6, dashed=True),
        ),
        hover_format=".4f",
    ),
    "revenue": Kind(
        (
            Trace("usage_micro", lazy("Usage"), scale=1e-6),
            Trace("payments_micro", lazy("Payments"), 1, 1e-6),
            Trace("grants_micro", lazy("Grants"), 3, 1e-6),
            Trace("refunds_micro", lazy("Refunds"), 2, 1e-6),
            Trace("write_offs_micro", lazy("Written off"), 4, 1e-6),
        ),
        hover_format=",.4f",
        bars=True,
    ),
    "income": Kind(
        (Trace("usage_micro", lazy("Usage"), scale=1e-6), Trace("payments_micro", lazy("Payments"), 1, 1e-6)),
        hover_format=",.4f",
        days=True,
    ),
    "sign_ups": Kind(
        (Trace("sign_ups", lazy("Sign-ups")),), hover_format=",d", tick_format=",d", at_least=4, days=True
    ),
    "liability": Kind((Trace("liability_micro", lazy("Wallets and holds"), scale=1e-6),), hover_format=",.4f"),
    "spend": Kind((Trace("amount_micro", lazy("Spent"), scale=1e-6),), suffix="", hover_format=".4f", bars=True),
}


@cache
def skeleton(kind: str, theme: str) -> dict[str, Any]:
    """Validated ``{"traces", "layout", "config"}`` of one kind of chart. KeyError for an unknown kind or theme."""
    chart, palette = KINDS[kind], PALETTES[theme]
    traces = [_trace(chart, line, palette) for line in chart.lines]
    figure = go.Figure(data=traces, layout=_layout(chart, palette)).to_dict()
    figure["layout"].pop("template", None)
    config = {"displayModeBar": False, "responsive": True, "doubleClick": "reset"}
    return {"traces": figure["data"], "layout": figure["layout"], "config": config}


def chart_skeletons(kind: str) -> dict[str, dict[str, Any]]:
    """The skeletons for both themes, so that a page can change its theme without asking again."""
    return _in_words(kind, language())


@cache
def _in_words(kind: str, code: str) -> dict[str, dict[str, Any]]:
    names = [str(line.name) for line in KINDS[kind].lines]
    found = {}
    for theme in THEMES:
        made = skeleton(kind, theme)
        traces = [trace | {"name": name} for trace, name in zip(made["traces"], names, strict=True)]
        found[theme] = made | {"traces": traces, "config": made["config"] | _calendar(code)}
    return found


def _calendar(code: str) -> dict[str, Any]:
    """Plotly's setting for names of months and days; nothing for English, which it knows."""
    try:
        locale = Locale.parse(code, sep="-")
    except UnknownLocaleError:
        return {}
    if code == ENGLISH:
        return {}
    months, days = locale.months["format"], locale.days["format"]
    names = {
        "months": [months["wide"][number] for number in range(1, 13)],
        "shortMonths": [months["abbreviated"][number] for number in range(1, 13)],
        "days": [days["wide"][number % 7] for number in range(6, 13)],
        "shortDays": [days["abbreviated"][number % 7] for number in range(6, 13)],
    }
    return {"locale": code, "locales": {code: {"format": names}}}


def payload(series: MetricSeries, zone: tzinfo | None = None) -> dict[str, Any]:
    """A series as compact JSON: times as seconds since its start, figures to two decimals, bytes to five digits.

    ``zone``: whose clock the axis shows; None for a series of days.
    """
    start, end = int(series.start.timestamp()), int(series.end.timestamp())
    return {
        "start": start,
        "end": end,
        "step": series.step_seconds,
        "times": [at - start for at in series.times],
        "columns": {
            name: [None if value is None else _short(value, name) for value in column]
            for name, column in series.columns.items()
        },
    } | ({"clock": clock(start, end, zone)} if zone else {})


def _short(value: float, name: str) -> float:
    return int(float(f"{value:.5g}")) if "_bytes" in name and value >= 1000 else round(value, 2)


def clock(start: int, end: int, zone: tzinfo) -> list[tuple[int, int, str]]:
    """What a zone's clock shows between two moments: (from when on, seconds ahead of UTC, its name then)."""
    found = [(start, *_shown(start, zone))]
    at = start
    while at < end:
        following = min(at + DAY_SECONDS, end)
        if _shown(following, zone) != _shown(at, zone):
            before, after = at, following
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if _shown(middle, zone) == _shown(at, zone) else (before, middle)
            found.append((after, *_shown(after, zone)))
        at = following
    return found


def _shown(epoch: int, zone: tzinfo) -> tuple[int, str]:
    local = datetime.fromtimestamp(epoch, UTC).astimezone(zone)
    offset = local.utcoffset()
    return (int(offset.total_seconds()) if offset else 0, f"{local:%Z}")


def warm_up() -> None:
    """Build every skeleton. Call it once per process before serving."""
    for kind in KINDS:
        chart_skeletons(kind)


def init_charts(app: Flask) -> None:
    """Give templates ``chart_skeletons(kind)``."""
    app.jinja_env.globals["chart_skeletons"] = chart_skeletons


def _trace(chart: Kind, line: Trace, palette: Palette) -> Any:
    colour = palette.series[line.colour]
    meta = {"column": line.column, "scale": line.scale}
    hover = f"%{{y:{chart.hover_format}}}{chart.suffix}"
    if chart.bars:
        return go.Bar(name=line.name, meta=meta, hovertemplate=hover, marker={"color": colour, "cornerradius": 3})
    return go.Scatter(
        name=line.name,
        meta=meta,
        mode="lines",
        connectgaps=False,
        hovertemplate=hover,
        line={"color": colour, "width": 1.75, "dash": "dot" if line.dashed else "solid"},
    )


def _layout(chart: Kind, palette: Palette) -> Any:
    axis = {"gridcolor": palette.grid, "linecolor": palette.grid, "zeroline": False, "fixedrange": False}
    upper: dict[str, Any] = {"range": [0, chart.maximum]} if chart.maximum else {"rangemode": "tozero"}
    if chart.at_least:
        upper["autorangeoptions"] = {"include": chart.at_least}
    clear = "rgba(0,0,0,0)"
    return go.Layout(
        autosize=True,
        margin={"l": 44, "r": 12, "t": 12, "b": 44},
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        font={"family": "Inter, system-ui, sans-serif", "size": 12, "color": palette.text},
        hovermode="x unified",
        hoverlabel={"bgcolor": palette.surface, "bordercolor": palette.grid, "font": {"color": palette.strong}},
        showlegend=len(chart.lines) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={
            **axis,
            "type": "date",
            "ticks": "outside",
            "ticklen": 6,
            "tickcolor": clear,
            "title": {"font": {"size": 11}, "standoff": 8},
            "hoverformat": "%-d %b" if chart.bars or chart.days else "%-d %b, %H:%M:%S",
        },
        yaxis={
            **axis,
            **upper,
            "ticksuffix": chart.suffix,
            "tickformat": chart.tick_format,
            "fixedrange": True,
            "automargin": True,
        },
        uirevision="keep",
        bargap=0.35 if chart.bars else None,
    )
