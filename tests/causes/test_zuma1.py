"""The 59 deaths of the five-year table of ZUMA-1 (doi:10.1182/blood.2022018893), by our rules.

Published are only the counts by cause. The days, the records behind each cause, and what the four
adverse events were are invented, so that every death can pass the same rules as a chart.
"""

import csv
from collections import Counter
from pathlib import Path

import pytest

from adapter.causes import Plan
from adapter.config import Policy
from adapter.model import Judged, OutcomeKind
from tests.causes.tables import judged

DEATHS = list(csv.DictReader((Path(__file__).parent / "zuma1.csv").open(encoding="utf-8")))


def judge(death: dict[str, str], policy: Policy | None = None) -> Judged:
    """One death of the table under a policy."""
    table = "\n".join(["0 | infusion: axi-cel", *death["days"].split(";")])
    return judged(table, Plan(policy=policy or Policy()))


def non_relapse(policy: Policy | None = None) -> int:
    """How many of the 59 are non-relapse deaths under a policy."""
    return sum(judge(death, policy).outcome.kind is OutcomeKind.NRM for death in DEATHS)


def test_the_case_set_holds_the_published_counts() -> None:
    """45 progressive disease, 4 adverse events, 1 second malignancy, 9 other."""
    published = Counter(death["published"] for death in DEATHS)
    assert Counter({"PD": 45, "AE": 4, "second malignancy": 1, "other": 9}) == published


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death["death"])
def test_each_death(death: dict[str, str]) -> None:
    """Outcome and cause are those our definitions give."""
    one = judge(death)
    assert death["outcome"] == one.outcome.kind
    assert death["cause"] == (one.verdict.cause if one.verdict else "")


def test_fourteen_deaths_are_non_relapse_by_our_definition() -> None:
    """59 less 45: death of anything without progression before it."""
    assert non_relapse() == 14


def test_the_difference_of_one_is_a_matter_of_policy() -> None:
    """Cordas dos Santos et al. counted 13; censoring at a later transplant would give that too."""
    assert non_relapse(Policy(later_hct="censor")) == 13


def test_causes_among_the_fourteen() -> None:
    """Nocardiosis and sepsis are infections; only what nobody knows is unknown."""
    causes = Counter(str(one.verdict.cause) for one in map(judge, DEATHS) if one.verdict)
    assert causes["infection"] == 5
    assert causes["second_malignancy"] == 2
    assert causes["unknown"] == 1
    assert sum(causes.values()) == 14
