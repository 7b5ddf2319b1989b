"""Observations: laboratory values, vital signs, disease status and coded findings."""

from typing import Any

import pytest

from adapter.dates import on
from tests.builders import concept, condition, lab, observation, quantity
from tests.facts.reader import facts, kinds, only, read

ANC, CRP = "26499-4", "1988-5"


def test_a_laboratory_value_is_a_fact_in_the_canonical_unit() -> None:
    """The group names the analyte whatever the method."""
    fact = only(lab("751-8", 1200, "/uL", "2021-05-03T06:00:00"))
    assert (fact.concept, fact.group, fact.value, fact.unit) == ("lab", "ANC", 1.2, "10*3/uL")
    assert fact.when is not None
    assert fact.when.clock == 6 * 3600


@pytest.mark.parametrize("status", ["registered", "cancelled", "entered-in-error", "unknown", None])
def test_what_is_not_final_never_counts(status: str | None) -> None:
    """No evidence and no contact."""
    found = read(lab(ANC, 1.2, "10*3/uL", status=status)).facts
    assert [fact.concept for fact in found] == ["lab"]
    assert not found[0].counts


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "preliminary"])
def test_results_count(status: str) -> None:
    """Also those that were corrected."""
    assert only(lab(ANC, 1.2, "10*3/uL", status=status)).counts


@pytest.mark.parametrize(
    ("comparator", "trait"), [("<", "less_than"), ("<=", "less_than"), (">", "more_than")]
)
def test_a_bound_is_kept_as_a_bound(comparator: str, trait: str) -> None:
    """ANC below 0.1 is not ANC 0.1."""
    fact = only(lab(ANC, 0.1, "10*3/uL", comparator=comparator))
    assert (fact.value, fact.traits) == (0.1, frozenset({trait}))


@pytest.mark.parametrize(
    ("value", "expected", "traits"),
    [
        ("<0.1 10*9/L", 0.1, {"less_than"}),
        ("1,2 G/L", 1.2, set()),
        ("1.2 10*3/uL", 1.2, set()),
        ("> 5 K/uL", 5.0, {"more_than"}),
    ],
)
def test_a_number_written_as_text_is_read(value: str, expected: float, traits: set[str]) -> None:
    """Many servers send valueString for anything with a sign."""
    fact = only(observation(ANC, on="2021-05-03", valueString=value))
    assert (fact.value, set(fact.traits)) == (expected, traits)


@pytest.mark.parametrize("value", ["1,200 /uL", "clotted", "1-2 G/L", "", "see report 12"])
def test_text_that_is_no_clear_number_is_refused(value: str) -> None:
    """1,200 is twelve hundred to some and 1.2 to others."""
    assert facts(observation(ANC, on="2021-05-03", valueString=value)) == []


def test_a_quoted_number_is_a_number() -> None:
    """value: "1.2"."""
    assert only(lab(ANC, "1.2", "10*3/uL")).value == 1.2  # type: ignore[arg-type]


def test_a_missing_unit_that_fits_twice_is_refused() -> None:
    """ANC 1.2 may be per uL or per nL."""
    assert facts(lab(ANC, 1.2)) == []
    assert kinds(lab(ANC, 1.2)) == ["unit"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"), [(1.2, "mg/dL", 12.0), (12.0, "mg/L", 12.0)]
)
def test_crp_units_are_not_confused(value: float, unit: str, expected: float) -> None:
    """Canonical is mg/L."""
    assert only(lab(CRP, value, unit)).value == expected


def test_an_absent_value_is_silent() -> None:
    """dataAbsentReason says why there is none; nobody was seen either."""
    absent = observation(ANC, on="2021-05-03", dataAbsentReason=concept("x|not-performed"))
    assert read(absent).facts == []
    assert kinds(absent) == []


@pytest.mark.parametrize(
    "value",
    [
        {"valueRange": {"low": {"value": 1}}},
        {"valueRatio": {"numerator": {"value": 1}}},
        {"valueSampledData": {"data": "1 2"}},
        {"valueCodeableConcept": {"text": "normal"}},
        {"valueBoolean": True},
        {"valueTime": "10:00:00"},
        {"valuePeriod": {"start": "2021"}},
    ],
)
def test_other_kinds_of_value_are_no_number(value: dict[str, Any]) -> None:
    """Noted, never guessed."""
    odd = observation(ANC, on="2021-05-03", **value)
    assert facts(odd) == []
    assert kinds(odd) == ["value"]


def test_components_are_read() -> None:
    """A blood pressure panel."""
    parts = [
        {"code": concept("8480-6", system="loinc"), "valueQuantity": quantity(85, "mm[Hg]")},
        {"code": concept("8462-4", system="loinc"), "valueQuantity": quantity(50, "mm[Hg]")},
    ]
    found = facts(observation("85354-9", on="2021-05-03", component=parts))
    assert {(f.group, f.value) for f in found} == {
        ("systolic_pressure", 85.0), ("diastolic_pressure", 50.0),
    }  # fmt: skip


def test_components_of_an_unknown_panel_are_read_too() -> None:
    """A local panel code around a LOINC-coded count."""
    part = {"code": concept(ANC, system="loinc"), "valueQuantity": quantity(0.4, "G/L")}
    assert only(observation("local|CBC", on="2021-05-03", component=[part])).value == 0.4


def test_performance_status_needs_no_unit() -> None:
    """ECOG 0 to 5."""
    fact = only(observation("89247-1", on="2021-05-03", valueInteger=2))
    assert (fact.concept, fact.group, fact.value) == ("performance_status", "ECOG", 2.0)


@pytest.mark.parametrize(
    "answer", ["loinc|LA9624-3", "sct|422894000", "local|2", ["local|x", "sct|422894000"]]
)
def test_a_coded_performance_status_is_its_score(answer: str) -> None:
    """LOINC and SNOMED CT answers, and the digit the German list uses as code."""
    assert only(observation("89247-1", on="2021-05-03", result=answer)).value == 2.0


def test_a_temperature_in_fahrenheit_is_converted() -> None:
    """100.4 degF is the fever line."""
    assert only(lab("8310-5", 100.4, "[degF]")).value == pytest.approx(38.0)


def test_issued_dates_what_has_no_effective_time() -> None:
    """Marked as an entry date."""
    fact = only(lab(ANC, 1.2, "G/L", "", issued="2021-05-03T06:00:00Z"))
    assert "day_only_from_entry" in fact.traits


def test_disease_status_is_read_from_the_answer() -> None:
    """mCODE cancer disease status."""
    fact = only(observation("97509-4", on="2021-09-01", result="sct|271299001"))
    assert (fact.concept, fact.group, fact.when) == (
        "disease_status", "progression", on("2021-09-01"),
    )  # fmt: skip


def test_german_course_is_read_from_the_answer() -> None:
    """MII Verlauf: Y is relapse."""
    fact = only(observation("sct|396432002", on="2021-09-01", result="verlauf|Y"))
    assert fact.group == "relapse"


def test_worsening_of_another_tumour_is_marked() -> None:
    """Worsened is relapse only if the focus is the treated disease."""
    tumour = condition("cm|C61", on="2019", id="c9")
    worse = observation(
        "97509-4", on="2021-09-01", result="sct|271299001", focus=[{"reference": "Condition/c9"}]
    )
    (fact,) = facts(tumour, worse, of="disease_status")
    assert "other_focus" in fact.traits


def test_worsening_of_the_treated_disease_is_not_marked() -> None:
    """The focus is the lymphoma."""
    lymphoma = condition("cm|C83.38", on="2019", id="c9")
    worse = observation(
        "97509-4", on="2021-09-01", result="sct|271299001", focus=[{"reference": "Condition/c9"}]
    )
    (fact,) = facts(lymphoma, worse, of="disease_status")
    assert "other_focus" not in fact.traits


def test_an_unmapped_disease_status_is_noted() -> None:
    """It may be a relapse."""
    status = observation("97509-4", on="2021-09-01", result="local|R2")
    assert facts(status) == []
    assert kinds(status) == ["unmapped_result"]


def test_a_disease_status_in_words_is_listed() -> None:
    """Shown, never counted."""
    status = observation("97509-4", on="2021-09-01", valueString="Rezidiv")
    assert [(f.concept, f.subconcept) for f in facts(status)] == [("text_only", "result")]


def test_a_coded_finding_with_a_grade_carries_it() -> None:
    """CRS as an Observation, value 3."""
    fact = only(observation("cm|D89.839", on="2021-05-05", valueInteger=3))
    assert (fact.concept, fact.group, fact.value) == ("toxicity", "crs", 3.0)
    assert fact.counts


@pytest.mark.parametrize(
    "value", [{"valueInteger": 0}, {"valueBoolean": False}, {"result": "sct|260385009"}]
)
def test_a_denied_finding_never_counts(value: dict[str, Any]) -> None:
    """Grade 0, false, negative: there was none."""
    assert not only(observation("cm|D89.839", on="2021-05-05", **value)).counts


def test_text_only_observations_are_listed() -> None:
    """A local test without any code."""
    found = facts(observation(on="2021-05-03", code={"text": "Local test"}, valueInteger=1))
    assert [(f.concept, f.subconcept) for f in found] == [("text_only", "observation")]


def test_an_irrelevant_observation_is_a_contact_and_an_unmapped_code() -> None:
    """The most frequent case of all."""
    found = read(lab("9999-9", 1.0, "g/dL", "2021-05-03"))
    assert [fact.concept for fact in found.facts] == ["contact"]
    assert found.unmapped == [("http://loinc.org", "9999-9", "Observation")]


def test_one_odd_field_keeps_the_rest() -> None:
    """A component that is a string, a code system that is a number."""
    odd = lab(ANC, 0.4, "G/L", component=["odd"], issued=7)
    odd["code"]["coding"].append({"system": 4, "code": "x"})
    assert only(odd).value == 0.4
    assert set(kinds(odd)) == {"shape"}
