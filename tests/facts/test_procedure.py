"""Procedures: what was done, what was only planned, and how it is dated."""

import pytest

from adapter.dates import on
from tests.builders import encounter, procedure
from tests.facts.reader import facts, kinds, only, read

AXI = "pcs|XW033H7"


def test_an_infusion_is_a_fact() -> None:
    """Axi-cel by ICD-10-PCS."""
    fact = only(procedure(AXI, on="2021-05-03T10:00:00+02:00"))
    assert (fact.concept, fact.subconcept) == ("cart_infusion", "axicabtagene_ciloleucel")
    assert fact.counts


@pytest.mark.parametrize(
    ("status", "trait"),
    [
        ("not-done", "refuted_by_source"),
        ("entered-in-error", "entered_in_error"),
        ("preparation", "planned"),
        ("on-hold", "planned"),
    ],
)
def test_what_was_not_done_never_counts(status: str, trait: str) -> None:
    """Not done, entered in error, prepared: kept to explain, no contact either."""
    found = read(procedure(AXI, on="2021-05-03", status=status)).facts
    assert [fact.concept for fact in found] == ["cart_infusion"]
    assert trait in found[0].traits
    assert not found[0].counts


@pytest.mark.parametrize("status", ["completed", "in-progress", "stopped"])
def test_what_was_begun_counts(status: str) -> None:
    """A stopped infusion was begun."""
    assert only(procedure(AXI, on="2021-05-03", status=status)).counts


def test_an_unknown_status_is_noted_and_counts() -> None:
    """The source recorded it and does not know how it ended."""
    infusion = procedure(AXI, on="2021-05-03", status="unknown")
    assert only(infusion).counts
    assert kinds(infusion) == ["status"]


def test_a_period_gives_start_and_end() -> None:
    """performedPeriod."""
    fact = only(procedure(AXI, performedPeriod={"start": "2021-05-03", "end": "2021-05-04"}))
    assert (fact.when, fact.end) == (on("2021-05-03"), on("2021-05-04"))


def test_a_period_that_runs_backwards_keeps_its_start() -> None:
    """And says so."""
    infusion = procedure(AXI, performedPeriod={"start": "2021-05-03", "end": "2021-04-04"})
    assert (only(infusion).when, only(infusion).end) == (on("2021-05-03"), None)
    assert kinds(infusion) == ["date"]


def test_a_performed_age_is_refused() -> None:
    """61 years is no date."""
    infusion = procedure(AXI, performedAge={"value": 61, "unit": "a"})
    assert only(infusion).when is None
    assert kinds(infusion) == ["date"]


def test_the_encounter_dates_an_undated_procedure() -> None:
    """One-day encounter, one day."""
    visit = encounter("2021-05-03", "2021-05-03", id="e1")
    infusion = procedure(AXI, encounter={"reference": "https://x.test/fhir/Encounter/e1"})
    (fact,) = facts(visit, infusion, of="cart_infusion")
    assert fact.when is not None
    assert fact.when.iso == "2021-05-03"
    assert "dated_by_encounter" in fact.traits


def test_several_codings_of_one_infusion_are_one_fact() -> None:
    """PCS and SNOMED CT of the same procedure: product and generic are both said once."""
    found = facts(procedure(AXI, "sct|1156961008", on="2021-05-03"), of="cart_infusion")
    assert len(found) == len({fact.subconcept for fact in found})


def test_a_lookalike_beside_a_generic_code_stays_a_lookalike() -> None:
    """Lifileucel coded with the generic cell-infusion code as well is no CAR T infusion."""
    found = facts(procedure("sct|1156961008", "pcs|XW033L7", on="2021-05-03"))
    assert [fact.concept for fact in found] == ["cart_infusion_EXCLUDE"]
    assert not found[0].counts


def test_hcpcs_is_billing() -> None:
    """A billing line may be dated days after the care."""
    assert "billing" in only(procedure("hcpcs|Q2041", on="2021-05-03")).traits


def test_text_only_procedures_are_listed() -> None:
    """Words without a code."""
    fact = only(procedure(on="2021-05-03", code={"text": "CAR-T Gabe"}))
    assert (fact.concept, fact.subconcept) == ("text_only", "procedure")


def test_an_unreadable_date_is_noted_and_the_infusion_kept() -> None:
    """The field is left out, not the record."""
    infusion = procedure(AXI, on="03.05.2021")
    assert only(infusion).when is None
    assert kinds(infusion) == ["date"]


def test_an_irrelevant_procedure_is_a_contact() -> None:
    """Somebody saw the patient."""
    assert [fact.concept for fact in read(procedure("sct|103697008", on="2021-05-03")).facts] == [
        "contact"
    ]
