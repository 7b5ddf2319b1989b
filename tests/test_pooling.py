"""Pooling: the published table, other software's methods by hand, and refusals."""

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import TableError, UsageError
from adapter.pooling import (
    Site,
    at_horizon,
    between,
    egger,
    heterogeneity,
    logistic_mixed,
    logits,
    pool,
    pool_horizon,
    reml,
)
from adapter.tables import benchmark, published_reproduced

COHORTS = benchmark("cohorts")


def cohorts(by: str = "", **only: str) -> list[Site]:
    """The published cohorts, optionally only some and with a subgroup."""
    rows = [row for row in COHORTS if all(row[key] == value for key, value in only.items())]
    return [
        Site(row["study"], int(row["n"]), int(row["events"]), row[by] if by else "") for row in rows
    ]


@pytest.mark.parametrize("row", published_reproduced(), ids=lambda row: str(row["label"]))
def test_the_published_table_is_reproduced(row: dict[str, object]) -> None:
    """Counts, estimate and limits of every published row come out to the printed digits."""
    assert row["agrees"], row
    assert {"label", "cohorts", "events", "n", "published", "reproduced"} <= set(row)


def test_the_overall_figure_to_five_digits() -> None:
    """Both quadratures checked when the table was taken over gave .06822 (.05778-.08038)."""
    glmm = pool(cohorts())["glmm"]
    expected = (0.06822, 0.05778, 0.08038)
    assert expected == pytest.approx((glmm["estimate"], glmm["lower"], glmm["upper"]), abs=1e-5)
    assert (67.8, 0.225) == (round(glmm["i2"], 1), round(glmm["tau2"], 3))


@pytest.mark.parametrize(
    ("by", "only", "p"),
    [
        ("entity", {}, 0.026),
        ("setting", {}, 0.22),
        ("setting", {"entity": "LBCL"}, 0.58),
        ("setting", {"entity": "MM"}, 0.018),
        ("line", {"entity": "LBCL"}, 0.16),
    ],
)
def test_published_subgroup_tests(by: str, only: dict[str, str], p: float) -> None:
    """The Q between subgroups has the published p."""
    found = between(cohorts(by, **only))
    assert found is not None
    assert p == pytest.approx(found["p"], abs=0.5 * 10 ** -len(str(p).split(".")[1]))


@pytest.mark.parametrize(
    ("only", "p"),
    [
        ({}, 0.0045),
        ({"entity": "LBCL"}, 0.0052),
        ({"setting": "trial"}, 0.015),
        ({"setting": "real-world"}, 0.018),
        ({"entity": "MM"}, 0.105),
    ],
)
def test_published_small_study_tests(only: dict[str, str], p: float) -> None:
    """Egger's test has the published p."""
    found = egger(*logits(cohorts(**only)))
    assert p == pytest.approx(found["p"], abs=0.5 * 10 ** -len(str(p).split(".")[1]))


def test_published_i2() -> None:
    """I2 recomputed with metafor: lymphoma 73.4, myeloma 55.1, mantle cell 0."""
    for entity, i2 in (("LBCL", 73.4), ("MM", 55.1), ("MCL", 0.0)):
        assert i2 == round(pool(cohorts(entity=entity))["glmm"]["i2"], 1)


def test_swapped_denominators_of_one_study_move_the_product_rows_as_noted() -> None:
    """With the study's own abstract axi-cel goes from 7.26 to 7.29, tisa-cel from 4.20 to 4.16."""
    swap = {"Bethge_2022_A": 173, "Bethge_2022_B": 183}
    for product, percent in (("axi", 7.29), ("tisa", 4.16)):
        sites = [Site(s.study, swap.get(s.study, s.n), s.events) for s in cohorts(product=product)]
        assert percent == round(100 * pool(sites)["glmm"]["estimate"], 2)


def test_causes_of_death_add_up_to_574() -> None:
    """The overall causes are all non-relapse deaths, the strata those of known cause."""
    rows = benchmark("causes")
    overall = [int(row["events"]) for row in rows if row["stratum"] == "all"]
    assert 574 == sum(overall)
    assert 50.9 == round(100 * overall[0] / 574, 1)
    for level in {row["level"] for row in rows} - {"all"}:
        part = [row for row in rows if row["level"] == level]
        assert {int(row["denominator"]) for row in part} == {sum(int(r["events"]) for r in part)}


def test_published_incidences_are_there_for_fourteen_cohorts() -> None:
    """Only fourteen cohorts published a cumulative incidence."""
    assert 14 == sum(bool(row["published_cif"]) for row in COHORTS)


def test_equal_sites_pool_to_their_common_value() -> None:
    """No difference between sites: tau2 is 0 and the model is plain logistic regression."""
    sites = [Site(str(i), 100, 10) for i in range(6)]
    fit = logistic_mixed(sites)
    assert fit is not None
    assert (math.log(1 / 9), (1 / 60 + 1 / 540) ** 0.5, 0.0) == pytest.approx(
        (fit.mean, fit.se, fit.tau2), abs=1e-6
    )


def test_more_quadrature_points_change_nothing_that_is_printed() -> None:
    """Seven points are converged for this table."""
    few, many = logistic_mixed(cohorts(), 7), logistic_mixed(cohorts(), 25)
    assert few is not None
    assert many is not None
    assert few.mean == pytest.approx(many.mean, abs=1e-5)


def test_reml_solves_its_equation_and_dl_is_as_in_statsmodels() -> None:
    """tau2 of DerSimonian and Laird and Q as statsmodels; the REML score is 0 at ours."""
    from statsmodels.stats.meta_analysis import combine_effects

    y, v = logits(cohorts())
    expected = combine_effects(y, v, method_re="dl")
    found = heterogeneity(y, v)
    assert (expected.tau2, expected.q) == pytest.approx((found["tau2_dl"], found["q"]))
    fit = reml(y, v)
    w = 1 / (v + fit.tau2)
    residual = y - w @ y / w.sum()
    assert 0 == pytest.approx(w**2 @ residual**2 - w.sum() + w @ w / w.sum(), abs=1e-6)


def test_hartung_knapp_is_wider_than_no_doubt_at_all() -> None:
    """The sensitivity analysis has an interval and a wider prediction interval around it."""
    row = pool(cohorts())["reml_hk"]
    low, high = row["prediction"]
    assert low < row["lower"] < row["estimate"] < row["upper"] < high


def test_where_nobody_died_there_is_a_bound_and_no_model() -> None:
    """No deaths anywhere: no logit exists, and the answer says so."""
    glmm = pool([Site("a", 20, 0), Site("b", 30, 0)])["glmm"]
    assert (0.0, None) == (glmm["estimate"], glmm["upper"])
    assert 1 - 0.025 ** (1 / 50) == pytest.approx(glmm["one_sided_upper"])
    torn = [Site("a", 300, 0), Site("b", 5, 1), Site("c", 300, 0), Site("d", 300, 0)]
    assert "too unequal" in pool(torn)["glmm"]["note"]
    assert "everybody" in pool([Site("a", 2, 2), Site("b", 3, 3)])["glmm"]["note"]


def test_subgroups_are_pooled_apart_and_tested() -> None:
    """Each subgroup has its row; a single group has none."""
    answer = pool(cohorts("entity"))
    assert ["IL", "LBCL", "MCL", "MM"] == [row["subgroup"] for row in answer["subgroups"]]
    assert 3 == answer["between"]["df"]
    assert ([], None) == (pool(cohorts())["subgroups"], pool(cohorts())["between"])


def test_the_answer_has_the_promised_shape() -> None:
    """The keys other people's scripts rest on."""
    answer = pool(cohorts())
    assert (52, 7604, 574) == (answer["k"], answer["n"], answer["events"])
    assert {"estimate", "lower", "upper", "tau2"} <= set(answer["glmm"])
    assert {"estimate", "lower", "upper", "tau2", "i2", "prediction"} <= set(answer["reml_hk"])
    assert 52 == len(answer["sites"])


def test_one_site_is_refused_and_few_are_warned_about() -> None:
    """Two sites can be pooled, but not well."""
    with pytest.raises(UsageError, match="two sites"):
        pool([Site("a", 10, 1)])
    assert "Only 2 sites" in pool([Site("a", 10, 1), Site("b", 20, 1)])["warnings"][0]
    assert [] == pool(cohorts())["warnings"]


@pytest.mark.parametrize("site", [Site("x", 0, 0), Site("x", 5, 6), Site("x", 5, -1)])
def test_impossible_sites_are_named(site: Site) -> None:
    """More deaths than patients is a mistake in the table."""
    with pytest.raises(TableError, match="'x'"):
        pool([site, Site("b", 20, 1)])


def test_incidences_are_pooled_at_a_horizon() -> None:
    """Equal incidences pool to themselves; a site without events is left out."""
    sites = [Site(name, 100, 8, estimate=0.08, se=0.02 + i / 100) for i, name in enumerate("abc")]
    nobody = Site("none", 50, 0, estimate=0.0, se=0.0)
    answer = pool_horizon([*sites, nobody], 365)
    assert 0.08 == pytest.approx(answer["reml_hk"]["estimate"])
    assert (3, ["none"]) == (answer["k"], answer["left_out"])


def test_delta_method() -> None:
    """The variance is that of the transformed incidence."""

    def g(f: float) -> float:
        return math.log(f / (1 - f))

    y, v = at_horizon([Site("a", 100, 8, estimate=0.08, se=0.02)])
    slope = (g(0.08 + 1e-6) - g(0.08 - 1e-6)) / 2e-6
    assert (g(0.08), (0.02 * slope) ** 2) == pytest.approx((y[0], v[0]), rel=1e-6)


def test_a_horizon_nobody_reached_is_refused() -> None:
    """There is nothing to pool."""
    with pytest.raises(UsageError, match="Fewer than two"):
        pool_horizon(cohorts(), 365)


def test_egger_needs_sites_of_different_size() -> None:
    """Two sites, or all of one size, tell nothing about small ones."""
    assert None is egger(*logits([Site("a", 10, 1), Site("b", 20, 1)]))["p"]
    assert None is egger(*logits([Site(str(i), 100, 10) for i in range(5)]))["p"]


sites = st.lists(
    st.tuples(st.integers(1, 300), st.floats(0, 1)).map(
        lambda pair: Site("s", pair[0], round(pair[0] * pair[1]))
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(sites)
def test_any_sites_pool_inside_their_range_or_say_why_not(found: list[Site]) -> None:
    """No overflow, no NaN, and the pooled value lies among the sites'."""
    answer = pool(found)
    shares = [s.events / s.n for s in found]
    json.dumps(answer, allow_nan=False)
    glmm, other = answer["glmm"], answer["reml_hk"]
    assert min(shares) - 1e-6 <= glmm["estimate"] <= max(shares) + 1e-6
    assert all(math.isfinite(other[key]) for key in ("estimate", "lower", "upper", "tau2", "i2"))
    if glmm["lower"] is not None:
        assert 0 <= glmm["lower"] <= glmm["estimate"] <= glmm["upper"] <= 1


def test_benchmark_rows_can_be_read_by_anyone() -> None:
    """The published table is plain CSV with the columns its README names."""
    from adapter.tables import BENCHMARKS

    with (BENCHMARKS / "cohorts.csv").open() as file:
        header = next(csv.reader(file))
    assert ["study", "entity", "setting", "product", "n", "events"] == header[:6]
    assert np.all([int(row["n"]) > 0 for row in COHORTS])
