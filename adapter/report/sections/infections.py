"""Infections over time: first infection as a curve, density by window, prophylaxis and IgG."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

import htpy as h
from htpy import Element, Node

from adapter.grades.infections import (
    Infection,
    by_window,
    infections_of,
    lowest_by_window,
    windows_of,
)
from adapter.grades.prophylaxis import Exposure, prophylaxis_of
from adapter.incidence import count, cumulative_incidence, density, follow_up, risk_table
from adapter.report.charts import Axes, Panel, RiskRow, Track, curve_panel
from adapter.report.view import Section, View, day_of, grid, plain, share, with_interval

_DRUGS = ("antiviral", "antibacterial", "antifungal", "pjp_prophylaxis", "immunoglobulin",
          "growth_factor")  # fmt: skip


def infections(view: View) -> Section:
    """Seen until the first event: after relapse other therapy decides."""
    policy = view.study.plan.policy
    found = [infections_of(judged, policy) for judged in view.judged]
    heading = "Infections, prophylaxis and immunoglobulins"
    if not any(found):
        return Section("infections", heading, h.p["No coded infection after infusion."])
    body = [
        _curve(view, found), _density(view), _prophylaxis(view), _support(view),
        _levels(view, "IgG", policy.low_igg, "mg/dL"), _levels(view, "CD4", policy.low_cd4, "/µL"),
    ]  # fmt: skip
    return Section("infections", heading, body)


def _curve(view: View, found: Sequence[Sequence[Infection]]) -> Element:
    ends = [day_of(j) for j in view.judged]
    times = [f[0].day if f else end for f, end in zip(found, ends, strict=True)]
    events = [1 if f else 2 if j.outcome.event else 0
              for f, j in zip(found, view.judged, strict=True)]  # fmt: skip
    sets = count(follow_up(times, events), (1, 2))
    first, other = cumulative_incidence(sets, 1), cumulative_incidence(sets, 2)
    axes = Axes(view.last_day, view.top([first]), view.ticks, marks=(30, 100))
    table = risk_table(sets, axes.ticks)
    rows = [RiskRow("At risk", tuple(r["at_risk"] for r in table)),
            RiskRow("First infection", tuple(r["events"][1] for r in table), "c1 ink"),
            RiskRow("Relapse or death before", tuple(r["events"][2] for r in table)),
            RiskRow("Censored", tuple(r["censored"] for r in table))]  # fmt: skip
    title = "Cumulative incidence of a first infection"
    desc = f"At {view.horizon_words}: {with_interval(first, view.horizon)}."
    days = [d for d in view.study.plan.policy.horizons if d <= view.last_day]
    read = [[str(d), with_interval(first, d), with_interval(other, d)] for d in days]
    numbers = grid(["day", "first infection (95% CI)", "relapse or death before"], read)
    tracks = [Track("Infection", "c1", first, float(sets.times[-1]))]
    note = "Relapse and death without infection compete. Coded infections of any severity."
    return view.figure(
        title,
        lambda name: curve_panel(Panel(name, tracks, axes, rows, title, desc), 720, 220),
        note,
        numbers,
    )


def _density(view: View) -> Element:
    policy = view.study.plan.policy
    windows = by_window(view.judged, policy)
    classes = sorted({one.organism for window in windows for one in window.infections})
    rows: list[list[Node]] = []
    for window in windows:
        inside = window.infections
        rate = density(len(inside), window.patient_days)
        value = rate["per_1000_days"]
        words = "–" if value is None else f"{value:.2f} ({rate['lower']:.2f}–{rate['upper']:.2f})"
        per_class = [str(sum(one.organism == name for one in inside)) for name in classes]
        days = _window(window.first, window.last)
        rows.append([days, str(len(inside)), f"{window.patient_days:,}", words, *per_class])
    head = ["Days", "Infections", "Patient-days", "Per 1,000 days (95% CI)",
            *(plain(name) for name in classes)]  # fmt: skip
    note = (
        f"Repeats of one class within {policy.infection_repeat_days} days are one infection; skin "
        "commensals count from two separate blood cultures with fever or shock. Exact "
        "Poisson limits. With competing events density and incidence may disagree (Grambauer 2010)."
    )
    return view.table("Infection density by window and class of organism", head, rows, note)


def _prophylaxis(view: View) -> Node:
    plan = view.study.plan
    asked = [a for j in view.judged
             for a in prophylaxis_of(j, plan.prophylaxis, plan.sends, plan.policy)]  # fmt: skip
    rows: list[list[Node]] = []
    for rule in plan.prophylaxis:
        said = Counter(answer.exposure for answer in asked if answer.rule is rule)
        applies = said.total() - said[Exposure.DOES_NOT_APPLY]
        known = said[Exposure.MET] + said[Exposure.NOT_MET]
        rows.append(
            [
                rule.title,
                str(applies),
                share(said[Exposure.MET], known),
                str(said[Exposure.NOT_MET]),
                str(said[Exposure.CANNOT_EVALUATE]),
                rule.source,
            ]
        )
    if not rows:
        return None
    head = ["Rule", "Applies to", "Met", "Not met", "Cannot evaluate", "Source"]
    note = (
        "Adherence to published rules, which disagree; no advice. Given or prescribed drugs count; "
        "percentages are of those that could be evaluated. The rules are a table a site may edit."
    )
    return view.table("Prophylaxis exposure", head, rows, note)


def _support(view: View) -> Node:
    given = [
        {f.group for f in j.episode.timeline.of("supportive_drug")
         if f.counts and f.when and -14 <= j.episode.days(f.when).middle <= 100}
        for j in view.judged
    ]  # fmt: skip
    if not any(given):
        return h.p(".note")["No supportive drug is sent by the source: prophylaxis is unknown."]
    rows = [[plain(name), share(sum(name in g for g in given), view.data.n)] for name in _DRUGS]
    note = (
        "Given at least once from day -14 to 100, for whatever reason: treatment and prophylaxis "
        "cannot be told apart by drug alone."
    )
    return view.table("Anti-infective and supportive drugs", ["Class", "Episodes"], rows, note)


def _levels(view: View, analyte: str, low: float, unit: str) -> Node:
    policy = view.study.plan.policy
    lowest = lowest_by_window(view.judged, analyte, policy)
    if not any(lowest):
        return h.p(".note")[f"No {analyte} value is sent by the source."]
    rows = [
        [_window(*days), str(len(values)), f"{median(values):,.0f}" if values else "–",
         share(sum(value < low for value in values), len(values))]
        for days, values in zip(windows_of(policy), lowest, strict=True)
    ]  # fmt: skip
    head = ["Days", f"Episodes with {analyte}", f"Median lowest ({unit})", f"Below {low:g} {unit}"]
    return view.table(f"{analyte} after infusion", head, rows,
                      "The lowest value of each episode with a value in the window.")  # fmt: skip


def _window(first: int, last: int | None) -> str:
    return f"{first} or later" if last is None else f"{first}–{last}"
