"""Infection density, trajectories and the table of prophylaxis rules."""

from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.causes import Plan
from adapter.codes.prophylaxis import ProphylaxisRule, Who, prophylaxis_rules
from adapter.config import Policy
from adapter.daytables import timeline_of_rows
from adapter.errors import MappingError
from adapter.grades.infections import (
    Infection,
    by_window,
    infections_of,
    lowest_by_window,
    trajectory,
    windows_of,
)
from adapter.grades.prophylaxis import _WHO, Exposure, prophylaxis_of
from adapter.incidence import density
from adapter.model import Judged
from adapter.patient import judge_patient
from tests.causes.tables import judged

ALL = frozenset({"MedicationAdministration", "MedicationRequest", "Observation"})
RULES = {rule.rule: rule for rule in prophylaxis_rules()}


def table(*rows: str) -> Judged:
    """The judged episode of rows like "24 | death" after an infusion on day 0."""
    return judged("\n".join(("0 | infusion: axi-cel", *rows)))


def test_density_equals_the_hand_worked_table() -> None:
    """Two people, 31 + 11 days at risk in the first month, 3 infections: 3 / 42 per day."""
    one = table("10 | infection: sepsis", "25 | blood culture: Escherichia coli", "60 | visit")
    other = table("5 | infection: aspergillosis", "10 | death")
    early, late, *_ = by_window([one, other])
    assert (42, 3) == (early.patient_days, len(early.infections))
    assert (30, 0) == (late.patient_days, len(late.infections))
    assert 71.43 == pytest.approx(density(3, 42)["per_1000_days"], abs=0.01)


def test_windows_are_a_setting() -> None:
    """0-30, 31-100, 101-180 and later unless the study says otherwise, in whatever order."""
    assert [(0, 30), (31, 100), (101, 180), (181, None)] == windows_of()
    assert [(0, 28), (29, 90), (91, None)] == windows_of(Policy(infection_windows=(90, 28)))


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 400), st.integers(0, 60))
def test_every_infection_and_every_day_is_in_one_window(
    days: list[int], last: int, repeat: int
) -> None:
    """Windows neither overlap nor leave a hole; infections lie apart and before the first event."""
    policy = Policy(infection_repeat_days=repeat)
    one = table(*(f"{day} | infection: sepsis" for day in days), f"{last} | visit")
    found = infections_of(one, policy)
    windows = by_window([one], policy)
    assert found == [infection for window in windows for infection in window.infections]
    assert last + 1 == sum(window.patient_days for window in windows)
    assert all(0 <= infection.day <= last for infection in found)
    assert all(later.day - earlier.day > repeat for earlier, later in pairwise(found))


def test_the_repeat_timeframe_is_a_setting() -> None:
    """Twenty days apart: two infections by default, one with a longer timeframe."""
    one = table("10 | infection: sepsis", "30 | infection: sepsis", "60 | visit")
    unknown = "organism_not_identified"
    assert [Infection(10, unknown), Infection(30, unknown)] == infections_of(one)
    assert [Infection(10, unknown)] == infections_of(one, Policy(infection_repeat_days=20))


def test_trajectories_end_at_the_first_event() -> None:
    """IgG after relapse belongs to the next therapy."""
    one = table("-3 | IgG: 900", "20 | IgG: 500", "50 | IgG: 300", "60 | relapse", "70 | IgG: 100")
    assert [(20, 500.0), (50, 300.0)] == trajectory(one, "IgG")
    assert [[500.0], [300.0], [], []] == lowest_by_window([one], "IgG")


def test_every_rule_has_a_source_and_unsourced_ones_say_so() -> None:
    """A rule from general knowledge is marked in the table and so in the report."""
    assert all(rule.source for rule in RULES.values())
    marked = {name for name, rule in RULES.items() if rule.source.startswith("unsourced")}
    assert {"pjp_one_year", "immunoglobulin_any"} == marked


def test_every_name_of_whom_has_its_function() -> None:
    """The table may use no word that the program does not know."""
    assert set(get_args(Who)) == set(_WHO)


def answers(one: Judged, sends: frozenset[str] = ALL) -> dict[str, Exposure]:
    """What every shipped rule says."""
    found = prophylaxis_of(one, RULES.values(), sends, Policy())
    return {answer.rule.rule: answer.exposure for answer in found}


def test_a_source_without_drugs_cannot_be_evaluated() -> None:
    """Absence of a kind of record is not absence of prophylaxis."""
    said = answers(table("400 | visit"), frozenset({"Observation"}))
    assert Exposure.CANNOT_EVALUATE is said["antiviral"]
    assert Exposure.NOT_MET is said["igg_check"]


def test_what_is_taken_at_home_needs_prescriptions() -> None:
    """Drugs given in hospital only: that it went on at home cannot be known."""
    one = table("-3 | drug: acyclovir", "400 | visit")
    given = frozenset({"MedicationAdministration"})
    assert Exposure.NOT_MET is answers(one)["antiviral"]
    assert Exposure.CANNOT_EVALUATE is answers(one, given)["antiviral"]


def test_an_unknown_day_of_infusion_cannot_be_evaluated() -> None:
    """Days from infusion need a day of infusion."""
    one = judged("0..20 | infusion: axi-cel\n400 | visit")
    assert {Exposure.CANNOT_EVALUATE} == set(answers(one).values())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("x,t,nonsense,everybody,0,1,,,,s", "no subconcept is called 'nonsense'"),
        ("x,t,IgG,nobody,0,1,,,,s", "mine.csv:2: Invalid enum value 'nobody'"),
        ("x,t,IgG,everybody,soon,1,,,,s", "mine.csv:2: Expected `int`"),
        ("x,t,IgG,everybody,0,1,,,,", "mine.csv:2: no source"),
    ],
)
def test_a_fault_in_a_sites_table_is_named(tmp_path: Path, fault: str, said: str) -> None:
    """File and line, and what is wrong."""
    file = tmp_path / "mine.csv"
    file.write_text(f"rule,title,facts,who,first,last,until,gap,cd4,source\n{fault}\n")
    with pytest.raises(MappingError) as caught:
        prophylaxis_rules(file)
    assert said in str(caught.value)


def test_a_site_may_replace_the_table(tmp_path: Path) -> None:
    """One rule, read as written."""
    file = tmp_path / "mine.csv"
    file.write_text(
        "rule,title,facts,who,first,last,until,gap,cd4,source\n"
        "mine,Ours,acyclovir;valacyclovir,everybody,-7,0,180,90,350.5,Our ward 2025\n"
    )
    drugs = frozenset({"MedicationAdministration", "MedicationRequest"})
    assert (
        ProphylaxisRule("mine", "Ours", ("acyclovir", "valacyclovir"), "everybody", -7, 0, 180, 90,
                        350.5, "Our ward 2025", drugs),
    ) == prophylaxis_rules(file)  # fmt: skip


def test_what_a_study_says_of_prophylaxis_is_what_its_score_says() -> None:
    """The report knew every CAR-HEMATOTOX, and called its two rules impossible to evaluate."""
    days = ((-7, "platelets: 40"), (-7, "ANC: 0.9"), (-7, "hemoglobin: 8.0"), (-7, "CRP: 40"),
            (-7, "ferritin: 900"), (0, "infusion: axi-cel"), (60, "visit"))  # fmt: skip
    rows = [(line, str(day), what) for line, (day, what) in enumerate(days)]
    plan = Plan(Policy(), prophylaxis=tuple(RULES.values()))
    (one,) = judge_patient(timeline_of_rows(rows), plan)
    assert (1, Exposure.NOT_MET) == (
        one.grades["car_hematotox_high"],
        one.prophylaxis["gcsf_early"],
    )
