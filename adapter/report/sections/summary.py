"""The answer in one paragraph and five numbers."""

import htpy as h
from htpy import Node

from adapter.export.columns import answer_of
from adapter.incidence import crude, median, survival
from adapter.model import Cause
from adapter.report.view import NRM, Section, View, rounded, tally, with_interval

NEVER = "Not validated for clinical use; a cause is a proposal until a physician has reviewed it."


def summary(view: View) -> Section:
    """What was found, for the reader who stops here."""
    return Section("summary", "Summary", [_sentence(view), _numbers(view), h.p(".note")[NEVER]])


def _sentence(view: View) -> Node:
    if not view.data.n:
        return h.p(".lead")["No evaluable CAR T episode was found in this study."]
    deaths, n = len(view.deaths), view.data.n
    plain_crude = crude(view.data, NRM)
    first = tally(answer.cause.value for j in view.deaths if (answer := answer_of(j)) is not None)
    return h.p(".lead")[
        f"Among {n:,} evaluable CAR T {'episode' if n == 1 else 'episodes'}, ",
        h.strong[f"{deaths:,} ended in death without relapse"],
        f" ({rounded(plain_crude['estimate'])} crude). By competing-risk analysis the cumulative "
        f"incidence of non-relapse mortality at {view.horizon_words} was ",
        h.strong[with_interval(view.nrm, view.horizon)],
        f" and that of relapse or progression {with_interval(view.relapse, view.horizon)}.",
        _leading_cause(first, deaths),
    ]


def _leading_cause(counts: object, deaths: int) -> str:
    found = dict(counts) if isinstance(counts, dict) else {}
    infections = found.get(Cause.INFECTION.value, 0)
    unknown = found.get(Cause.UNKNOWN.value, 0)
    if not deaths:
        return ""
    return (
        f" Infection accounted for {infections} of {deaths} non-relapse deaths"
        f" ({rounded(infections / deaths)}); in {unknown} the cause remains unknown."
    )


def _numbers(view: View) -> Node:
    waiting = sum(j.needs_review for j in view.study.judged)
    reverse = median(survival(view.sets, "censored"))["median"] if view.data.n else None
    cells = [
        ("Episodes", f"{view.data.n:,}"),
        (f"NRM at {view.horizon_words}", rounded(view.nrm.at(view.horizon)[0])),
        (f"Relapse at {view.horizon_words}", rounded(view.relapse.at(view.horizon)[0])),
        ("Median follow-up", f"{reverse / 30.4375:.1f} months" if reverse else "–"),
        ("Awaiting review", f"{waiting:,}"),
    ]
    return h.dl(".figures")[(h.div[h.dt[name], h.dd[value]] for name, value in cells)]
