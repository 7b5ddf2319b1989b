"""A timeline does not depend on the order of its input, and making it twice changes nothing."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.dates import Interval
from adapter.model import TRAITS, Fact, Note, Timeline
from adapter.timelines import evidence, timeline_of

days = st.integers(737_000, 739_000)
intervals = st.builds(
    lambda first, width, clock: Interval(first, first + width, f"{first}+{width}", clock),
    days, st.integers(0, 40), st.none() | st.integers(0, 86_399),
)  # fmt: skip
facts = st.builds(
    Fact,
    concept=st.sampled_from(["infection", "organ", "lab", "contact"]),
    subconcept=st.sampled_from(["sepsis", "shock", "ANC"]),
    when=st.none() | intervals,
    source=st.sampled_from(["Condition/1", "Condition/2", "Observation/3"]),
    group=st.sampled_from(["", "bacterial"]),
    end=st.none() | intervals,
    value=st.none() | st.sampled_from([0.1, 0.5, 2.0]),
    label=st.sampled_from(["", "sepsis"]),
    code=st.sampled_from(["cm|A41.9", "sct|91302008"]),
    recorded=st.none() | intervals,
    traits=st.frozensets(st.sampled_from(sorted(TRAITS)), max_size=3),
)
notes = st.builds(Note, what=st.sampled_from(["a", "b"]), where=st.sampled_from(["", "X/1"]))


def made(found: list[Fact], said: list[Note] | None = None) -> Timeline:
    """The timeline of these facts."""
    return timeline_of(Timeline("p", tuple(found), tuple(said or ())))


@given(st.lists(facts, max_size=12), st.lists(notes, max_size=4), st.randoms())
def test_order_of_input_does_not_show(
    found: list[Fact], said: list[Note], dice: random.Random
) -> None:
    """Resources arrive in any order, from any server."""
    shuffled, other = list(found), list(said)
    dice.shuffle(shuffled)
    dice.shuffle(other)
    assert made(found, said) == made(shuffled, other)


@given(st.lists(facts, max_size=12), st.lists(notes, max_size=4))
def test_making_it_twice_changes_nothing(found: list[Fact], said: list[Note]) -> None:
    """Loading a resource again adds nothing."""
    once = made(found, said)
    assert once == timeline_of(once)
    assert once == made(found + found, said + said)


@given(st.lists(facts, max_size=12))
def test_no_statement_is_lost(found: list[Fact]) -> None:
    """Every resource that said something of a concept still says it."""
    kept = made(found).facts
    assert {(f.source, f.concept) for f in found} == {(f.source, f.concept) for f in kept}


def test_two_codes_of_one_condition_are_one_fact() -> None:
    """ICD-10-CM and SNOMED CT in one Condition are not two infections; traits add up."""
    day = Interval(738_000, 738_000)
    one = Fact("infection", "sepsis", day, "Condition/1", "bacterial", code="cm|A41.9")
    two = msgspec.structs.replace(one, code="sct|91302008", traits=frozenset({"problem_list"}))
    (kept,) = made([two, one]).facts
    assert ("cm|A41.9", frozenset({"problem_list"})) == (kept.code, kept.traits)


def test_two_resources_of_one_event_stay_two() -> None:
    """Encounter diagnosis and problem list corroborate each other."""
    day = Interval(738_000, 738_000)
    both = [Fact("infection", "sepsis", day, f"Condition/{n}") for n in (1, 2)]
    assert 2 == len(made(both).facts)


def test_undated_facts_come_last_and_the_clock_orders_a_day() -> None:
    """A reader sees the story in order."""
    noon, night = Interval(738_000, 738_000, "", 43_200), Interval(738_000, 738_000, "", 3_600)
    found = [
        Fact("lab", name, when, "Observation/1")
        for name, when in (("undated", None), ("noon", noon), ("night", night))
    ]
    assert ["night", "noon", "undated"] == [fact.subconcept for fact in made(found).facts]


def test_what_is_planned_refuted_or_past_is_no_evidence() -> None:
    """Only what happened at its date may count."""
    day = Interval(738_000, 738_000)
    found = [
        Fact("organ", name, day, "Condition/1", traits=frozenset({name}))
        for name in ("planned", "refuted_by_source", "suspected", "history", "resolved")
    ]
    assert ["resolved"] == [fact.subconcept for fact in evidence(found)]
