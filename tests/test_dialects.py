"""The same patient, told as US, Oracle-like and German FHIR, is the same to the core."""

import json
from functools import cache
from typing import Any

import pytest

from adapter.causes import Plan
from adapter.codes import load_codes
from adapter.config import Policy
from adapter.episodes import episodes_of
from adapter.facts import facts_of
from adapter.patient import judge
from adapter.store import PatientRecord, Stored
from adapter.timelines import timeline_of
from examples.synthetic.shape import StudyShape
from examples.synthetic.study import generate, retell

DIALECTS = ("us", "oracle", "german")
POLICY = Policy()
GRADES = ("icaht_early", "icaht_late", "t_icaht_early", "t_icaht_late", "car_hematotox",
          "car_hematotox_high")  # fmt: skip
#: ICD-10-GM has no code that grades CRS or ICANS.
CODED = ("crs_grade", "icans_grade")
#: The German hospital sends creatinine in µmol/L without decimals: one part in a hundred.
ROUNDED = ("easix", "s_easix", "m_easix")


@cache
def told(dialect: str) -> dict[str, dict[str, Any]]:
    """Every episode of a small hospital whose stories are retold in one dialect."""
    study = generate(StudyShape(patients=60, recipients=50, seed=3, dialect="us"))
    codes = load_codes()
    found: dict[str, dict[str, Any]] = {}
    for story in study.stories:
        story.dialect = dialect
        made = [Stored(kind, body["id"], json.dumps(body).encode()) for kind, body in retell(story)]
        record = PatientRecord(f"syn-{story.number:05d}", made)
        for episode in episodes_of(timeline_of(facts_of(record, codes)), POLICY):
            one = judge(episode, Plan(POLICY))
            outcome = one.outcome
            found[episode.name] = {
                "day zero": episode.infusion.iso,
                "product": episode.product,
                "indication": episode.indication,
                "outcome": (outcome.kind, outcome.time),
                "death": episode.death and episode.death.when and episode.death.when.iso,
                "review": outcome.needs_review,
                **one.grades,
            }
    return found


@pytest.mark.parametrize("dialect", DIALECTS[1:])
@pytest.mark.parametrize(
    "what", ["day zero", "product", "indication", "outcome", "death", "review", *GRADES]
)
def test_the_dialect_does_not_matter(dialect: str, what: str) -> None:
    """Episodes, outcomes and grades are those of the US record."""
    expected = {name: one[what] for name, one in told("us").items()}
    assert expected == {name: one[what] for name, one in told(dialect).items()}


@pytest.mark.parametrize("dialect", DIALECTS[1:])
@pytest.mark.parametrize("what", ROUNDED)
def test_scores_agree_to_the_rounding_of_the_units(dialect: str, what: str) -> None:
    """Converted units give the same score up to the decimals that were sent."""
    expected = {name: one[what] or 0 for name, one in told("us").items()}
    actual = {name: one[what] or 0 for name, one in told(dialect).items()}
    assert expected == pytest.approx(actual, rel=0.02)


@pytest.mark.parametrize("what", CODED)
def test_coded_grades_agree_where_codes_exist(what: str) -> None:
    """Oracle-like records carry ICD-10-CM too; German ones cannot tell, which is not grade 0."""
    expected = {name: one[what] for name, one in told("us").items()}
    assert expected == {name: one[what] for name, one in told("oracle").items()}
    assert {None} == {one[what] for one in told("german").values()}


def test_infections_agree_where_they_are_dated() -> None:
    """A German "status after" (certainty Z) says that an infection was, not when: one less."""
    us, oracle, german = (
        {name: one["infections"] for name, one in told(dialect).items()} for dialect in DIALECTS
    )
    assert us == oracle
    assert all(german[name] <= us[name] for name in us)


def test_there_is_something_to_compare() -> None:
    """Fifty recipients, with grades."""
    assert 50 <= len(told("us"))
    for what in ("icaht_early", "infections", *CODED):
        assert any(one[what] for one in told("us").values())
