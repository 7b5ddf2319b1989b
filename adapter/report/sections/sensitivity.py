"""What other policies would give: the primary analysis beside its alternatives."""

from collections.abc import Callable, Sequence

import htpy as h
import msgspec
from htpy import Node

from adapter.causes import readings
from adapter.causes.decide import SCHEMES
from adapter.config import Policy
from adapter.dates import Days
from adapter.export.summary import evaluable
from adapter.incidence import count, crude, cumulative_incidence
from adapter.model import Cause, Judged
from adapter.outcomes import other_policies, outcome_of
from adapter.report.view import (
    CAUSE_WORDS,
    NRM,
    RELAPSE,
    Section,
    View,
    rounded,
    share,
    tally,
    with_interval,
)
from adapter.study import follow_up_of


def sensitivity(view: View) -> Section:
    """Censoring and relapse policies, date bounds, first courses only; both registries' causes."""
    heading = "Sensitivity analyses"
    if not view.data.n:
        return Section("sensitivity", heading, h.p["No evaluable episode."])
    rows = [_row(view, name, judged) for name, judged in _alternatives(view)]
    head = ["Analysis", "Episodes", "NRM deaths", "Crude NRM", f"NRM at {view.horizon_words}",
            f"Relapse at {view.horizon_words}"]  # fmt: skip
    note = "The first row is the primary analysis; each other row changes one thing."
    table = view.table("How the policies change the result", head, rows, note)
    return Section("sensitivity", heading, [table, _registries(view)])


def _alternatives(view: View) -> list[tuple[str, list[Judged]]]:
    policy, judged = view.study.plan.policy, view.study.judged
    found: list[tuple[str, list[Judged]]] = [("primary", view.judged)]
    for name, changed in other_policies(policy).items():
        words = name.replace("_", " ").replace("=", ": ").replace("hct", "transplant")
        found.append((words, _again(judged, changed)))
    found.append(("earliest possible dates", _with_times(view.judged, lambda d: d.low)))
    found.append(("latest possible dates", _with_times(view.judged, lambda d: d.high)))
    firsts = [j for j in view.judged if j.episode.number == 1]
    return [*found, ("first course of each patient", firsts)]


def _again(judged: Sequence[Judged], policy: Policy) -> list[Judged]:
    return evaluable(
        msgspec.structs.replace(j, outcome=outcome_of(j.episode, policy)) for j in judged
    )


def _with_times(judged: Sequence[Judged], pick: Callable[[Days], int]) -> list[Judged]:
    changed = []
    for j in judged:
        day = max(0, pick(j.outcome.time)) if j.outcome.time else 0
        outcome = msgspec.structs.replace(j.outcome, time=Days(day, day))
        changed.append(msgspec.structs.replace(j, outcome=outcome))
    return changed


def _row(view: View, name: str, judged: Sequence[Judged]) -> list[Node]:
    if not judged:
        return [name, "0", "0", "–", "–", "–"]
    data = follow_up_of(judged)
    sets = count(data, (RELAPSE, NRM))
    plain_crude = crude(data, NRM)
    return [name, f"{data.n:,}", str(plain_crude["events"]), rounded(plain_crude["estimate"]),
            with_interval(cumulative_incidence(sets, NRM), view.horizon),
            with_interval(cumulative_incidence(sets, RELAPSE), view.horizon)]  # fmt: skip


def _registries(view: View) -> Node:
    """Causes of all deaths as EBMT and as CIBMTR read them, deaths after relapse included."""
    read = [found for j in view.study.judged if (found := readings(j, view.study.plan))]
    if not read:
        return None
    by = {scheme: tally(found[scheme] for found in read) for scheme in SCHEMES}
    names = sorted({name for counts in by.values() for name in counts},
                   key=lambda name: -by["ebmt"].get(name, 0))  # fmt: skip
    rows = [[_said(name), *(share(by[s].get(name, 0), len(read)) for s in SCHEMES)]
            for name in names]  # fmt: skip
    note = (
        "EBMT: after a relapse the relapse is the main cause. CIBMTR: what started the chain to "
        "death, when it is at least probable. Neither changes what came first."
    )
    return view.table("Main cause of every death as the registries read it",
                      ["Cause", *(s.upper() for s in SCHEMES)], rows, note)  # fmt: skip


def _said(name: str) -> str:
    return "Relapse or progression" if name == "relapse" else CAUSE_WORDS[Cause(name)]
