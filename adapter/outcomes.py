"""What came first after an infusion: relapse or progression, death without it, or neither so far.

The rules are numbered in docs/decisions/0005-first-event.md; nothing here reads a cause.
"""

import msgspec

from adapter.config import Policy
from adapter.dates import Days
from adapter.episodes import IMPOSSIBLE_AGE
from adapter.model import Episode, Fact, Note, Outcome, OutcomeKind
from adapter.timelines import AFTER_CUT, evidence

#: Why an episode has no outcome, and how an event was decided: the slugs of `Outcome.reason`.
REASONS: dict[str, str] = {
    "infusion_undated": "the infusion has no date, or one wider than a month",
    "death_before_infusion": "death is dated before the infusion",
    "death_without_date": "death is known, its day is not, and nothing else came first",
    "no_contact_after_infusion": "nobody saw the patient after the infusion",
    "relapse_documented": "relapse or progression is recorded",
    "transformation": "another, more aggressive disease of the same lineage was diagnosed",
    "next_therapy": "next anticancer therapy or another infusion, counted as the policy says",
    "later_hct": "allogeneic transplant, counted as the policy says",
    "death_without_relapse": "death, and no relapse before it",
    "last_contact": "alive at the last finished contact",
}

_CHOICES = {
    "relapse_evidence": ("documented", "documented+therapy"),
    "next_therapy": ("ignore", "censor"),
    "later_hct": ("ignore", "censor", "relapse"),
}
_WIDEST_INFUSION = 31  # days: "2021-05" still gives a usable time, "2021" does not (convention)
_FOREVER = 10**9  # days
_EVENT_GROUPS = frozenset({"relapse", "progression"})
_NOT_OWN_DATE = frozenset({"problem_list", "day_only_from_entry", "dated_by_encounter"})
_INDOLENT = frozenset({"FL", "MZL", "CLL", "WM"})
#: "In relapse" codes that name their disease: of another one than the treated, they are no event.
_RELAPSE_OF = {"MM_relapse": "MM", "ALL_relapse": "B_ALL", "CLL_relapse": "CLL"}
#: Given for other reasons after CAR T: steroids for CRS and ICANS, etoposide for IEC-HS,
#: rituximab for EBV or immune cytopenia. Not by themselves a next anticancer therapy.
_OTHER_USE = frozenset({"dexamethasone", "etoposide", "rituximab"})


class _Event(msgspec.Struct, frozen=True):
    """Something that may have come first; `days` from infusion."""

    kind: OutcomeKind
    days: Days
    reason: str
    facts: tuple[Fact, ...]


def outcome_of(episode: Episode, policy: Policy) -> Outcome:
    """The first event of an episode, or why there is none; see REASONS for `reason`."""
    blocked = _not_evaluable(episode)
    if blocked:
        return _unknown(episode, blocked)
    doubts = [note for fact in _claims(episode) for note in _why_uncounted(fact, episode, policy)]
    relapse = _relapse(episode, policy)
    therapy = _therapies(episode, policy)
    first = _first([event for event in (relapse, *therapy) if event is not None])
    if first is None:
        outcome = _death_or_contact(episode)
    else:
        outcome = Outcome(first.kind, first.days, first.reason, first.facts)
    unsettled = any(d.todo for d in doubts) and outcome.reason != "relapse_documented"
    disputed = episode.death is not None and episode.death.disputed
    treated = _unexplained_therapy(episode, relapse)
    notes = (*episode.timeline.notes, *episode.notes)
    misdated = any(note.kind in (AFTER_CUT, IMPOSSIBLE_AGE) for note in notes)
    return msgspec.structs.replace(
        outcome,
        notes=(*doubts, *_unfollowed(episode, outcome), *treated),
        needs_review=bool(unsettled or disputed or treated or misdated or outcome.needs_review),
    )


def other_policies(policy: Policy) -> dict[str, Policy]:
    """The policies that differ from this one in one setting of relapse or censoring."""
    return {
        f"{key}={choice}": policy.model_copy(update={key: choice})
        for key, choices in _CHOICES.items()
        for choice in choices
        if choice != getattr(policy, key)
    }


def alternatives(episode: Episode, policy: Policy) -> dict[str, Outcome]:
    """The outcome each of the other policies would give."""
    return {name: outcome_of(episode, other) for name, other in other_policies(policy).items()}


# -- not evaluable ---------------------------------------------------------------------------


def _not_evaluable(episode: Episode) -> str:
    if episode.infusion.last - episode.infusion.first >= _WIDEST_INFUSION:
        return "infusion_undated"
    died = _death_day(episode)
    return "death_before_infusion" if died is not None and died.high < 0 else ""


def _unknown(episode: Episode, reason: str) -> Outcome:
    facts = episode.death.facts if episode.death else ()
    review = reason == "death_before_infusion" or bool(episode.death and episode.death.disputed)
    return Outcome(OutcomeKind.NOT_EVALUABLE, None, reason, facts, (), review)


def _death_or_contact(episode: Episode) -> Outcome:
    death = episode.death
    if death is not None and death.when is None:
        return _unknown(episode, "death_without_date")
    if death is not None and death.when is not None:
        days = episode.days(death.when)
        # An infused patient was alive on day 0: a month of death that begins earlier is cut there.
        lived = Days(max(days.low, 0), days.high)
        return Outcome(OutcomeKind.NRM, lived, "death_without_relapse", death.facts)
    if episode.followup_end is None:
        return _unknown(episode, "no_contact_after_infusion")
    seen = episode.days(episode.followup_end)
    if seen.high <= 0:
        return _unknown(episode, "no_contact_after_infusion")
    return Outcome(OutcomeKind.ALIVE, Days(max(seen.low, 0), seen.high), "last_contact")


# -- relapse and progression -----------------------------------------------------------------


def _relapse(episode: Episode, policy: Policy) -> _Event | None:
    """The first relapse or progression; of several records the bounds of the earliest."""
    found = [
        (fact, days) for fact in _claims(episode) if (days := _event_days(fact, episode, policy))
    ]
    if not found:
        return None
    high = min(days.high for _, days in found)
    facts = tuple(fact for fact, days in found if days.low <= high)
    low = min(days.low for _, days in found)
    reason = "relapse_documented"
    if all(fact.concept != "disease_status" for fact in facts):
        reason = "transformation"
    return _Event(OutcomeKind.RELAPSE, Days(low, high), reason, facts)


def _claims(episode: Episode) -> list[Fact]:
    """What may say relapse or progression of the treated disease."""
    said = episode.timeline.of("disease_status", "indication")
    return [fact for fact in evidence(said) if _says_relapse(fact, episode)]


def _says_relapse(fact: Fact, episode: Episode) -> bool:
    if fact.concept == "disease_status":
        other = _RELAPSE_OF.get(fact.subconcept, episode.indication) != episode.indication
        return fact.group in _EVENT_GROUPS and "other_focus" not in fact.traits and not other
    return fact.concept == "indication" and _transforms(fact, episode)


def _transforms(fact: Fact, episode: Episode) -> bool:
    """Large-cell lymphoma after an indolent one, plasma cell leukaemia after myeloma; new only."""
    turned = (episode.indication in _INDOLENT and fact.group == "LBCL") or (
        episode.indication == "MM" and fact.subconcept == "plasma_cell_leukemia"
    )
    if not turned or "certified" in fact.traits:
        return False
    return not any(
        (other.group, other.subconcept == "plasma_cell_leukemia")
        == (fact.group, fact.subconcept == "plasma_cell_leukemia")
        and (other.when is None or other.when.first <= episode.infusion.last)
        for other in evidence(episode.timeline.of("indication"))
    )


def _event_days(fact: Fact, episode: Episode, policy: Policy) -> Days | None:
    """Days of a relapse record, cut to the life after infusion; None when it is no event."""
    if fact.when is None or "certified" in fact.traits:
        return None
    days = episode.days(fact.when)
    if days.low <= 0:  # before, on, or perhaps before day 0: what the patient was treated for
        return None
    if fact.traits & _NOT_OWN_DATE and days.low <= policy.carried_forward_days:
        return None
    death = _death_day(episode)
    if death is not None and days.low > death.high:
        return None
    # Nobody relapses after death: a month of relapse that holds the day of death ends there.
    return Days(days.low, min(days.high, death.high) if death else days.high)


def _death_day(episode: Episode) -> Days | None:
    when = episode.death.when if episode.death else None
    return episode.days(when) if when is not None else None


def _why_uncounted(fact: Fact, episode: Episode, policy: Policy) -> list[Note]:
    """Why a record of relapse is no event; a person must look where there is something to do."""
    if "certified" in fact.traits or _event_days(fact, episode, policy) is not None:
        return []  # what a certificate says is weighed with the causes
    if fact.when is None:
        return _undated(fact, episode, policy)
    days = episode.days(fact.when)
    carried = policy.carried_forward_days
    if days.low > carried:
        return [Note("A relapse is dated after the death.", fact.source,
                     "Find the day of relapse.", "relapse_after_death")]  # fmt: skip
    if days.low > 0 or (days.high > 0 and "dated_by_encounter" in fact.traits):
        return [Note("A relapse statement of the infusion admission is taken as carried forward.",
                     fact.source, "", "carried_forward")]  # fmt: skip
    if days.high <= 0:
        return []  # the relapse that led to the infusion
    return [Note(f"A relapse is dated {fact.when.iso}, before or after the infusion.", fact.source,
                 "Find the day of relapse.", "relapse_order_unknown")]  # fmt: skip


def _undated(fact: Fact, episode: Episode, policy: Policy) -> list[Note]:
    """Every patient once relapsed: an undated flag matters unless entered before the infusion."""
    if fact.recorded and episode.days(fact.recorded).high <= policy.carried_forward_days:
        return []
    return [Note("A relapse is recorded without a date.", fact.source,
                 "Find whether and when the disease came back after the infusion.",
                 "relapse_undated")]  # fmt: skip


def _unfollowed(episode: Episode, outcome: Outcome) -> list[Note]:
    """A source that sends no disease status turns every relapse into survival or NRM."""
    said = evidence(episode.timeline.of("disease_status"))
    if outcome.kind is OutcomeKind.RELAPSE or any(
        fact.when is not None and episode.days(fact.when).high > 0 for fact in said
    ):
        return []
    return [Note("No response, remission or relapse is recorded after the infusion.", "",
                 "", "no_disease_status")]  # fmt: skip


# -- therapy without recorded progression ----------------------------------------------------


def _therapies(episode: Episode, policy: Policy) -> list[_Event]:
    """The therapies that end this episode under the policy; another infusion always does."""
    events, died = [], _death_day(episode)
    for reason, fact, days in _later_therapy(episode):
        choice = policy.later_hct if reason == "later_hct" else _next_therapy(policy)
        if fact is None and choice == "ignore":
            choice = "censor"  # else one death would count once for each course
        if choice == "ignore" or (choice == "censor" and died and days.low >= died.low):
            continue
        kind = OutcomeKind.RELAPSE if choice == "relapse" else OutcomeKind.ALIVE
        events.append(_Event(kind, days, reason, (fact,) if fact else ()))
    return events


def _next_therapy(policy: Policy) -> str:
    return "relapse" if policy.relapse_evidence == "documented+therapy" else policy.next_therapy


def _later_therapy(episode: Episode) -> list[tuple[str, Fact | None, Days]]:
    """(reason, fact, days) of anticancer therapy in this life and course; no fact: infusion."""
    found: list[tuple[str, Fact | None, Days]] = []
    died = _death_day(episode)
    end = died.high if died is not None else _FOREVER
    if episode.next_infusion is not None:
        again = episode.days(episode.next_infusion)
        if again.low <= end:
            found.append(("next_therapy", None, again))
            end = again.low - 1  # what is given after the next course is part of its story
    for fact in evidence(episode.timeline.of("bridging", "hct")):
        reason = _therapy(fact)
        if reason and fact.when is not None:
            days = episode.days(fact.when)
            if 0 < days.low <= end:
                found.append((reason, fact, days))
    return found


def _therapy(fact: Fact) -> str:
    if fact.concept == "hct":
        return "later_hct" if fact.group == "allogeneic" else ""
    return "" if fact.subconcept in _OTHER_USE else "next_therapy"


def _unexplained_therapy(episode: Episode, relapse: _Event | None) -> list[Note]:
    """Whatever the policy says, a person looks (docs/decisions/0006-later-therapy.md)."""
    notes = []
    for reason, fact, days in _later_therapy(episode):
        if relapse is None or days.high < relapse.days.low:
            where = fact.source if fact else ""
            notes.append(Note(f"Day {days}: {_NAMES[reason]} without recorded progression.", where,
                              "Find whether the disease had come back.", reason))  # fmt: skip
    return notes


_NAMES = {"next_therapy": "further anticancer therapy", "later_hct": "allogeneic transplant"}


def _first(events: list[_Event]) -> _Event | None:
    """The earliest; relapse before censoring on the same day."""
    order = {OutcomeKind.RELAPSE: 0, OutcomeKind.ALIVE: 1}
    return min(events, key=lambda e: (e.days.low, order[e.kind], e.days.high), default=None)
