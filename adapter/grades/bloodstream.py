"""What a positive culture means: the rules of NHSN bloodstream infection, for grades and causes.

LCBI-1: a recognised pathogen in one blood culture. LCBI-2: the same common commensal in two
separate blood cultures, with fever, chills or hypotension (docs/clinical.md §5).
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import combinations

from adapter.dates import Interval
from adapter.model import Fact

Facts = tuple[Fact, ...]

#: Classes of organisms a subcause can name; the rest is "organism not identified".
CLASSES = frozenset({"bacterial", "viral", "covid19", "fungal", "parasitic"})
UNIDENTIFIED = "organism_not_identified"

_CLOSE_DAYS = 7  # an organism found this near to the infection belongs to it (convention)
_DRAWS_APART_DAYS = 3  # NHSN wants the same or the next day; wards repeat a culture on its result
_SIGN_DAYS = 3  # NHSN infection window: three days either side of the culture
_FEVER = 38.0  # degrees Celsius, NHSN LCBI-2 (above 38.0)


def class_of(classes: Collection[str]) -> str:
    """One class is that class, several are mixed, none is not identified."""
    named = set(classes) & CLASSES
    if not named:
        return UNIDENTIFIED
    return next(iter(named)) if len(named) == 1 else "mixed"


def positive(facts: Iterable[Fact]) -> Facts:
    """Results that found something and name more than a commensal."""
    return tuple(f for f in facts if "positive" in f.traits and "commensal" not in f.traits)


def separate_commensals(cultures: Iterable[Fact]) -> Facts:
    """Those of the positive blood cultures that grew the same commensal on separate occasions."""
    grown = [fact for fact in cultures if "commensal" in fact.traits]
    pairs = (pair for pair in combinations(grown, 2) if _separate(*pair))
    return tuple(dict.fromkeys(fact for pair in pairs for fact in pair))


def _separate(one: Fact, other: Fact) -> bool:
    """Two draws of the same organism: on different days close together, or at two times of a day.

    Two bottles of one draw come as two results of one day without times, or of one time.
    """
    if one.when is None or other.when is None or one.subconcept != other.subconcept:
        return False
    apart = abs(other.when.first - one.when.first)
    if apart == 0:
        return None not in (one.when.clock, other.when.clock) and one.when.clock != other.when.clock
    return apart <= _DRAWS_APART_DAYS


def signs_of_infection(known: Iterable[Fact], cultures: Iterable[Fact]) -> Facts:
    """Fever above 38.0, febrile neutropenia or shock within 3 days of the cultures."""
    days = [fact.when for fact in cultures if fact.when is not None]
    return tuple(f for f in known if _is_sign(f) and near(f.when, days, _SIGN_DAYS))


def _is_sign(fact: Fact) -> bool:
    if fact.concept == "vital":
        return fact.group == "temperature" and (fact.value or 0) > _FEVER
    if fact.concept == "toxicity":
        return fact.group == "fever" or fact.subconcept == "febrile_neutropenia"
    return fact.concept == "organ" and fact.group == "shock"


def organisms_near(known: Iterable[Fact], infections: Iterable[Fact]) -> Facts:
    """What the laboratory or an organism code found within days of any of these infections."""
    days = [fact.when for fact in infections if fact.when is not None]
    return tuple(fact for fact in _organisms(known) if near(fact.when, days, _CLOSE_DAYS))


def _organisms(known: Iterable[Fact]) -> Iterator[Fact]:
    for fact in known:
        named = fact.group in CLASSES
        tested = fact.concept == "microbiology_result" and positive((fact,))
        coded = fact.concept == "infection" and fact.kind == "organism"
        if named and (tested or coded):
            yield fact


def near(when: Interval | None, days: Iterable[Interval], most: int) -> bool:
    """Is the day within `most` days of any of these?"""
    return when is not None and any(
        when.first - day.last <= most and day.first - when.last <= most for day in days
    )
