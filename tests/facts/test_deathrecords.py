"""Death records: dates, certified causes, vital status."""

import pytest

from adapter.dates import on
from adapter.model import Fact
from tests.builders import concept, observation
from tests.facts.reader import facts, kinds, only, read

DIED = "2021-08-01"


def certified(code: str, cause: str) -> list[Fact]:
    """The facts of a certificate line, without the death it proves."""
    return [f for f in facts(observation(code, on=DIED, result=cause)) if f.concept != "death"]


def test_the_date_of_death_is_the_value_not_the_effective_time() -> None:
    """LOINC 81956-5, written the next day."""
    fact = only(observation("81956-5", on="2021-08-02", valueDateTime=DIED))
    assert (fact.concept, fact.when) == ("death", on(DIED))


def test_a_date_of_death_without_a_value_is_undated() -> None:
    """The certificate's day is not the day of death."""
    fact = only(observation("81956-5", on="2021-08-02"))
    assert fact.when is None
    assert "no_time" in fact.traits


@pytest.mark.parametrize(
    ("code", "trait"),
    [("80358-5", "underlying"), ("80359-3", "underlying"), ("80357-7", "contributing"),
     ("69441-4", "contributing")],
)  # fmt: skip
def test_a_coded_cause_is_certified(code: str, trait: str) -> None:
    """ICD-10 sepsis as the underlying or another cause."""
    (fact,) = certified(code, "who|A41.9")
    assert fact.concept == "infection"
    assert {"certified", trait} <= fact.traits


def test_part_one_is_certified_without_a_place_in_the_chain() -> None:
    """LOINC 69453-9, should somebody code it."""
    (fact,) = certified("69453-9", "who|A41.9")
    assert fact.traits == frozenset({"certified"})


def test_a_certified_cause_proves_an_undated_death() -> None:
    """Nobody has a cause of death alive."""
    (death,) = facts(observation("80358-5", on=DIED, result="who|A41.9"), of="death")
    assert (death.group, death.when) == ("died", None)
    assert {"certified", "no_time"} <= death.traits


def test_a_cause_in_words_is_listed() -> None:
    """VRDR part 1 is text: never counted, never shown in the source's words."""
    found = facts(observation("69453-9", on=DIED, valueCodeableConcept={"text": "Sepsis"}))
    listed = next(f for f in found if f.concept == "text_only")
    assert (listed.subconcept, listed.label) == ("cause_of_death", "text-only cause of death")
    assert "certified" in listed.traits


def test_a_cause_nobody_mapped_is_never_invisible() -> None:
    """An unmapped certified code sends the death to review."""
    (fact,) = certified("80358-5", "who|L98.9")
    assert fact.concept == "certified_unmapped"
    assert {"certified", "review_only"} <= fact.traits


def test_a_withdrawn_certificate_proves_nothing() -> None:
    """entered-in-error."""
    found = facts(observation("80358-5", on=DIED, result="who|A41.9", status="entered-in-error"))
    assert found
    assert not any(fact.counts for fact in found)


def test_death_records_are_no_contact() -> None:
    """The registrar writes weeks later."""
    found = read(observation("80358-5", on="2021-09-20", result="who|A41.9")).facts
    assert all(fact.concept != "contact" for fact in found)


VITAL = "https://www.medizininformatik-initiative.de/fhir/core/modul-person/CodeSystem/Vitalstatus"


def status(letter: str) -> list[Fact]:
    """The facts of an MII vital status."""
    return read(observation("67162-8", on=DIED, result=f"{VITAL}|{letter}")).facts


def test_vital_status_dead_is_dead_by_then() -> None:
    """The day of the status is not the day of death."""
    (fact,) = status("T")
    assert (fact.concept, fact.when, fact.recorded) == ("death", None, on(DIED))


def test_vital_status_alive_is_a_contact() -> None:
    """Somebody knew."""
    assert {(f.concept, f.group) for f in status("L")} == {("death", "alive"), ("contact", "")}


@pytest.mark.parametrize("letter", ["A", "B", "N", "V", "X"])
def test_other_vital_status_says_why_nobody_knows(letter: str) -> None:
    """Lost, elsewhere, ended, refused, unknown."""
    assert [fact.concept for fact in status(letter)] == ["followup_status"]


def test_onco_death_dates_and_its_flag_is_unusable() -> None:
    """J means of the tumour or of its treatment: it cannot separate relapse from NRM."""
    system = next(
        code for code in (
            "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/mii-cs-onko-tod",
        )
    )  # fmt: skip
    tod = observation("sct|184305005", on=DIED, result=f"{system}|J")
    assert [(f.concept, f.when) for f in facts(tod)] == [("death", on(DIED))]
    assert kinds(tod) == ["unusable"]


def test_suicide_is_an_external_cause() -> None:
    """Manner of death."""
    fact = only(observation("69449-7", on=DIED, result="sct|44301001"))
    assert (fact.concept, fact.subconcept) == ("external_cause", "manner_suicide")
    assert "certified" in fact.traits


def test_a_pending_manner_is_noted() -> None:
    """Ask again."""
    pending = observation("69449-7", on=DIED, result="sct|185973002")
    assert facts(pending) == []
    assert kinds(pending) == ["unusable"]


@pytest.mark.parametrize("code", ["85699-7", "58332-8", "69436-4"])
def test_details_of_a_death_are_no_facts(code: str) -> None:
    """Autopsy done, place of death: nothing to date a death with."""
    assert facts(observation(code, on=DIED, valueBoolean=True)) == []


def test_pronounced_dead_as_a_component() -> None:
    """LOINC 80616-6 beside an empty main value."""
    part = {"code": concept("loinc|80616-6"), "valueDateTime": DIED}
    dated = [f for f in facts(observation("81956-5", component=[part])) if f.when is not None]
    assert [(f.subconcept, f.when) for f in dated] == [("pronounced_dead", on(DIED))]
