"""Conditions: certainty, dates, categories and what is kept but never counts."""

from typing import Any

import pytest

from adapter.dates import on
from tests.builders import condition, encounter
from tests.facts.reader import facts, kinds, only, read


def test_a_diagnosis_is_a_fact_at_its_onset() -> None:
    """Onset dates the fact; code and source say where it came from."""
    fact = only(condition("cm|A41.9", on="2021-05-03"))
    assert fact.concept == "infection"
    assert fact.when == on("2021-05-03")
    assert fact.source == "Condition/c1"
    assert fact.code == "http://hl7.org/fhir/sid/icd-10-cm|A41.9"
    assert fact.counts


def test_a_month_stays_a_month() -> None:
    """2021-05 is not 1 May."""
    fact = only(condition("cm|A41.9", on="2021-05"))
    assert fact.when is not None
    assert fact.when.iso == "2021-05"


@pytest.mark.parametrize(
    ("status", "trait"),
    [
        ("refuted", "refuted_by_source"),
        ("entered-in-error", "refuted_by_source"),
        ("unconfirmed", "suspected"),
        ("provisional", "suspected"),
        ("differential", "suspected"),
    ],
)
def test_doubted_diagnoses_never_count(status: str, trait: str) -> None:
    """Refuted and suspected diagnoses are kept to explain, and count for nothing."""
    fact = only(condition("cm|A41.9", on="2021-05-03", verified=status))
    assert trait in fact.traits
    assert not fact.counts


@pytest.mark.parametrize(
    ("letter", "trait"), [("A", "refuted_by_source"), ("V", "suspected"), ("Z", "history")]
)
def test_german_certainty_is_honoured(letter: str, trait: str) -> None:
    """A excludes, V suspects, Z is status after."""
    fact = only(condition("gm|A41.9", on="2021-05-03", certainty=letter))
    assert trait in fact.traits


def test_certainty_g_is_an_ordinary_diagnosis() -> None:
    """G confirms."""
    assert only(condition("gm|A41.9", on="2021-05-03", certainty="G")).traits == frozenset()


def test_certainty_of_one_coding_holds_for_all() -> None:
    """A suspected sepsis is suspected in SNOMED CT as well."""
    found = facts(condition("gm|A41.9", "sct|91302008", on="2021-05-03", certainty="V"))
    assert found
    assert not any(fact.counts for fact in found)


@pytest.mark.parametrize("written", ["A41.9 {}", "A41.9{}", "a41.9! {}", "A41.9{}, I10 G"])
@pytest.mark.parametrize(
    ("letter", "traits"),
    [("A", {"refuted_by_source"}), ("V", {"suspected"}), ("Z", {"history"}), ("G", set())],
)
@pytest.mark.parametrize("system", ["gm", "who"])
def test_a_certainty_letter_behind_the_code_is_honoured(
    system: str, written: str, letter: str, traits: set[str]
) -> None:
    """A suspected sepsis ("A41.9 V") in the bill of a German ward never became the cause."""
    fact = only(condition(f"{system}|{written.format(letter)}", on="2021-05-03"), of="infection")
    assert set(fact.traits) == traits


def test_each_code_of_a_string_has_its_own_letter() -> None:
    """The lymphoma is certain, the sepsis beside it was looked for."""
    found = facts(condition("gm|C83.3 G A41.9 V", on="2021-05-03"))
    assert {fact.concept: fact.counts for fact in found} == {"indication": True, "infection": False}


def test_a_letter_behind_the_code_holds_for_the_other_codings() -> None:
    """A suspected sepsis is suspected in SNOMED CT as well, whatever the German code means."""
    found = facts(condition("gm|M54.5 V", "sct|91302008", on="2021-05-03"))
    assert found
    assert not any(fact.counts for fact in found)


def test_a_letter_of_another_classification_is_part_of_the_code() -> None:
    """ICD-10-CM ends injuries with A, initial encounter."""
    assert only(condition("cm|T86.5", on="2021-05-03")).counts
    assert all(fact.counts for fact in facts(condition("cm|A41.9 V", on="2021-05-03")))


def test_several_codes_in_one_string_are_several_facts() -> None:
    """German billing writes "A41.9 R65.1!" into one code."""
    found = facts(condition("gm|C83.3 A41.9!", on="2021-05-03"))
    assert {"indication", "infection"} <= {fact.concept for fact in found}


def test_the_same_thing_in_two_code_systems_is_one_fact() -> None:
    """A Condition coded in ICD-10-CM and SNOMED CT is not two lymphomas."""
    found = facts(condition("cm|C83.38", "sct|109969005", on="2021-05-03"), of="indication")
    assert len({fact.subconcept for fact in found}) == len(found)


def test_problem_list_and_encounter_diagnosis_are_told_apart() -> None:
    """The problem list is copied forward; an encounter diagnosis is not."""
    listed = only(condition("cm|A41.9", on="2021-05-03", category="problem-list-item"))
    seen = only(condition("cm|A41.9", on="2021-05-03", category="encounter-diagnosis"))
    assert "problem_list" in listed.traits
    assert "encounter_diagnosis" in seen.traits


def test_without_onset_the_encounter_dates_the_diagnosis() -> None:
    """Some day of the stay: a sepsis coded at discharge may be of any day in it."""
    stay = encounter("2021-05-01", "2021-05-20", kind="IMP", id="e1")
    sepsis = condition("cm|A41.9", encounter={"reference": "Encounter/e1"})
    (fact,) = facts(stay, sepsis, of="infection")
    assert fact.when is not None
    assert (on("2021-05-01").first, on("2021-05-20").last) == (fact.when.first, fact.when.last)
    assert "dated_by_encounter" in fact.traits


def test_an_entry_made_during_the_stay_dates_more_closely() -> None:
    """Entered on day 12 of the stay: that is when the ward knew."""
    stay = encounter("2021-05-01", "2021-05-20", id="e1")
    sepsis = condition(
        "cm|A41.9", encounter={"reference": "Encounter/e1"}, recordedDate="2021-05-12"
    )
    (fact,) = facts(stay, sepsis, of="infection")
    assert fact.when == on("2021-05-12")


def test_entry_alone_is_marked_as_entry() -> None:
    """recordedDate may be months after the event."""
    fact = only(condition("cm|A41.9", recordedDate="2021-05-12"))
    assert fact.when == on("2021-05-12")
    assert "day_only_from_entry" in fact.traits


def test_an_undated_diagnosis_is_kept_undated() -> None:
    """No date is no reason to lose a diagnosis, and none to invent one."""
    assert only(condition("cm|A41.9")).when is None


def test_an_onset_age_is_refused_with_a_note() -> None:
    """61 years is no date."""
    sepsis = condition("cm|A41.9", onsetAge={"value": 61, "unit": "a"})
    assert only(sepsis).when is None
    assert kinds(sepsis) == ["date"]


@pytest.mark.parametrize(
    "over",
    [{"abatementDateTime": "2021-05-20"}, {"abatementBoolean": True}, {"abatementString": "May"}],
)
def test_what_is_over_is_marked(over: dict[str, Any]) -> None:
    """An infection that was treated and resolved is rarely the cause of a later death."""
    assert "resolved" in only(condition("cm|A41.9", on="2021-05-03", **over)).traits


def test_clinical_status_resolved_is_over() -> None:
    """Resolved without a date is still resolved."""
    fact = only(condition("cm|A41.9", on="2021-05-03", status="resolved"))
    assert "resolved" in fact.traits
    assert fact.end is None


def test_relapse_status_of_the_treated_disease_is_an_undated_flag() -> None:
    """clinicalStatus says relapse; onset is the first diagnosis and dates nothing."""
    found = facts(
        condition("cm|C83.38", on="2015-02", status="relapse", recordedDate="2021-09-01"),
        of="disease_status",
    )
    assert [(fact.group, fact.when) for fact in found] == [("relapse", None)]
    assert "no_time" in found[0].traits
    assert found[0].recorded == on("2021-09-01")


def test_relapse_status_of_another_disease_is_nothing() -> None:
    """A recurrent urinary infection is no relapse of a lymphoma."""
    assert facts(condition("cm|N39.0", status="recurrence"), of="disease_status") == []


def test_text_without_code_is_listed_and_never_counted() -> None:
    """The text may hold a name: only our own words are shown."""
    fact = only(condition(text="V. a. Rezidiv, Frau Synthetic-0001", on="2021-05-03"))
    assert (fact.concept, fact.subconcept) == ("text_only", "condition")
    assert fact.label == "text-only condition"
    assert not fact.counts


def test_an_irrelevant_diagnosis_is_no_fact_and_its_code_is_remembered() -> None:
    """Coverage counts what nobody mapped."""
    found = read(condition("cm|M54.5", on="2021-05-03"))
    assert found.facts == []
    assert found.unmapped == [("http://hl7.org/fhir/sid/icd-10-cm", "M54.5", "Condition")]


def test_a_german_cause_of_death_condition_is_a_certified_cause() -> None:
    """MII Todesursache: the category makes the diagnosis a cause, and proves the death."""
    cause = condition(
        "who|A41.9", category="loinc|79378-6", on="2021-08-01", recordedDate="2021-08-02"
    )
    (death,) = facts(cause, of="death")
    (sepsis,) = facts(cause, of="infection")
    assert (death.when, "no_time" in death.traits) == (None, True)
    assert "certified" in sepsis.traits
    assert "underlying" not in sepsis.traits


def test_dead_as_a_condition_is_a_death() -> None:
    """SNOMED CT 419099009 on a problem list."""
    fact = only(condition("sct|419099009", on="2021-08-01"))
    assert (fact.concept, fact.group) == ("death", "died")


def test_a_wrong_type_loses_the_field_and_not_the_diagnosis() -> None:
    """One odd field is left out with a note."""
    sepsis = condition("cm|A41.9", on="2021-05-03", clinicalStatus="resolved")
    assert only(sepsis).when == on("2021-05-03")
    assert kinds(sepsis) == ["shape"]
