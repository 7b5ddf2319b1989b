"""Infections over time, their density, prophylaxis and IgG; and the grades of toxicity."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

import htpy as h
from htpy import Element, Node

from adapter.grades import infections as grading
from adapter.grades.prophylaxis import Exposure
from adapter.incidence import count, cumulative_incidence, density, follow_up
from adapter.report.charts import Panel, Track, curve_panel, extended_rows
from adapter.report.sections.causes import bars
from adapter.report.view import View, day_of
from adapter.report.words import at, plain, say, share

_DRUGS = ("antiviral", "antibacterial", "antifungal", "pjp_prophylaxis", "immunoglobulin",
          "growth_factor")  # fmt: skip
_FIRST, _OTHER = 1, 2  # event codes: an infection; relapse or death before one


def infections(view: View) -> Node:
    """Seen until the first event: after relapse other therapy decides."""
    policy = view.study.plan.policy
    found = [grading.infections_of(judged, policy) for judged in view.judged]
    if not any(found):
        return None
    return [
        _first(view, found), _density(view), _prophylaxis(view), _drugs(view),
        _levels(view, "IgG", policy.low_igg, "mg/dL"), _levels(view, "CD4", policy.low_cd4, "/µL"),
    ]  # fmt: skip


def _first(view: View, found: Sequence[Sequence[grading.Infection]]) -> Element:
    pairs = list(zip(found, view.judged, strict=True))
    times = [seen[0].day if seen else day_of(judged) for seen, judged in pairs]
    events = [_FIRST if seen else _OTHER if j.outcome.event else 0 for seen, j in pairs]
    sets = count(follow_up(times, events), (_FIRST, _OTHER))
    first, other = (cumulative_incidence(sets, code) for code in (_FIRST, _OTHER))
    tracks = [Track("Infection", "c1", first, float(sets.times[-1]))]
    axes = view.axes(tracks, marks=(30, 100))
    names = {_FIRST: ("First infection", "c1 ink"), _OTHER: ("Relapse or death before", "")}
    below = extended_rows(sets, axes.ticks, names)
    drawn = curve_panel(Panel(tracks, axes, view.reading(tracks), below, (720, 220)))
    rows = [[f"{day}", at(first, day), at(other, day)] for day in view.days]
    return view.figure("infections.first", drawn, rows)


def _density(view: View) -> Node:
    policy = view.study.plan.policy
    windows = grading.by_window(view.judged, policy)
    classes = sorted({one.organism for window in windows for one in window.infections})
    rows = list[list[Node]]()
    for window in windows:
        seen = [one.organism for one in window.infections]
        rate = density(len(seen), window.patient_days)
        value, low, high = (rate[name] for name in ("per_1000_days", "lower", "upper"))
        words = "–" if value is None else f"{value:.2f} ({low:.2f}–{high:.2f})"
        row = [_days(window.first, window.last), f"{len(seen)}", f"{window.patient_days:,}", words]
        rows.append([*row, *(f"{seen.count(name)}" for name in classes)])
    more = [plain(name) for name in classes]
    return view.table("infections.density", rows, more, repeat=policy.infection_repeat_days)


def _prophylaxis(view: View) -> Node:
    rows = list[list[Node]]()
    for rule in view.study.plan.prophylaxis:
        said = Counter(judged.prophylaxis.get(rule.rule) for judged in view.judged)
        met, missed = said[Exposure.MET], said[Exposure.NOT_MET]
        applies, blind = (
            said.total() - said[Exposure.DOES_NOT_APPLY],
            said[Exposure.CANNOT_EVALUATE],
        )
        counts = (f"{applies:,}", share(met, met + missed), f"{missed:,}", f"{blind:,}")
        rows.append([rule.title, *counts, rule.source])
    return view.table("infections.prophylaxis", rows)


def _drugs(view: View) -> Node:
    given = [
        {f.group for f in j.episode.timeline.of("supportive_drug")
         if f.counts and f.when and -14 <= j.episode.days(f.when).middle <= 100}
        for j in view.judged
    ]  # fmt: skip
    if not any(given):
        return h.p(".note")[say("infections.no_drug")]
    rows = [[plain(d), share(sum(d in groups for groups in given), len(given))] for d in _DRUGS]
    return view.table("infections.drugs", rows)


def _levels(view: View, analyte: str, low: float, unit: str) -> Node:
    policy = view.study.plan.policy
    lowest = grading.lowest_by_window(view.judged, analyte, policy)
    if not any(lowest):
        return h.p(".note")[say("infections.no_value", analyte=analyte)]
    rows = [
        [_days(*days), f"{len(values)}", f"{median(values):,.0f}" if values else "–",
         share(sum(value < low for value in values), len(values))]
        for days, values in zip(grading.windows_of(policy), lowest, strict=True)
    ]  # fmt: skip
    return view.table("infections.levels", rows, analyte=analyte, low=low, unit=unit)


def _days(first: int, last: int | None) -> str:
    return f"{first} or later" if last is None else f"{first}–{last}"


def toxicity(view: View) -> Node:
    """The worst grade of each kind; *not known* is shown, never taken for grade 0."""
    grades = {said: [j.grades.get(name) for j in view.judged]
              for name, said in say("toxicity.kinds").items()}  # fmt: skip
    known = {said: worst for said, worst in grades.items() if set(worst) - {None}}
    if not known:
        return None
    levels = sorted({grade for worst in known.values() for grade in worst if grade is not None})
    rows, shades = [], {}
    for said, worst in known.items():
        counts = [worst.count(level) for level in (*levels, None)]
        rows.append([said, *(share(n, len(worst)) for n in counts)])
        severe, mild = (sum(g is not None and low <= g <= high for g in worst)
                        for low, high in ((3, 99), (1, 2)))  # fmt: skip
        shades[said] = [severe, mild, worst.count(0), worst.count(None)]
    more = [*(f"{level:g}" for level in levels), "not known"]
    return view.figure("toxicity.grades", bars(shades, None), rows, more)
