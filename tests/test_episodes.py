"""Infusion evidence becomes courses, the same whatever order it came in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.config import Policy
from adapter.dates import Interval, on
from adapter.episodes import episodes_of, why_not
from adapter.model import Episode, Fact, Timeline
from adapter.outcomes import outcome_of
from adapter.timelines import timeline_of

POLICY = Policy()
infusions = st.lists(
    st.tuples(
        st.integers(1000, 1400),  # day
        st.sampled_from([0, 0, 0, 30]),  # exact, or a month
        st.sampled_from(["axi-cel", "tisa-cel", "unspecified"]),
        st.sampled_from(["cart_infusion", "cart_product"]),
        st.sampled_from(["", "", "billing"]),
    ),
    min_size=1, max_size=7,
)  # fmt: skip
Infusions = list[tuple[int, int, str, str, str]]


def given_facts(found: Infusions) -> list[Fact]:
    """Facts of infusions."""
    return [
        Fact(concept, "x", Interval(day, day + width), f"Procedure/{n}", group,
             traits=frozenset({trait} - {""}))
        for n, (day, width, group, concept, trait) in enumerate(found)
    ]  # fmt: skip


def episodes(facts: list[Fact]) -> list[Episode]:
    """The episodes of these facts."""
    return episodes_of(timeline_of(Timeline("p", tuple(facts))), POLICY)


@given(infusions, st.randoms())
def test_order_of_evidence_does_not_show(found: Infusions, dice: random.Random) -> None:
    """The same evidence gives the same courses."""
    facts = given_facts(found)
    shuffled = list(facts)
    dice.shuffle(shuffled)
    assert episodes(facts) == episodes(shuffled)


@given(infusions)
def test_every_infusion_belongs_to_exactly_one_course(found: Infusions) -> None:
    """Nothing is dropped, nothing counts twice, numbers follow day 0."""
    facts = given_facts(found)
    made = episodes(facts)
    used = [fact for episode in made for fact in episode.infusions]
    assert sorted(f.source for f in facts) == sorted(f.source for f in used)
    assert [1 + n for n in range(len(made))] == [episode.number for episode in made]
    starts = [episode.infusion.first for episode in made]
    assert sorted(starts) == starts


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_doses_inside_the_gap_are_one_course(gaps: list[int]) -> None:
    """However many doses: each at most the gap after the one before it."""
    day, facts = 1000, []
    for n, gap in enumerate(gaps):
        facts.append(Fact("cart_infusion", "x", Interval(day, day), f"Procedure/{n}", "axi-cel"))
        day += gap
    (course,) = episodes(facts)
    assert (1000, len(gaps)) == (course.infusion.first, len(course.infusions))


@given(infusions)
def test_why_not_is_empty_exactly_for_recipients(found: Infusions) -> None:
    """Whoever is left out has a reason, whoever is in has none."""
    for facts in (given_facts(found), []):
        timeline = timeline_of(Timeline("p", tuple(facts)))
        assert bool(episodes_of(timeline, POLICY)) == (why_not(timeline) == "")


@pytest.mark.parametrize(
    ("born", "age", "doubted"),
    [
        ("1901-03-02", 119, False),
        ("1886-03-01", None, True),
        ("2021-03-02", None, True),
        ("2042", None, True),
        ("2021-03-01", 0, False),
        ("1960", None, False),
    ],
)
def test_an_age_nobody_can_have_is_none(born: str, age: int | None, doubted: bool) -> None:
    """Ages of -1 and 134 came from swapped dates; a year of birth gives no age and no doubt."""
    fact = Fact("cart_infusion", "x", on("2021-03-01"), "Procedure/1", "axi-cel")
    (one,) = episodes_of(timeline_of(Timeline("p", (fact,), born=on(born))), POLICY)
    assert age == one.age_years
    assert doubted == ("impossible_age" in {note.kind for note in one.notes})
    assert doubted <= outcome_of(one, POLICY).needs_review
