"""Microbiology is read by its result: what grew, not what was asked."""

from typing import Any

import pytest

from adapter.model import Fact
from tests.builders import coding, concept, observation, report
from tests.facts.reader import facts, kinds, only

POSITIVE, NEGATIVE, PSEUDOMONAS = "sct|10828004", "sct|260385009", "sct|52499004"


def culture(**result: Any) -> Fact:
    """The one fact of a blood culture with this result."""
    return only(observation("600-7", on="2021-05-03", **result))


def test_an_organism_in_blood() -> None:
    """Pseudomonas in a blood culture."""
    fact = culture(result=PSEUDOMONAS)
    assert (fact.concept, fact.subconcept) == ("microbiology_result", "pseudomonas_aeruginosa")
    assert fact.group == "bacterial"
    assert fact.traits == frozenset({"positive", "blood"})


def test_a_positive_culture_without_an_organism() -> None:
    """Positive, nobody says of what."""
    fact = culture(result=POSITIVE)
    assert (fact.subconcept, fact.group) == ("blood_culture", "organism_not_identified")
    assert fact.traits == frozenset({"positive", "blood"})


@pytest.mark.parametrize(
    "result",
    [
        {"result": NEGATIVE},
        {"interpretation": [concept("interpretation|NEG")]},
        {"valueBoolean": False},
        {"result": PSEUDOMONAS, "interpretation": [concept("interpretation|NEG")]},
    ],
)
def test_a_negative_culture_is_no_evidence(result: dict[str, Any]) -> None:
    """However it says so; a panel line may name what was not found."""
    fact = culture(**result)
    assert "negative" in fact.traits
    assert "positive" not in fact.traits
    assert fact.group == ""


def test_interpretation_alone_can_be_positive() -> None:
    """v3-ObservationInterpretation POS."""
    assert "positive" in culture(interpretation=[concept("interpretation|POS")]).traits


def test_an_urine_culture_is_not_blood() -> None:
    """The LOINC code names the specimen."""
    fact = only(observation("630-4", on="2021-05-03", result=PSEUDOMONAS))
    assert "blood" not in fact.traits


def test_a_contained_blood_specimen_makes_it_blood() -> None:
    """A culture of "specimen", whose specimen is blood."""
    specimen = {"resourceType": "Specimen", "id": "s1", "type": concept("sct|119297000")}
    fact = only(
        observation(
            "11475-1", on="2021-05-03", result=PSEUDOMONAS,
            specimen={"reference": "#s1"}, contained=[specimen],
        )
    )  # fmt: skip
    assert "blood" in fact.traits


def test_an_organism_reported_with_a_blood_culture_is_of_blood() -> None:
    """The report names the specimen, its results do not repeat it."""
    grown = observation("41852-5", on="2021-05-03", result=PSEUDOMONAS, id="o7")
    whole = report("600-7", on="2021-05-03", result=[{"reference": "Observation/o7"}])
    (fact,) = facts(grown, whole, of="microbiology_result")
    assert fact.traits == frozenset({"positive", "blood"})


def test_several_organisms_are_several_facts() -> None:
    """Two codings of different organisms in one culture."""
    found = facts(observation("600-7", on="2021-05-03", result=[PSEUDOMONAS, "sct|112283007"]))
    assert {f.subconcept for f in found} == {"pseudomonas_aeruginosa", "e_coli"}


def test_commensals_are_marked() -> None:
    """One culture with a common commensal is not an infection."""
    fact = culture(result="sct|116197008")
    assert fact.group == "bacterial"
    assert fact.traits == frozenset({"positive", "blood", "commensal"})


def test_a_viral_test_says_what_it_looked_for() -> None:
    """SARS-CoV-2 PCR detected."""
    fact = only(observation("94500-6", on="2021-05-03", result="sct|260373001"))
    assert (fact.subconcept, fact.group) == ("SARS2_PCR", "covid19")


@pytest.mark.parametrize(
    ("quantity", "trait"),
    [
        ({"value": 1200, "unit": "IU/mL"}, "positive"),
        ({"value": 34.5, "comparator": "<", "unit": "IU/mL"}, "negative"),
        ({"value": 0, "unit": "IU/mL"}, "negative"),
    ],
)
def test_a_viral_load_is_positive_when_quantifiable(quantity: dict[str, Any], trait: str) -> None:
    """Below the limit is not detected."""
    fact = only(observation("72493-0", on="2021-05-03", valueQuantity=quantity))
    assert trait in fact.traits
    assert fact.value == quantity["value"]


def test_a_galactomannan_index_is_a_number_and_no_verdict() -> None:
    """The cut-off is not ours to guess."""
    fact = only(observation("44357-2", on="2021-05-03", valueQuantity={"value": 0.7}))
    assert (fact.value, fact.traits) == (0.7, frozenset())


def test_an_antibody_is_no_infection() -> None:
    """CMV IgG positive says that the patient met CMV once."""
    fact = only(observation("7852-7", on="2021-05-03", result=POSITIVE))
    assert (fact.concept, fact.traits) == ("lab_micro", frozenset({"positive"}))


def test_a_result_nobody_mapped_goes_to_review() -> None:
    """It may be an organism or "no growth"."""
    odd = observation("600-7", on="2021-05-03", result="local|KPN")
    assert not only(odd).counts
    assert only(odd).subconcept == "unmapped_result"
    assert kinds(odd) == ["unmapped_result"]


@pytest.mark.parametrize(
    "value", [{"valueString": "MRSA"}, {"valueCodeableConcept": {"text": "x"}}]
)
def test_a_result_in_words_is_listed(value: dict[str, Any]) -> None:
    """Shown to the reviewer, never counted."""
    fact = culture(**value)
    assert (fact.concept, fact.subconcept, fact.counts) == ("text_only", "result", False)


def test_a_pending_culture_is_nothing() -> None:
    """No value yet."""
    assert facts(observation("600-7", on="2021-05-03", status="preliminary")) == []


def test_an_organism_under_a_local_test_code_is_found() -> None:
    """Sites' culture codes are local; the answer is not."""
    fact = only(observation("local|BLC", on="2021-05-03", result=PSEUDOMONAS))
    assert (fact.concept, fact.traits) == ("microbiology_result", frozenset({"positive"}))


def test_an_organism_in_a_component() -> None:
    """A panel lists what it found."""
    part = {"code": concept("600-7", system="loinc"), "valueCodeableConcept": concept(PSEUDOMONAS)}
    assert only(observation("local|PAN", on="2021-05-03", component=[part])).group == "bacterial"


def test_a_report_concludes_like_a_result() -> None:
    """DiagnosticReport.conclusionCode of a blood culture."""
    fact = only(report("600-7", on="2021-05-03", concluded=PSEUDOMONAS))
    assert (fact.source, fact.traits) == ("DiagnosticReport/d1", frozenset({"positive", "blood"}))


def test_a_pathology_report_concludes_a_diagnosis() -> None:
    """AML by conclusion code."""
    fact = only(report("local|PATH", on="2021-05-03", concluded="sct|91861009"))
    assert (fact.concept, fact.group) == ("second_primary_malignancy", "mds_aml")


def test_a_cancelled_report_is_no_evidence() -> None:
    """Kept to explain."""
    fact = only(report("600-7", on="2021-05-03", concluded=PSEUDOMONAS, status="cancelled"))
    assert not fact.counts


def test_builders_write_the_system_of_a_code() -> None:
    """A bare code takes the builder's system, a full one its own."""
    assert coding("600-7", "loinc") == coding("loinc|600-7")
