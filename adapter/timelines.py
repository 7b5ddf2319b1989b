"""One patient's facts in order: sorted, each statement once, whatever order they came in."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from adapter.dates import Interval
from adapter.model import Fact, Note, Timeline

if TYPE_CHECKING:
    from adapter.facts import PatientFacts

_FOREVER = 10**9
_UNDATED = (10**9, 0, 0, "")  # undated facts come last
AFTER_CUT = "after_cut"
_CUT_DAYS = 1  # the day of a run is that of UTC: a ward east of it may already write the next


def timeline_of(read: "PatientFacts | Timeline", cut: int | None = None) -> Timeline:
    """The facts of one patient in order; asking again of the answer changes nothing.

    One resource that says the same thing in several code systems is one fact: a Condition coded in
    ICD-10-CM and SNOMED CT is not two infections. Nothing can have happened after `cut`, the day
    the data were last heard of: a visit in "2042" is a visit on an unknown day, with a note.
    """
    kept: dict[tuple[object, ...], Fact] = {}
    limit, late = (_FOREVER if cut is None else cut + _CUT_DAYS), set[str]()
    for fact in read.facts:
        if fact.when is not None and fact.when.first > limit and fact.counts:
            late.add(fact.source)
            fact = replace(fact, when=None, traits=fact.traits | {"no_time"})
        key = _statement(fact)
        known = kept.get(key)
        kept[key] = fact if known is None else _merged(known, fact)
    return Timeline(
        patient=read.patient,
        facts=tuple(sorted(kept.values(), key=_order)),
        notes=tuple(
            sorted(
                {*read.notes, *_after_cut(late)},
                key=lambda note: (note.kind, note.where, note.what),
            )
        ),
        sex=read.sex,
        born=read.born,
        synthetic=read.synthetic,
    )


def _after_cut(sources: set[str]) -> list[Note]:
    if not sources:
        return []
    times = f" ({len(sources)} times)" if len(sources) > 1 else ""
    return [Note(f"A date after the data were cut is not used.{times}", min(sources),
                 "Correct it at the source.", AFTER_CUT)]  # fmt: skip


def evidence(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that say that something happened at its date, in the order given.

    "Status after" (German certainty Z, Z92.850) says that it once happened, not when.
    """
    return [fact for fact in facts if fact.happened]


def _statement(fact: Fact) -> tuple[object, ...]:
    return (fact.source, fact.concept, fact.subconcept, fact.group, fact.value, fact.unit,
            fact.when, fact.end)  # fmt: skip


def _merged(one: Fact, other: Fact) -> Fact:
    """The same statement under two codes; the choice must not depend on which came first."""
    first, second = sorted((one, other), key=lambda fact: (fact.code, fact.label, _order(fact)))
    recorded = min((one.recorded, other.recorded), key=_interval)
    return replace(first, traits=first.traits | second.traits, recorded=recorded)


def _order(fact: Fact) -> tuple[object, ...]:
    """A total order: two different facts never compare equal, so input order cannot show."""
    return (
        _interval(fact.when), fact.concept, fact.source, fact.code, fact.subconcept, fact.group,
        fact.value if fact.value is not None else -1e300, fact.unit, fact.label, fact.kind,
        _interval(fact.end), _interval(fact.recorded), sorted(fact.traits) if fact.traits else [],
    )  # fmt: skip


def _interval(when: Interval | None) -> tuple[int, int, int, str]:
    """By day, then by the clock; what has no date comes last."""
    if when is None:
        return _UNDATED
    return (when.first, -1 if when.clock is None else when.clock, when.last, when.text)
