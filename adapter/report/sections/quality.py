"""What the data underneath are like: completeness, doubts, codes not understood, review."""

import htpy as h
from htpy import Node

from adapter.pseudonyms import scrubbed
from adapter.report.view import View
from adapter.report.words import plain, say, share, tally

MOST_ROWS = 20


def quality(view: View) -> Node:
    """Nothing doubtful is dropped in silence: it is counted here."""
    q, unmapped = view.study.quality, view.study.unmapped
    codes: list[list[Node]] = [
        [h.code[u.system], h.code[u.code], u.type, f"{u.recipients:,}", f"{u.patients:,}"]
        for u in unmapped[:MOST_ROWS]
    ]
    notes = [[plain(kind), f"{n:,}"] for kind, n in q.notes_by_kind.items()]
    invalid = [[what, f"{n:,}"] for what, n in tally(scrubbed(n.what) for n in q.invalid).items()]
    runs = [
        [f"{run.get('run', '')}", run.get("kind", ""), f"{run.get('started', '')}"[:10],
         run.get("state", "")]
        for run in q.runs[-MOST_ROWS:]
    ]  # fmt: skip
    return [
        _account(view),
        view.table("quality.missing", _missing(view)),
        view.table("quality.notes", notes),
        view.table("quality.unmapped", codes, shown=len(codes), found=len(unmapped)),
        view.table("quality.invalid", invalid[:MOST_ROWS]),
        view.table("quality.runs", runs),
    ]


def _account(view: View) -> Node:
    q = view.study.quality
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(q.resources.items()))
    due = say("quality.due", due=q.slices_due) if q.slices_due else say("quality.complete")
    lost = ", ".join(f"{n:,} {kind}" for kind, n in sorted(q.unresolved.items()))
    holds = say("quality.holds", kinds=kinds or "no resources", rejects=q.rejects)
    waiting = sum(j.needs_review for j in view.study.judged)
    unresolved = lost and h.p[say("quality.unresolved", kinds=lost)]
    return [h.p[due, " ", holds], unresolved, h.p[say("quality.waiting", waiting=waiting)]]


def _missing(view: View) -> list[list[Node]]:
    judged = view.study.judged
    gaps = {
        "product": [not j.episode.product for j in judged],
        "indication": [not j.episode.indication for j in judged],
        "age": [j.episode.age_years is None for j in judged],
        "sex": [not j.episode.timeline.sex for j in judged],
        "exact day of infusion": [not j.episode.infusion.exact for j in judged],
        "exact day of the outcome": [
            not (o.time and o.time.exact) for o in (j.outcome for j in judged)
        ],
    }
    return [[name, share(sum(missing), len(judged))] for name, missing in gaps.items() if judged]
