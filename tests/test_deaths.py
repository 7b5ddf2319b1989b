"""Several sources of one death become one, whatever order they came in."""

import random

from hypothesis import given
from hypothesis import strategies as st

from adapter.config import Policy
from adapter.dates import Interval
from adapter.deaths import resolve_death
from adapter.model import Death, Fact, Timeline
from adapter.timelines import timeline_of

sources = st.sampled_from(["deceased_flag", "death_date", "discharge_expired", "dead"])
claims = st.lists(
    st.tuples(sources, st.none() | st.tuples(st.integers(100, 160), st.integers(0, 31))),
    min_size=1, max_size=5,
)  # fmt: skip


def death_of(found: list[Fact]) -> Death | None:
    """The death these facts resolve to."""
    return resolve_death(timeline_of(Timeline("p", tuple(found))), Policy())


def said(said: list[tuple[str, tuple[int, int] | None]]) -> list[Fact]:
    """Death facts from (subconcept, (first day, width) or None)."""
    return [
        Fact("death", name, Interval(day[0], sum(day)) if day else None, f"Observation/{n}")
        for n, (name, day) in enumerate(said)
    ]


@given(claims, st.randoms())
def test_order_of_sources_does_not_show(
    found: list[tuple[str, tuple[int, int] | None]], dice: random.Random
) -> None:
    """The same claims give the same death."""
    facts = said(found)
    shuffled = list(facts)
    dice.shuffle(shuffled)
    assert death_of(facts) == death_of(shuffled)


@given(claims)
def test_a_death_is_never_lost_nor_invented(
    found: list[tuple[str, tuple[int, int] | None]],
) -> None:
    """Every claim proves it; the day lies in one of the claimed intervals."""
    death = death_of(said(found))
    assert death is not None
    dated = [day for _, day in found if day is not None]
    assert bool(dated) == (death.when is not None)
    if death.when is not None:
        when = death.when
        assert any(first <= when.first and when.last <= first + width for first, width in dated)


@given(st.integers(100, 160), st.lists(st.tuples(sources, st.integers(0, 20)), max_size=4))
def test_agreeing_sources_never_dispute(day: int, wider: list[tuple[str, int]]) -> None:
    """Any number of months that hold the day leave the day, undisputed."""
    exact = Fact("death", "death_date", Interval(day, day), "Observation/x")
    months = said([(name, (day - width, 2 * width)) for name, width in wider])
    death = death_of([exact, *months])
    assert death is not None
    assert (day, day, False) == (
        death.when and death.when.first, death.when and death.when.last, death.disputed
    )  # fmt: skip


def test_no_claim_is_no_death() -> None:
    """A living patient has no death."""
    assert death_of([Fact("contact", "", Interval(100, 100), "Encounter/1")]) is None
