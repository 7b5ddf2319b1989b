"""Grades and scores equal hand-worked tables; sources stand beside the rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.config import Hematotox, Policy
from adapter.daytables import timeline_of_rows
from adapter.episodes import episodes_of
from adapter.grades import grades_of, scores_of
from adapter.grades.cytopenia import daily, longest_run
from adapter.grades.scores import car_hematotox, easix, hematotox_risk, m_easix, s_easix
from adapter.model import Episode


def episode_of(*rows: tuple[str, str]) -> Episode:
    """The episode of a day table with an infusion on day 0."""
    table = [("0", "infusion: axi-cel"), *rows]
    (episode,) = episodes_of(
        timeline_of_rows([(line, day, what) for line, (day, what) in enumerate(table)]), Policy()
    )
    return episode


def counts(analyte: str, series: dict[int, float]) -> list[tuple[str, str]]:
    """One lab row per day, value in 10*3/µL."""
    return [(str(day), f"{analyte}: {value}") for day, value in series.items()]


def plateau(low: float, days: range, high: float = 2.0, end: int = 31) -> dict[int, float]:
    """A count every day, `low` on the given days and `high` on the others."""
    return {day: low if day in days else high for day in range(end)}


# Rejeski et al. 2023: grade by days with ANC <= 500/µL (1-6, 7-13, >= 14) and <= 100 (>= 7, >= 14).
@pytest.mark.parametrize(
    ("grade", "anc"),
    [
        (0, plateau(0.51, range(5, 20))),  # 510 is not <= 500
        (1, plateau(0.5, range(5, 6))),
        (1, plateau(0.5, range(5, 11))),  # 6 days
        (2, plateau(0.5, range(5, 12))),  # 7 days
        (2, plateau(0.4, range(5, 18))),  # 13 days
        (3, plateau(0.4, range(5, 19))),  # 14 days
        (2, plateau(0.11, range(5, 12))),  # 110 is not <= 100
        (3, plateau(0.1, range(5, 12))),  # 7 days <= 100
        (4, plateau(0.0, range(5, 19))),  # 14 days <= 100
        (4, plateau(0.3, range(31))),  # from the start and never above 500
        (4, plateau(0.3, range(3, 31))),  # began by day 3, never ended
        (3, plateau(0.3, range(4, 31))),  # began on day 4: 27 days are grade 3
        # two days above 500 do not end a run (CIBMTR: three in a row do): days 5-14 are one run
        (2, plateau(0.4, range(5, 9)) | {9: 0.6, 10: 0.7} | dict.fromkeys(range(11, 15), 0.4)),
        (1, plateau(0.4, range(5, 9)) | {9: 0.6, 10: 0.7, 11: 0.6, 12: 0.4, 13: 0.4}),
        # counts on days 5 and 13 only: seven missing days between them are bridged (9 days)
        (2, {0: 2.0, 4: 2.0, 5: 0.4, 13: 0.4, 14: 2.0, 21: 2.0, 28: 2.0}),
        # nine missing days are not: two runs of one day each
        (1, {0: 2.0, 4: 2.0, 5: 0.4, 15: 0.4, 16: 2.0, 23: 2.0, 30: 2.0}),
    ],
)
def test_early_icaht_equals_the_hand_worked_table(grade: int, anc: dict[int, float]) -> None:
    """The grade follows the longest run on the daily grid."""
    assert grade == grades_of(episode_of(*counts("ANC", anc)))["icaht_early"]


@pytest.mark.parametrize(
    ("grade", "anc"),
    [
        (0, {40: 1.6, 60: 2.0}),
        (0, {40: 0.4, 60: 2.0}),  # a nadir nobody confirmed
        (1, {40: 1.5, 60: 1.5}),
        (2, {40: 1.0, 60: 1.4}),
        (3, {40: 0.5, 60: 1.2}),
        (4, {40: 0.1, 60: 1.2}),
        (3, {40: 0.4}),  # a single value is graded alone
        (0, {30: 0.1, 101: 0.1, 60: 2.0, 61: 2.0}),  # outside days 31 to 100
    ],
)
def test_late_icaht_needs_a_second_low_value(grade: int, anc: dict[int, float]) -> None:
    """The nadir counts when another value is at most 1500/µL."""
    assert grade == grades_of(episode_of(*counts("ANC", anc), ("150", "visit")))["icaht_late"]


@pytest.mark.parametrize("what", ["relapse", "drug: glofitamab", "transplant: allogeneic"])
def test_late_icaht_ends_at_the_next_event(what: str) -> None:
    """Cytopenia after progression or further therapy is not late ICAHT."""
    rows = counts("ANC", {35: 2.0, 45: 1.9, 60: 0.1, 70: 0.1})
    assert 0 == grades_of(episode_of(*rows, ("50", what)))["icaht_late"]
    assert 4 == grades_of(episode_of(*rows))["icaht_late"]


@pytest.mark.parametrize(
    ("grade", "platelets"),
    [
        (0, plateau(50, range(5, 30), 200)),  # 50 is not < 50
        (1, plateau(49, range(5, 11), 200)),  # 6 days
        (2, plateau(49, range(5, 12), 200)),  # 7 days
        (3, plateau(19, range(5, 6), 200)),
        (3, plateau(19, range(5, 18), 200)),  # 13 days
        (4, plateau(19, range(5, 19), 200)),  # 14 days
    ],
)
def test_early_platelet_grade(grade: int, platelets: dict[int, float]) -> None:
    """Below 50: grades 1 and 2; below 20: grades 3 and 4."""
    assert grade == grades_of(episode_of(*counts("platelets", platelets)))["t_icaht_early"]


@pytest.mark.parametrize(
    ("grade", "platelets"),
    [
        (0, {40: 100, 60: 150}),
        (1, {40: 99, 60: 150}),
        (2, {40: 49, 60: 150}),
        (3, {40: 19, 47: 19, 52: 150}),  # 8 days
        (4, {40: 19, 47: 19, 54: 19, 60: 150}),  # 15 days
        (None, {40: 19}),
    ],
)
def test_late_platelet_grade(grade: int | None, platelets: dict[int, float]) -> None:
    """At least two tests; very low values by the length of their run."""
    episode = episode_of(*counts("platelets", platelets), ("150", "visit"))
    assert grade == grades_of(episode)["t_icaht_late"]


def test_no_counts_is_cannot_tell_with_a_reason() -> None:
    """Missing counts are no grade 0."""
    score = scores_of(episode_of(("90", "visit")))["icaht_early"]
    assert (None, "no neutrophil count between day 0 and day 30") == (score.value, score.why)


def test_a_long_gap_is_said_beside_the_grade() -> None:
    """The reader learns that days are missing."""
    score = scores_of(episode_of(*counts("ANC", {0: 2.0, 30: 2.0})))["icaht_early"]
    assert (0, "29 day(s) without values") == (score.value, score.why)


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 60).map(lambda x: x / 10), min_size=1))
def test_lower_counts_never_give_a_lower_grade(series: dict[int, float]) -> None:
    """The grid keeps measured days, and halving every count keeps or lengthens the longest run."""
    grid = daily({day: value * 1000 for day, value in series.items()}, 0, 30)
    halved = {day: value / 2 for day, value in grid.items()}
    assert all(grid[day] == value * 1000 for day, value in series.items())
    assert longest_run(grid, lambda v: v <= 500) <= longest_run(halved, lambda v: v <= 500)


# LDH 300 U/L, creatinine 1.2 mg/dL, platelets 60 G/L, CRP 50 mg/L (= 5 mg/dL), by hand:
# EASIX 300 * 1.2 / 60 = 6; simplified 300 / 60 = 5; modified 300 * 5 / 60 = 25.
BASELINE = {"LDH": 300.0, "creatinine": 1.2, "platelets": 60.0, "CRP": 50.0}


def test_easix_family_equals_the_hand_worked_values() -> None:
    """CRP enters in mg/dL: with mg/L the modified score would be 250."""
    scores = [score(BASELINE).value for score in (easix, s_easix, m_easix)]
    assert [6.0, 5.0, 25.0] == pytest.approx(scores)


def test_easix_without_platelets_cannot_tell() -> None:
    """No value, or a zero, gives no score and says why."""
    assert (None, "no platelets before lymphodepletion") == _pair(
        easix({"LDH": 1, "creatinine": 1})
    )
    assert (None, "platelets are zero") == _pair(s_easix({"LDH": 1, "platelets": 0}))


def _pair(score: object) -> tuple[object, object]:
    return score.value, score.why  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("points", "change"),
    [
        (0, {}),
        (1, {"platelets": 175.0}),
        (1, {"platelets": 75.0}),
        (2, {"platelets": 74.0}),
        (1, {"ANC": 1.2}),
        (1, {"hemoglobin": 9.0}),
        (1, {"CRP": 30.0}),  # 30 mg/L are 3.0 mg/dL
        (0, {"CRP": 29.0}),
        (1, {"ferritin": 650.0}),
        (1, {"ferritin": 2000.0}),
        (2, {"ferritin": 2001.0}),
        (7, {"platelets": 20.0, "ANC": 0.1, "hemoglobin": 7.0, "CRP": 99.0, "ferritin": 9e3}),
    ],
)
def test_car_hematotox_points(points: int, change: dict[str, float]) -> None:
    """Each marker adds its points; platelets and ferritin weigh double."""
    healthy = {"platelets": 200.0, "ANC": 3.0, "hemoglobin": 12.0, "CRP": 2.0, "ferritin": 100.0}
    score = car_hematotox(healthy | change, Hematotox())
    assert points == score.value
    assert int(points >= 2) == hematotox_risk(score, Hematotox()).value


def test_unverified_cut_offs_are_marked() -> None:
    """Until somebody compares them with the paper every score says so."""
    full = BASELINE | {"ANC": 3.0, "hemoglobin": 12.0, "ferritin": 100.0}
    assert "not verified" in car_hematotox(full, Hematotox()).why
    assert car_hematotox(full, Hematotox(verified=True)).why == ""


def test_highest_coded_grade_counts() -> None:
    """Several codes over the days: the highest is the grade."""
    grades = grades_of(
        episode_of(("2", "CRS_grade_1"), ("4", "CRS_grade_3"), ("6", "ICANS_grade_2"))
    )
    assert (3, 2) == (grades["crs_grade"], grades["icans_grade"])


@pytest.mark.parametrize(
    ("why", "row"),
    [
        ("no code; absence of a code is not grade 0", ("90", "visit")),
        ("coded without a grade", ("3", "CRS_unspecified")),
        ("no code; absence of a code is not grade 0", ("3", "CRS_grade_2 [refuted]")),
        ("no code; absence of a code is not grade 0", ("-200", "CRS_grade_2")),
        ("no code; absence of a code is not grade 0", ("200", "CRS_grade_2")),
    ],
)
def test_no_coded_grade_cannot_tell(why: str, row: tuple[str, str]) -> None:
    """A missing, refuted or far-off code gives no grade."""
    score = scores_of(episode_of(row))["crs_grade"]
    assert (None, why) == (score.value, score.why)
