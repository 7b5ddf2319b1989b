"""Curves: stepped cumulative incidence with intervals, labels at the right end, risk table below.

Conventions: Morris 2019 (BMJ Open 9:e030215): intervals shown, extended risk table, columns at the
ticks; steps to the last follow-up and never past it; percent from zero.
"""

from collections.abc import Sequence
from typing import NamedTuple

import htpy as h
import numpy as np
from htpy import Element, Node

from adapter.incidence import Curve
from adapter.intervals import limits
from adapter.report.svg import (
    Scale,
    apart,
    band,
    frame,
    label,
    line,
    px,
    steps,
    ticks_to,
    width_of,
)

DAYS_PER_MONTH = 30.4375
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
    values: tuple[int, ...]
    css: str = ""


class Panel(NamedTuple):
    """One plot: lines, the rows under it, and what is said in words to those who cannot see it."""

    name: str
    lines: Sequence[Track]
    axes: Axes
    rows: Sequence[RiskRow]
    title: str
    desc: str
    heading: str = "Cumulative incidence"


class Plot(NamedTuple):
    """Pixels of one panel: the plot's edges and the two scales."""

    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale


def month_ticks(last_day: float) -> tuple[float, ...]:
    """Ticks every 3, 6 or 12 months, in days, as many as fit."""
    months = last_day / DAYS_PER_MONTH
    step = 3 if months <= 18 else 6 if months <= 50 else 12
    return tuple(m * DAYS_PER_MONTH for m in range(0, int(months + 0.01) + 1, step))


def curve_panel(panel: Panel, width: float, height: float) -> Element:
    """The panel as SVG; margins are as wide as the widest label needs, so nothing overlaps."""
    plot = _plot(panel, width, height)
    rows_top = plot.bottom + 44
    total = rows_top + 17 * len(panel.rows) + (16 if panel.rows else -6)
    return frame(
        panel.name,
        (width, total),
        (panel.title, panel.desc),
        label(plot.left, 14, panel.heading, "strong"),
        _grid(panel, plot),
        [_ribbon(track, plot, panel.axes) for track in panel.lines if len(panel.lines) <= 4],
        [_curve(track, plot, panel.axes) for track in panel.lines],
        _end_labels(panel, plot),
        _risk_rows(panel, plot, rows_top),
    )


def _plot(panel: Panel, width: float, height: float) -> Plot:
    names = [width_of(row.name, _SMALL) for row in panel.rows]
    left = max([40.0, *(w + 22 for w in names)])
    right = width - max([24.0, *(width_of(track.name) + 12 for track in panel.lines)])
    axes = panel.axes
    x = Scale(0, max(axes.last_day, 1), left, right)
    return Plot(left, right, _TOP, height, x, Scale(0, axes.top, height, _TOP))


def _grid(panel: Panel, plot: Plot) -> Node:
    axes = panel.axes
    percent = [
        [
            line(plot.left, plot.y(v), plot.right, plot.y(v), "grid" if v else "axis"),
            label(plot.left - 7, plot.y(v) + 4, f"{v * 100:.0f}%" if v == axes.top
                  else f"{v * 100:.0f}", "faint", "end"),
        ]
        for v in ticks_to(axes.top)
    ]  # fmt: skip
    months = [
        [
            line(plot.x(t), plot.bottom, plot.x(t), plot.bottom + 4, "axis"),
            label(plot.x(t), plot.bottom + 17, f"{t / DAYS_PER_MONTH:.0f}", "faint", "middle"),
        ]
        for t in axes.ticks
    ]
    early = [
        [
            line(plot.x(day), plot.top, plot.x(day), plot.bottom, "mark"),
            label(plot.x(day) + 3, plot.top + 9, f"d{day}", "tiny"),
        ]
        for day in axes.marks
        if day < axes.last_day
    ]
    under = label((plot.left + plot.right) / 2, plot.bottom + 33, "Months from infusion", "faint",
                  "middle")  # fmt: skip
    return [percent, months, early, under]


def _points(track: Track, plot: Plot) -> tuple[list[float], list[float]]:
    xs = [plot.x(t) for t in track.curve.times.tolist()]
    return xs, [plot.y(v) for v in track.curve.estimate.tolist()]


def _end(track: Track, plot: Plot, axes: Axes) -> float:
    return plot.x(min(track.end, axes.last_day))


def _curve(track: Track, plot: Plot, axes: Axes) -> Element:
    xs, ys = _points(track, plot)
    start = (plot.left, plot.y(track.curve.start))
    path = steps(xs, ys, start, _end(track, plot, axes))
    scale = f"{px(plot.left)} {px(plot.right)} {axes.last_day:g} {plot.bottom:g} {plot.top:g}"
    return h.path(
        {"data-scale": f"{scale} {axes.top:g}", "data-name": track.name},
        class_=f"line {track.css}",
        d=path,
    )


def _ribbon(track: Track, plot: Plot, axes: Axes) -> Node:
    lower, upper = limits(track.curve.estimate, track.curve.se)
    xs = np.array([plot.x(t) for t in track.curve.times.tolist()])
    low = np.array([plot.y(v) for v in lower.tolist()])
    high = np.array([plot.y(min(v, axes.top)) for v in upper.tolist()])
    path = band(xs, low, high, _end(track, plot, axes))
    return path and h.path(class_=f"ribbon {track.css}", d=path)


def value_at_end(track: Track, axes: Axes) -> float:
    """The curve's value where it stops on the plot."""
    reach = min(track.end, axes.last_day)
    row = int(np.searchsorted(track.curve.times, reach, "right")) - 1
    return float(track.curve.estimate[row]) if row >= 0 else track.curve.start


def _end_labels(panel: Panel, plot: Plot) -> Node:
    ys = [plot.y(value_at_end(track, panel.axes)) + 4 for track in panel.lines]
    moved = apart(ys, 15, plot.top + 4, plot.bottom)
    near = plot.right - 0.25 * (plot.right - plot.left)  # labels of curves that end late line up
    ends = [_end(track, plot, panel.axes) for track in panel.lines]
    return [
        label((plot.right if end > near else end) + 7, y, track.name, f"{track.css} ink")
        for track, y, end in zip(panel.lines, moved, ends, strict=True)
    ]


def _risk_rows(panel: Panel, plot: Plot, top: float) -> Node:
    if not panel.rows:
        return None
    return [
        line(0, top - 2, plot.right, top - 2, "grid"),
        [
            [
                label(0, top + 13 + 17 * i, row.name, f"small {row.css}"),
                [
                    label(plot.x(t), top + 13 + 17 * i, f"{value:,}", f"small {row.css}", "middle")
                    for t, value in zip(panel.axes.ticks, row.values, strict=True)
                ],
            ]
            for i, row in enumerate(panel.rows)
        ],
    ]


def stacked_panel(panel: Panel, width: float, height: float) -> Element:
    """Curves on top of each other as areas: what adds up is seen to add up.

    The lines come from the bottom layer upwards; all share one grid of times.
    """
    plot = _plot(panel, width, height)
    below = np.zeros_like(panel.lines[0].curve.estimate) if panel.lines else np.zeros(0)
    areas: list[Node] = []
    middles: list[float] = []
    end = plot.x(panel.axes.last_day)
    for track in panel.lines:
        above = below + track.curve.estimate
        xs = np.array([plot.x(t) for t in track.curve.times.tolist()])
        low, high = (np.array([plot.y(v) for v in part.tolist()]) for part in (below, above))
        first = np.array([plot.left, *xs.tolist()])
        zero = plot.y(0)
        path = band(first, np.array([zero, *low.tolist()]), np.array([zero, *high.tolist()]), end)
        areas.append(path and h.path(class_=f"area {track.css}", d=path))
        reach = int(np.searchsorted(track.curve.times, panel.axes.last_day, "right")) - 1
        middles.append(float((below[reach] + above[reach]) / 2) if reach >= 0 else 0.0)
        below = above
    places = apart([plot.y(v) + 4 for v in middles], 14, plot.top + 4, plot.bottom)
    names = [
        [
            line(end + 2, plot.y(v), end + 9, y - 4, "leader"),
            label(end + 12, y, track.name, "small"),
        ]
        for track, y, v in zip(panel.lines, places, middles, strict=True)
    ]
    return frame(panel.name, (width, height + 40), (panel.title, panel.desc),
                 label(plot.left, 14, panel.heading, "strong"), _grid(panel, plot), areas,
                 names)  # fmt: skip
