"""Cumulative incidence, Kaplan-Meier, risk tables and plain rates: toys, identities, traps."""

import json
import time as clock
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import CartNrmError, TableError, UsageError
from adapter.incidence import (
    Options,
    count,
    crude,
    cumulative_incidence,
    density,
    early_late,
    follow_up,
    incidence_of_table,
    median,
    patient_days,
    risk_table,
    split_incidence,
    survival,
    upper_bound,
)
from adapter.incidence.curves import Curve
from adapter.intervals import limits, none_seen, poisson, wilson

# Eight patients by hand: relapse 1, non-relapse death 2, alive 0.
TIMES = [1, 2, 2, 3, 4, 5, 6, 7]
EVENTS = [2, 1, 0, 2, 0, 1, 2, 0]


def curve(times: Any, events: Any, cause: int = 2, entry: Any = None, **more: Any) -> Curve:
    return cumulative_incidence(count(follow_up(times, events, entry)), cause, **more)


def test_eight_patients_by_hand() -> None:
    """Each step is the chance of still being event-free times the share who have the event."""
    sets = count(follow_up(TIMES, EVENTS))
    assert [8, 7, 5, 4, 3, 2, 1] == sets.at_risk.tolist()
    nrm = cumulative_incidence(sets, 2)
    s2 = 7 / 8 * 6 / 7  # after the death at 1 and the relapse at 2
    s5 = s2 * 4 / 5 * 2 / 3  # after the death at 3 and the relapse at 5
    expected = [1 / 8, 1 / 8, 1 / 8 + s2 / 5, 1 / 8 + s2 / 5, 1 / 8 + s2 / 5]
    assert expected == pytest.approx(nrm.estimate[:5].tolist())
    assert 1 / 8 + s2 / 5 + s5 / 2 == pytest.approx(nrm.estimate[-1])


def test_greenwood_is_binomial_without_censoring() -> None:
    """Without censoring F is a proportion and its SE the binomial one."""
    nrm = curve([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 1, 2, 1, 1, 1, 2, 1, 1, 1])
    f, se = nrm.at(7)
    assert (0.3, (0.3 * 0.7 / 10) ** 0.5) == pytest.approx((f, se))


def test_aalen_and_greenwood_differ_but_agree_on_the_estimate() -> None:
    """The two variances answer the same question and are both named in the output."""
    one, other = curve(TIMES, EVENTS), curve(TIMES, EVENTS, variance="aalen")
    assert one.estimate.tolist() == other.estimate.tolist()
    assert one.se.tolist() != other.se.tolist()


def test_the_dead_of_day_0_count() -> None:
    """A death on day 0 is a step at 0 (a library once lost it: 0.267 instead of 0.467)."""
    nrm = curve([0, 5, 9], [2, 1, 0])
    assert 1 / 3 == pytest.approx(nrm.at(0)[0])


def test_before_the_first_event_it_is_0_and_past_the_last_contact_unknown() -> None:
    """A curve is drawn to the last follow-up and never carried on."""
    nrm = curve(TIMES, EVENTS)
    assert (0.0, 0.0) == nrm.at(0.5)
    assert np.isnan(nrm.at(7.5)).all()
    assert nrm.estimate[-1] == nrm.at(7)[0]


def test_who_is_censored_on_the_day_of_an_event_is_still_at_risk() -> None:
    """Ties: the censoring comes after the event."""
    assert 0.5 == curve([3, 3], [2, 0]).estimate[0]


def test_times_that_differ_by_rounding_are_one_time() -> None:
    """30.4375-day months computed in two ways must not make two days out of one."""
    month = 30.4375
    sets = count(follow_up([3 * month, month * 3 * (1 + 1e-14), 200.5], [2, 1, 0]))
    assert [3, 1] == sets.at_risk.tolist()


def test_a_cause_that_never_happened_is_a_flat_0() -> None:
    """An absent cause has a curve too."""
    flat = cumulative_incidence(count(follow_up([1, 2], [1, 0]), causes=(1, 2, 7)), 7)
    assert [0.0, 0.0] == flat.estimate.tolist()
    assert [0.0, 0.0] == flat.se.tolist()


def test_one_patient_and_all_censored() -> None:
    """The smallest studies have curves, without intervals where none exists."""
    assert [1.0] == curve([10], [2]).estimate.tolist()
    answer = incidence_of_table(follow_up([10], [2]), Options(at=(5, 10, 11)))
    points = answer["curves"][1]["at"]
    assert [0.0, 1.0, None] == [point["estimate"] for point in points]
    assert [None] * 3 == [point["upper"] for point in points]
    calm = incidence_of_table(follow_up([10, 20], [0, 0]), Options(at=(10,)))
    assert 0.0 == calm["curves"][0]["at"][0]["estimate"]
    assert None is calm["survival"][0]["median"]


def test_an_empty_table_has_no_curves() -> None:
    """A study that found nobody still renders."""
    answer = incidence_of_table(follow_up([], []))
    assert (0, []) == (answer["n"], answer["curves"])
    assert None is crude(count(follow_up([], [])), 2)["estimate"]
    assert [1.0] == survival(count(follow_up([5], [0]))).estimate.tolist()


def test_where_nobody_had_the_event_only_a_bound_is_given() -> None:
    """No interval at 0; the bound counts who is known to be free of the event."""
    sets = count(follow_up([5] * 10, [0] * 10))
    assert 1 - 0.025 ** (1 / 10) == pytest.approx(upper_bound(sets, 3) or 0)
    answer = incidence_of_table(follow_up([5] * 10, [0] * 10), Options(at=(3,)))
    point = answer["curves"][0]["at"][0]
    assert (None, None) == (point["lower"], point["upper"])
    assert none_seen(10) == point["one_sided_upper"]
    assert None is none_seen(0)


@pytest.mark.parametrize(
    ("conf", "low", "high"),
    [
        ("plain", 0.3 - 1.959964 * 0.1, 0.3 + 1.959964 * 0.1),
        ("log", 0.3 * np.exp(-1.959964 / 3), 0.3 * np.exp(1.959964 / 3)),
        (
            "log-log",
            0.3 ** np.exp(1.959964 / (3 * np.log(1 / 0.3))),
            0.3 ** np.exp(-1.959964 / (3 * np.log(1 / 0.3))),
        ),
        (
            "cloglog",
            1 - 0.7 ** np.exp(-1.959964 / (7 * np.log(1 / 0.7))),
            1 - 0.7 ** np.exp(1.959964 / (7 * np.log(1 / 0.7))),
        ),
    ],
)
def test_the_four_intervals(conf: Any, low: float, high: float) -> None:
    """Each interval is the normal one on its scale."""
    lower, upper = limits(0.3, 0.1, conf)
    assert (low, high) == pytest.approx((float(lower), float(upper)), rel=1e-5)


def test_an_unknown_interval_or_variance_is_refused() -> None:
    """The refusal lists what there is."""
    with pytest.raises(UsageError, match="log-log"):
        limits(0.3, 0.1, "arcsine")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="greenwood"):
        curve(TIMES, EVENTS, variance="bootstrap")


def test_late_entry_joins_the_risk_set_after_its_day() -> None:
    """At risk at t means entered before t and not yet gone."""
    sets = count(follow_up([2, 4, 6], [1, 2, 0], entry=[0, 2, np.nan]))
    assert [2, 2, 1] == sets.at_risk.tolist()
    assert [2, 1] == [sets.at_risk_at(t) for t in (3, 5)]


def test_a_risk_set_that_empties_early_is_warned_about() -> None:
    """With late entry, one early death can hold the curve at 1 for everybody after."""
    data = follow_up([3, 9, 10], [2, 2, 0], entry=[0, 5, 6])
    answer = incidence_of_table(data)
    assert any("before others entered" in text for text in answer["warnings"])


def test_median_and_reverse_kaplan_meier() -> None:
    """The median is the first time at or below one half; follow-up turns events around."""
    sets = count(follow_up([1, 2, 3, 4], [2, 1, 2, 0]))
    assert 2.0 == median(survival(sets))["median"]
    assert 4.0 == median(survival(sets, "censored"))["median"]


def test_one_half_is_reached_although_floating_point_misses_it() -> None:
    """(1-1/4)(1-1/3) is one half, whatever the last bit says."""
    for n in range(2, 200, 2):
        s = survival(count(follow_up(np.arange(1, n + 1), np.ones(n, int))))
        assert n / 2 == median(s)["median"]


def test_causes_of_death_add_up_to_nrm() -> None:
    """NRM split into its causes keeps all patients as denominator and adds up."""
    sets = count(follow_up([1, 2, 3, 4, 5, 6], [2, 3, 1, 4, 0, 2]))
    nrm, parts = split_incidence(sets, (2, 3, 4))
    assert nrm.estimate == pytest.approx(sum(part.estimate for part in parts.values()))


def test_extended_risk_table_by_hand() -> None:
    """Counts are before the column's time: at risk, events and censored add up to n."""
    rows = risk_table(count(follow_up(TIMES, EVENTS)), [0, 2, 5, 99])
    assert [8, 7, 3, 0] == [row["at_risk"] for row in rows]
    assert {1: 1, 2: 2} == rows[2]["events"]
    assert 2 == rows[2]["censored"]


def test_crude_density_and_early_late() -> None:
    """The rates that papers print, with Wilson and exact Poisson limits."""
    sets = count(follow_up([10, 40, 100, 100], [2, 2, 0, 1]))
    assert 0.5 == crude(sets, 2)["estimate"]
    assert 250.0 == patient_days(sets)
    assert 8.0 == density(2, 250.0)["per_1000_days"]
    assert (0.2422092785, 7.2246876712) == pytest.approx(poisson(2))
    assert (0.0, 3.6888794541) == pytest.approx(poisson(0))
    assert None is density(0, 0.0)["upper"]
    assert (1, 1) == (early_late(sets, 2)["early"], early_late(sets, 2)["late"])
    assert 28 == early_late(sets, 2)["day"]
    assert (1, 1) == (early_late(sets, 2, day=40)["early"], early_late(sets, 2, day=40)["late"])


def test_wilson_equals_statsmodels() -> None:
    """Wilson limits as in statsmodels, and no limit where there is nobody."""
    from statsmodels.stats.proportion import proportion_confint

    for events, n in [(0, 9), (9, 9), (3, 40), (574, 7604)]:
        expected = proportion_confint(events, n, method="wilson")
        assert expected == pytest.approx(wilson(events, n), abs=1e-12)
    assert np.isnan(wilson(0, 0)).all()


def test_late_entry_counts_days_from_entry() -> None:
    """A patient who joins on day 50 is not at risk before."""
    assert 60.0 == patient_days(count(follow_up([60, 10], [0, 0], entry=[10, 0])))


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: follow_up([1, -2], [0, 1]), "negative time in data row 2"),
        (lambda: follow_up([1, float("nan")], [0, 1]), "No time in data row 2"),
        (lambda: follow_up([1, float("inf")], [0, 1]), "No time in data row 2"),
        (lambda: follow_up([1, 2], ["alive", "nrm"]), "not numbers"),
        (lambda: follow_up([1, 2], [0, 1.5]), "no whole number in data row 2"),
        (lambda: follow_up([1, 2], [0, float("nan")]), "no whole number in data row 2"),
        (lambda: follow_up([1, 2], [0, float("inf")]), "no whole number in data row 2"),
        (lambda: follow_up([1, 2], [0, -1]), "negative event code in data row 2"),
        (lambda: follow_up([1, 2], [0.0, -1.0]), "negative event code in data row 2"),
        (lambda: follow_up([-1, float("nan")], [0, 1]), "No time in data row 2"),
        (lambda: follow_up([1, 2], [0, 1], entry=[0, 2]), "Entry at or after .* data row 2"),
        (lambda: follow_up([1, 2], [0, 1], group=["A", " "]), "No group in data row 2"),
        (lambda: follow_up([1, 2], [0]), "2 times but 1 events"),
        (lambda: follow_up([1, 2], [0, 1], group=["A"]), "2 times but 1 labels"),
    ],
)
def test_bad_input_is_refused_with_its_row(call: Callable[[], Any], what: str) -> None:
    """Whoever reads the message knows which row to look at and what to do."""
    with pytest.raises(TableError, match=what) as caught:
        call()
    assert caught.value.hint
    assert 2 == caught.value.exit_code
    assert isinstance(caught.value, CartNrmError)


def test_a_code_for_missing_is_warned_about() -> None:
    """Registries write 99 for missing; as an event code it would be a cause."""
    answer = incidence_of_table(follow_up([1, 2, 3], [1, 99, 0]))
    assert [1, 99] == [row["cause"] for row in answer["curves"]]
    assert "99" in answer["warnings"][0]


def test_the_answer_has_the_promised_shape() -> None:
    """The keys other people's scripts rest on."""
    group = ["A", "B", "A", "B", "A", "B", "A", "B"]
    answer = incidence_of_table(follow_up(TIMES, EVENTS, group=group), Options(at=(3, 30)))
    assert {"n", "variance", "conf", "curves", "gray", "survival"} <= set(answer)
    assert [("A", 1), ("A", 2), ("B", 1), ("B", 2)] == [
        (row["group"], row["cause"]) for row in answer["curves"]
    ]
    point = answer["curves"][0]["at"][0]
    assert {"time", "estimate", "se", "lower", "upper", "at_risk"} <= set(point)
    assert {"cause", "statistic", "df", "p"} <= set(answer["gray"][0])
    assert {"group", "at", "median"} <= set(answer["survival"][0])
    assert [None] == [row["group"] for row in incidence_of_table(follow_up([1], [1]))["survival"]]


def test_the_answer_is_json_that_every_reader_takes() -> None:
    """No NaN and no infinity, also where a group has no event, one patient or only censorings."""
    tables = [
        follow_up([], []),
        follow_up([5], [0]),
        follow_up(TIMES, EVENTS, group=list("AAAAAAAB")),
        follow_up(TIMES, EVENTS, entry=[0, 0, 1, 1, 2, 2, 3, 3], group=list("AABBCCAA")),
        follow_up([1, 1, 2, 2, 3, 3], [2, 1, 2, 1, 2, 1], group=list("AABBAB")),
    ]
    for data in tables:
        json.dumps(incidence_of_table(data, Options(models=True)), allow_nan=False)


tables = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=60
)


@given(tables)
def test_identities_hold_at_every_time(rows: list[tuple[int, int, int]]) -> None:
    """Event-free survival and all incidences add up to 1, and every curve only rises."""
    times, events, _ = zip(*rows, strict=True)
    sets = count(follow_up(times, events), causes=(1, 2, 3))
    curves = [cumulative_incidence(sets, cause) for cause in (1, 2, 3)]
    total = survival(sets).estimate + sum(c.estimate for c in curves)
    assert np.ones_like(total) == pytest.approx(total)
    assert all((np.diff(c.estimate) >= 0).all() and np.isfinite(c.se).all() for c in curves)


@given(tables, st.lists(st.floats(0, 50), max_size=5))
def test_risk_table_always_adds_up(rows: list[tuple[int, int, int]], ticks: list[float]) -> None:
    """At risk + events + censored + not yet entered = n, whatever the ticks."""
    kept = [(t, e, min(entry, t - 1)) for t, e, entry in rows if t > 0]
    if not kept:
        return
    times, events, entry = zip(*kept, strict=True)
    for row in risk_table(count(follow_up(times, events, entry)), ticks):
        parts = row["at_risk"] + row["censored"] + row["not_entered"] + sum(row["events"].values())
        assert len(kept) == parts
        direct = sum(t >= row["time"] and (n < row["time"] or n <= 0) for t, _, n in kept)
        assert direct == row["at_risk"]


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_patients_does_not_matter(rows: list[tuple[int, int, int]], dice: Any) -> None:
    """Shuffled rows give the same bits."""
    mixed = list(rows)
    dice.shuffle(mixed)
    one, other = (curve([r[0] for r in x], [r[1] for r in x]) for x in (rows, mixed))
    assert one.estimate.tolist() == other.estimate.tolist()
    assert one.se.tolist() == other.se.tolist()


@given(tables, st.sampled_from([1 / 30.4375, 1 / 7, 0.1, 365.25]))
def test_the_unit_of_time_does_not_matter(rows: list[tuple[int, int, int]], unit: float) -> None:
    """Days, weeks or months: the same curve, although the fast path counts whole days only."""
    times, events = np.array([r[0] for r in rows]), [r[1] for r in rows]
    days, others = curve(times, events), curve(times * unit, events)
    assert days.estimate == pytest.approx(others.estimate, abs=1e-14)
    assert days.se == pytest.approx(others.se, abs=1e-12)


@given(tables)
def test_greenwood_equals_the_sum_as_it_is_printed(rows: list[tuple[int, int, int]]) -> None:
    """The six running sums give what the formula of the paper gives term by term."""
    sets = count(follow_up([r[0] for r in rows], [r[1] for r in rows]), causes=(2,))
    f, dk, d = cumulative_incidence(sets, 2), sets.column(2), sets.events.sum(axis=1)
    y, s = sets.at_risk, np.concatenate([[1.0], survival(sets).estimate[:-1]])
    for m in range(len(y)):
        total = 0.0
        for i in range(m + 1):
            gap = f.estimate[m] - f.estimate[i]
            total += gap**2 * d[i] / (y[i] * (y[i] - d[i])) if y[i] > d[i] else 0.0
            total += s[i] ** 2 * dk[i] * (y[i] - dk[i]) / y[i] ** 3
            total -= 2 * gap * s[i] * dk[i] / y[i] ** 2
        assert max(total, 0) ** 0.5 == pytest.approx(f.se[m], abs=1e-7)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_truth_lies_inside_the_interval_about_as_often_as_promised(seed: int) -> None:
    """Simulated exponential causes: the estimate is close to the known incidence."""
    rng = np.random.default_rng(seed)
    latent = rng.exponential([[200, 400]], (2000, 2))
    lost = rng.exponential(500, 2000)
    time = np.minimum(latent.min(axis=1), lost)
    event = np.where(latent.min(axis=1) <= lost, latent.argmin(axis=1) + 1, 0)
    f, se = curve(time, event).at(100)
    truth = (1 / 400) / (1 / 200 + 1 / 400) * (1 - np.exp(-100 * (1 / 200 + 1 / 400)))
    assert abs(f - truth) < 6 * se


@pytest.mark.parametrize("last", [1_500.0, 1_500.5, 200_000.0])
def test_days_counted_in_slices_are_the_days_counted_at_once(last: float) -> None:
    """The same counts by day and sorted, also where the last one has half a day or 547 years."""
    rng = np.random.default_rng(1)
    times = np.append(rng.integers(0, 1_500, 100_000), last)
    events = rng.integers(0, 4, len(times))
    ours, apart = count(follow_up(times, events)), count(follow_up(times + 0.25, events))
    assert np.unique(times).tolist() == ours.times.tolist()
    assert apart.at_risk.tolist() == ours.at_risk.tolist()
    assert apart.events.tolist() == ours.events.tolist()
    assert [(events == code).sum() for code in (1, 2, 3)] == ours.events.sum(axis=0).tolist()
    assert times.sum() == pytest.approx(patient_days(ours), rel=1e-14)


def test_a_million_patients_cost_about_a_sort() -> None:
    """Whole days are counted, not sorted: two curves of 10^6 patients in a fraction of a second."""
    rng = np.random.default_rng(0)
    times, events = rng.integers(0, 3000, 10**6).astype(float), rng.integers(0, 3, 10**6)
    began = clock.perf_counter()
    sets = count(follow_up(times, events))
    [cumulative_incidence(sets, cause) for cause in (1, 2)]
    assert clock.perf_counter() - began < 1.0
