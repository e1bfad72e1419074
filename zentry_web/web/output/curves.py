"""Curves drawn on the server: pictures that need no script, of a balance and of a machine's figures.

Their lines lie in a box of SIDE by SIDE that is stretched to where it stands.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from zentry_web.domain.credits.forecast import BalancePoint
from zentry_web.domain.language import _
from zentry_web.domain.monitoring import MetricSeries
from zentry_web.web.output.charts import KINDS, Kind, Trace
from zentry_web.web.output.regions import number, viewer_region

SIDE = 1000
PAUSE = 2.5  # steps without a sample after which a line ends, as in static/js/charts.js
ROOM = 0.95  # of the height up to the highest value, and
HEIGHTS = 5.4  # about so many figures beside it: as Plotly, which takes the drawing's place
TIMES = 5  # at most so many below it
MINUTE, HOUR, WEEK = 60, 3600, 7 * 86400
TIME_STEPS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 24 * HOUR, WEEK)
MULTIPLES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Curve:
    """``was`` and ``will_be`` are the ``points`` of polylines, now in the middle."""

    was: str
    will_be: str
    first: BalancePoint
    now: BalancePoint
    last: BalancePoint
    top_micro: int


@dataclass(frozen=True)
class Line:
    """One column: ``path`` is the ``d`` of a path, with a gap where nothing was measured."""

    name: str
    colour: int
    dashed: bool
    path: str


@dataclass(frozen=True)
class Drawing:
    """``heights`` and ``times``: (percent from the top or the left, what stands there). ``spoken``: what it shows, in
    words; '' where nothing was measured. ``zone``: '' where times are days."""

    lines: tuple[Line, ...]
    heights: tuple[tuple[str, str], ...]
    times: tuple[tuple[str, str], ...]
    zone: str
    spoken: str


Places = Iterable[tuple[float, float]]  # 0 to 1 from the left, and from the bottom


def line(places: Places) -> str:
    """The ``points`` of a polyline."""
    return " ".join(f"{x},{y}" for x, y in _placed(places))


def path(places: Places) -> str:
    """The ``d`` of a path: by its steps from point to point, which are half as long as where the points are."""
    points = _placed(places)
    steps = " ".join(f"{x - left},{y - top}" for (left, top), (x, y) in pairwise(points))
    return "M{},{}".format(*points[0]) + (f"l{steps}" if steps else "")


def _placed(places: Places) -> list[tuple[int, int]]:
    return [(round(across * SIDE), round((1 - up) * SIDE)) for across, up in places]


def balance_curve(points: Sequence[BalancePoint], around: timedelta) -> Curve | None:
    """The balances ``around`` now, from zero to the highest; None where nothing was ever there."""
    was = [point for point in points if not point.projected]
    top = max((point.micro for point in points), default=0)
    if not was or top <= 0:
        return None
    now = was[-1]
    will_be = [now, *(point for point in points if point.projected)]

    def drawn(some: list[BalancePoint]) -> str:
        return line(((1 + (point.at - now.at) / around) / 2, max(0, point.micro) / top) for point in some)

    return Curve(drawn(was), drawn(will_be), was[0], now, will_be[-1], top)


def draw(kind: str, series: MetricSeries, zone: tzinfo) -> Drawing:
    """A series as the chart of that kind (one of lines) shows it, its times on the clock of ``zone``, or its days."""
    chart = KINDS[kind]
    columns = {each.column: _values(series, each) for each in chart.lines}
    known = [value for column in columns.values() for value in column if value is not None]
    top = chart.maximum or (max(known, default=0) or chart.at_least or 1) / ROOM
    top = max(top, chart.at_least)
    start, end = series.start.timestamp(), series.end.timestamp()

    def traced(each: Trace) -> Line:
        pieces = _pieces(series, columns[each.column])
        drawn = (path(((at - start) / (end - start), value / top) for at, value in piece) for piece in pieces)
        return Line(str(each.name), each.colour, each.dashed, "".join(drawn))

    spoken = [_spoken(str(each.name), columns[each.column], chart) for each in chart.lines]
    return Drawing(
        tuple(traced(each) for each in chart.lines),
        tuple(_heights(top, chart)),
        tuple(_times(start, end, zone, viewer_region().short_day if chart.days else _clock)),
        "" if chart.days else f"{series.end.astimezone(zone):%Z}",
        ". ".join(filter(None, spoken)),
    )


def _values(series: MetricSeries, trace: Trace) -> list[float | None]:
    return [None if value is None else value * trace.scale for value in series.columns.get(trace.column, ())]


def _pieces(series: MetricSeries, values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    piece: list[tuple[int, float]] = []
    for at, value in zip(series.times, values, strict=True):
        if piece and (value is None or at - piece[-1][0] > series.step_seconds * PAUSE):
            yield piece
            piece = []
        if value is not None and at >= series.start.timestamp():
            piece.append((at, value))
    if piece:
        yield piece


def _heights(top: float, chart: Kind) -> Iterator[tuple[str, str]]:
    rough = top / HEIGHTS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (2, 5, 10) if power * times >= rough)
    for count in range(int(top / step) + 1):
        yield f"{100 - count * step / top * 100:.2f}", _reading(count * step, chart)


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}"


def _times(start: float, end: float, zone: tzinfo, words: Callable[[datetime], str]) -> Iterator[tuple[str, str]]:
    step = next((step for step in TIME_STEPS if step * TIMES >= end - start), TIME_STEPS[-1])
    offset = datetime.fromtimestamp(end, UTC).astimezone(zone).utcoffset() or timedelta()
    ahead = offset.total_seconds()
    at = math.ceil((start + ahead) / step) * step - ahead
    while at <= end:
        yield f"{(at - start) / (end - start) * 100:.2f}", words(datetime.fromtimestamp(at, zone))
        at += step


def _reading(value: float, chart: Kind) -> str:
    """A value as Plotly writes it beside the chart."""
    if chart.tick_format.endswith("s"):
        for size, letter in MULTIPLES:
            if value >= size:
                return number(f"{value / size:.3g}{letter}{chart.suffix}")
    return number(f"{float(f'{value:.4g}'):,.10g}{chart.suffix}")


def _spoken(name: str, values: Sequence[float | None], chart: Kind) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    least, most, last = (_reading(value, chart) for value in (min(known), max(known), known[-1]))
    return _("%(name)s: %(least)s to %(most)s, last %(last)s", name=name, least=least, most=most, last=last)
