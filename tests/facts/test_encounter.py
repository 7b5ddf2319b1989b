"""Encounters: contact, stays, and death at discharge."""

import pytest

from adapter.dates import on
from tests.builders import condition, encounter, lab
from tests.facts.reader import codes, facts, kinds, read

GERMAN = "http://fhir.de/StructureDefinition/Entlassungsgrund"


def days(*resources: dict[str, object]) -> list[str]:
    """The days of contact."""
    found = read(*resources).facts
    return [f.when.iso for f in found if f.concept == "contact" and f.when is not None]


def test_a_stay_is_seen_on_its_first_and_last_day() -> None:
    """Follow-up runs to the discharge."""
    assert days(encounter("2021-05-01", "2021-05-20")) == ["2021-05-01", "2021-05-20"]


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error"])
def test_what_did_not_happen_is_no_contact(status: str) -> None:
    """A booked visit proves nothing about the patient."""
    assert days(encounter("2031-05-01", status=status)) == []


def test_an_unknown_status_is_no_contact_and_noted() -> None:
    """Nobody says whether it took place."""
    visit = encounter("2021-05-01", status="unknown")
    assert days(visit) == []
    assert kinds(visit) == ["status"]


def test_one_day_is_one_contact() -> None:
    """Ten results of one morning are one contact."""
    labs = [lab("718-7", 10.0, "g/dL", f"2021-05-01T08:{minute:02d}:00Z") for minute in range(10)]
    assert days(*labs, encounter("2021-05-01")) == ["2021-05-01"]


def test_contact_source_does_not_depend_on_order() -> None:
    """The same day from two resources names the same one, whichever came first."""
    one, two = lab("718-7", 10.0, "g/dL", "2021-05-01"), encounter("2021-05-01")
    assert read(one, two).facts == read(two, one).facts


def test_with_a_zone_the_day_is_the_sites_day() -> None:
    """23:30 UTC is the next morning in Berlin."""
    found = read(encounter("2021-05-01T23:30:00Z"), zone="Europe/Berlin").facts
    assert [fact.when and fact.when.iso for fact in found] == ["2021-05-02"]


def test_discharge_as_expired_is_a_death_on_the_last_day() -> None:
    """HL7 discharge-disposition exp."""
    (fact,) = facts(encounter("2021-05-01", "2021-05-20", discharge="discharge|exp"), of="death")
    assert (fact.group, fact.when) == ("died", on("2021-05-20"))
    assert "discharge" in fact.traits


def test_german_discharge_reason_in_its_extension_is_a_death() -> None:
    """MII writes Entlassungsgrund 07 in an extension of the disposition."""
    system = next(row.system for row in codes().rows if row.subconcept == "de_discharge_death")
    nested = {"url": "ErsteUndZweiteStelle", "valueCoding": {"system": system, "code": "07"}}
    disposition = {"extension": [{"url": GERMAN, "extension": [nested]}]}
    stay = encounter(
        "2021-05-01", "2021-05-20", hospitalization={"dischargeDisposition": disposition}
    )
    (fact,) = facts(stay, of="death")
    assert fact.when == on("2021-05-20")


def test_discharge_to_hospice_is_no_death() -> None:
    """The patient left alive."""
    found = facts(encounter("2021-05-01", "2021-05-20", discharge="discharge|hosp"))
    assert [fact.concept for fact in found] == ["hospice"]


def test_death_at_discharge_without_an_end_is_undated() -> None:
    """The stay has no last day."""
    (fact,) = facts(encounter("2021-05-01", discharge="discharge|exp"), of="death")
    assert fact.when is None
    assert "no_time" in fact.traits


def test_inpatient_and_intensive_care_are_told() -> None:
    """They say how severe an infection was."""
    ward = encounter("2021-05-01", "2021-05-20", kind="IMP")
    kind = {"coding": [{"system": "http://fhir.de/CodeSystem/kontaktart-de",
                        "code": "intensivstationaer"}]}  # fmt: skip
    unit = encounter("2021-05-03", "2021-05-09", type=[kind])
    assert {f.subconcept for f in facts(ward, unit, of="encounter")} == {"inpatient", "icu"}


def test_a_planned_stay_dates_nothing() -> None:
    """Only attended encounters are looked up."""
    planned = encounter("2021-05-01", status="planned", id="e1")
    sepsis = condition("cm|A41.9", encounter={"reference": "Encounter/e1"})
    assert [fact.when for fact in facts(planned, sepsis)] == [None]
