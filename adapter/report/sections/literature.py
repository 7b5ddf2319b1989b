"""Beside the literature: the centre's crude NRM and the published one, crude with crude."""

import math
from typing import Any

import htpy as h
from htpy import Element, Node

from adapter.incidence import crude
from adapter.intervals import wilson
from adapter.model import Judged
from adapter.report.svg import Scale, box, frame, label, line, nice_top, px, width_of
from adapter.report.view import (
    CAUSE_WORDS,
    NRM,
    Section,
    View,
    cause_of,
    grid,
    interval_words,
    key,
    rounded,
    share,
)
from adapter.study import follow_up_of
from adapter.tables import benchmark

#: Our names of indications and products in the published tables.
_ENTITIES = {"LBCL": ("LBCL",), "MM": ("MM",), "MCL": ("MCL",), "IL": ("FL", "MZL", "WM")}
_LIMITS = {0.95: 1.96, 0.998: 3.09}  # control limits of a funnel plot (Spiegelhalter 2005)
_SOURCE = "https://doi.org/10.1038/s41591-024-03084-6"


def literature(view: View) -> Section:
    """Cordas dos Santos et al., Nat Med 2024;30:2667: 52 cohorts, 7,604 patients."""
    heading = "Beside the literature"
    intro = h.p[
        "The published figures are ", h.a(href=_SOURCE)["Cordas dos Santos et al., Nat Med 2024"],
        ": deaths over patients, whatever the follow-up. They are therefore set beside this "
        "centre's crude proportion, not beside its cumulative incidence. Differences in follow-up "
        "and case mix are not adjusted for.",
    ]  # fmt: skip
    if not view.data.n:
        return Section("literature", heading, intro)
    return Section("literature", heading, [intro, _forest(view), _funnel(view), _shares(view)])


def _mine(view: View, row: dict[str, str]) -> list[Judged]:
    """The episodes a published row speaks of; [] where the row has no counterpart here."""
    if row["setting"] or row["line"] or row["model"] != "random":
        return []
    return [
        j for j in view.judged
        if (not row["entity"] or j.episode.indication in _ENTITIES.get(row["entity"], ()))
        and (not row["product"] or j.episode.product == f"{row['product']}-cel")
    ]  # fmt: skip


def _pairs(view: View) -> list[tuple[dict[str, str], dict[str, Any]]]:
    found = [(row, _mine(view, row)) for row in benchmark("pooled")]
    return [(row, crude(follow_up_of(mine), NRM)) for row, mine in found if mine]


def _forest(view: View) -> Element:
    pairs = _pairs(view)
    rows = [
        [row["label"], f"{row['percent']}% ({row['lower']}–{row['upper']})",
         f"{own['events']}/{own['n']}",
         interval_words(own["estimate"], own["lower"], own["upper"])]
        for row, own in pairs
    ]  # fmt: skip
    table = grid(["group", "published", "deaths/n here", "here, crude (95% CI)"], rows)
    title = "Crude non-relapse mortality here and as published"
    note = [key("c1", "this centre, Wilson 95% interval"),
            key("s3", "published pooled estimate, GLMM 95% interval")]  # fmt: skip
    return view.figure(title, lambda name: _forest_plot(name, title, pairs), note, table)


def _forest_plot(
    name: str, title: str, pairs: list[tuple[dict[str, str], dict[str, Any]]]
) -> Element:
    left = max(width_of(row["label"]) for row, _ in pairs) + 16
    highest = max(max(own["upper"], float(row["upper"] or 0) / 100) for row, own in pairs)
    x = Scale(0, nice_top(min(highest, 1.0), (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)), left, 690)
    bottom = 34.0 * len(pairs) + 6
    drawn: list[Node] = [
        [line(x(v), 0, x(v), bottom, "grid"), label(x(v), bottom + 16, f"{v * 100:.0f}%", "faint",
                                                    "middle")]
        for v in (x.high * i / 5 for i in range(6))
    ]  # fmt: skip
    for i, (row, own) in enumerate(pairs):
        y = 34.0 * i + 14
        published = [float(row[k]) / 100 if row[k] else math.nan
                     for k in ("percent", "lower", "upper")]  # fmt: skip
        drawn += [
            label(0, y + 8, row["label"]),
            _interval(x, y, (own["estimate"], own["lower"], own["upper"]), "here"),
            _interval(x, y + 11, (published[0], published[1], published[2]), "there"),
        ]
    words = "; ".join(f"{r['label']}: here {rounded(o['estimate'])}, published {r['percent']}%"
                      for r, o in pairs)  # fmt: skip
    return frame(name, (720, bottom + 24), (title, f"{words}."), drawn)


def _interval(x: Scale, y: float, values: tuple[float, float, float], css: str) -> Node:
    estimate, lower, upper = values
    known = lower == lower and upper == upper
    shape = (
        box(x(estimate) - 4, y - 4, 8, 8, css)
        if css == "here"
        else h.circle(class_=f"{css} open", cx=px(x(estimate)), cy=px(y), r="3.5")
    )
    return [known and line(x(lower), y, x(min(upper, x.high)), y, css), shape]


def _funnel(view: View) -> Element:
    cohorts = [(row["study"], int(row["n"]), int(row["events"])) for row in benchmark("cohorts")]
    overall = next(float(row["percent"]) / 100 for row in benchmark("pooled"))
    own = (int((view.data.event == NRM).sum()), view.data.n)
    rows = [[name.replace("_", " "), f"{events}/{n}", rounded(events / n)]
            for name, n, events in cohorts]  # fmt: skip
    rows.append(["this centre", f"{own[0]}/{own[1]}", rounded(own[0] / own[1])])
    title = "This centre among 52 published cohorts"
    note = (
        f"Funnel around the pooled {overall * 100:.1f}%: outside the inner (95%) and outer "
        "(99.8%) line a difference is unlikely to be chance, if follow-up were alike."
    )
    return view.figure(
        title,
        lambda name: _funnel_plot(name, title, [(n, e) for _, n, e in cohorts], own, overall),
        note,
        grid(["cohort", "deaths/n", "crude"], rows),
    )


def _funnel_plot(
    name: str, title: str, cohorts: list[tuple[int, int]], own: tuple[int, int], overall: float
) -> Element:
    largest = max(own[1], *(n for n, _ in cohorts))
    x = Scale(math.log(5), math.log(largest * 1.2), 44, 700)
    y = Scale(0, max(0.25, own[0] / own[1] * 1.1), 236, 10)
    axis = [n for n in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 20000) if n <= largest]
    drawn: list[Node] = [
        [line(44, y(v), 700, y(v), "grid"), label(38, y(v) + 4, f"{v * 100:.0f}%", "faint", "end")]
        for v in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
    ]
    drawn += [label(x(math.log(n)), 254, f"{n:,}", "faint", "middle") for n in axis]
    drawn.append(line(44, y(overall), 700, y(overall), "flow"))
    sizes = [math.exp(x.low + (x.high - x.low) * i / 60) for i in range(61)]
    for z in _LIMITS.values():
        for side in (-1, 1):
            edge = [(n, overall + side * z * math.sqrt(overall * (1 - overall) / n)) for n in sizes]
            path = "L".join(f"{px(x(math.log(n)))} {px(y(p))}" for n, p in edge if 0 <= p <= y.high)
            drawn.append(h.path(class_="limit", d=f"M{path}"))
    drawn += [h.circle(class_="cohort", cx=px(x(math.log(n))), cy=px(y(e / n)), r="3.5")
              for n, e in cohorts]  # fmt: skip
    at = x(math.log(max(own[1], 5))), y(own[0] / own[1])
    drawn += [box(at[0] - 5, at[1] - 5, 10, 10, "here"),
              label(at[0] + (10 if at[0] < 600 else -10), at[1] - 9, "this centre", "c1 ink",
                    "start" if at[0] < 600 else "end"),
              label(372, 272, "Patients in the cohort", "faint", "middle")]  # fmt: skip
    desc = f"This centre: {own[0]} of {own[1]}, {rounded(own[0] / own[1])}; pooled {overall:.3f}."
    return frame(name, (720, 278), (title, desc), drawn)


def _shares(view: View) -> Element:
    published = {row["cause"]: (int(row["events"]), int(row["denominator"]))
                 for row in benchmark("causes") if row["stratum"] == "all"}  # fmt: skip
    total = len(view.deaths)
    rows = []
    for cause, words in CAUSE_WORDS.items():
        mine = sum(cause_of(j) is cause for j in view.deaths)
        events, whole = published.get(cause.value, (0, 0))
        lower, upper = wilson(mine, total)
        limits = f"{lower * 100:.1f}–{upper * 100:.1f}" if total else "–"
        rows.append([words, share(mine, total), limits, share(events, whole)])
    head = ["Cause", "Here", "95% CI", "Published"]
    return view.table("Causes here and as published (574 deaths)", head, rows)
