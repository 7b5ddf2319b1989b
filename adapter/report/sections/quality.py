"""What the data underneath are like: completeness, doubts, codes not understood, review."""

from collections.abc import Sequence

import htpy as h
from htpy import Node

from adapter.report.view import Section, View, plain, safe, share, tally

MOST_ROWS = 20


def quality(view: View) -> Section:
    """Nothing doubtful is dropped in silence: it is counted here."""
    body = [_account(view), _missing(view), _notes(view), _unmapped(view), _invalid(view),
            _runs(view)]  # fmt: skip
    return Section("quality", "Data quality", body)


def _account(view: View) -> Node:
    q = view.study.quality
    due = (
        f"{q.slices_due:,} parts of the source are still due: this report may be incomplete."
        if q.slices_due
        else "Nothing is due: every part of the source was read to its end."
    )
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(q.resources.items()))
    waiting = sum(j.needs_review for j in view.study.judged)
    return [
        h.p[f"{due} The store holds {kinds or 'no resources'}. {q.rejects:,} lines or entries "
            "could not be read and are kept with the reason."],
        h.p[f"{waiting:,} episodes wait for a person to review outcome or cause."],
    ]  # fmt: skip


def _missing(view: View) -> Node:
    judged = view.study.judged
    if not judged:
        return None
    gaps = {
        "product": sum(not j.episode.product for j in judged),
        "indication": sum(not j.episode.indication for j in judged),
        "age": sum(j.episode.age_years is None for j in judged),
        "sex": sum(not j.episode.timeline.sex for j in judged),
        "exact day of infusion": sum(not j.episode.infusion.exact for j in judged),
        "exact day of the outcome": sum(not (j.outcome.time and j.outcome.time.exact)
                                        for j in judged),
    }  # fmt: skip
    rows = [[name, share(n, len(judged))] for name, n in gaps.items()]
    return view.table("What is missing", ["Not known", "Episodes"], rows)


def _notes(view: View) -> Node:
    rows = [[plain(k), f"{n:,}"] for k, n in view.study.quality.notes_by_kind.items()]
    return rows and view.table("Doubtful data by kind", ["Note", "Times"], rows)


def _unmapped(view: View) -> Node:
    found = view.study.unmapped
    rows: list[Sequence[Node]] = [
        [h.code[u.system], h.code[u.code], u.type, f"{u.recipients:,}", f"{u.patients:,}"]
        for u in found[:MOST_ROWS]
    ]
    if not rows:
        return None
    note = (
        f"The first {len(rows)} of {len(found):,} codes that no mapping knows, most recipients "
        "first. To use one, add a row to the site overlay: cart-nrm mappings explain SYSTEM CODE."
    )
    head = ["System", "Code", "Resource", "Recipients", "Patients"]
    return view.table("Codes without a meaning yet", head, rows, note)


def _invalid(view: View) -> Node:
    counts = tally(safe(note.what) for note in view.study.quality.invalid)
    rows = [[what, f"{n:,}"] for what, n in list(counts.items())[:MOST_ROWS]]
    return rows and view.table("Evidence that is not valid FHIR", ["Problem", "Resources"], rows)


def _runs(view: View) -> Node:
    runs = view.study.quality.runs[-MOST_ROWS:]
    rows = [[str(r.get("run", "")), str(r.get("kind", "")), str(r.get("started", ""))[:10],
             str(r.get("state", ""))] for r in runs]  # fmt: skip
    return rows and view.table("Latest runs", ["Run", "Kind", "Started", "State"], rows)
