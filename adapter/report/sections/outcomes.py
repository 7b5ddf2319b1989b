"""Cumulative incidence of non-relapse mortality and relapse, whole cohort and by group."""

from collections.abc import Callable, Sequence

import htpy as h
from htpy import Element, Node

from adapter.export import NRM, RELAPSE
from adapter.incidence import early_late, gray_test, survival
from adapter.intervals import limits
from adapter.model import Judged
from adapter.report.charts import (
    MOST_RIBBONS,
    Panel,
    RiskRow,
    Track,
    curve_panel,
    extended_rows,
)
from adapter.report.svg import Drawing
from adapter.report.view import Group, View
from adapter.report.words import at, between, plain, rounded, say, with_limits
from adapter.study import follow_up_of

#: Groups smaller than this get no curve of their own (convention).
SMALLEST_GROUP = 10
#: Classes that have an order of their own; all others come by size.
CLASSES = ("under 65", "65 to 74", "75 and over", "low (0–1)", "high (2 or more)", "")

Split = Callable[[Judged], str]


def outcomes(view: View) -> Node:
    """What came first, over time."""
    whole = view.whole
    if not whole.n:
        return None
    tracks = _both(whole)
    axes = view.axes(tracks, marks=(28, 100))
    names = {NRM: ("Non-relapse death", "c1 ink"), RELAPSE: ("Relapse", "c2 ink")}
    below = extended_rows(whole.sets, axes.ticks, names)
    drawn = curve_panel(Panel(tracks, axes, f"{view.reading(tracks)} n = {whole.n}.", below))
    rows = [[f"{day}", *_point(whole, day)] for day in view.days]
    figure = view.figure("outcomes.curves", drawn, (), n=whole.n, last=view.last_day)
    return [figure, view.table("outcomes.days", rows), _early_late(view)]


def _both(group: Group) -> list[Track]:
    return [group.track("relapse", "Relapse", "c2"), group.track("nrm", "NRM", "c1")]


def _point(group: Group, day: int) -> list[str]:
    """Both curves, survival without event, and the number at risk on one day."""
    value, se = survival(group.sets).at(day)
    free = with_limits(value, *(float(limit) for limit in limits(value, se)))
    at_risk = f"{group.sets.at_risk_at(day):,}"
    return [at(group.nrm, day), at(group.relapse, day), free, at_risk]


def _early_late(view: View) -> Node:
    day = view.study.plan.policy.early_late_day
    split = early_late(view.whole.sets, NRM, day)
    if not view.deaths:
        return None
    part, sure = rounded(split["early_share"]), between(split["lower"], split["upper"])
    early, late = split["early"], split["late"]
    return h.p[say("outcomes.early_late", early=early, late=late, day=day, share=part, limits=sure)]


# -- by group -----------------------------------------------------------------------------


def age_group(judged: Judged) -> str:
    """Below 65, 65 to 74, 75 and over (convention)."""
    age = judged.episode.age_years
    if age is None:
        return ""
    return "under 65" if age < 65 else "65 to 74" if age < 75 else "75 and over"


def hematotox_group(judged: Judged) -> str:
    """Low is 0-1, high 2 or more (Rejeski 2021, doi:10.1182/blood.2020010543)."""
    score = judged.grades.get("car_hematotox")
    return "" if score is None else "high (2 or more)" if score >= 2 else "low (0–1)"


SPLITS: dict[str, Split] = {
    "product": lambda j: j.episode.product,
    "indication": lambda j: plain(j.episode.indication),
    "age": age_group,
    "CAR-HEMATOTOX": hematotox_group,
}


def by_group(view: View) -> Node:
    """Product, indication, age and CAR-HEMATOTOX."""
    return [made for what, of in SPLITS.items() if (made := _split(view, what, of))]


def _split(view: View, what: str, of: Split) -> Element | None:
    groups = groups_of(view, of)
    if len(groups) < 2:
        return None
    drawn = [j for group in groups for j in group.judged]
    left, few = view.whole.n - len(drawn), SMALLEST_GROUP
    unseen = say("by_group.not_drawn", left=left, what=what, smallest=few) if left else ""
    panels = _together if len(groups) <= MOST_RIBBONS else _multiples
    rows = [[f"{g.name}, day {day}", *_point(g, day)] for g in groups for day in view.days]
    gray = gray_words(drawn, of)
    return view.figure(
        "by_group.split", panels(view, groups), rows, what=what, gray=gray, left=unseen
    )


def groups_of(view: View, of: Split) -> list[Group]:
    """Groups large enough for a curve, largest first."""
    members: dict[str, list[Judged]] = {}
    for judged in view.judged:
        members.setdefault(of(judged), []).append(judged)
    large = [(name, m) for name, m in members.items() if name and len(m) >= SMALLEST_GROUP]
    return [Group(*item) for item in sorted(large, key=lambda item: (-len(item[1]), item[0]))]


def gray_words(judged: Sequence[Judged], of: Split) -> str:
    """Gray's test of both outcomes in words, or why there is none."""
    data, said = follow_up_of(judged, of), []
    for cause, name in ((NRM, "NRM"), (RELAPSE, "relapse")):
        test = gray_test(data, cause)
        p = test["p"]
        exact = test["note"] if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        said.append(f"{name} {exact}")
    return "; ".join(said)


def _together(view: View, groups: Sequence[Group]) -> list[Drawing]:
    """NRM left, relapse right, a curve a group; a low NRM has a scale of its own and says so."""
    panels = []
    for outcome in ("nrm", "relapse"):
        tracks = [g.track(outcome, g.name, f"c{i}") for i, g in enumerate(groups, start=1)]
        pairs = zip(groups, tracks, strict=True)
        axes = view.axes(tracks, crowded=True)
        rows = [_at_risk(g, axes.ticks, g.name, f"{t.css} ink") for g, t in pairs]
        heading = say(f"by_group.{outcome}", top=axes.top)
        panel = Panel(tracks, axes, view.reading(tracks), rows, (440, 240), heading, heading)
        panels.append(curve_panel(panel))
    return panels


def _multiples(view: View, groups: Sequence[Group]) -> list[Drawing]:
    """One small panel a group, all on one scale, so that shapes can be compared at a glance."""
    every = [track for group in (view.whole, *groups) for track in _both(group)]
    axes, panels = view.axes(every, crowded=True), []
    for group in groups:
        tracks = _both(group)
        rows, heading = [_at_risk(group, axes.ticks, "At risk")], f"{group.name} (n = {group.n:,})"
        panel = Panel(tracks, axes, view.reading(tracks), rows, (310, 190), heading, group.name)
        panels.append(curve_panel(panel))
    return panels


def _at_risk(group: Group, ticks: Sequence[float], name: str, css: str = "") -> RiskRow:
    return RiskRow(name, [group.sets.at_risk_at(t) for t in ticks], css)
