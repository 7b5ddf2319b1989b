"""Small pieces every figure is drawn with: numbers, text widths, scales, steps, the frame.

Colours are classes (c1, c2 ...) that style.css gives a light, a dark and a print value, so a figure
follows the page. Coordinates are pixels of the viewBox, y downwards.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.incidence.risksets import Floats

TEXT_SIZE = 12
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[] "), set("mwMWCOQGD%@—")
_THINNEST = 0.4  # steps closer than this many pixels cannot be seen: the file stays small


def px(value: float) -> str:
    """A coordinate with one decimal and no needless zero."""
    return f"{value:.1f}".removesuffix(".0")


def width_of(text: str, size: float = TEXT_SIZE) -> float:
    """Estimated width of sans-serif text in pixels; a little too wide rather than too narrow."""
    ems = sum(0.32 if c in _NARROW else 0.9 if c in _WIDE else 0.58 for c in text)
    return ems * size


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


def nice_top(value: float, steps: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)) -> float:
    """The smallest of the allowed axis ends that holds the value."""
    return next((step for step in steps if value <= step + 1e-9), steps[-1])


def ticks_to(top: float) -> list[float]:
    """Four or five round values from 0 to the end of a percent axis."""
    step = {0.02: 0.01, 0.05: 0.01, 0.1: 0.02, 0.15: 0.05, 0.25: 0.05, 0.5: 0.1, 0.75: 0.25}.get(
        top, 0.2
    )
    return [i * step for i in range(round(top / step) + 1)]


def label(x: float, y: float, content: str, css: str = "", anchor: str = "start") -> Element:
    """One line of text with its baseline at y."""
    return h.text(".t", {"text-anchor": anchor}, class_=f"t {css}".strip(), x=px(x), y=px(y))[
        content
    ]


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Element:
    """A straight stroke."""
    return h.line(class_=css, x1=px(x1), y1=px(y1), x2=px(x2), y2=px(y2))


def box(x: float, y: float, width: float, height: float, css: str) -> Element:
    """A rectangle; nothing narrower than half a pixel, so that one patient still shows."""
    return h.rect(class_=css, x=px(x), y=px(y), width=px(max(width, 0.5)), height=px(height))


def frame(name: str, size: tuple[float, float], words: tuple[str, str], *children: Node) -> Element:
    """The figure itself: image role, title and description for those who cannot see it."""
    width, height = size
    title, desc = words
    return h.svg(
        {"aria-labelledby": f"{name}-t {name}-d"},
        id=name,
        viewBox=f"0 0 {px(width)} {px(height)}",
        width=px(width),
        height=px(height),
        role="img",
    )[h.title(id=f"{name}-t")[title], h.desc(id=f"{name}-d")[desc], children]


def steps(xs: Iterable[float], ys: Iterable[float], start: tuple[float, float], end: float) -> str:
    """A step path from `start` through the jumps (x, y after the jump) to the pixel `end`."""
    x0, y0 = start
    parts, at_x, at_y = [f"M{px(x0)} {px(y0)}"], x0, y0
    last = y0
    for x, y in zip(xs, ys, strict=True):
        if x > end:
            break
        last = y
        if abs(y - at_y) < _THINNEST and x - at_x < 8 * _THINNEST:
            continue
        parts.append(f"H{px(x)}V{px(y)}")
        at_x, at_y = x, y
    if last != at_y:
        parts.append(f"V{px(last)}")
    return "".join(parts) + f"H{px(end)}"


def band(xs: Floats, lower: Floats, upper: Floats, end: float) -> str:
    """The area between two step functions: along the upper one, back along the lower one."""
    known = [
        (x, lo, up)
        for x, lo, up in zip(xs.tolist(), lower.tolist(), upper.tolist(), strict=True)
        if not (math.isnan(lo) or math.isnan(up)) and x <= end
    ]
    if not known:
        return ""
    kept = _thinned(known)
    there = "".join(f"H{px(x)}V{px(up)}" for x, _, up in kept[1:])
    back = "".join(f"V{px(lo)}H{px(x)}" for x, lo, _ in reversed(kept))
    return f"M{px(kept[0][0])} {px(kept[0][2])}{there}H{px(end)}{back}Z"


def _thinned(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    kept = [points[0]]
    for point in points[1:]:
        x, lo, up = kept[-1]
        if max(abs(point[1] - lo), abs(point[2] - up)) >= _THINNEST or point[0] - x > 8:
            kept.append(point)
    return kept


def apart(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Label places moved so that neighbours are at least `gap` apart and stay on the plot."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    out = list(places)
    floor = top
    for i in order:
        out[i] = max(out[i], floor)
        floor = out[i] + gap
    ceiling = bottom
    for i in reversed(order):
        out[i] = min(out[i], ceiling)
        ceiling = out[i] - gap
    return out


def wrapped(text: str, width: float, size: float = TEXT_SIZE) -> list[str]:
    """Text in lines no wider than `width` pixels, by estimate."""
    lines = [""]
    for word in text.split():
        tried = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(tried, size) > width:
            lines.append(word)
        else:
            lines[-1] = tried
    return lines
