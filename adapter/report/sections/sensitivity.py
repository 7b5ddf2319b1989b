"""What other policies would give: the primary analysis beside its alternatives."""

from collections.abc import Callable, Sequence

from htpy import Node
from msgspec.structs import replace

from adapter.causes import readings
from adapter.config import Policy
from adapter.dates import Days
from adapter.export import evaluable
from adapter.model import Cause, Judged
from adapter.outcomes import other_policies, outcome_of
from adapter.report.view import Group, View
from adapter.report.words import CAUSE_WORDS, at, plain, rounded, share, tally


def sensitivity(view: View) -> Node:
    """Censoring and relapse policies, date bounds, first courses only; both registries' causes."""
    if not view.whole.n:
        return None
    rows = [_row(view, Group(name, judged)) for name, judged in _alternatives(view).items()]
    return [view.table("sensitivity.policies", rows, when=view.when), _registries(view)]


def _alternatives(view: View) -> dict[str, Sequence[Judged]]:
    policy, found = view.study.plan.policy, {"primary": view.judged}
    for name, changed in other_policies(policy).items():
        words = plain(name).replace("=", ": ").replace("hct", "transplant")
        found[words] = _again(view.study.judged, changed)
    return {
        **found,
        "earliest possible dates": _with_times(view.judged, lambda d: d.low),
        "latest possible dates": _with_times(view.judged, lambda d: d.high),
        "first course of each patient": [j for j in view.judged if j.episode.number == 1],
    }


def _again(judged: Sequence[Judged], policy: Policy) -> list[Judged]:
    return evaluable(replace(j, outcome=outcome_of(j.episode, policy)) for j in judged)


def _with_times(judged: Sequence[Judged], pick: Callable[[Days], int]) -> list[Judged]:
    days = [max(0, pick(j.outcome.time)) if j.outcome.time else 0 for j in judged]
    return [
        replace(j, outcome=replace(j.outcome, time=Days(day, day)))
        for j, day in zip(judged, days, strict=True)
    ]


def _row(view: View, group: Group) -> list[Node]:
    if not group.n:
        return [group.name, "0", "0", "–", "–", "–"]
    crude, curves = group.crude, (at(c, view.horizon) for c in (group.nrm, group.relapse))
    return [group.name, f"{group.n:,}", f"{crude['events']}", rounded(crude["estimate"]), *curves]


def _registries(view: View) -> Node:
    """Causes of all deaths as EBMT and as CIBMTR read them, deaths after relapse included."""
    read = [found for j in view.study.judged if (found := readings(j, view.study.plan))]
    ebmt, cibmtr = ([found[scheme] for found in read] for scheme in ("ebmt", "cibmtr"))
    rows = [
        [_named(name), share(ebmt.count(name), len(read)), share(cibmtr.count(name), len(read))]
        for name in dict.fromkeys((*tally(ebmt), *sorted(cibmtr)))
    ]
    return view.table("sensitivity.registries", rows)


def _named(name: str) -> str:
    return "Relapse or progression" if name == "relapse" else CAUSE_WORDS[Cause(name)]
