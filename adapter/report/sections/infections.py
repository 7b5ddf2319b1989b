"""Infections over time: first infection as a curve, density by window, prophylaxis and IgG."""

from collections.abc import Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.incidence import count, cumulative_incidence, density, follow_up, risk_table
from adapter.model import Fact, Judged
from adapter.report.charts import Axes, Panel, RiskRow, Track, curve_panel
from adapter.report.view import Section, View, day_of, grid, plain, share, with_interval

#: Days from infusion, both included (reference windows 0-30, 31-100, 101-180, later; convention).
WINDOWS = ((0, 30), (31, 100), (101, 180), (181, 10**6))
#: Statements of one class closer than this are one infection (NHSN repeat-infection timeframe).
REPEAT_DAYS = 14
#: IgG in mg/dL below which replacement is asked for when infections recur (Hill 2021, Stanford).
LOW_IGG = 400
_DRUGS = ("antiviral", "antibacterial", "antifungal", "pjp_prophylaxis", "immunoglobulin",
          "growth_factor")  # fmt: skip


class Infected(NamedTuple):
    """One infection of one episode: its day and class of organism."""

    day: int
    organism: str


def infections(view: View) -> Section:
    """Seen until the first event: after relapse other therapy decides."""
    found = [infections_of(judged) for judged in view.judged]
    heading = "Infections, prophylaxis and immunoglobulins"
    if not any(found):
        return Section("infections", heading, h.p["No coded infection after infusion."])
    body = [_curve(view, found), _density(view, found), _support(view), _igg(view)]
    return Section("infections", heading, body)


def infections_of(judged: Judged) -> list[Infected]:
    """Coded infections from day 0 to the first event, repeats within 14 days counted once."""
    last: dict[str, int] = {}
    found = []
    for fact in judged.episode.timeline.of("infection"):
        day = _counted_day(judged, fact)
        organism = fact.group or "organism_not_identified"
        if day is None:
            continue
        if organism not in last or day - last[organism] > REPEAT_DAYS:
            found.append(Infected(day, organism))
        last[organism] = day
    return found


def _counted_day(judged: Judged, fact: Fact) -> int | None:
    if fact.when is None or not fact.counts or fact.traits & {"history", "certified"}:
        return None
    day = judged.episode.days(fact.when).middle
    return day if 0 <= day <= day_of(judged) else None


def _curve(view: View, found: Sequence[Sequence[Infected]]) -> Element:
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


def _density(view: View, found: Sequence[Sequence[Infected]]) -> Element:
    every = [one for infected in found for one in infected]
    classes = sorted({one.organism for one in every})
    rows: list[list[Node]] = []
    for low, high in WINDOWS:
        at_risk = sum(max(0, min(day_of(j), high) - low + 1) for j in view.judged)
        inside = [one for one in every if low <= one.day <= high]
        rate = density(len(inside), at_risk)
        value = rate["per_1000_days"]
        words = "–" if value is None else f"{value:.2f} ({rate['lower']:.2f}–{rate['upper']:.2f})"
        per_class = [str(sum(one.organism == name for one in inside)) for name in classes]
        window = f"{low}–{high}" if high < 10**6 else f"{low} or later"
        rows.append([window, str(len(inside)), f"{at_risk:,}", words, *per_class])
    head = ["Days", "Infections", "Patient-days", "Per 1,000 days (95% CI)",
            *(plain(name) for name in classes)]  # fmt: skip
    note = (
        "All infections, repeats of one class within 14 days counted once; exact Poisson limits. "
        "With competing events density and cumulative incidence may disagree (Grambauer 2010)."
    )
    return view.table("Infection density by window and class of organism", head, rows, note)


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


def _igg(view: View) -> Node:
    lows: list[list[float]] = [[] for _ in WINDOWS]
    for judged in view.judged:
        values = _igg_values(judged)
        for i, (low, high) in enumerate(WINDOWS):
            inside = [value for day, value in values if low <= day <= high]
            if inside:
                lows[i].append(min(inside))
    if not any(lows):
        return h.p(".note")["No IgG value is sent by the source."]
    rows = [
        [f"{low}–{high}" if high < 10**6 else f"{low} or later", str(len(values)),
         share(sum(v < LOW_IGG for v in values), len(values))]
        for (low, high), values in zip(WINDOWS, lows, strict=True)
    ]  # fmt: skip
    head = ["Days", "Episodes with IgG", f"Lowest below {LOW_IGG} mg/dL"]
    return view.table("Immunoglobulin G", head, rows, "Only episodes with a value in the window.")


def _igg_values(judged: Judged) -> list[tuple[int, float]]:
    return [
        (judged.episode.days(fact.when).middle, fact.value)
        for fact in judged.episode.timeline.of("lab")
        if fact.group == "IgG" and fact.when and fact.value is not None and fact.unit == "mg/dL"
    ]
