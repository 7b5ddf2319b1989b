"""One timeline becomes its CAR T courses: day 0, product, indication, baseline, follow-up."""

from collections.abc import Sequence

from adapter.config import Policy
from adapter.dates import Interval, days_between, hull, overlap, years_between
from adapter.deaths import resolve_death
from adapter.model import NO_EVIDENCE, Death, Episode, Fact, Note, Timeline
from adapter.timelines import evidence

_SAME_INFUSION = 1  # days: one infusion filed by ward and pharmacy on two sides of midnight
_BILLING_LAG = 90  # days: a bill this near an infusion is the bill of it (convention)
_LYMPHODEPLETION = 14  # days before day 0 in which fludarabine and the like prepare for it
_BASELINE = 30  # days before lymphodepletion from which a baseline value may come
_ORDERED = 60  # days before infusion in which an order may name the product
_OLDEST = 120  # years: beyond it, as before birth, a date of birth or infusion is wrong
_UNDATED = Interval(1, 3_652_059, "date unknown")  # any day of the calendar

IMPOSSIBLE_AGE = "impossible_age"
#: Indications that name no entity: used only when nothing better is known.
VAGUE = frozenset({"", "NHL_unspecified", "B_NHL_unspecified"})
#: Lymphomas that no approved product treats: never the index disease, whatever stands first.
_NOT_AN_INDEX = frozenset({"HL", "T_NHL"})
_COLLECTED = frozenset({"leukapheresis", "cart_processing"})


def episodes_of(timeline: Timeline, policy: Policy) -> list[Episode]:
    """The CAR T courses of one patient in order; [] when nothing proves an infusion."""
    courses = _courses(timeline, policy)
    days = [_day_zero(course) for course in courses]
    death = resolve_death(timeline, policy) if courses else None
    end = _followup_end(timeline, death)
    found = []
    for number, (course, day_zero) in enumerate(zip(courses, days, strict=True), start=1):
        product, product_notes = _product(course, timeline, day_zero)
        indication, indication_notes = _indication(timeline, day_zero)
        age, age_notes = _age(timeline, day_zero)
        found.append(Episode(
            patient=timeline.patient,
            number=number,
            infusion=day_zero,
            timeline=timeline,
            infusions=tuple(sorted(course, key=lambda fact: fact.day_key)),
            product=product,
            indication=indication,
            age_years=age,
            death=death,
            followup_end=end,
            next_infusion=days[number] if number < len(days) else None,
            notes=(*_date_notes(course, day_zero), *age_notes, *product_notes,
                   *indication_notes),
            baseline=_baseline(timeline, day_zero),
        ))  # fmt: skip
    return found


def why_not(timeline: Timeline) -> str:
    """Why somebody with traces of cell therapy is no recipient; "" when an infusion is proved."""
    if _infusions(timeline):
        return ""
    facts = [fact for fact in timeline.facts if "entered_in_error" not in fact.traits]
    concepts = {fact.concept for fact in facts}
    reasons = {
        "review_code": any("review_only" in f.traits or f.concept == "cart_infusion_review"
                           for f in facts if f.concept in ("cart_infusion", "cart_product",
                                                           "cart_infusion_review")),
        "look_alike": any(_is_lookalike(fact) for fact in facts),
        "ordered_never_given": any(_names_infusion(fact) for fact in facts),
        "collected_only": bool(concepts & _COLLECTED),
        "history_only": "cart_history" in concepts,
        "entered_in_error": any("entered_in_error" in f.traits and (
            _is_lookalike(f) or f.concept.startswith(("cart_", "leukapheresis"))
        ) for f in timeline.facts),
    }  # fmt: skip
    return next((reason for reason, found in reasons.items() if found), "no_evidence")


def _names_infusion(fact: Fact) -> bool:
    return (
        fact.concept in ("cart_infusion", "cart_product")
        and fact.subconcept != "unclassified_biologic"  # a HCPCS code for any new biologic
    )


def _is_lookalike(fact: Fact) -> bool:
    return fact.concept.endswith("_EXCLUDE") and fact.concept.startswith(("cart_", "hct_"))


def _infusions(timeline: Timeline) -> list[Fact]:
    """Evidence of infusions. A generic code beside a look-alike on that day means the look-alike.

    Until 2021 XW033C3 was the only procedure code at hand, and was used for lifileucel too.
    """
    others = [f.when for f in timeline.facts if f.when and _is_lookalike(f)
              and f.traits.isdisjoint(NO_EVIDENCE)]  # fmt: skip
    return [
        fact
        for fact in timeline.of("cart_infusion", "cart_product")
        if _names_infusion(fact) and fact.happened
        and (product_of(fact) or not any(_same_time(fact, when) for when in others))
    ]  # fmt: skip


def _same_time(fact: Fact, when: Interval) -> bool:
    apart = days_between(when, fact.when) if fact.when else None
    return apart is not None and apart.low <= _SAME_INFUSION and apart.high >= -_SAME_INFUSION


def product_of(fact: Fact) -> str:
    """The product a fact names, or "" for a generic code."""
    return fact.group if fact.group.endswith("-cel") else ""


def _trust(fact: Fact) -> int:
    """Order of trust of the infusion date: docs/decisions/0001-day-zero.md."""
    if "billing" in fact.traits:
        return 5
    if fact.concept == "cart_product":
        return 2
    if fact.subconcept.startswith("car_t_administration"):
        return 1
    return 0 if product_of(fact) else 3


# -- courses ---------------------------------------------------------------------------------


def _courses(timeline: Timeline, policy: Policy) -> list[list[Fact]]:
    """Infusion evidence, the trusted first, gathered into courses in order of their day 0."""
    found = _infusions(timeline)
    found.sort(key=lambda fact: (_certainty(fact), fact.when.first if fact.when else 0))
    courses: list[list[Fact]] = []
    for fact in found:
        home = next((c for c in courses if _belongs(fact, c, policy.course_gap_days)), None)
        if home is None:
            courses.append([fact])
        else:
            home.append(fact)
    return sorted(courses, key=lambda course: _day_zero(course).first)


def _certainty(fact: Fact) -> int:
    """Exact days found courses; months, bills and undated statements then join them."""
    if fact.when is None:
        return 3
    if "billing" in fact.traits:
        return 2
    return 0 if fact.when.exact else 1


def _belongs(fact: Fact, course: Sequence[Fact], gap: int) -> bool:
    """Bills come late, never weeks early; other evidence of one course is within the gap."""
    if fact.when is None:
        return True
    clinical = [other for other in course if "billing" not in other.traits]
    whole = hull(other.when or _UNDATED for other in clinical or course)
    after, before = fact.when.first - whole.last, whole.first - fact.when.last
    if max(after, before) <= _SAME_INFUSION:
        return True
    named = {product_of(other) for other in course} - {""}
    if product_of(fact) and named and product_of(fact) not in named:
        return False
    late_bill = "billing" in fact.traits and clinical
    return before <= gap and after <= (max(gap, _BILLING_LAG) if late_bill else gap)


def _day_zero(course: Sequence[Fact]) -> Interval:
    """The first infusion of the course; a bill or an undated line counts only when alone."""
    dated = [fact for fact in course if fact.when is not None]
    clinical = [fact for fact in dated if "billing" not in fact.traits] or dated
    exact = [fact for fact in clinical if fact.when and fact.when.exact]
    if exact:
        first = min(fact.when.first for fact in exact if fact.when)
        near = [f for f in exact if f.when and f.when.first <= first + _SAME_INFUSION]
        return min(near, key=_trust).when or _UNDATED
    narrowed = clinical[0].when if clinical else _UNDATED
    for fact in clinical[1:]:
        narrowed = (overlap(narrowed, fact.when) if narrowed and fact.when else None) or narrowed
    return narrowed or _UNDATED


# -- one episode -----------------------------------------------------------------------------


def _age(timeline: Timeline, day_zero: Interval) -> tuple[int | None, list[Note]]:
    """Completed years at infusion; none where nobody can have that age."""
    if timeline.born is None:
        return None, []
    lived = days_between(timeline.born, day_zero)
    if lived.high >= 0 and lived.low < (_OLDEST + 1) * 365:
        return years_between(timeline.born, day_zero), []
    return None, [Note(f"The age at infusion would not lie within 0 and {_OLDEST} years.",
                       f"Patient/{timeline.patient}", "Correct the date of birth or of infusion.",
                       IMPOSSIBLE_AGE)]  # fmt: skip


def _date_notes(course: Sequence[Fact], day_zero: Interval) -> list[Note]:
    where = course[0].source
    if day_zero == _UNDATED:
        return [Note("The infusion has no date.", where, "Record it at the source.",
                     "infusion_undated")]  # fmt: skip
    notes = []
    if not day_zero.exact:
        notes.append(Note(f"The infusion is dated {day_zero.iso} only.", where,
                          "Record the day at the source.", "partial_date"))  # fmt: skip
    if all("billing" in fact.traits for fact in course if fact.when):
        notes.append(Note("Only a bill dates the infusion.", where,
                          "Confirm the day of infusion.", "billing_only"))  # fmt: skip
    near = {f.when.first for f in course
            if f.when and f.when.exact and "billing" not in f.traits
            and abs(f.when.first - day_zero.first) <= _SAME_INFUSION}  # fmt: skip
    if len(near) > 1:
        notes.append(Note("Sources put the infusion on neighbouring days; the most trusted counts.",
                          where, "", "infusion_conflict"))  # fmt: skip
    return notes


def _product(
    course: Sequence[Fact], timeline: Timeline, day_zero: Interval
) -> tuple[str, list[Note]]:
    """The product named by the most trusted source, or else by a recent order."""
    named = [(product_of(f), f) for f in sorted(course, key=_trust) if product_of(f)]
    names = list(dict.fromkeys(name for name, _ in named))
    if len(names) > 1:
        return names[0], [
            Note(f"One course, several products: {', '.join(names)}; {names[0]} is used.",
                 named[-1][1].source, "Correct the wrong code.", "product_conflict")
        ]  # fmt: skip
    if names:
        return names[0], []
    ordered = [
        fact for fact in timeline.of("cart_product")
        if "planned" in fact.traits and product_of(fact) and fact.when
        and -_ORDERED <= days_between(day_zero, fact.when).low <= _SAME_INFUSION
    ]  # fmt: skip
    if len({product_of(fact) for fact in ordered}) == 1:
        return product_of(ordered[0]), [
            Note("The product is known from its order only.", ordered[0].source, "",
                 "product_from_order")
        ]  # fmt: skip
    return "", [Note("No code names the product.", course[0].source,
                     "Map the local product code (cart-nrm mappings coverage).",
                     "product_unknown")]  # fmt: skip


def _indication(timeline: Timeline, day_zero: Interval) -> tuple[str, list[Note]]:
    """The treated disease: specific before vague, then nearest before day 0."""
    named = [
        fact for fact in evidence(timeline.of("indication")) if fact.group not in _NOT_AN_INDEX
    ]
    known = [fact for fact in named if fact.when is None or fact.when.first <= day_zero.last]
    notes = []
    if not known and named:
        known = named
        notes.append(Note("The indication is recorded after the infusion only.", named[0].source,
                          "", "indication_late"))  # fmt: skip
    specific = [fact for fact in known if fact.group not in VAGUE] or known
    if not specific:
        return "", [Note("No B-cell or plasma-cell malignancy is recorded.", "",
                         "Map the local diagnosis code.", "indication_unknown")]  # fmt: skip
    nearest = max(specific, key=lambda fact: (_nearness(fact, day_zero), fact.day_key))
    others = sorted({fact.group for fact in specific} - {nearest.group})
    if others:
        notes.append(Note(f"Several indications: {nearest.group} is used, {', '.join(others)} "
                          "stand beside it.", nearest.source,
                          "Confirm the treated disease.", "indication_conflict"))  # fmt: skip
    return nearest.group or nearest.subconcept, notes


def _nearness(fact: Fact, day_zero: Interval) -> int:
    """Higher is nearer to day 0; undated statements come last."""
    return -abs(day_zero.first - fact.when.first) if fact.when else -(10**9)


def _baseline(timeline: Timeline, day_zero: Interval) -> dict[str, float]:
    """The last value of each analyte before lymphodepletion, or before day 0 without any.

    Units are those of the facts: 10*3/uL, g/dL (Hb), mg/L (CRP), ng/mL (ferritin), U/L, mg/dL.
    """
    if not day_zero.exact:
        return {}
    started = [
        fact.when.first
        for fact in evidence(timeline.of("lymphodepletion"))
        if fact.when and 0 < day_zero.first - fact.when.first <= _LYMPHODEPLETION
    ]
    last = min(started, default=day_zero.first - 1)
    values: dict[str, float] = {}
    for fact in evidence(timeline.of("lab")):  # in order: a later value replaces an earlier one
        if fact.when and fact.value is not None and last - _BASELINE <= fact.when.first <= last:
            values[fact.group] = fact.value
    return values


def _followup_end(timeline: Timeline, death: Death | None) -> Interval | None:
    """The death, or else the last finished contact; orders and late entries are no contact."""
    if death is not None and death.when is not None:
        return death.when
    days = (fact.end or fact.when for fact in evidence(timeline.of("contact")))
    return max(filter(None, days), key=lambda day: (day.first, day.last), default=None)
