"""Every non-relapse death as a card: a day line, the verdict, and the sentences behind it."""

from collections.abc import Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.export.columns import answer_of
from adapter.model import Answer, Fact, Finding, Judged
from adapter.pseudonyms import OLDEST_AGE
from adapter.report.svg import Scale, frame, label, line, px, width_of
from adapter.report.view import CAUSE_WORDS, Section, View, cause_of, day_of, plain, safe

#: Cards stop when they fill this much, so that the whole report stays below one megabyte.
ROOM_BYTES = 430_000
#: What a day line shows besides the evidence itself.
SHOWN = ("cart_infusion", "infection", "toxicity", "second_primary_malignancy", "organ")
MOST_MARKS = 12


class Mark(NamedTuple):
    """One event on a day line; `proof` when a rule that said yes rests on it."""

    day: int
    words: str
    proof: bool


def deaths(view: View) -> Section:
    """Those awaiting review come first; the rest in order of day of death."""
    heading = "Every non-relapse death"
    ordered = sorted(view.deaths, key=lambda j: (not j.needs_review, day_of(j), j.episode.name))
    if not ordered:
        return Section("deaths", heading, h.p["No non-relapse death in this study."])
    cards, room = [], ROOM_BYTES
    for number, judged in enumerate(ordered):
        made = str(card(view, judged, f"death-{number}"))
        if len(made) > room:
            break
        room -= len(made)
        cards.append(made)
    from markupsafe import Markup

    body = [_intro(len(ordered), len(cards)), _tools(view), h.div("#cards")[map(Markup, cards)]]
    return Section("deaths", heading, body)


def _intro(total: int, shown: int) -> Node:
    cut = (
        f" Shown are the first {shown:,} of {total:,}, those awaiting review first; all are in the"
        " exported cohort."
        if shown < total
        else ""
    )
    return h.p[
        "Days count from infusion; names are pseudonyms. Each card opens to the evidence: what "
        f"every rule found, and where no answer was possible.{cut}"
    ]


def _tools(view: View) -> Node:
    """Filled by the script; without it all cards are simply there."""
    options = sorted({CAUSE_WORDS[cause_of(j)] for j in view.deaths})
    return h.form(".tools", hidden=True)[
        h.label["Cause ", h.select(name="cause")[
            h.option(value="")["all"], (h.option[o] for o in options)]],
        h.label[h.input(type="checkbox", name="review"), " awaiting review only"],
        h.label["Order ", h.select(name="order")[
            h.option(value="")["review first"], h.option(value="day")["day of death"]]],
        h.output,
    ]  # fmt: skip


def card(view: View, judged: Judged, name: str) -> Element:
    """One death; closed it says what, opened it says why."""
    cause = CAUSE_WORDS[cause_of(judged)]
    day = day_of(judged)
    return h.details(
        {"data-cause": cause, "data-day": str(day), "data-review": str(int(judged.needs_review))},
        class_="card",
    )[_head(view, judged, cause, day), _body(judged, name)]


def _head(view: View, judged: Judged, cause: str, day: int) -> Element:
    episode, answer = judged.episode, answer_of(judged)
    age = episode.age_years
    years = "" if age is None else f"{OLDEST_AGE + 1}+" if age > OLDEST_AGE else f"{age}"
    who = " · ".join(filter(None, [episode.product, plain(episode.indication),
                                   years and f"{years} years", episode.timeline.sex]))  # fmt: skip
    sub = f", {plain(answer.subcause)}" if answer and answer.subcause else ""
    return h.summary[
        h.span(".id")[view.names[episode.patient]],
        h.span(".cause")[cause, h.span(".sub")[sub]],
        h.span(".who")[who],
        h.span(".day")[f"day {day}"],
        judged.needs_review and h.span(".flag")["to review"],
    ]


def _body(judged: Judged, name: str) -> Element:
    answer, verdict = answer_of(judged), judged.verdict
    by = "by a reviewer" if answer and answer.decided_by == "reviewer" else "by rule"
    certainty = answer.certainty.value if answer else "none"
    marks = marks_of(judged)
    contributing = verdict.contributing if verdict else ()
    reasons = verdict.review_reasons if verdict else ()
    changed = (
        "A reviewer decided on other evidence than today's." if judged.evidence_changed else None
    )
    said = [
        changed,
        f"Contributing: {', '.join(plain(c) for c in contributing)}." if contributing else None,
        f"For the reviewer: {' '.join(_stopped(safe(r)) for r in reasons)}" if reasons else None,
    ]
    return h.div(".why")[
        day_line(name, marks, day_of(judged)),
        h.p[h.b[f"Certainty: {certainty}"],
            [", ", by, " ", h.code[verdict.rule]] if verdict and verdict.rule else None, ". ",
            safe(verdict.sentence) if verdict else None],
        (h.p[words] for words in said if words),
        findings(judged.findings, verdict.sentence if verdict else ""),
        h.p(".note")[f"On the day line: {in_words(marks)}."] if marks else None,
    ]  # fmt: skip


def _stopped(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def in_words(marks: Sequence[Mark]) -> str:
    """The day line for those who cannot see it: each event with its days."""
    days: dict[str, list[str]] = {}
    for mark in marks:
        days.setdefault(mark.words, []).append(str(mark.day))
    return "; ".join(f"{words} (day {', '.join(found)})" for words, found in days.items())


def findings(found: Sequence[Finding], told: str) -> Node:
    """Other yes with their sentences; cannot tell by name; how many said no."""
    yes = [f for f in found if f.answer is Answer.YES and f.sentence != told]
    unsure = [f for f in found if f.answer is Answer.CANNOT_TELL]
    no = sum(f.answer is Answer.NO for f in found)
    return [
        h.ul[(h.li[safe(f.sentence), " ", h.code[f.rule]] for f in yes)] if yes else None,
        h.p(".note")[
            f"{no} rules said no. ",
            f"Cannot tell: {'; '.join(safe(f.title) for f in unsure)}." if unsure else None,
        ],
    ]


def marks_of(judged: Judged) -> list[Mark]:
    """What the day line shows, by day; the evidence comes first in line for a place."""
    evidence = {fact for f in judged.findings if f.answer is Answer.YES for fact in f.facts}
    facts = [f for f in judged.episode.timeline.facts if f.concept in SHOWN and f not in evidence]
    marks: dict[tuple[int, str], Mark] = {}
    for fact in (*sorted(evidence, key=lambda f: f.day_key), *facts):
        at, words = _day(judged, fact), safe(fact.label or plain(fact.subconcept))
        if at is not None and len(marks) < MOST_MARKS:
            marks.setdefault((at, words), Mark(at, words, fact in evidence))
    return sorted(marks.values())


def _day(judged: Judged, fact: Fact) -> int | None:
    """Day from infusion, if it lies between shortly before infusion and death."""
    if fact.when is None:
        return None
    day = judged.episode.days(fact.when).middle
    return day if -30 <= day <= day_of(judged) else None


def day_line(name: str, marks: Sequence[Mark], death: int) -> Element:
    """Infusion to death on one line; filled marks are the evidence, named where there is room."""
    x = Scale(min([0, *(mark.day for mark in marks)]), max(death, 1), 12, 628)
    dots = [
        h.circle(class_="dot proof" if mark.proof else "dot", cx=px(x(mark.day)), cy="28",
                 r="5" if mark.proof else "3.5")
        for mark in marks
    ]  # fmt: skip
    return frame(
        name,
        (640, 54),
        ("Day line", f"Infusion on day 0, death on day {death}."),
        line(x(x.low), 28, x(death), 28, "axis"),
        line(x(0), 19, x(0), 37, "axis"),
        dots,
        _named(marks, x),
        h.path(class_="cross", d=f"M{px(x(death) - 5)} 23l10 10m0 -10l-10 10"),
        label(x(0), 50, "infusion", "tiny"),
        label(x(death) + 6, 50, f"death, day {death}", "tiny", "end"),
    )


def _named(marks: Sequence[Mark], x: Scale) -> Node:
    """Words over the evidence, left to right, each once and only where nothing overlaps."""
    drawn, free, told = [], 0.0, set()
    for mark in marks:
        wide = width_of(mark.words, 10)
        left = min(max(x(mark.day) - wide / 2, 0.0), 640 - wide)
        if mark.proof and mark.words not in told and left >= free:
            drawn.append(label(left, 14, mark.words, "tiny"))
            told.add(mark.words)
            free = left + wide + 10
    return drawn
