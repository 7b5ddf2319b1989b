"""Infection episodes, their density by window, and how IgG and CD4 move after infusion.

Infections are seen until the first event: after relapse other therapy decides. What counts as one
infection: docs/decisions/0012-infections.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from adapter.config import Policy
from adapter.grades.bloodstream import (
    CLASSES,
    UNIDENTIFIED,
    class_of,
    organisms_near,
    positive,
    separate_commensals,
    signs_of_infection,
)
from adapter.model import Episode, Fact, Judged
from adapter.timelines import evidence

_DEFAULT = Policy()
#: States that are no illness, codes that only name an organism, and doubtful diagnoses.
_NO_EPISODE = frozenset({"chronic", "sequelae", "organism", "ambiguous"})
_TELLING = ("infection", "microbiology_result", "vital", "toxicity", "organ")
_LATEST = 10**6  # days: the last window is open


class Infection(NamedTuple):
    """One infection: its first day from infusion and its class of organism."""

    day: int
    organism: str


class Window(NamedTuple):
    """Infections that began, and patient-days at risk, from day `first` to `last`."""

    first: int
    last: int | None  # None: open
    infections: tuple[Infection, ...]
    patient_days: int


def infections_of(judged: Judged, policy: Policy = _DEFAULT) -> list[Infection]:
    """The infections of one episode from day 0 to its first event, in order."""
    if judged.outcome.time is None:
        return []
    facts = evidence(judged.episode.timeline.of(*_TELLING))
    known = [f for f in facts if f.when is not None and "certified" not in f.traits]
    said = sorted((*_days(fact, judged.episode), organism) for fact, organism in _statements(known))
    inside = [one for one in said if 0 <= one[0] <= judged.outcome.time.middle]
    return _one_each(inside, policy.infection_repeat_days)


def infection_counts(judged: Judged, policy: Policy) -> dict[str, float | int | None]:
    """How many infections, and the day of the first, for columns."""
    found = infections_of(judged, policy)
    known = judged.outcome.time is not None
    first = found[0].day if found else None
    return {"infections": len(found) if known else None, "first_infection_days": first}


def _statements(known: list[Fact]) -> Iterator[tuple[Fact, str]]:
    """What says that the patient was infected, with the class of organism.

    A viral load or a culture of another site than blood may be carriage: it names the organism of
    a diagnosis near it, but is no illness by itself.
    """
    cultures = [f for f in known if f.concept == "microbiology_result"
                and {"positive", "blood"} <= f.traits]  # fmt: skip
    yield from ((f, f.group) for f in positive(cultures) if f.group in CLASSES)
    commensals = separate_commensals(cultures)
    yield from ((f, class_of({f.group})) for f in commensals if signs_of_infection(known, [f]))
    for fact in known:
        if fact.concept == "infection" and fact.kind not in _NO_EPISODE:
            found = {fact.group} & CLASSES or {o.group for o in organisms_near(known, [fact])}
            yield fact, class_of(found)
        elif fact.concept == "microbiology_result" and fact.group == "covid19":
            yield from ((f, f.group) for f in positive([fact]))


def _days(fact: Fact, episode: Episode) -> tuple[int, int]:
    days = [episode.days(when).middle for when in (fact.when, fact.end) if when is not None]
    return days[0], max(days)


def _one_each(said: Iterable[tuple[int, int, str]], repeat: int) -> list[Infection]:
    """Statements of one class closer than the repeat timeframe are one infection.

    One without an organism belongs to whichever infection is that close.
    """
    last: dict[str, int] = {}
    found = []
    for day, end, organism in said:
        known = organism
        if organism == UNIDENTIFIED:
            known = max(last, key=last.__getitem__, default=organism)
        if known not in last or day - last[known] > repeat:
            found.append(Infection(day, organism))
            known = organism
        last[known] = max(end, last.get(known, end))
    return found


def windows_of(policy: Policy = _DEFAULT) -> list[tuple[int, int | None]]:
    """First and last day of each window: 0-30, 31-100, 101-180, 181 or later by default."""
    ends = sorted(set(policy.infection_windows))
    return list(zip((0, *(end + 1 for end in ends)), (*ends, None), strict=True))


def by_window(cohort: Sequence[Judged], policy: Policy = _DEFAULT) -> list[Window]:
    """Infections and patient-days of every window; density is the one over the other."""
    every = [one for judged in cohort for one in infections_of(judged, policy)]
    ends = [j.outcome.time.middle for j in cohort if j.outcome.time is not None]
    return [
        Window(
            first, last,
            tuple(one for one in every if first <= one.day <= (last or _LATEST)),
            sum(max(0, min(end, last or _LATEST) - first + 1) for end in ends),
        )
        for first, last in windows_of(policy)
    ]  # fmt: skip


def trajectory(judged: Judged, analyte: str) -> list[tuple[int, float]]:
    """(day, value) from infusion to the first event: IgG in mg/dL, CD4 per µL."""
    until = judged.outcome.time.middle if judged.outcome.time else -1
    labs = (fact for fact in judged.episode.timeline.of("lab") if fact.group == analyte)
    values = (
        (judged.episode.days(fact.when).middle, fact.value)
        for fact in evidence(labs)
        if fact.when is not None and fact.value is not None
    )
    return [(day, value) for day, value in values if 0 <= day <= until]


def lowest_by_window(
    cohort: Iterable[Judged], analyte: str, policy: Policy = _DEFAULT
) -> list[list[float]]:
    """Per window the lowest value of each episode that has one there."""
    series = [trajectory(judged, analyte) for judged in cohort]
    inside = [
        [[value for day, value in one if first <= day <= (last or _LATEST)] for one in series]
        for first, last in windows_of(policy)
    ]
    return [[min(values) for values in window if values] for window in inside]
