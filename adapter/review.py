"""Two readers, one death: worklists and dossiers out, decisions in, agreement.

The two copies are blinded: each shows the evidence, none shows what the rules or the other reader
said. Names and dates stay at home; the day line counts from infusion.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import htpy as h
import msgspec

from adapter.agreement import agreement
from adapter.atomic import write_atomically
from adapter.causes import Plan, fingerprint
from adapter.errors import ReviewError, UsageError
from adapter.explain import day_line, explain
from adapter.model import SUBCAUSES, Cause, Certainty, Decision, Judged
from adapter.pseudonyms import OLDEST_AGE, scrubbed
from adapter.store import Store
from adapter.study import in_force
from adapter.worklist import SEALED, Row, day_of, read_worklist, write_csv, write_xlsx

Which = Literal["due", "all", "disputed"]
Role = Literal["reader", "consensus", "third_reader"]
Names = Callable[[str], str]  # patient id (or any text) -> keyed pseudonym
_SHOWN_PROBLEMS = 20


class Exported(msgspec.Struct, frozen=True):
    """What `review export` wrote."""

    cases: int
    files: tuple[Path, ...]


class Imported(msgspec.Struct, frozen=True):
    """What `review import` took in."""

    added: int
    known: int  # the same decision was imported before
    open: int  # rows not filled in


def export_review(
    judged: Iterable[Judged],
    plan: Plan,
    folder: Path,
    names: Names,
    *,
    which: Which = "due",
    role: Role = "reader",
    decisions: Sequence[Decision] = (),
    show_verdict: bool = False,
) -> Exported:
    """Worklists (CSV and XLSX) and one dossier a death; two copies for readers, else one.

    `due`: what needs a person and is not settled. `all`: every non-relapse death, which measuring
    the rules against readers needs. `disputed`: where readers disagree; shows what they said.
    """
    if any(folder.glob("worklist-*")):
        raise UsageError(
            f"{folder} already holds worklists.", "Choose another folder: they may be filled in."
        )
    chosen = _chosen(judged, which, decisions)
    dossiers = folder / "dossiers"
    for made in (folder, dossiers):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = []
    for copy in ("1", "2") if role == "reader" else ("1",):
        rows = [_row(one, names, role, copy, decisions) for one in chosen]
        stem = folder / f"worklist-{role.replace('_', '-')}-{copy}"
        files += [write_csv(stem.with_suffix(".csv"), rows)]
        files += [write_xlsx(stem.with_suffix(".xlsx"), rows)]
    for one in chosen:
        page = dossier(one, plan, case_of(one, names), show_verdict)
        path = dossiers / f"{case_of(one, names)}.html"
        files.append(write_atomically(path, page.encode()))
    return Exported(len(chosen), tuple(files))


def case_of(one: Judged, names: Names) -> str:
    """The pseudonym of an episode."""
    return f"{names(one.episode.patient)}-{one.episode.number}"


def dossier(one: Judged, plan: Plan, case: str, show_verdict: bool = False) -> str:
    """What a reader needs of one death: the day line and the doubts, in HTML without scripts."""
    episode = one.episode
    who = (
        episode.product or "product unknown",
        episode.indication or "indication unknown",
        f"{_age(one) or 'unknown'} years",
        episode.timeline.sex or "sex unknown",
        f"died {one.outcome.time} days after infusion",
    )
    rows = [
        h.tr[h.td[line.day], h.td[line.what], h.td[", ".join(_types(line.sources))]]
        for line in day_line(one, lines=80)
    ]
    heads = h.tr[h.th["day"], h.th["what is recorded"], h.th["where"]]
    doubts = [scrubbed(str(note)) for note in one.notes]
    body = h.body[
        h.h1[case],
        h.p[", ".join(who)],
        h.table[h.thead[heads], h.tbody[rows]],
        h.h2["Doubts about the data"] if doubts else None,
        h.ul[(h.li[text] for text in doubts)] if doubts else None,
        h.h2["What the rules say"] if show_verdict else None,
        h.pre[scrubbed(explain(one, plan, case))] if show_verdict else None,
    ]
    head = h.head[h.meta(charset="utf-8"), h.title[case], h.style[_STYLE]]
    return f"<!doctype html>\n{h.html(lang='en')[head, body]}\n"


_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #ddd}pre{white-space:pre-wrap}"
)


def import_review(
    paths: Sequence[Path], judged: Iterable[Judged], names: Names, store: Store, today: date
) -> Imported:
    """Take in filled worklists: every row is right, or nothing is kept (ReviewError says why)."""
    known = {case_of(one, names): one for one in judged}
    rows = [row for path in paths for row in read_worklist(path)]
    problems: list[str] = []
    decisions: list[Decision] = []
    said: dict[tuple[str, str], Row] = {}
    for row in rows:
        found = _problem(row, known, names, today, said)
        if found:
            problems.append(f"{row.file} row {row.number}: {found}")
        elif not row.blank:
            decisions.append(_decision(row, known[row["case"]]))
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ReviewError("\n".join(shown), "Nothing was imported. Correct these rows and repeat.")
    return _keep(decisions, sum(row.blank for row in rows), store)


def review_counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many verdicts are rule-made, reviewed, overruled, or reviewed on other evidence."""
    counts = {"verdicts": 0, "by_rule": 0, "reviewed": 0, "overruled": 0, "evidence_changed": 0}
    for one in judged:
        if one.verdict is None:
            continue
        counts["verdicts"] += 1
        counts["evidence_changed"] += one.evidence_changed
        if one.decision is None:
            counts["by_rule"] += 1
        else:
            counts["reviewed"] += 1
            counts["overruled"] += one.decision.cause is not one.verdict.cause
    return counts


def agreement_of(judged: Iterable[Judged], decisions: Sequence[Decision]) -> dict[str, Any]:
    """Reader against reader (Cohen's kappa), and the rules against what was settled by people.

    `tool` counts only deaths with two agreeing readers, a consensus or a third reader.
    """
    pairs = [pair for said in _readings(decisions).values() if (pair := _pair(said)) is not None]
    settled, verdicts = in_force(decisions), {}
    twice = {episode for episode, said in _readings(decisions).items() if _pair(said) is not None}
    for one in judged:
        final = settled.get(one.episode.name)
        if final and one.verdict and (final.role != "reader" or one.episode.name in twice):
            verdicts[one.episode.name] = (one.verdict.cause.value, final.cause.value)
    return {
        "readers": agreement([a for a, _ in pairs], [b for _, b in pairs]),
        "tool": agreement([a for a, _ in verdicts.values()], [b for _, b in verdicts.values()]),
        "disputed": sum(name not in settled for name in twice),
    }


# -- out -------------------------------------------------------------------------------------


def _chosen(judged: Iterable[Judged], which: Which, decisions: Sequence[Decision]) -> list[Judged]:
    """Non-relapse deaths to read, in an order that has nothing to do with the cause."""
    settled, read = in_force(decisions), _readings(decisions)
    deaths = [one for one in judged if one.verdict is not None]
    if which == "disputed":
        deaths = [
            one for one in deaths
            if one.episode.name in read and one.episode.name not in settled
        ]  # fmt: skip
    elif which == "due":
        deaths = [one for one in deaths if one.needs_review or one.evidence_changed]
    return sorted(deaths, key=lambda one: one.episode.name)


def _row(
    one: Judged, names: Names, role: Role, copy: str, decisions: Sequence[Decision]
) -> dict[str, str]:
    case = case_of(one, names)
    row = {
        "worklist": _worklist_id(names), "case": case, "role": role, "copy": copy,
        "evidence": fingerprint(one.findings), "product": one.episode.product,
        "indication": one.episode.indication, "age_years": _age(one),
        "sex": one.episode.timeline.sex, "death_days": str(one.outcome.time),
        "dossier": f"dossiers/{case}.html",
    }  # fmt: skip
    if role != "reader":
        said = _readings(decisions).get(one.episode.name, {}).values()
        row["said"] = "; ".join(f"{made.cause}: {made.reason}" for made in said)
    return {**row, "check": _seal(row, names)}


def _worklist_id(names: Names) -> str:
    """The same for every worklist of one store: another site's worklist is known by it."""
    return f"w{names('worklist of this store')[-8:]}"


def _seal(row: dict[str, str], names: Names) -> str:
    return f"c{names('|'.join(row.get(name, '') for name in SEALED))[-8:]}"


def _age(one: Judged) -> str:
    age = one.episode.age_years
    return "" if age is None else f"over {OLDEST_AGE}" if age > OLDEST_AGE else str(age)


def _types(sources: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(source.partition("/")[0] for source in sources))


# -- in --------------------------------------------------------------------------------------


def _problem(
    row: Row,
    known: dict[str, Judged],
    names: Names,
    today: date,
    said: dict[tuple[str, str], Row],
) -> str:
    """Why a row cannot be taken in; "" when it can. Remembers who spoke of which case."""
    if row["worklist"] != _worklist_id(names):
        return "this worklist was not made from this store"
    if row["check"] != _seal(row.cells, names):
        return "case, role, copy or evidence was changed or cut off"
    if row["case"] not in known:
        return "the death is no longer in the study"
    if row.blank:
        return ""
    before = said.setdefault((row["case"], row["reviewer"].casefold()), row)
    if before is not row and row["role"] == before["role"]:
        return f"this reviewer already decided this case in {before.file} row {before.number}"
    return next(_faults(row, today), "")


def _faults(row: Row, today: date) -> Iterator[str]:
    """What a reviewer filled in wrongly."""
    for name in ("reviewer", "reason"):
        if not row[name]:
            yield f"{name} is empty"
    day = day_of(row["decided"])
    if day is None:
        yield "decided is no day; write 2024-05-03 or 03.05.2024"
    elif day > today:
        yield f"decided lies in the future: {day}"
    cause, subcause, certainty = (_plain(row[n]) for n in ("cause", "subcause", "certainty"))
    if cause not in set(Cause):
        yield f"cause is none of {', '.join(Cause)}"
    elif subcause and subcause not in SUBCAUSES.get(Cause(cause), ()):
        yield f"subcause does not belong to {cause}"
    if certainty not in set(Certainty):
        yield f"certainty is none of {', '.join(Certainty)}"


def _decision(row: Row, one: Judged) -> Decision:
    decided = day_of(row["decided"])
    return Decision(
        episode=one.episode.name,
        reviewer=row["reviewer"],
        decided=decided.isoformat() if decided else "",
        cause=Cause(_plain(row["cause"])),
        subcause=_plain(row["subcause"]),
        certainty=Certainty(_plain(row["certainty"])),
        reason=row["reason"],
        role=row["role"],
        evidence=row["evidence"],
    )


def _plain(text: str) -> str:
    return text.strip().lower().replace(" ", "_").replace("-", "")


def _keep(decisions: Iterable[Decision], left_open: int, store: Store) -> Imported:
    """Append what is new; a worklist imported twice says nothing twice."""
    latest = {(made.episode, made.reviewer, made.role): made for made in store.decisions()}
    decisions = list(decisions)
    new = [d for d in decisions if latest.get((d.episode, d.reviewer, d.role)) != d]
    store.add_decisions(new)
    return Imported(len(new), len(decisions) - len(new), left_open)


# -- agreement -------------------------------------------------------------------------------


def _readings(decisions: Iterable[Decision]) -> dict[str, dict[str, Decision]]:
    """The newest decision of each reader, by episode."""
    said: dict[str, dict[str, Decision]] = {}
    for made in decisions:
        if made.role == "reader":
            said.setdefault(made.episode, {})[made.reviewer] = made
    return said


def _pair(said: dict[str, Decision]) -> tuple[str, str] | None:
    """The causes of two readers in order of their names; None when only one has read."""
    if len(said) < 2:
        return None
    first, second = sorted(said)[:2]
    return said[first].cause.value, said[second].cause.value
