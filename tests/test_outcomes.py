"""The first event wins: a later fact never changes an earlier first event."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.config import Policy
from adapter.daytables import timeline_of_rows
from adapter.episodes import episodes_of
from adapter.model import Outcome, OutcomeKind
from adapter.outcomes import REASONS, alternatives, outcome_of

Row = tuple[int, str]
WHAT = ["relapse", "progression", "visit", "status: complete remission", "drug: glofitamab",
        "transplant: allogeneic", "relapse [problem list]", "relapse [refuted]",
        "blood culture: Staphylococcus aureus", "relapse [entry only]"]  # fmt: skip
rows = st.lists(st.tuples(st.integers(-30, 400), st.sampled_from(WHAT)), max_size=6)
deaths = st.none() | st.integers(0, 400)
policies = st.builds(
    Policy,
    relapse_evidence=st.sampled_from(["documented", "documented+therapy"]),
    next_therapy=st.sampled_from(["ignore", "censor"]),
    later_hct=st.sampled_from(["ignore", "censor", "relapse"]),
)


def outcome(found: list[Row], death: int | None, policy: Policy) -> Outcome:
    """The outcome of the first episode of a table."""
    table = [(0, "infusion: axi-cel"), *found, *([(death, "death")] if death is not None else [])]
    numbered = [(line, str(day), what) for line, (day, what) in enumerate(table)]
    return outcome_of(episodes_of(timeline_of_rows(numbered), policy)[0], policy)


@given(rows, deaths, policies, st.sampled_from(WHAT), st.integers(1, 100))
def test_a_later_fact_never_changes_an_earlier_first_event(
    found: list[Row], death: int | None, policy: Policy, what: str, later: int
) -> None:
    """Whatever is recorded after the first event, kind and time stay."""
    before = outcome(found, death, policy)
    if before.kind in (OutcomeKind.RELAPSE, OutcomeKind.NRM) and before.time is not None:
        after = outcome([*found, (before.time.high + later, what)], death, policy)
        assert (before.kind, before.time) == (after.kind, after.time)


@given(rows, deaths, policies)
def test_every_outcome_has_a_known_reason_and_a_possible_time(
    found: list[Row], death: int | None, policy: Policy
) -> None:
    """Times are never negative, never after death, and missing only when not evaluable."""
    made = outcome(found, death, policy)
    assert made.reason in REASONS
    assert (made.time is None) == (made.kind is OutcomeKind.NOT_EVALUABLE)
    if made.time is not None:
        assert 0 <= made.time.low <= made.time.high
        assert death is None or made.time.high <= max(death, 0)


@given(rows, deaths)
def test_a_death_ends_every_episode_under_the_primary_policy(
    found: list[Row], death: int | None
) -> None:
    """Nobody who died with a date is censored alive when therapy is ignored."""
    made = outcome(found, death, Policy())
    assert (made.kind is OutcomeKind.ALIVE) <= (death is None)


def test_alternatives_name_every_other_setting() -> None:
    """The report can say what each other policy would give."""
    table = [
        (0, "0", "infusion: axi-cel"),
        (1, "120", "transplant: allogeneic"),
        (2, "200", "death"),
    ]
    (episode,) = episodes_of(timeline_of_rows(table), Policy())
    other = alternatives(episode, Policy())
    assert {
        "later_hct=censor": "alive", "later_hct=relapse": "relapse",
        "next_therapy=censor": "nrm", "relapse_evidence=documented+therapy": "nrm",
    } == {name: made.kind.value for name, made in other.items()}  # fmt: skip


def test_therapy_counts_as_relapse_under_documented_and_therapy() -> None:
    """Glofitamab on day 100 without recorded progression: dead of it, censored, or relapsed."""
    table = [(0, "0", "infusion: axi-cel"), (1, "100", "drug: glofitamab"), (2, "200", "death")]
    (episode,) = episodes_of(timeline_of_rows(table), Policy())
    primary = outcome_of(episode, Policy())
    other = alternatives(episode, Policy())
    with_therapy = other["relapse_evidence=documented+therapy"]
    assert (OutcomeKind.NRM, True) == (primary.kind, primary.needs_review)
    assert OutcomeKind.ALIVE is other["next_therapy=censor"].kind
    assert (OutcomeKind.RELAPSE, 100) == (
        with_therapy.kind,
        with_therapy.time and with_therapy.time.low,
    )
    assert with_therapy.needs_review
