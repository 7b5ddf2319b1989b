"""Kappa and per-cause agreement: equal to statsmodels, by hand, and undefined where they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.agreement import agreement, by_category, cohen_kappa
from adapter.errors import UsageError

causes = st.sampled_from(["infection", "crs", "hemorrhage", "unknown"])


def test_kappa_of_a_two_by_two_table_by_hand() -> None:
    """20 both yes, 15 both no, 5 and 10 apart: (0.7 - 0.5) / 0.5."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    kappa = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
    assert (50, 0.7, 0.5, 0.4) == pytest.approx(
        (kappa.n, kappa.observed, kappa.expected, kappa.estimate)
    )


@given(st.lists(st.tuples(causes, causes), min_size=2, max_size=80))
def test_kappa_equals_statsmodels(pairs: list[tuple[str, str]]) -> None:
    """Estimate, SE and interval as in statsmodels."""
    from statsmodels.stats.inter_rater import cohens_kappa

    one, other = zip(*pairs, strict=True)
    names = sorted({*one, *other})
    table = np.zeros((len(names), len(names)))
    for a, b in pairs:
        table[names.index(a), names.index(b)] += 1
    ours = cohen_kappa(one, other)
    if np.isnan(ours.estimate):
        assert 1.0 == pytest.approx(ours.expected)
        return
    expected = cohens_kappa(table)
    assert expected.kappa == pytest.approx(ours.estimate, abs=1e-12)
    assert max(expected.var_kappa, 0) == pytest.approx(ours.se**2, abs=1e-12)


def test_readers_who_use_one_category_have_no_kappa() -> None:
    """Chance agreement is certain: kappa is not 1 but undefined."""
    answer = agreement(["unknown"] * 4, ["unknown"] * 4)
    assert None is answer["kappa"]["estimate"]
    assert 1.0 == answer["kappa"]["observed"]


def test_sensitivity_and_ppv_by_hand() -> None:
    """Of four infections three were found; of four said to be infection three were."""
    proposed = ["infection"] * 4 + ["crs"]
    truth = ["infection"] * 3 + ["crs", "infection"]
    rows = {row["cause"]: row for row in by_category(proposed, truth)}
    assert (0.75, 0.75) == (rows["infection"]["sensitivity"], rows["infection"]["ppv"])
    assert 0.0 == rows["crs"]["sensitivity"]
    assert rows["infection"]["ppv_lower"] < 0.75 < rows["infection"]["ppv_upper"]


def test_a_cause_nobody_proposed_has_no_ppv() -> None:
    """A share of nothing is nothing, not 0."""
    rows = {row["cause"]: row for row in by_category(["crs"], ["infection"])}
    assert (None, None) == (rows["infection"]["ppv"], rows["infection"]["ppv_lower"])
    assert (None, 0.0) == (rows["crs"]["sensitivity"], rows["crs"]["ppv"])


def test_no_pairs_no_agreement() -> None:
    """Before the first review there is nothing to report, and no crash."""
    assert {"n": 0, "kappa": None, "by_cause": []} == agreement([], [])
    with pytest.raises(UsageError, match="Two readings"):
        cohen_kappa(["crs"], [])
