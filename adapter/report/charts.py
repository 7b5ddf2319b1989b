"""Curves: stepped cumulative incidence with intervals, labels at the right end, risk table below.

Conventions: Morris 2019 (BMJ Open 9:e030215): intervals shown, extended risk table, columns at the
ticks; steps to the last follow-up and never past it; percent from zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import htpy as h
import numpy as np
from htpy import Element, Node

from adapter.incidence import Curve, RiskSets, risk_table
from adapter.intervals import Floats, limits
from adapter.report import svg
from adapter.report.svg import Drawing, Scale, label, line, px

DAYS_PER_MONTH = 30.4375
MOST_RIBBONS = 4  # more intervals than this hide each other
_SMALL = 11
_TOP = 30.0  # room for the heading


class Track(NamedTuple):
    """One curve: its name, its colour and pattern class, and the day its follow-up ends."""

    name: str
    css: str
    curve: Curve
    end: float


class Axes(NamedTuple):
    """What the panels of one figure share."""

    last_day: float
    top: float
    ticks: tuple[float, ...]  # days
    marks: tuple[int, ...] = ()  # early days worth a mark of their own


class RiskRow(NamedTuple):
    """One row under the plot: a number at each tick."""

    name: str
    values: Sequence[int]
    css: str = ""


class Panel(NamedTuple):
    """One plot: curves, the rows under it, and what is said in words to those who cannot see it."""

    tracks: Sequence[Track]
    axes: Axes
    desc: str
    rows: Sequence[RiskRow] = ()
    size: tuple[float, float] = (720, 300)
    heading: str = "Cumulative incidence"
    title: str = ""


def month_ticks(last_day: float) -> tuple[float, ...]:
    """Ticks every 3, 6 or 12 months, in days, as many as fit."""
    months = last_day / DAYS_PER_MONTH
    step = 3 if months <= 18 else 6 if months <= 50 else 12
    return tuple(m * DAYS_PER_MONTH for m in range(0, int(months + 0.01) + 1, step))


def extended_rows(
    sets: RiskSets, ticks: Iterable[float], events: Mapping[int, tuple[str, str]]
) -> list[RiskRow]:
    """At risk, the events (code: name and class) so far, censored: a column adds up to n."""
    table = risk_table(sets, ticks)
    happened = [
        RiskRow(name, [row["events"][code] for row in table], css)
        for code, (name, css) in events.items()
    ]
    at_risk = RiskRow("At risk", [row["at_risk"] for row in table])
    return [at_risk, *happened, RiskRow("Censored", [row["censored"] for row in table])]


def value_at(curve: Curve, day: float) -> float:
    """The curve's value on a day, as drawn."""
    row = int(np.searchsorted(curve.times, day, "right")) - 1
    return float(curve.estimate[row]) if row >= 0 else curve.start


def curve_panel(panel: Panel) -> Drawing:
    """A line a track, with intervals while they are few, and the risk table below."""
    plot, last = _Plot(panel), panel.axes.last_day
    few = panel.tracks if len(panel.tracks) <= MOST_RIBBONS else ()
    parts: list[Node] = [plot.ribbon(track) for track in few]
    parts += [plot.curve(track) for track in panel.tracks]
    heights = [value_at(track.curve, min(track.end, last)) for track in panel.tracks]
    places = plot.apart(heights, 15)
    latest = max(plot.end(track) for track in panel.tracks)
    near = latest > plot.right - 0.25 * (plot.right - plot.left)
    x = plot.right if near else latest  # names line up: none lies on a curve that goes on
    for track, y in zip(panel.tracks, places, strict=True):
        parts.append(label(x + 7, y, track.name, f"{track.css} ink"))
    return plot.drawing(parts)


def stacked_panel(panel: Panel) -> Drawing:
    """Curves on top of each other as areas: what adds up is seen to add up.

    The lines come from the bottom layer upwards; all share one grid of times.
    """
    plot, last = _Plot(panel), panel.axes.last_day
    below = np.zeros_like(panel.tracks[0].curve.estimate)
    parts, middles, floor = list[Node](), list[float](), 0.0
    for track in panel.tracks:
        above, height = below + track.curve.estimate, value_at(track.curve, last)
        parts.append(plot.area(track, below, above, "area"))
        middles.append(floor + height / 2)
        below, floor = above, floor + height
    parts.append(line(plot.left, plot.bottom, plot.right, plot.bottom, "axis"))  # not under areas
    places = plot.apart(middles, 14)
    for track, y, middle in zip(panel.tracks, places, middles, strict=True):
        parts.append(line(plot.right + 2, plot.y(middle), plot.right + 9, y - 4, "leader"))
        parts.append(label(plot.right + 12, y, track.name, "small"))
    return plot.drawing(parts)


class _Plot:
    """One panel in pixels; margins are as wide as the widest label needs, so nothing overlaps."""

    def __init__(self, panel: Panel) -> None:
        width, self.bottom = panel.size
        self.panel, self.axes = panel, panel.axes
        self.left = max([40.0, *(svg.width_of(row.name, _SMALL) + 22 for row in panel.rows)])
        self.right = width - max([24.0, *(svg.width_of(t.name) + 12 for t in panel.tracks)])
        self.x = Scale(0, max(self.axes.last_day, 1), self.left, self.right)
        self.y = Scale(0, self.axes.top, self.bottom, _TOP)

    def drawing(self, parts: Node) -> Drawing:
        """Heading, axes, what is drawn, and the rows below."""
        panel = self.panel
        heading = label(self.left, 14, panel.heading, "strong")
        height = self.bottom + 40 + (20 + 17 * len(panel.rows) if panel.rows else 0)
        parts = [heading, self._grid(), parts, self._risk_rows()]
        return Drawing(panel.size[0], height, panel.desc, parts, panel.title)

    def end(self, track: Track) -> float:
        """The pixel where a curve stops."""
        return self.x(min(track.end, self.axes.last_day))

    def apart(self, values: Sequence[float], gap: float) -> list[float]:
        """Baselines for the names of curves that end at these values."""
        return svg.apart([self.y(v) + 4 for v in values], gap, _TOP + 4, self.bottom)

    def curve(self, track: Track) -> Element:
        """The step line; the script reads values off it by `data-scale`."""
        ends = f"{px(self.left)} {px(self.right)} {self.axes.last_day:g}"
        scale = f"{ends} {self.bottom:g} {_TOP:g} {self.axes.top:g}"
        xs = [self.x(t) for t in track.curve.times.tolist()]
        ys = [self.y(v) for v in track.curve.estimate.tolist()]
        path = svg.steps(xs, ys, (self.left, self.y(track.curve.start)), self.end(track))
        data = {"data-scale": scale, "data-name": track.name}
        return h.path(data, class_=f"line {track.css}", d=path)

    def ribbon(self, track: Track) -> Node:
        """The interval around a curve."""
        lower, upper = limits(track.curve.estimate, track.curve.se)
        return self.area(track, lower, np.minimum(upper, self.axes.top), "ribbon")

    def area(self, track: Track, lower: Floats, upper: Floats, css: str) -> Node:
        """What lies between two step functions at the times of a track."""
        xs = np.array([self.x(t) for t in track.curve.times.tolist()])
        low, high = (np.array([self.y(v) for v in part.tolist()]) for part in (lower, upper))
        path = svg.band(xs, low, high, self.end(track))
        return path and h.path(class_=f"{css} {track.css}", d=path)

    def _grid(self) -> Node:
        middle = (self.left + self.right) / 2
        months = [(t, f"{t / DAYS_PER_MONTH:.0f}") for t in self.axes.ticks]
        early = [day for day in self.axes.marks if day < self.axes.last_day]
        return [
            svg.percent_axis(self.y, self.left, self.right, svg.ticks_to(self.axes.top)),
            svg.axis_below(self.x, self.bottom, months),
            [line(self.x(day), _TOP, self.x(day), self.bottom, "mark") for day in early],
            [label(self.x(day) + 3, _TOP + 9, f"d{day}", "tiny") for day in early],
            label(middle, self.bottom + 33, "Months from infusion", "faint", "middle"),
        ]

    def _risk_rows(self) -> Node:
        top = self.bottom + 44
        drawn: list[Node] = [line(0, top - 2, self.right, top - 2, "grid")]
        for i, row in enumerate(self.panel.rows):
            y, css = top + 13 + 17 * i, f"small {row.css}"
            drawn.append(label(0, y, row.name, css))
            for t, value in zip(self.axes.ticks, row.values, strict=True):
                drawn.append(label(self.x(t), y, f"{value:,}", css, "middle"))
        return self.panel.rows and drawn
