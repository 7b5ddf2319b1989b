"""Cumulative incidence of non-relapse mortality and relapse, whole cohort and by group."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.incidence import (
    Curve,
    RiskSets,
    count,
    cumulative_incidence,
    early_late,
    gray_test,
    risk_table,
    survival,
)
from adapter.intervals import limits
from adapter.model import Judged
from adapter.report.charts import Axes, Panel, RiskRow, Track, curve_panel
from adapter.report.view import (
    NRM,
    RELAPSE,
    Section,
    View,
    grid,
    interval_words,
    plain,
    rounded,
    with_interval,
)
from adapter.study import follow_up_of

#: More groups than this are drawn as small multiples (statistics: four ribbons at most).
MOST_TOGETHER = 4
#: Groups smaller than this get no curve of their own (convention).
SMALLEST_GROUP = 10


class Group(NamedTuple):
    """One group of episodes with its curves."""

    name: str
    sets: RiskSets
    nrm: Curve
    relapse: Curve

    @property
    def end(self) -> float:
        """The last day anybody of the group was under observation."""
        return float(self.sets.times[-1]) if len(self.sets.times) else 0.0


def outcomes(view: View) -> Section:
    """What came first, over time."""
    if not view.data.n:
        return Section(
            "outcomes", "Relapse and non-relapse mortality", h.p["No evaluable episode."]
        )
    body = [_main_figure(view), _horizon_table(view), _early_late(view)]
    return Section("outcomes", "Relapse and non-relapse mortality", body)


def _main_figure(view: View) -> Element:
    axes = Axes(view.last_day, view.top([view.nrm, view.relapse]), view.ticks, marks=(28, 100))
    table = risk_table(view.sets, axes.ticks)
    rows = [
        RiskRow("At risk", tuple(r["at_risk"] for r in table)),
        RiskRow("Non-relapse death", tuple(r["events"][NRM] for r in table), "c1 ink"),
        RiskRow("Relapse", tuple(r["events"][RELAPSE] for r in table), "c2 ink"),
        RiskRow("Censored", tuple(r["censored"] for r in table)),
    ]
    end = float(view.sets.times[-1])
    tracks = [Track("Relapse", "c2", view.relapse, end), Track("NRM", "c1", view.nrm, end)]
    desc = (
        f"At {view.horizon_words}: non-relapse mortality {with_interval(view.nrm, view.horizon)}, "
        f"relapse {with_interval(view.relapse, view.horizon)}; n = {view.data.n}."
    )
    title = "Cumulative incidence of non-relapse mortality and of relapse or progression"
    note = (
        "Aalen-Johansen estimates; each is the competing event of the other. Bands are 95% "
        "intervals (Greenwood, log-log). Numbers below count what happened before the tick and "
        f"add up to {view.data.n:,} in every column. {_cut_words(view)}"
    )
    return view.figure(
        title,
        lambda name: curve_panel(Panel(name, tracks, axes, rows, title, desc), 720, 300),
        note,
        points_table(view, [Group("all", view.sets, view.nrm, view.relapse)]),
    )


def _cut_words(view: View) -> str:
    return f"Cut at day {view.last_day:.0f}, when fewer than ten, or a tenth, remain at risk."


def points_table(view: View, groups: Sequence[Group]) -> Element:
    """Curves read at the horizons, as a table."""
    days = [day for day in view.study.plan.policy.horizons if day <= view.last_day]
    rows = [
        [
            f"{group.name}, day {day}",
            with_interval(group.nrm, day),
            with_interval(group.relapse, day),
            f"{group.sets.at_risk_at(day):,}",
        ]
        for group in groups
        for day in days
    ]
    return grid(["group and day", "NRM (95% CI)", "relapse (95% CI)", "at risk"], rows)


def _horizon_table(view: View) -> Element:
    free = survival(view.sets)
    rows: list[list[Node]] = []
    for day in view.study.plan.policy.horizons:
        if day > view.last_day:
            continue
        value, se = free.at(day)
        event_free = interval_words(value, *(float(v) for v in limits(value, se)))
        rows.append([f"{day}", with_interval(view.nrm, day), with_interval(view.relapse, day),
                     event_free, f"{view.sets.at_risk_at(day):,}"])  # fmt: skip
    note = "The three columns of one row add up to 100%: alive without relapse, NRM and relapse."
    head = ["Day", "NRM (95% CI)", "Relapse (95% CI)", "Event-free (95% CI)", "At risk"]
    return view.table("Outcomes at fixed days", head, rows, note)


def _early_late(view: View) -> Node:
    day = view.study.plan.policy.early_late_day
    split = early_late(view.data, NRM, day)
    if not (split["early"] + split["late"]):
        return None
    return h.p[
        f"Of the non-relapse deaths, {split['early']} came before day {day} (early) and "
        f"{split['late']} on or after it: an early share of {rounded(split['early_share'])} "
        f"({split['lower'] * 100:.1f}–{split['upper'] * 100:.1f}, Wilson)."
    ]


# -- by group -----------------------------------------------------------------------------


def by_group(view: View) -> Section:
    """Product, indication, age and CAR-HEMATOTOX."""
    splits: list[tuple[str, Callable[[Judged], str]]] = [
        ("product", lambda j: j.episode.product),
        ("indication", lambda j: plain(j.episode.indication)),
        ("age", age_group),
        ("CAR-HEMATOTOX", hematotox_group),
    ]
    figures = [_split_figure(view, what, of) for what, of in splits]
    shown = [figure for figure in figures if figure is not None]
    empty = f"No split has two groups of at least {SMALLEST_GROUP} episodes."
    return Section("groups", "By product, indication, age and CAR-HEMATOTOX", shown or h.p[empty])


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


def groups_of(view: View, of: Callable[[Judged], str]) -> tuple[list[Group], int]:
    """Groups large enough for a curve, largest first, and how many episodes are in none."""
    members: dict[str, list[Judged]] = {}
    for judged in view.judged:
        members.setdefault(of(judged), []).append(judged)
    large = {k: v for k, v in members.items() if k and len(v) >= SMALLEST_GROUP}
    ordered = sorted(large, key=lambda name: (-len(large[name]), name))
    found = []
    for name in ordered:
        sets = count(follow_up_of(large[name]), (RELAPSE, NRM))
        found.append(Group(name, sets, cumulative_incidence(sets, NRM),
                           cumulative_incidence(sets, RELAPSE)))  # fmt: skip
    return found, view.data.n - sum(len(v) for v in large.values())


def _split_figure(view: View, what: str, of: Callable[[Judged], str]) -> Element | None:
    groups, left = groups_of(view, of)
    if len(groups) < 2:
        return None
    grouped = [j for j in view.judged if of(j) in {group.name for group in groups}]
    note = f"{gray_words(grouped, of)} {left_words(left, what)}"
    draw = _together if len(groups) <= MOST_TOGETHER else _multiples
    return view.figure(
        f"Non-relapse mortality and relapse by {what}",
        lambda name: draw(view, name, groups, what),
        note,
        points_table(view, groups),
    )


def left_words(left: int, what: str) -> str:
    """Who is not drawn, and why."""
    return (
        f"Not drawn: {left:,} episodes without {what} or in groups under {SMALLEST_GROUP}."
        if left
        else ""
    )


def gray_words(judged: Sequence[Judged], of: Callable[[Judged], str]) -> str:
    """Gray's test of both outcomes in words, or why there is none."""
    data = follow_up_of(judged, of)
    said = []
    for cause, name in ((NRM, "NRM"), (RELAPSE, "relapse")):
        test = gray_test(data, cause)
        p = test["p"]
        said.append(f"{name} {test['note']}" if p is None else
                    f"{name} p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}")  # fmt: skip
    return f"Gray's test: {'; '.join(said)}."


def _together(view: View, name: str, groups: Sequence[Group], what: str) -> Element:
    """NRM left, relapse right, a curve a group; a low NRM has a scale of its own and says so."""
    axes = Axes(view.last_day, 1.0, view.ticks[:: 1 + len(view.ticks) // 7])
    rows = [
        RiskRow(group.name, tuple(r["at_risk"] for r in risk_table(group.sets, axes.ticks)),
                f"c{i + 1} ink")
        for i, group in enumerate(groups)
    ]  # fmt: skip
    panels = []
    for key, heading in (("nrm", "Non-relapse mortality"), ("relapse", "Relapse or progression")):
        tracks = [Track(group.name, f"c{i + 1}", getattr(group, key), group.end)
                  for i, group in enumerate(groups)]  # fmt: skip
        desc = "; ".join(
            f"{g.name}: {with_interval(getattr(g, key), view.horizon)}" for g in groups
        )
        top = view.top([track.curve for track in tracks])
        words = (f"{heading} by {what}", f"At {view.horizon_words}: {desc}.",
                 f"{heading} (axis to {top * 100:.0f}%)")  # fmt: skip
        panels.append(Panel(f"{name}-{key}", tracks, axes._replace(top=top), rows, *words))
    return h.div(".panels.two")[[curve_panel(panel, 440, 240) for panel in panels]]


def _multiples(view: View, name: str, groups: Sequence[Group], what: str) -> Element:
    """One small panel a group, all on one scale, so that shapes can be compared at a glance."""
    top = view.top([view.nrm, view.relapse, *(g.nrm for g in groups), *(g.relapse for g in groups)])
    axes = Axes(view.last_day, top, view.ticks[::2])
    panels = []
    for i, group in enumerate(groups):
        at_risk = tuple(r["at_risk"] for r in risk_table(group.sets, axes.ticks))
        tracks = [Track("Relapse", "c2", group.relapse, group.end),
                  Track("NRM", "c1", group.nrm, group.end)]  # fmt: skip
        desc = (
            f"{group.name} at {view.horizon_words}: NRM {with_interval(group.nrm, view.horizon)}, "
            f"relapse {with_interval(group.relapse, view.horizon)}."
        )
        heading = f"{group.name} (n = {group.sets.n:,})"
        panels.append(Panel(f"{name}-{i}", tracks, axes, [RiskRow("At risk", at_risk)],
                            f"{what} {group.name}", desc, heading))  # fmt: skip
    return h.div(".panels.three")[[curve_panel(panel, 310, 190) for panel in panels]]
