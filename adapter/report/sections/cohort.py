"""Who was left out and why, as a flow diagram whose numbers add up; and who is in, by outcome."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import htpy as h
import numpy as np
from htpy import Node

from adapter.model import Judged, OutcomeKind
from adapter.outcomes import REASONS
from adapter.pseudonyms import OLDEST_AGE, scrubbed
from adapter.report.sections.outcomes import CLASSES, SPLITS, Split
from adapter.report.svg import Drawing, box, label, line
from adapter.report.view import View
from adapter.report.words import TEXT, plain, say, sentence_case, share, tally

_BOX, _SIDE, _WIDTH = 250.0, 330.0, 720.0  # of the main line, of who leaves, of the whole
_LINE, _PAD, _GAP = 17, 12, 20
_SIDE_CHARACTERS = 50  # of small text in a line of the side box
_ENOUGH = 5  # ages for quartiles (convention, as of small counts)
_COLUMNS = (None, OutcomeKind.NRM, OutcomeKind.RELAPSE, OutcomeKind.ALIVE)


class Stage(NamedTuple):
    """One box of the main line, and those who leave after it."""

    name: str
    n: int
    leaving: dict[str, int]


def left_out(view: View) -> Node:
    """From every patient in the store to the outcomes."""
    view.study.attrition.check()  # a diagram that does not add up is never drawn
    stages, outcomes = _stages(view), view.study.attrition.outcomes
    rows = list[list[Node]]()
    for stage in stages:
        rows.append([stage.name, f"{stage.n:,}"])
        rows += [[_indented(f"left out: {why}"), f"{n:,}"] for why, n in stage.leaving.items()]
    rows += [[_indented(plain(kind)), f"{n:,}"] for kind, n in outcomes.items()]
    return view.figure("left_out.flow", _diagram(stages, outcomes), rows)


def _stages(view: View) -> list[Stage]:
    """The account of the study as boxes; several courses of one patient are said, not lost."""
    a = view.study.attrition
    further = a.episodes - a.recipients
    courses = f"Courses, {further:,} of them further ones" if further else "Courses"
    return [
        Stage("Patients in the store", a.patients, _in_words(a.not_recipients)),
        Stage("CAR T recipients", a.recipients, {}),
        Stage(courses, a.episodes, _in_words(a.not_evaluable)),
        Stage("Evaluable courses (episodes)", sum(a.outcomes.values()), {}),
    ]


def _in_words(reasons: dict[str, int]) -> dict[str, int]:
    known = {**REASONS, **TEXT["not_recipient"]}
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return {known.get(slug) or scrubbed(plain(slug)): n for slug, n in ordered}


def _diagram(stages: Sequence[Stage], outcomes: dict[str, int]) -> Drawing:
    parts, y, middle = list[Node](), 6.0, _BOX / 2
    for stage in stages:
        drop, side = 26.0, _leaving(stage)
        parts.append(_boxed(0, y, _BOX, [stage.name, f"n = {stage.n:,}"]))
        y += _height(2)
        if side:
            drop, centre = _height(len(side)) + 14, y + 7 + _height(len(side)) / 2
            parts.append(line(middle, centre, _WIDTH - _SIDE, centre, "flow"))
            parts.append(_boxed(_WIDTH - _SIDE, y + 7, _SIDE, side, aside=True))
        parts.append(line(middle, y, middle, y + drop, "flow"))
        y += drop
    width, names = (_WIDTH - 2 * _GAP) / 3, say("left_out.outcomes")
    lefts = [i * (width + _GAP) for i in range(3)]
    parts.append(line(lefts[0] + width / 2, y, lefts[2] + width / 2, y, "flow"))
    for left, (kind, name) in zip(lefts, names.items(), strict=True):
        parts.append(line(left + width / 2, y, left + width / 2, y + 14, "flow"))
        parts.append(_boxed(left, y + 14, width, [name, f"n = {outcomes.get(kind, 0):,}"]))
    counts = [f"{stage.name}: {stage.n}" for stage in stages]
    counts += [f"{plain(kind)}: {n}" for kind, n in outcomes.items()]
    return Drawing(_WIDTH, y + 14 + _height(2) + 8, f"{'; '.join(counts)}.", parts)


def _leaving(stage: Stage) -> list[str]:
    lines = [f"Left out: {sum(stage.leaving.values()):,}"] if stage.leaving else []
    for why, n in stage.leaving.items():
        lines += wrap(f"{sentence_case(why)}: {n:,}", _SIDE_CHARACTERS)
    return lines


def _height(lines: int) -> float:
    return lines * _LINE + _PAD


def _boxed(x: float, y: float, width: float, lines: Sequence[str], aside: bool = False) -> Node:
    """Lines of text in a box; aside they are set to the left, under a strong first line."""
    css = "flowbox aside" if aside else "flowbox"
    at, anchor = (x + _PAD, "start") if aside else (x + width / 2, "middle")
    strong = 0 if aside else len(lines) - 1
    return [
        box(x + 0.5, y + 0.5, width - 1, _height(len(lines)) - 1, css),
        [
            label(at, y + _LINE * (i + 1) + 1, text, "strong" if i == strong else "small", anchor)
            for i, text in enumerate(lines)
        ],
    ]


def _indented(text: str) -> Node:
    return h.span(".indent")[text]


def cohort(view: View) -> Node:
    """Counts with percent of their column; what is not recorded is a row of its own."""
    columns = [
        [j for j in view.judged if kind is None or j.outcome.kind is kind] for kind in _COLUMNS
    ]
    rows: list[list[Node]] = [
        ["Episodes", *(f"{len(column):,}" for column in columns)],
        ["Age, median (quartiles)", *(_ages(column) for column in columns)],
    ]
    splits: dict[str, Split] = {"sex": lambda j: j.episode.timeline.sex, **SPLITS}
    for what, of in splits.items():
        rows.append([h.b[sentence_case(what)], *([""] * len(columns))])
        found = list(tally(of(j) for j in view.judged))
        for value in sorted(found, key=lambda v: CLASSES.index(v) if v in CLASSES else -1):
            counts = [share(sum(of(j) == value for j in c), len(c)) for c in columns]
            rows.append([_indented(value or "not recorded"), *counts])
    return view.table("cohort.baseline", rows)


def _ages(column: Sequence[Judged]) -> str:
    """Capped as they leave the site; quartiles of a few would be the ages of persons."""
    known = [j.episode.age_years for j in column if j.episode.age_years is not None]
    if not known:
        return "–"
    low, middle, high = np.percentile([min(age, OLDEST_AGE + 1) for age in known], [25, 50, 75])
    return f"{middle:.0f}" + (f" ({low:.0f}–{high:.0f})" if len(known) >= _ENOUGH else "")
