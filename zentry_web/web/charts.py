"""Charts: Plotly's layout and trace skeletons, built and validated once per process; data travels apart.

A page carries the skeletons of its chart for both themes (``chart_skeletons(kind)``) and the browser fetches
compact columns (``payload(series)``). static/js/charts.js joins the two: every trace names its column in
``meta.column`` and is multiplied by ``meta.scale``. Building the first figure of a process takes about half
a second, so ``warm_up()`` runs before requests are served.

The data's shape: ``{"start": epoch s, "end": epoch s, "step": s, "times": [seconds since start, …],
"columns": {name: [number or null, …]}}``. Answers to ``?after=EPOCH`` hold only points later than that.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Flask
from plotly import graph_objects as go

from zentry_web.domain.monitoring import MetricSeries

THEMES = ("light", "dark")
MIB = 1 / 1048576


@dataclass(frozen=True, slots=True)
class Palette:
    """A theme's colours, the same as in static/css/zentry.css."""

    text: str
    grid: str
    surface: str
    strong: str
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One trace: which column it shows, under which name."""

    column: str
    name: str
    colour: int = 0
    scale: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of chart: its traces and how its values read."""

    lines: tuple[Line, ...]
    suffix: str = ""
    tick_format: str = ""
    hover_format: str = ".1f"
    maximum: float | None = None
    at_least: float = 0  # the axis reaches up to here even when all values are tiny
    bars: bool = False


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
    "cpu": Kind((Line("cpu_percent", "CPU"),), suffix="%", maximum=100),
    "memory": Kind(
        (
            Line("memory_used_bytes", "Used", scale=MIB),
            Line("memory_total_bytes", "Total", 1, MIB, dashed=True),
        ),
        suffix=" MiB",
        hover_format=",.0f",
        tick_format=",.0f",
    ),
    "disk": Kind(
        (Line("disk_read_bytes_per_s", "Read"), Line("disk_write_bytes_per_s", "Written", 2)),
        suffix="B/s",
        tick_format=".3~s",
        hover_format=".3s",
        at_least=1000,
    ),
    "network": Kind(
        (Line("net_rx_bytes_per_s", "Received"), Line("net_tx_bytes_per_s", "Sent", 2)),
        suffix="B/s",
        tick_format=".3~s",
        hover_format=".3s",
        at_least=1000,
    ),
    "balance": Kind(
        (Line("total_micro", "Balance", scale=1e-6), Line("projected_micro", "Projected", 2, 1e-6, dashed=True)),
        hover_format=".4f",
    ),
    "revenue": Kind(
        (
            Line("usage_micro", "Usage", scale=1e-6),
            Line("payments_micro", "Payments", 1, 1e-6),
            Line("grants_micro", "Grants", 3, 1e-6),
            Line("refunds_micro", "Refunds", 2, 1e-6),
            Line("write_offs_micro", "Written off", 4, 1e-6),
        ),
        hover_format=",.4f",
        bars=True,
    ),
    "liability": Kind((Line("liability_micro", "Wallets and holds", scale=1e-6),), hover_format=",.4f"),
    "spend": Kind((Line("amount_micro", "Spent", scale=1e-6),), suffix="", hover_format=".4f", bars=True),
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
    return {theme: skeleton(kind, theme) for theme in THEMES}


def payload(series: MetricSeries) -> dict[str, Any]:
    """A series as compact JSON: times as seconds since its start, figures rounded to two decimals."""
    start = int(series.start.timestamp())
    return {
        "start": start,
        "end": int(series.end.timestamp()),
        "step": series.step_seconds,
        "times": [at - start for at in series.times],
        "columns": {
            name: [None if value is None else round(value, 2) for value in column]
            for name, column in series.columns.items()
        },
    }


def warm_up() -> None:
    """Build every skeleton. Call it once per process before serving."""
    for kind in KINDS:
        chart_skeletons(kind)


def init_charts(app: Flask) -> None:
    """Give templates ``chart_skeletons(kind)``."""
    app.jinja_env.globals["chart_skeletons"] = chart_skeletons


def _trace(chart: Kind, line: Line, palette: Palette) -> Any:
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
            "hoverformat": "%-d %b" if chart.bars else "%-d %b, %H:%M:%S UTC",
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
