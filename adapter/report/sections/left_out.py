"""Who was left out and why: a flow diagram whose numbers add up."""

from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.outcomes import REASONS
from adapter.report.svg import box, frame, label, line, wrapped
from adapter.report.view import Section, View, plain, safe

_BOX, _SIDE, _WIDTH = 250.0, 330.0, 720.0
_LINE, _PAD = 16, 12


class Stage(NamedTuple):
    """One box of the main line, and those who leave after it."""

    name: str
    n: int
    leaving: dict[str, int]


#: Why somebody in the store is no recipient (the slugs of adapter.episodes.why_not).
_NO_RECIPIENT = {
    "review_code": "only a code whose meaning must be confirmed",
    "ordered_never_given": "CAR T ordered, never given",
    "look_alike": "another cell or gene therapy",
    "collected_only": "cells collected, no infusion",
    "history_only": "only a history of CAR T, without a date",
    "no_evidence": "no trace of CAR T",
}


def why(reason: str) -> str:
    """A reason of the account as words."""
    return REASONS.get(reason) or _NO_RECIPIENT.get(reason) or safe(plain(reason))


def left_out(view: View) -> Section:
    """From every patient in the store to the outcomes."""
    stages = stages_of(view)
    check(stages, view.study.attrition.outcomes)
    outcomes = view.study.attrition.outcomes
    note = "Every patient in the store is in exactly one box at each step."
    body = view.figure(
        "Who is in the analysis, and who was left out",
        lambda name: _diagram(name, stages, outcomes),
        note,
        _table(view, stages),
    )
    return Section("left-out", "Who was left out and why", body)


def stages_of(view: View) -> list[Stage]:
    """The account of the study as boxes; several courses of one patient are said, not lost."""
    a = view.study.attrition
    evaluable = sum(a.outcomes.values())
    return [
        Stage("Patients in the store", a.patients, a.not_recipients),
        Stage("CAR T recipients", a.recipients, {}),
        Stage(f"Courses, {a.episodes - a.recipients:,} of them further ones", a.episodes,
              a.not_evaluable),
        Stage("Evaluable courses (episodes)", evaluable, {}),
    ]  # fmt: skip


def check(stages: list[Stage], outcomes: dict[str, int]) -> None:
    """A diagram that does not add up is never drawn."""
    patients, recipients, episodes, evaluable = stages
    if patients.n - sum(patients.leaving.values()) != recipients.n:
        raise AssertionError("patients left out do not add up")
    if episodes.n - sum(episodes.leaving.values()) != evaluable.n:
        raise AssertionError("episodes left out do not add up")
    if sum(outcomes.values()) != evaluable.n:
        raise AssertionError("outcomes do not add up")


def _side_lines(stage: Stage) -> list[str]:
    lines = []
    for reason, count in sorted(stage.leaving.items(), key=lambda item: (-item[1], item[0])):
        lines += wrapped(f"{count:,}  {why(reason)}", _SIDE - 2 * _PAD, 11.5)
    return lines


def _diagram(name: str, stages: list[Stage], outcomes: dict[str, int]) -> Element:
    parts: list[Node] = []
    y = 6.0
    middle = _BOX / 2
    for stage in stages:
        side = _side_lines(stage)
        parts.append(_stage_box(0, y, _BOX, stage.name, stage.n))
        y += 46
        drop = max(26.0, len(side) * _LINE + 2 * _PAD + _LINE + 14 if side else 0)
        parts.append(line(middle, y, middle, y + drop, "flow"))
        if side:
            parts.append(_side_box(y + 7, stage, side))
        y += drop
    parts.append(_outcome_boxes(y, outcomes))
    words = "; ".join(f"{stage.name}: {stage.n}" for stage in stages)
    ends = "; ".join(f"{plain(kind)}: {count}" for kind, count in outcomes.items())
    return frame(name, (_WIDTH, y + 70), ("Flow of patients and episodes", f"{words}. {ends}."),
                 parts)  # fmt: skip


def _stage_box(x: float, y: float, width: float, name: str, count: int) -> Node:
    return [
        box(x + 0.5, y + 0.5, width - 1, 45, "flowbox"),
        label(x + width / 2, y + 19, name, "small", "middle"),
        label(x + width / 2, y + 37, f"n = {count:,}", "strong", "middle"),
    ]


def _side_box(y: float, stage: Stage, side: list[str]) -> Node:
    left, height = _WIDTH - _SIDE, len(side) * _LINE + 2 * _PAD + _LINE
    gone = sum(stage.leaving.values())
    return [
        line(_BOX / 2, y + height / 2, left, y + height / 2, "flow"),
        box(left + 0.5, y + 0.5, _SIDE - 1, height - 1, "flowbox aside"),
        label(left + _PAD, y + _PAD + 10, f"Left out: {gone:,}", "small strong"),
        [
            label(left + _PAD, y + _PAD + 10 + _LINE * (i + 1), text, "small")
            for i, text in enumerate(side)
        ],
    ]


def _outcome_boxes(y: float, outcomes: dict[str, int]) -> Node:
    names = (("nrm", "Non-relapse death"), ("relapse", "Relapse or progression"),
             ("alive", "Alive at last contact"))  # fmt: skip
    width = (_WIDTH - 2 * 20) / 3
    centres = [i * (width + 20) + width / 2 for i in range(3)]
    return [
        line(centres[0], y, centres[2], y, "flow"),
        [
            [
                line(x, y, x, y + 14, "flow"),
                _stage_box(x - width / 2, y + 14, width, name, outcomes.get(kind, 0)),
            ]
            for x, (kind, name) in zip(centres, names, strict=True)
        ],
    ]


def _table(view: View, stages: list[Stage]) -> Node:
    rows: list[Node] = []
    for stage in stages:
        rows.append(h.tr[h.th(scope="row")[stage.name], h.td[f"{stage.n:,}"]])
        rows += [
            h.tr[h.td(".indent")[f"left out: {why(reason)}"], h.td[f"{count:,}"]]
            for reason, count in stage.leaving.items()
        ]
    rows += [
        h.tr[h.td(".indent")[plain(kind)], h.td[f"{count:,}"]]
        for kind, count in view.study.attrition.outcomes.items()
    ]
    return h.table[h.thead[h.tr[h.th(scope="col")["step"], h.th(scope="col")["n"]]], h.tbody[rows]]
