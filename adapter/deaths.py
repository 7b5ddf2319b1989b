"""Several sources, precisions and contradictions become one resolved death with notes."""

from msgspec.structs import replace

from adapter.config import Policy
from adapter.dates import Interval, before, overlap
from adapter.model import Death, Fact, Note, Timeline
from adapter.timelines import evidence

#: Statements whose date is the day of death. Others (certificates, vital status, a certified
#: cause) prove the death and are dated by the day somebody wrote them.
_DATING = frozenset(
    {
        "deceased_flag", "death_date", "pronounced_dead", "dead", "patient_died", "death_event",
        "death_in_hospital", "died_in_hospital", "discharge_deceased_autopsy",
        "discharge_deceased_no_autopsy", "discharge_expired", "nubc_discharge_expired",
        "de_discharge_death", "cause_of_death_obs",
    }
)  # fmt: skip
#: Values of a vital status, and the tumour-death flag that counts treatment deaths with them.
_NOT_DEAD = frozenset(
    {"alive", "hospice", "lost_to_follow_up", "follow_up_ended", "vital_status_unknown", "unusable"}
)
#: Which date is believed when sources disagree: the death record, then the master data, then the
#: discharge (which may be the day the body left), then the rest. docs/decisions/0007-death.md
_TRUST = ("death_date", "pronounced_dead", "deceased_flag")
_NEAR_MIDNIGHT = 1  # days: death at 23:50 is filed on the next day by some systems


def resolve_death(timeline: Timeline, policy: Policy) -> Death | None:
    """The death of this patient, or None; `when` is None when nobody says on which day."""
    proofs = evidence(filter(_proves, timeline.facts))
    if not proofs:
        return None
    dated = sorted((fact for fact in proofs if _dates(fact)), key=_trust)
    when, notes, disputed = _one_date(dated)
    when = _after_contact(timeline, when)
    for found in (_alive_claims(timeline, when), _seen_later(timeline, when, policy)):
        notes += found
        disputed = disputed or bool(found)
    if when is None:
        notes.append(Note("Death is recorded without a date that can be used.", proofs[0].source,
                          "Find the date of death and record it.", "death_undated"))  # fmt: skip
    return Death(when, tuple(proofs), tuple(notes), disputed)


def _proves(fact: Fact) -> bool:
    """A certified cause proves death too, though it never dates it."""
    if fact.concept == "death":
        return fact.group not in _NOT_DEAD
    return "certified" in fact.traits


def _dates(fact: Fact) -> bool:
    """An entry date is not a date of death: deaths are often entered weeks later."""
    dated_by_entry = "day_only_from_entry" in fact.traits
    return fact.subconcept in _DATING and fact.when is not None and not dated_by_entry


def _trust(fact: Fact) -> tuple[int, int, str]:
    rank = _TRUST.index(fact.subconcept) if fact.subconcept in _TRUST else len(_TRUST)
    width = fact.when.last - fact.when.first if fact.when else 0
    return (rank + ("discharge" in fact.traits), width, fact.source)


def _one_date(dated: list[Fact]) -> tuple[Interval | None, list[Note], bool]:
    """Overlapping dates narrow each other; of dates that exclude each other the first is kept."""
    when: Interval | None = None
    notes: list[Note] = []
    disputed = False
    for fact in dated:
        said = fact.when
        both = overlap(when, said) if when and said else said
        if both is not None:
            when = both
        elif when and said:
            apart = max(said.first - when.last, when.first - said.last)
            disputed = disputed or apart > _NEAR_MIDNIGHT
            notes.append(_conflict(when, said, apart, fact.source))
    return when, notes, disputed


def _after_contact(timeline: Timeline, when: Interval | None) -> Interval | None:
    """A year of death begins no earlier than the last day on which somebody met the patient."""
    if when is None or when.exact:
        return when
    met = [fact.when.first for fact in evidence(timeline.of("contact")) if fact.when]
    return replace(when, first=max(day for day in (when.first, *met) if day <= when.last))


def _conflict(when: Interval, said: Interval, apart: int, source: str) -> Note:
    return Note(
        f"Two dates of death, {when.iso} and {said.iso}, {apart} day(s) apart; {when.iso} is used.",
        source, "Correct the wrong one at the source.", "death_conflict",
    )  # fmt: skip


def _alive_claims(timeline: Timeline, when: Interval | None) -> list[Note]:
    """Patient.deceased is false, or somebody reports the patient alive after the death."""
    return [
        Note("The source says the patient is alive beside a recorded death.", fact.source,
             "Check which is true and correct the other.", "alive_and_dead")
        for fact in evidence(timeline.of("death"))
        if fact.group == "alive"
        and (fact.when is None or when is None or before(when, fact.when) is True)
    ]  # fmt: skip


def _seen_later(timeline: Timeline, when: Interval | None, policy: Policy) -> list[Note]:
    """Contacts beyond the tail in which autopsies and late entries are normal."""
    if when is None:
        return []
    limit = when.last + policy.after_death_days
    later = [
        fact
        for fact in evidence(timeline.of("contact"))
        if fact.when is not None and fact.when.first > limit
    ]
    if not later or later[0].when is None:
        return []
    return [
        Note(f"{len(later)} contact(s) more than {policy.after_death_days} days after the death, "
             f"the first {later[0].when.first - when.last} days after it.", later[0].source,
             "Check the date of death, and whether two people share this record.",
             "contact_after_death")
    ]  # fmt: skip
