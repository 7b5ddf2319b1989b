"""Prophylaxis exposure: met, not met, or cannot evaluate, for every rule that applies.

The rules are data with a source each (mappings/prophylaxis.csv); they watch adherence and advise
nobody. A prescription counts as exposure, because what is taken at home leaves no other trace.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from adapter.codes.prophylaxis import ProphylaxisRule
from adapter.config import Policy
from adapter.grades.infections import trajectory
from adapter.model import NO_EVIDENCE, Fact, Judged
from adapter.timelines import evidence

_NEVER = NO_EVIDENCE - {"planned"} | {"history"}
_MOULDS = frozenset({"aspergillosis", "pulmonary_aspergillosis", "mucormycosis", "zygomycosis",
                     "invasive_pulmonary_aspergillosis"})  # fmt: skip
_HBV = frozenset({"HBsAg", "anti_HBc", "HBV_DNA"})
_AIRWAYS = frozenset({"pneumonia", "respiratory"})
_SEVERE_NEUTROPENIA = 0.5  # 10*3/µL
_NEUTROPENIC_UNTIL = 30  # days: later neutropenia is another question
_INFECTION_NEAR_DAYS = 30  # an infection this near to a low IgG goes with it (convention)
_STEROID_DAYS, _STEROID_SPAN = 5, 7  # five days of steroids within a week


class Exposure(StrEnum):
    """What can be said of one rule and one episode."""

    MET = "met"
    NOT_MET = "not_met"
    CANNOT_EVALUATE = "cannot_evaluate"
    DOES_NOT_APPLY = "does_not_apply"


class Adherence(NamedTuple):
    """One rule's answer, and why it is not *met*."""

    rule: ProphylaxisRule
    exposure: Exposure
    why: str = ""


def prophylaxis_of(
    judged: Judged, rules: Iterable[ProphylaxisRule], sends: frozenset[str], policy: Policy
) -> list[Adherence]:
    """What every rule says of one episode up to its first event."""
    return [Adherence(rule, *_ask(rule, judged, sends, policy)) for rule in rules]


def _ask(
    rule: ProphylaxisRule, judged: Judged, sends: frozenset[str], policy: Policy
) -> tuple[Exposure, str]:
    if not judged.episode.infusion.exact or judged.outcome.time is None:
        return Exposure.CANNOT_EVALUATE, "the day of infusion or the end of follow-up is not known"
    begins = _WHO[rule.who](judged, policy)
    if begins is None:
        return Exposure.DOES_NOT_APPLY, ""
    if isinstance(begins, str):
        return Exposure.CANNOT_EVALUATE, begins
    if not rule.needs & sends:
        return Exposure.CANNOT_EVALUATE, f"the source never sends {' or '.join(sorted(rule.needs))}"
    end = judged.outcome.time.middle
    days = [day for day in _recorded(rule, judged) if day <= end]
    if not any(rule.first <= day - begins <= rule.last for day in days):
        if end < begins + rule.last:
            return Exposure.CANNOT_EVALUATE, f"observed to day {end} only"
        return Exposure.NOT_MET, f"not begun by day {begins + rule.last}"
    return _kept_up(rule, judged, sends, [day for day in days if day >= begins + rule.first])


def _kept_up(
    rule: ProphylaxisRule, judged: Judged, sends: frozenset[str], days: list[int]
) -> tuple[Exposure, str]:
    """Do the records go on to the end that the rule, CD4 or follow-up sets?"""
    if rule.until is None or rule.gap is None or judged.outcome.time is None:
        return Exposure.MET, ""
    ends = [rule.until, judged.outcome.time.middle]
    if rule.cd4 is not None:
        ends += [day for day, value in trajectory(judged, "CD4") if value > rule.cd4]
    breaks = [a for a, b in pairwise([*days, min(ends)]) if b - a > rule.gap]
    if not breaks:
        return Exposure.MET, ""
    if "MedicationRequest" not in sends:
        return Exposure.CANNOT_EVALUATE, "the source never sends what is prescribed for home"
    return Exposure.NOT_MET, f"no record for more than {rule.gap} days after day {breaks[0]}"


def _recorded(rule: ProphylaxisRule, judged: Judged) -> list[int]:
    """Days on which one of the rule's drugs was given or prescribed, or its test done."""
    found: set[int] = set()
    for fact in judged.episode.timeline.facts:
        if fact.subconcept in rule.facts and fact.traits.isdisjoint(_NEVER):
            found |= {judged.episode.days(when).middle for when in (fact.when, fact.end) if when}
    return sorted(found)


# -- whom a rule is for: the day it begins to apply, None when it does not, or why nobody knows ----

Begins = int | str | None


def _everybody(_: Judged, __: Policy) -> Begins:
    return 0


def _high_risk(judged: Judged, _: Policy) -> Begins:
    high = judged.grades.get("car_hematotox_high")
    return "CAR-HEMATOTOX is not known" if high is None else 0 if high else None


def _neutropenia(judged: Judged, _: Policy) -> Begins:
    counts = [(day, v) for day, v in trajectory(judged, "ANC") if day <= _NEUTROPENIC_UNTIL]
    if not counts:
        return "no neutrophil count in the first month"
    return min((day for day, value in counts if value < _SEVERE_NEUTROPENIA), default=None)


def _high_risk_neutropenia(judged: Judged, policy: Policy) -> Begins:
    risk = _high_risk(judged, policy)
    return _neutropenia(judged, policy) if risk == 0 else risk


def _hepatitis_b(judged: Judged, _: Policy) -> Begins:
    tests = [f for f in _before(judged, "lab_micro", "microbiology_result") if f.subconcept in _HBV]
    if not tests:
        return "hepatitis B was not tested before infusion"
    return 0 if any("positive" in fact.traits for fact in tests) else None


def _prior_mould(judged: Judged, _: Policy) -> Begins:
    return 0 if any(f.subconcept in _MOULDS for f in _before(judged, "infection")) else None


def _low_igg_infection(
    judged: Judged, policy: Policy, kinds: frozenset[str] = frozenset()
) -> Begins:
    values = trajectory(judged, "IgG")
    if not values:
        return "IgG was not measured"
    ill = [
        judged.episode.days(fact.when).middle
        for fact in evidence(judged.episode.timeline.of("infection"))
        if fact.when is not None and (fact.kind in kinds if kinds else fact.kind != "minor")
    ]
    low = [day for day, value in values if value < policy.low_igg]
    both = [max(d, i) for d in low for i in ill if i >= 0 and abs(d - i) <= _INFECTION_NEAR_DAYS]
    return min(both, default=None)


def _low_igg_airway_infection(judged: Judged, policy: Policy) -> Begins:
    return _low_igg_infection(judged, policy, _AIRWAYS)


def _five_days_of_steroids(judged: Judged, _: Policy) -> Begins:
    given = sorted({
        judged.episode.days(fact.when).middle
        for fact in evidence(judged.episode.timeline.of("supportive_drug"))
        if fact.group == "steroid" and fact.when is not None
    })  # fmt: skip
    days = [day for day in given if day >= 0]
    runs = zip(days, days[_STEROID_DAYS - 1 :], strict=False)
    return min((last for first, last in runs if last - first < _STEROID_SPAN), default=None)


def _before(judged: Judged, *concepts: str) -> list[Fact]:
    zero = judged.episode.infusion.first
    facts = judged.episode.timeline.of(*concepts)
    return [f for f in facts if f.counts and (f.when is None or f.when.first <= zero)]


_WHO: dict[str, Callable[[Judged, Policy], Begins]] = {
    who.__name__.removeprefix("_"): who
    for who in (
        _everybody, _high_risk, _neutropenia, _high_risk_neutropenia, _hepatitis_b, _prior_mould,
        _low_igg_infection, _low_igg_airway_infection, _five_days_of_steroids,
    )
}  # fmt: skip
