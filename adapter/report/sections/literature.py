"""Beside the literature: the centre's crude NRM and the published one, crude with crude.

Cordas dos Santos et al., Nat Med 2024;30:2667: 52 cohorts, 7,604 patients.
"""

import math
from collections.abc import Sequence
from typing import Any

import htpy as h
from htpy import Element, Node

from adapter.report import svg
from adapter.report.svg import Drawing, Scale, box, dot, label, line, px
from adapter.report.view import Group, View, cause_of
from adapter.report.words import CAUSE_WORDS, rounded, say, share, wilson, with_limits
from adapter.tables import benchmark

#: Our names of indications in the published tables.
_ENTITIES = {"": None, "LBCL": {"LBCL"}, "MM": {"MM"}, "MCL": {"MCL"}, "IL": {"FL", "MZL", "WM"}}
_CONTROL = (1.96, 3.09)  # 95% and 99.8% control limits of a funnel plot (Spiegelhalter 2005)
_SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 20000)
_TOPS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)

Pair = tuple[dict[str, str], dict[str, Any]]  # a published row, and our crude figures for it


def literature(view: View) -> Node:
    """Forest, funnel, and the causes."""
    intro = h.p[say("literature.intro")]
    return [intro, _forest(view), _funnel(view), _causes(view)] if view.whole.n else intro


def _pairs(view: View) -> list[Pair]:
    """Published rows that have a counterpart here: not by setting or line, which we do not know."""
    pairs = []
    for row in benchmark("pooled"):
        wanted, product = _ENTITIES.get(row["entity"], set()), f"{row['product']}-cel"
        mine = [
            j for j in view.judged
            if (wanted is None or j.episode.indication in wanted)
            and (not row["product"] or j.episode.product == product)
        ]  # fmt: skip
        if mine and row["model"] == "random" and not row["setting"] and not row["line"]:
            pairs.append((row, Group("", mine).crude))
    return pairs


def _forest(view: View) -> Element:
    pairs = _pairs(view)
    rows = [
        [row["label"], f"{row['percent']}% ({row['lower']}–{row['upper']})",
         f"{own['events']}/{own['n']}", with_limits(*_limits(own))]
        for row, own in pairs
    ]  # fmt: skip
    return view.figure("literature.forest", _forest_plot(pairs), rows)


def _limits(own: dict[str, Any]) -> tuple[float, float, float]:
    return own["estimate"], own["lower"], own["upper"]


def _forest_plot(pairs: list[Pair]) -> Drawing:
    left = max(svg.width_of(row["label"]) for row, _ in pairs) + 16
    highest = max(max(own["upper"], float(row["upper"] or 0) / 100) for row, own in pairs)
    x = Scale(0, svg.nice_top(min(highest, 1.0), _TOPS), left, 690)
    bottom = 34.0 * len(pairs) + 6
    ticks = [(v, f"{v * 100:.0f}%") for v in (x.high * i / 5 for i in range(6))]
    drawn, words = [svg.axis_below(x, bottom, ticks, rise=bottom)], []
    for i, (row, own) in enumerate(pairs):
        y = 34.0 * i + 14
        published = [float(row[k] or "nan") / 100 for k in ("percent", "lower", "upper")]
        drawn.append(label(0, y + 8, row["label"]))
        drawn += [_interval(x, y, _limits(own)), _interval(x, y + 11, published, True)]
        here = rounded(own["estimate"])
        words.append(f"{row['label']}: here {here}, published {row['percent']}%")
    return Drawing(720, bottom + 24, f"{'; '.join(words)}.", drawn)


def _interval(x: Scale, y: float, values: Sequence[float], published: bool = False) -> Node:
    at, lower, upper = (x(min(value, x.high)) for value in values)
    css = "there" if published else "here"
    shape = dot(at, y, 3.5, "there open") if published else box(at - 4, y - 4, 8, 8, "here")
    return [line(lower, y, upper, y, css) if lower == lower and upper == upper else None, shape]


def _funnel(view: View) -> Element:
    cohorts = {r["study"]: (int(r["events"]), int(r["n"])) for r in benchmark("cohorts")}
    overall = float(benchmark("pooled")[0]["percent"]) / 100
    own = (len(view.deaths), view.whole.n)
    rows = [
        [name.replace("_", " "), f"{events}/{n}", rounded(events / n)]
        for name, (events, n) in {**cohorts, "this centre": own}.items()
    ]
    drawn = _funnel_plot(list(cohorts.values()), own, overall)
    return view.figure("literature.funnel", drawn, rows, overall=overall)


def _funnel_plot(cohorts: list[tuple[int, int]], own: tuple[int, int], overall: float) -> Drawing:
    deaths, n = own
    largest = max(n, *(size for _, size in cohorts))
    x = Scale(math.log(5), math.log(largest * 1.2), 44, 700)
    y = Scale(0, max(0.25, deaths / n * 1.1), 236, 10)
    across, up, side = x(math.log(max(n, 5))), y(deaths / n), 1
    if across > 600:
        side = -1  # the name of a large centre stands left of its mark
    sizes = [(math.log(size), f"{size:,}") for size in _SIZES if size <= largest]
    drawn = [
        svg.percent_axis(y, x.start, x.end, (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)),
        svg.axis_below(x, y.start, sizes),
        line(x.start, y(overall), x.end, y(overall), "flow"),
        [_control(x, y, overall, z) for limit in _CONTROL for z in (-limit, limit)],
        [dot(x(math.log(size)), y(events / size), 3.5, "cohort") for events, size in cohorts],
        box(across - 5, up - 5, 10, 10, "here"),
        label(across + 10 * side, up - 9, "this centre", "c1 ink", "start" if side > 0 else "end"),
        label(372, 272, "Patients in the cohort", "faint", "middle"),
    ]
    part = rounded(deaths / n)
    desc = say("literature.here", deaths=deaths, n=n, share=part, overall=overall)
    return Drawing(720, 278, desc, drawn)


def _control(x: Scale, y: Scale, overall: float, z: float) -> Element:
    """Where a proportion lies z standard errors from the overall one, by size of cohort."""
    sizes = [x.low + (x.high - x.low) * i / 60 for i in range(61)]
    spread = z * math.sqrt(overall * (1 - overall))
    edge = [(size, overall + spread / math.sqrt(math.exp(size))) for size in sizes]
    path = "L".join(f"{px(x(size))} {px(y(p))}" for size, p in edge if 0 <= p <= y.high)
    return h.path(class_="limit", d=f"M{path}")


def _causes(view: View) -> Node:
    published = {r["cause"]: (int(r["events"]), int(r["denominator"])) for r in benchmark("causes")
                 if r["stratum"] == "all"}  # fmt: skip
    mine, total = [cause_of(j) for j in view.deaths], len(view.deaths)
    rows = [
        [words, share(mine.count(cause), total), wilson(mine.count(cause), total),
         share(*published.get(cause.value, (0, 0)))]
        for cause, words in CAUSE_WORDS.items()
    ]  # fmt: skip
    return view.table("literature.causes", rows)
