"""Gray's test, Fine-Gray, Cox and log-rank: hand-worked, symmetric, and honest when they cannot."""

from dataclasses import replace

import numpy as np
import pytest

from adapter.errors import TableError, UsageError
from adapter.incidence import (
    FollowUp,
    Options,
    cause_specific_cox,
    fine_gray,
    follow_up,
    gray_test,
    incidence_of_table,
    log_rank,
    pairwise_gray,
)
from adapter.incidence.gray import _score


def two_arms(seed: int = 1, n: int = 300, effect: float = 0.0, arms: int = 2) -> FollowUp:
    """Whole days, two causes; `effect` raises the rate of cause 2 from arm to arm."""
    rng = np.random.default_rng(seed)
    arm = np.arange(n) % arms
    latent = rng.exponential(1, (n, 2)) * [300, 400] / np.exp(effect * arm[:, None] * [0, 1])
    lost = rng.exponential(500, n)
    time = np.ceil(np.minimum(latent.min(axis=1), lost))
    event = np.where(latent.min(axis=1) <= lost, latent.argmin(axis=1) + 1, 0)
    return follow_up(time, event, group=np.array(["A", "B", "C"])[arm])


def test_gray_score_of_six_patients_by_hand() -> None:
    """With one cause the score is observed minus expected: 3 - (3/6 + 2/4 + 1/2)."""
    data = follow_up([1, 2, 3, 4, 5, 6], [1, 0, 1, 0, 1, 0], group=list("ABABAB"))
    score, variance = _score(data, np.array(["A", "B"]), cause=1, rho=0.0)
    assert [1.5, -1.5] == pytest.approx(score.tolist())
    assert [0, 0] == pytest.approx(variance.sum(axis=0).tolist())


def test_gray_finds_a_difference_and_none_where_there_is_none() -> None:
    """A strong effect gives a small p that is not 0; equal arms give none."""
    assert gray_test(two_arms(effect=1.2), 2)["p"] < 1e-4
    assert gray_test(two_arms(effect=2.0, n=1000), 2)["p"] > 0
    assert gray_test(two_arms(effect=0.0), 2)["p"] > 0.01


def test_gray_does_not_depend_on_the_names_of_the_groups() -> None:
    """Renaming or reordering groups leaves the statistic where it was."""
    data = two_arms(effect=0.5, arms=3)
    assert data.group is not None
    renamed = np.array([{"A": "z", "B": "y", "C": "x"}[name] for name in data.group])
    one, other = gray_test(data, 2), gray_test(replace(data, group=renamed), 2)
    assert one["statistic"] == pytest.approx(other["statistic"], rel=1e-10)


def test_doubled_strata_double_the_evidence() -> None:
    """Scores and variances add up over strata: two copies give twice the chi-square."""
    data = two_arms(effect=0.6)
    twice = FollowUp(
        np.tile(data.time, 2),
        np.tile(data.event, 2),
        group=np.tile(data.group, 2) if data.group is not None else None,
        strata=np.repeat(["one", "two"], data.n),
    )
    single = gray_test(data, 2)["statistic"]
    assert 2 * single == pytest.approx(gray_test(twice, 2)["statistic"])


@pytest.mark.parametrize(
    ("data", "cause", "note"),
    [
        (follow_up([1, 2], [1, 1]), 1, "fewer than two groups"),
        (follow_up([1, 2], [1, 1], group=["A", "A"]), 1, "fewer than two groups"),
        (follow_up([1, 2], [1, 1], group=["A", "B"]), 2, "no event"),
        (follow_up([3, 4], [1, 1], entry=[1, 2], group=["A", "B"]), 1, "late entry"),
        (follow_up([1, 2, 3, 4], [1, 1, 0, 0], group=list("ABAB")), 1, "no p below 5 events"),
    ],
)
def test_gray_says_why_there_is_no_p(data: FollowUp, cause: int, note: str) -> None:
    """No p is better than one that means nothing."""
    answer = gray_test(data, cause)
    assert None is answer["p"]
    assert note in answer["note"]


def test_groups_that_never_meet_cannot_be_compared() -> None:
    """Groups of which one is gone before the other has an event share no risk set."""
    times, events = [1, 1, 1, 1, 1, 9, 9, 9, 9, 9], [0] * 5 + [1] * 5
    answer = gray_test(follow_up(times, events, group=["A"] * 5 + ["B"] * 5), 1)
    assert None is answer["statistic"]
    assert "share no time" in answer["note"]


def test_a_group_without_the_event_is_tested() -> None:
    """A group that never had the event still tells something."""
    data = two_arms(effect=0.0)
    spared = np.where((data.group == "B") & (data.event == 2), 0, data.event)
    assert gray_test(replace(data, event=spared), 2)["p"] < 0.001


def test_pairwise_p_are_adjusted_after_holm() -> None:
    """The smallest p is multiplied by the number of pairs, and adjusted p never fall."""
    rows = pairwise_gray(two_arms(effect=0.4, arms=3, n=600), 2)
    assert [["A", "B"], ["A", "C"], ["B", "C"]] == [row["groups"] for row in rows]
    ordered = sorted(rows, key=lambda row: row["p"])
    assert min(1.0, 3 * ordered[0]["p"]) == ordered[0]["p_holm"]
    assert ordered[0]["p_holm"] <= ordered[1]["p_holm"] <= ordered[2]["p_holm"]


def test_fine_gray_without_competing_events_is_the_cox_model() -> None:
    """With one cause the subdistribution hazard is the hazard."""
    data = two_arms(effect=0.8)
    alone = replace(data, time=data.time + np.arange(data.n) / 1000, event=(data.event == 2) * 1)
    one, other = fine_gray(alone, 1), cause_specific_cox(alone, 1)
    assert one.coef == pytest.approx(other.coef, abs=1e-6)


def test_the_two_conventions_are_equal_without_ties_and_named() -> None:
    """crr and finegray differ only where a censoring ties with an event."""
    data = two_arms(effect=0.8)
    apart = replace(data, time=data.time + np.arange(data.n) / 1000)
    crr, other = fine_gray(apart, 2), fine_gray(apart, 2, "finegray")
    assert crr.coef == pytest.approx(other.coef, rel=1e-8)
    assert ("convention crr", "convention finegray") == (crr.note, other.note)


def test_a_model_that_runs_to_infinity_is_refused() -> None:
    """A group without the event separates the data: no coefficient exists."""
    data = two_arms()
    spared = np.where((data.group == "B") & (data.event == 2), 0, data.event)
    with pytest.raises(TableError, match="converge"):
        fine_gray(replace(data, event=spared), 2)
    with pytest.raises(TableError, match="Cox model does not converge"):
        cause_specific_cox(replace(data, event=spared), 2)
    constant = replace(data, group=None, covariates={"one": np.ones(data.n)})
    for model in (fine_gray, cause_specific_cox):
        with pytest.raises(TableError, match="converge"):
            model(constant, 2)


def test_models_say_what_they_cannot_do() -> None:
    """Nothing to regress on, no events, late entry: each has its message."""
    bare = follow_up([1, 2], [1, 0])
    with pytest.raises(TableError, match="nothing to compare"):
        log_rank(two_arms(), 7)
    with pytest.raises(UsageError, match="nothing to regress"):
        cause_specific_cox(bare, 1)
    with pytest.raises(TableError, match="no event"):
        cause_specific_cox(two_arms(), 7)
    with pytest.raises(TableError, match="no event"):
        fine_gray(two_arms(), 7)
    late = follow_up([3, 4], [1, 2], entry=[1, 1], group=["A", "B"])
    with pytest.raises(UsageError, match="late entry"):
        fine_gray(late, 1)
    with pytest.raises(UsageError, match="late entry"):
        log_rank(late)


def test_cox_takes_late_entry_and_strata() -> None:
    """Left truncation changes the answer, and is accepted."""
    data = two_arms(effect=0.8)
    entry = np.where(np.arange(data.n) % 3 == 0, data.time / 2, -np.inf)
    late = replace(data, entry=entry, strata=np.array(["x", "y"])[np.arange(data.n) // 2 % 2])
    assert 0 < cause_specific_cox(late, 2).coef[0] < 2


def test_models_are_printed_on_request_with_reasons_where_they_fail() -> None:
    """`models` adds regression; what cannot be fitted says why in its place."""
    data = two_arms(effect=0.8)
    assert "models" not in incidence_of_table(data)
    answer = incidence_of_table(data, Options(models=True))["models"]
    assert [1, 2] == [row["cause"] for row in answer]
    (term,) = answer[1]["fine_gray"]
    assert "group B" == term["term"]
    assert term["lower"] < term["hazard_ratio"] < term["upper"]
    assert 0 < answer[1]["log_rank"]["p"] < 0.05
    alone = incidence_of_table(replace(data, group=None), Options(models=True))["models"][0]
    assert "nothing to regress" in alone["fine_gray"]["note"]


def test_three_groups_get_pairwise_tests() -> None:
    """Two groups need none."""
    assert [] == incidence_of_table(two_arms())["gray_pairwise"]
    assert 6 == len(incidence_of_table(two_arms(arms=3))["gray_pairwise"])
