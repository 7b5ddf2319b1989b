"""One death as a page a physician reads in a minute: strings only, for a terminal or a dossier."""

import textwrap
from collections.abc import Iterable
from itertools import groupby

import msgspec

from adapter.causes import Plan, decide, readings
from adapter.causes.rule import LADDER
from adapter.dates import Interval
from adapter.grades.infections import infections_of
from adapter.grades.prophylaxis import Exposure, prophylaxis_of
from adapter.model import Answer, Certainty, Episode, Fact, Finding, Judged, OutcomeKind, Verdict
from adapter.outcomes import alternatives

#: What a day line shows whether it counted or not; laboratory values only where a rule used them.
_SHOWN = frozenset(
    {
        "cart_infusion", "cart_product", "infection", "toxicity", "organ", "death", "text_only",
        "second_primary_malignancy", "second_primary_EXCLUDE", "external_cause", "disease_status",
        "hct", "garbage_cause", "microbiology_result", "certified_unmapped", "indication",
    }
)  # fmt: skip
_LINES = 40
#: Circumstances a reader must see beside a fact.
_TOLD = (
    "refuted_by_source", "entered_in_error", "suspected", "planned", "review_only", "history",
    "resolved", "negative", "commensal", "certified", "underlying", "contributing", "problem_list",
    "day_only_from_entry",
)  # fmt: skip
_WIDTH = 96


class DayLine(msgspec.Struct, frozen=True):
    """One row of a day line: the day from infusion, what happened, where it is written."""

    day: str
    what: str
    sources: tuple[str, ...]
    counted: bool  # does the fact stand behind a *yes*?


def day_line(judged: Judged, lines: int = _LINES) -> tuple[DayLine, ...]:
    """What happened, by day; the rows nearest to death and those that decided are kept."""
    deciding = set(_deciding(judged))
    facts = [
        fact
        for fact in judged.episode.timeline.facts
        if fact in deciding or (fact.concept in _SHOWN and not _old(fact, judged.episode))
    ]
    rows = [
        DayLine(day, what, _sources(same), not deciding.isdisjoint(same))
        for (day, what), same in _grouped(facts, judged.episode)
    ]
    spare = len(rows) - lines
    if spare <= 0:
        return tuple(rows)
    dropped = [row for row in rows if not row.counted][:spare]
    return tuple(row for row in rows if row not in dropped)


def explain(judged: Judged, plan: Plan, patient: str = "") -> str:
    """The page: what came first, of what, on which evidence, and what would change it."""
    blocks = [_headline(judged, patient or judged.episode.patient)]
    verdict = judged.verdict or judged.would_be
    if verdict is not None:
        blocks += [_verdict(judged, verdict, plan)]
    blocks += [_days(judged)]
    if judged.findings:
        blocks += [_rules(judged.findings), _changes(judged, plan)]
    blocks += [_other_policies(judged, plan), _infections(judged, plan)]
    if judged.notes:
        blocks.append("Doubts about the data\n" + _list(str(note) for note in judged.notes))
    return "\n\n".join(block for block in blocks if block) + "\n"


def what_would_change(judged: Judged, plan: Plan) -> tuple[str, ...]:
    """What other evidence would give another cause, tried out by deciding again."""
    verdict = judged.verdict or judged.would_be
    if verdict is None:
        return ()
    said = []
    if verdict.rule:
        rest = [finding for finding in judged.findings if finding.cause is not verdict.cause]
        other = decide(rest, judged.episode, plan)
        said.append(f"If the evidence of {_plain(verdict.cause)} were wrong: {_named(other)}.")
    blind = [f for f in judged.findings if f.answer is Answer.CANNOT_TELL and f.kind == "chart"]
    for sentence, same in groupby(sorted(blind, key=lambda f: f.sentence), lambda f: f.sentence):
        causes = ", ".join(dict.fromkeys(str(finding.cause) for finding in same))
        said.append(f"{sentence} With such evidence {causes} could be named.")
    if not any(finding.kind == "certified" and finding.facts for finding in judged.findings):
        said.append("A coded certificate of death would confirm or contest it.")
    return tuple(said)


def _headline(judged: Judged, patient: str) -> str:
    episode, outcome = judged.episode, judged.outcome
    course = f"{episode.product or 'CAR T cells'} for {episode.indication or 'unknown disease'}"
    age = f", {episode.age_years} years" if episode.age_years is not None else ""
    what = {
        OutcomeKind.NRM: f"died {outcome.time} days after infusion, without recorded relapse",
        OutcomeKind.RELAPSE: f"relapse or progression {outcome.time} days after infusion",
        OutcomeKind.ALIVE: f"alive when last seen, {outcome.time} days after infusion",
        OutcomeKind.NOT_EVALUABLE: f"not evaluable: {outcome.reason.replace('_', ' ')}",
    }[outcome.kind]
    return f"{patient}, episode {episode.number}: {course}{age}\n{what}"


def _other_policies(judged: Judged, plan: Plan) -> str:
    """Only those that would change what came first."""
    first = judged.outcome
    others = alternatives(judged.episode, plan.policy).items()
    differ = [f"{name}: {other.kind}, day {other.time}" for name, other in others
              if (other.kind, other.time) != (first.kind, first.time)]  # fmt: skip
    return "Under other policies\n" + _list(differ) if differ else ""


def _infections(judged: Judged, plan: Plan) -> str:
    rows = [f"day {day}: {organism.replace('_', ' ')} infection"
            for day, organism in infections_of(judged, plan.policy)]  # fmt: skip
    for rule, said, why in prophylaxis_of(judged, plan.prophylaxis, plan.sends, plan.policy):
        if said is not Exposure.DOES_NOT_APPLY:
            rows.append(f"{rule.title}: {said.replace('_', ' ')}{why and f' ({why})'}")
    return "Infections and prophylaxis\n" + _list(rows) if rows else ""


def _verdict(judged: Judged, verdict: Verdict, plan: Plan) -> str:
    after_relapse = judged.verdict is None
    lead = "Not a non-relapse death; the rules would say" if after_relapse else "Cause"
    rows = [f"{lead}: {_named(verdict)}", f"  {verdict.sentence}"]
    if verdict.contributing:
        rows.append(f"  Contributing: {', '.join(verdict.contributing)}")
    both = readings(judged, plan)
    if len(set(both.values())) > 1:
        rows.append("  " + "; ".join(f"{scheme} reads it as {say}" for scheme, say in both.items()))
    if judged.decision is not None:
        made = judged.decision
        changed = " The evidence changed since." if judged.evidence_changed else ""
        rows.append(f"  Decided by a reviewer on {made.decided}: {made.cause}.{changed}")
    rows += [f"  To review: {reason}" for reason in verdict.review_reasons]
    return "\n".join(_wrapped(row) for row in rows)


def _days(judged: Judged) -> str:
    rows = [
        f"{row.day:>9}  {'*' if row.counted else ' '} {row.what}  [{', '.join(row.sources)}]"
        for row in day_line(judged)
    ]
    return "Days from infusion (* stands behind a yes)\n" + "\n".join(rows)


def _rules(findings: Iterable[Finding]) -> str:
    rows, silent = ["Rules"], {Answer.NO: list[str](), Answer.CANNOT_TELL: list[str]()}
    for finding in findings:
        if finding.answer is Answer.YES:
            sure = f", {finding.certainty}" if finding.certainty is not Certainty.NONE else ""
            rows.append(_wrapped(f"  yes  {finding.rule}{sure}: {finding.sentence}"))
        else:
            silent[finding.answer].append(finding.rule)
    for answer, names in silent.items():
        if names:
            rows.append(_wrapped(f"  {answer.replace('_', ' ')}  {', '.join(names)}"))
    return "\n".join(rows)


def _changes(judged: Judged, plan: Plan) -> str:
    said = what_would_change(judged, plan)
    return "What would change it\n" + _list(said) if said else ""


def _named(verdict: Verdict) -> str:
    detail = f" ({_plain(verdict.subcause)})" if verdict.subcause else ""
    sure = f", {verdict.certainty}" if verdict.certainty is not Certainty.NONE else ""
    return f"{_plain(verdict.cause)}{detail}{sure}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _deciding(judged: Judged) -> Iterable[Fact]:
    yield from judged.outcome.facts
    yield from judged.episode.infusions
    for finding in judged.findings:
        if finding.answer is Answer.YES and LADDER.index(finding.certainty):
            yield from finding.facts


def _old(fact: Fact, episode: Episode) -> bool:
    """Before day 0, except what the patient was treated for."""
    if fact.when is None:
        return not fact.traits & {"certified", "no_time"}
    return fact.when.last < episode.infusion.first


def _grouped(
    facts: Iterable[Fact], episode: Episode
) -> Iterable[tuple[tuple[str, str], list[Fact]]]:
    """The same words on one day are one row; a series of one laboratory value is one row."""
    found: dict[tuple[str, str], list[Fact]] = {}
    series: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.concept in ("lab", "vital"):
            series.setdefault(fact.label or fact.subconcept, []).append(fact)
    for fact in facts:
        same = series.get(fact.label or fact.subconcept, [fact])
        if fact is same[-1]:
            what = _range(same) if len(same) > 1 else _what(fact, episode)
            found.setdefault((_day(fact.when, episode), what), []).extend(same)
    return found.items()


def _range(facts: list[Fact]) -> str:
    values = [fact.value for fact in facts if fact.value is not None]
    last = facts[-1]
    name = last.label or last.subconcept.replace("_", " ")
    return f"{name} {min(values):g} to {max(values):g} {last.unit} ({len(values)} values)"


def _sources(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Of a long series the first and the last."""
    every = tuple(dict.fromkeys(fact.source for fact in facts))
    return every if len(every) <= 3 else (every[0], "...", every[-1])


def _day(when: Interval | None, episode: Episode) -> str:
    return str(episode.days(when)) if when is not None else "undated"


def _what(fact: Fact, episode: Episode) -> str:
    name = fact.label or (fact.subconcept or fact.concept).replace("_", " ")
    value = f" {fact.value:g} {fact.unit}".rstrip() if fact.value is not None else ""
    told = [trait.replace("_", " ") for trait in _TOLD if trait in fact.traits]
    if fact.end is not None and fact.end != fact.when:
        told.append(f"until day {episode.days(fact.end)}")
    return f"{name}{value}" + (f" ({', '.join(told)})" if told else "")


def _list(rows: Iterable[str]) -> str:
    return "\n".join(_wrapped(f"  - {row}") for row in rows)


def _wrapped(text: str) -> str:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent)
