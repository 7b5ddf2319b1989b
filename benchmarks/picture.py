"""docs/performance.svg: what a resource costs, how memory grows, and what others need."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import htpy as h
from htpy import Node

from adapter.report.svg import Drawing, Scale, apart, box, dot, label, line, px
from benchmarks.figures import (
    CLASSIFY,
    CLASSIFY_TWO,
    DECODE,
    LOAD,
    LOAD_ALL,
    LOAD_TWO,
    MEMORY,
    OURS,
    OURS_ALL,
    Comparison,
    Figures,
    Peer,
    Series,
)  # fmt: skip

WIDTH, TOP, BOTTOM, BARS = 900.0, 84.0, 318.0, 440.0
ROW = 27.0
STYLE = """
.t { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #334155; }
.head { font-size: 15px; font-weight: 600; fill: #0f172a; }
.faint { fill: #64748b; font-size: 11.5px; }
.grid { stroke: #e2e8f0; } .axis { stroke: #94a3b8; }
.area { fill: #0e7490; opacity: .07; }
path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.ours { stroke: #0e7490; stroke-width: 3; } .load { stroke: #38a3b5; }
.classify { stroke: #d97706; } .all { stroke: #94a3b8; }
.decode { stroke: #334155; stroke-dasharray: 5 4; }
.limit { stroke: #be123c; stroke-dasharray: 2 4; }
circle { stroke: none; } circle.limit-f { display: none; }
.ours-f { fill: #0e7490; } .load-f { fill: #38a3b5; } .classify-f { fill: #b45309; }
.all-f { fill: #64748b; } .decode-f { fill: #334155; } .limit-f { fill: #be123c; }
.bar { fill: #cbd5e1; } .strong { font-weight: 600; }
.paper { fill: #ffffff; }
"""


class Curve(NamedTuple):
    """A named line through the sizes that were measured."""

    name: str
    css: str
    points: list[tuple[float, float]]


class Plot(NamedTuple):
    """A square of the picture with two scales, the lower one logarithmic."""

    x: Scale
    y: Scale
    put_y: Callable[[float], float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a size and a value."""
        return self.x(math.log10(x)), self.y(self.put_y(y))


def picture(figures: Figures, peers: Comparison) -> str:
    """The whole picture as an SVG document with its own colours."""
    ran = sorted((peer for peer in peers.peers if not peer.failed), key=lambda peer: peer.cpu)
    height = BARS + ROW * len(ran) + 20
    drawn = Drawing(
        WIDTH, height,
        "Left: CPU microseconds a resource against the number of patients, on logarithmic axes, "
        "with bare JSON decoding as baseline. Right: peak memory. Below: other tools.",
        [
            h.style[STYLE],
            box(0, 0, WIDTH, height, "paper"),
            _costs(figures.exports),
            _memory(figures.exports),
            _bars(ran),
        ],
    )  # fmt: skip
    made = drawn.framed("performance", "What speed and memory cart-nrm needs")
    svg = "".join(made.iter_chunks())
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _costs(exports: Sequence[Series]) -> Node:
    """Cost a resource; where the shaded band holds the strong line, the promise is kept."""
    curves = [
        Curve("load all patients", "all", _points(exports, LOAD_ALL)),
        Curve("load + classify", "ours", _points(exports, LOAD, CLASSIFY)),
        Curve("load recipients only", "load", _points(exports, LOAD)),
        Curve("classify", "classify", _points(exports, CLASSIFY)),
        Curve("bare JSON decoding", "decode", _points(exports, DECODE)),
    ]
    values = [y for curve in curves for _, y in curve.points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    plot = Plot(_sizes(exports, 62, 372), Scale(low, high, BOTTOM, TOP), math.log10)
    base = curves[-1].points
    return [
        label(24, 36, "CPU time of a resource, one core", "head"),
        label(24, 56, "microseconds; shaded: up to three times bare decoding", "faint"),
        [_across(plot, 10**n, f"{10**n:g}", 62, 372) for n in range(low, high + 1)],
        _below(plot, exports),
        h.path(class_="area", d=_area(plot, base, [(x, 3 * y) for x, y in base])),
        _drawn(plot, curves, 384),
    ]


def _memory(exports: Sequence[Series]) -> Node:
    def most(*stages: str) -> list[tuple[float, float]]:
        return [(s.patients, max(s.costs[name].peak for name in stages) / 2**20) for s in exports]

    curves = [
        Curve("load", "load", most(LOAD_TWO)),
        Curve("classify", "classify", most(CLASSIFY_TWO)),
        Curve("limit", "limit", [(s.patients, MEMORY) for s in exports]),
    ]
    top = 100 * math.ceil(1.15 * max(y for curve in curves for _, y in curve.points) / 100)
    plot = Plot(_sizes(exports, 600, 790), Scale(0, top, BOTTOM, TOP), float)
    return [
        label(560, 36, "Peak memory", "head"),
        label(560, 56, "MB, two processes together", "faint"),
        [_across(plot, v, f"{v}", 600, 790) for v in range(0, top + 1, 100)],
        _below(plot, exports),
        _drawn(plot, curves, 802),
    ]


def _bars(peers: Sequence[Peer]) -> Node:
    """What the tools need for a resource of the same file."""
    left, right = 218.0, WIDTH - 180
    ours = next(peer.micros for peer in peers if peer.name == OURS)
    scale = Scale(0, max(peer.micros for peer in peers), left, right)
    rows: list[Node] = []
    for number, peer in enumerate(peers):
        y = BARS + ROW * number
        end = scale(peer.micros)
        own = peer.name in (OURS, OURS_ALL)
        strong = "strong" if own else ""
        rows += [
            label(left - 10, y + 13, peer.name, strong, "end"),
            box(left, y, end - left, ROW - 9, "ours-f" if own else "bar"),
            label(end + 8, y + 13, f"{peer.micros:.1f} µs", strong),
            label(WIDTH - 24, y + 13, f"× {peer.micros / ours:.1f}", "faint", "end"),
        ]
    return [
        label(24, BARS - 36, "The same file with other tools", "head"),
        label(24, BARS - 17, "CPU microseconds a resource, one core", "faint"),
        rows,
    ]


def _points(exports: Sequence[Series], *stages: str) -> list[tuple[float, float]]:
    return [(one.patients, one.micros(*stages)) for one in exports]


def _sizes(exports: Sequence[Series], left: float, right: float) -> Scale:
    sizes = [math.log10(one.patients) for one in exports]
    return Scale(min(sizes), max(sizes), left + 12, right - 12)


def _across(plot: Plot, value: float, text: str, left: float, right: float) -> Node:
    y = plot.y(plot.put_y(value))
    return [line(left, y, right, y, "grid"), label(left - 8, y + 4, text, "faint", "end")]


def _below(plot: Plot, exports: Sequence[Series]) -> Node:
    middle = (plot.x.start + plot.x.end) / 2
    sizes = [(plot.x(math.log10(one.patients)), f"{one.patients:,}") for one in exports]
    return [
        [label(x, BOTTOM + 19, text, "faint", "middle") for x, text in sizes],
        label(middle, BOTTOM + 37, "patients", "faint", "middle"),
    ]


def _drawn(plot: Plot, curves: Sequence[Curve], right: float) -> Node:
    """The lines, and their names at the right end, none on another."""
    ends = [plot.at(*curve.points[-1])[1] + 4 for curve in curves]
    places = apart(ends, 16, TOP, BOTTOM)
    return [
        [
            h.path(class_=curve.css, d=_path([plot.at(*point) for point in curve.points])),
            [dot(*plot.at(*p), 2.6, f"{curve.css}-f") for p in curve.points],
            label(right, place, curve.name, f"{curve.css}-f"),
        ]
        for curve, place in zip(curves, places, strict=True)
    ]


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points)


def _area(
    plot: Plot, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]]
) -> str:
    there = [plot.at(*point) for point in lower]
    back = [plot.at(*point) for point in reversed(upper)]
    return _path([*there, *back]) + "Z"
