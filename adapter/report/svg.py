"""Small pieces every figure is drawn with: numbers, text widths, scales, axes, steps, the frame.

Colours are classes (c1, c2 ...) that style.css gives a light, a dark and a print value, so a figure
follows the page. Coordinates are pixels of the viewBox, y downwards.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.intervals import Floats

TEXT_SIZE = 12
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[] "), set("mwMWCOQGD%@—")
_THINNEST = 0.4  # steps closer than this many pixels cannot be seen: the file stays small
_TICK_STEPS = {0.02: 0.01, 0.05: 0.01, 0.1: 0.02, 0.15: 0.05, 0.25: 0.05, 0.5: 0.1, 0.75: 0.25}


class Scale(NamedTuple):
    """A straight line from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = (self.high - self.low) or 1
        return self.start + (value - self.low) / span * (self.end - self.start)


class Drawing(NamedTuple):
    """A picture that has no number yet: its size, its parts, and what it says in words.

    Without a title of its own it takes the title of its figure.
    """

    width: float
    height: float
    desc: str
    parts: Node
    title: str = ""

    def framed(self, name: str, title: str) -> Element:
        """The SVG: image role, title and description for those who cannot see it."""
        return h.svg(
            {"aria-labelledby": f"{name}-t {name}-d"},
            id=name,
            viewBox=f"0 0 {px(self.width)} {px(self.height)}",
            width=px(self.width),
            height=px(self.height),
            role="img",
        )[
            h.title(id=f"{name}-t")[self.title or title],
            h.desc(id=f"{name}-d")[self.desc],
            self.parts,
        ]


def px(value: float) -> str:
    """A coordinate with one decimal and no needless zero."""
    return f"{value:.1f}".removesuffix(".0")


def width_of(text: str, size: float = TEXT_SIZE) -> float:
    """Estimated width of sans-serif text in pixels; a little too wide rather than too narrow."""
    return size * sum(0.32 if c in _NARROW else 0.9 if c in _WIDE else 0.58 for c in text)


def nice_top(value: float, steps: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)) -> float:
    """The smallest of the allowed axis ends that holds the value."""
    return next((step for step in steps if value <= step + 1e-9), steps[-1])


def ticks_to(top: float) -> list[float]:
    """Four or five round values from 0 to the end of a percent axis."""
    step = _TICK_STEPS.get(top, 0.2)
    return [i * step for i in range(round(top / step) + 1)]


def label(x: float, y: float, content: str, css: str = "", anchor: str = "start") -> Element:
    """One line of text with its baseline at y."""
    css = f"t {css}".strip()
    return h.text(class_=css, text_anchor=anchor, x=px(x), y=px(y))[content]


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Element:
    """A straight stroke."""
    return h.line(class_=css, x1=px(x1), y1=px(y1), x2=px(x2), y2=px(y2))


def box(x: float, y: float, width: float, height: float, css: str) -> Element:
    """A rectangle; nothing narrower than half a pixel, so that one patient still shows."""
    return h.rect(class_=css, x=px(x), y=px(y), width=px(max(width, 0.5)), height=px(height))


def dot(x: float, y: float, radius: float, css: str) -> Element:
    """A circle."""
    return h.circle(class_=css, cx=px(x), cy=px(y), r=px(radius))


def percent_axis(y: Scale, left: float, right: float, ticks: Sequence[float]) -> Node:
    """A line across at each proportion, its percentage to the left; the highest has the sign."""
    return [
        [
            line(left, y(v), right, y(v), "grid" if v else "axis"),
            label(left - 7, y(v) + 4, f"{v * 100:.0f}{'%' * (v == ticks[-1])}", "faint", "end"),
        ]
        for v in ticks
    ]


def axis_below(
    x: Scale, bottom: float, ticks: Iterable[tuple[float, str]], rise: float = 0
) -> Node:
    """Values under a plot; with `rise` a line goes up through the plot, else a short tick down."""
    css, end = ("grid", bottom - rise) if rise else ("axis", bottom + 4)
    return [
        [line(x(v), bottom, x(v), end, css), label(x(v), bottom + 17, text, "faint", "middle")]
        for v, text in ticks
    ]


def steps(xs: Iterable[float], ys: Iterable[float], start: tuple[float, float], end: float) -> str:
    """A step path from `start` through the jumps (x, y after the jump) to the pixel `end`."""
    at_x, at_y = start
    last = at_y
    parts = [f"M{px(at_x)} {px(at_y)}"]
    for x, y in zip(xs, ys, strict=True):
        if x > end:
            break
        last = y
        if abs(y - at_y) >= _THINNEST or x - at_x >= 8 * _THINNEST:
            parts.append(f"H{px(x)}V{px(y)}")
            at_x, at_y = x, y
    if last != at_y:
        parts.append(f"V{px(last)}")
    return "".join(parts) + f"H{px(end)}"


def band(xs: Floats, lower: Floats, upper: Floats, end: float) -> str:
    """The area between two step functions: along the upper one, back along the lower one."""
    kept: list[tuple[float, float, float]] = []
    for x, low, up in zip(xs.tolist(), lower.tolist(), upper.tolist(), strict=True):
        if math.isnan(low) or math.isnan(up) or x > end:
            continue
        if not kept or max(abs(low - kept[-1][1]), abs(up - kept[-1][2])) >= _THINNEST:
            kept.append((x, low, up))
    if not kept:
        return ""
    there = "".join(f"H{px(x)}V{px(up)}" for x, _, up in kept[1:])
    back = "".join(f"V{px(low)}H{px(x)}" for x, low, _ in reversed(kept))
    return f"M{px(kept[0][0])} {px(kept[0][2])}{there}H{px(end)}{back}Z"


def apart(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Label places moved so that neighbours are at least `gap` apart and stay on the plot."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    out = list(places)
    for i in order:
        out[i] = max(out[i], top)
        top = out[i] + gap
    for i in reversed(order):
        out[i] = min(out[i], bottom)
        bottom = out[i] - gap
    return out
