"""Every non-relapse death as a card: a day line, the verdict, and the sentences behind it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import htpy as h
from htpy import Element, Node

from adapter.export import answer_of
from adapter.model import Answer, Cause, Fact, Finding, Judged, Verdict
from adapter.pseudonyms import OLDEST_AGE, scrubbed
from adapter.report.svg import Drawing, Scale, dot, label, line, px, width_of
from adapter.report.view import View, cause_of, day_of
from adapter.report.words import CAUSE_WORDS, plain, say

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


def deaths(view: View) -> Node:
    """Those awaiting review come first; the rest in order of day of death."""
    ordered = sorted(view.deaths, key=lambda j: not j.needs_review)
    if not ordered:
        return None
    cards, room = list[Element](), ROOM_BYTES
    for number, judged in enumerate(ordered):
        made = card(view, judged, f"death-{number}")
        room -= len(str(made))
        if room < 0:
            break
        cards.append(made)
    cut = len(cards) < len(ordered) and say("deaths.cut", shown=len(cards), total=len(ordered))
    return [h.p[say("deaths.intro"), cut], h.div("#cards")[cards]]


def card(view: View, judged: Judged, name: str) -> Element:
    """One death; closed it says what, opened it says why. The script filters by the data-words."""
    episode, answer, age = judged.episode, answer_of(judged), judged.episode.age_years
    cause, day = CAUSE_WORDS[cause_of(judged)], day_of(judged)
    oldest = f"{OLDEST_AGE + 1}+ years"
    years = "" if age is None else oldest if age > OLDEST_AGE else f"{age} years"
    who = (episode.product, plain(episode.indication), years, episode.timeline.sex)
    kind = f", {plain(answer.subcause)}" if answer and answer.subcause else ""
    data = {"data-cause": cause, "data-day": f"{day}", "data-review": f"{judged.needs_review:d}"}
    return h.details(".card", data)[
        h.summary[
            h.span(".id")[view.names[episode.patient]],
            h.span(".cause")[cause, h.span(".sub")[kind]],
            h.span(".who")[" · ".join(filter(None, who))],
            h.span(".day")[f"day {day}"],
            judged.needs_review and h.span(".flag")["to review"],
        ],
        _why(judged, name),
    ]


def _why(judged: Judged, name: str) -> Element:
    answer, verdict = answer_of(judged), judged.verdict or Verdict(Cause.UNKNOWN)
    contributing = ", ".join(plain(c) for c in verdict.contributing)
    reasons = " ".join(_stopped(scrubbed(r)) for r in verdict.review_reasons)
    by = "by a reviewer" if answer and answer.decided_by == "reviewer" else "by rule"
    marks = marks_of(judged)
    said = [
        judged.evidence_changed and say("deaths.changed"),
        contributing and say("deaths.contributing", causes=contributing),
        reasons and say("deaths.review", reasons=reasons),
    ]
    return h.div(".why")[
        day_line(marks, day_of(judged)).framed(name, "Day line"),
        h.p[
            h.b[f"Certainty: {answer.certainty if answer else 'none'}"],
            [f", {by} ", h.code[verdict.rule]] if verdict.rule else None,
            f". {scrubbed(verdict.sentence)}",
        ],
        [h.p[words] for words in said if words],
        _findings(judged.findings, verdict.sentence),
        h.p(".note")[say("deaths.marks", marks=_in_words(marks))] if marks else None,
    ]


def _stopped(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _findings(found: Sequence[Finding], told: str) -> Node:
    """Other yes with their sentences; cannot tell by name; how many said no."""
    yes = [f for f in found if f.answer is Answer.YES and f.sentence != told]
    unsure = "; ".join(scrubbed(f.title) for f in found if f.answer is Answer.CANNOT_TELL)
    no = say("deaths.no", n=sum(f.answer is Answer.NO for f in found))
    return [
        h.ul[[h.li[scrubbed(f.sentence), " ", h.code[f.rule]] for f in yes]] if yes else None,
        h.p(".note")[no, unsure and say("deaths.cannot_tell", titles=unsure)],
    ]


# -- the day line -------------------------------------------------------------------------


def marks_of(judged: Judged) -> list[Mark]:
    """What the day line shows, by day; the evidence comes first in line for a place."""
    evidence = {fact for f in judged.findings if f.answer is Answer.YES for fact in f.facts}
    facts = [f for f in judged.episode.timeline.facts if f.concept in SHOWN and f not in evidence]
    marks: dict[tuple[int, str], Mark] = {}
    for fact in (*sorted(evidence, key=lambda f: f.day_key), *facts):
        at, words = _day(judged, fact), scrubbed(fact.label or plain(fact.subconcept))
        if at is not None and len(marks) < MOST_MARKS:
            marks.setdefault((at, words), Mark(at, words, fact in evidence))
    return sorted(marks.values())


def _day(judged: Judged, fact: Fact) -> int | None:
    """Day from infusion, if it lies between shortly before infusion and death."""
    day = judged.episode.days(fact.when).middle if fact.when else None
    return day if day is not None and -30 <= day <= day_of(judged) else None


def _in_words(marks: Iterable[Mark]) -> str:
    """The day line for those who cannot see it: each event with its days."""
    days: dict[str, list[str]] = {}
    for mark in marks:
        days.setdefault(mark.words, []).append(f"{mark.day}")
    return "; ".join(f"{words} (day {', '.join(found)})" for words, found in days.items())


def day_line(marks: Sequence[Mark], death: int) -> Drawing:
    """Infusion to death on one line; filled marks are the evidence, named where there is room."""
    x = Scale(min([0, *(mark.day for mark in marks)]), max(death, 1), 12, 628)
    parts: list[Node] = [
        line(x(x.low), 28, x(death), 28, "axis"),
        line(x(0), 19, x(0), 37, "axis"),
        [
            dot(x(m.day), 28, 5, "dot proof") if m.proof else dot(x(m.day), 28, 3.5, "dot")
            for m in marks
        ],
        _named(marks, x),
        h.path(class_="cross", d=f"M{px(x(death) - 5)} 23l10 10m0 -10l-10 10"),
        label(x(0), 50, "infusion", "tiny"),
        label(x(death) + 6, 50, f"death, day {death}", "tiny", "end"),
    ]
    return Drawing(640, 54, say("deaths.line", day=death), parts)


def _named(marks: Sequence[Mark], x: Scale) -> Node:
    """Words over the evidence, left to right, each once and only where nothing overlaps."""
    drawn, free, told = list[Node](), 0.0, set[str]()
    for mark in marks:
        wide = width_of(mark.words, 10)
        left = min(max(x(mark.day) - wide / 2, 0.0), 640 - wide)
        if mark.proof and mark.words not in told and left >= free:
            drawn.append(label(left, 14, mark.words, "tiny"))
            told.add(mark.words)
            free = left + wide + 10
    return drawn
