"""Medication: given or only ordered."""

import pytest

from adapter.dates import on
from tests.builders import administration, coding, concept, prescription
from tests.facts.reader import codes, facts, kinds, only, read


def product() -> str:
    """A RxNorm code of a CAR T product."""
    row = next(r for r in codes().rows if r.concept == "cart_product" and "rxnorm" in r.system)
    return f"rxnorm|{row.code}"


def test_a_product_given_is_a_fact() -> None:
    """An administration anchors day 0."""
    fact = only(administration(product(), on="2021-05-03T10:00:00Z"))
    assert (fact.concept, fact.counts) == ("cart_product", True)


def test_a_product_ordered_is_only_planned() -> None:
    """Many CAR T orders are never carried out."""
    fact = only(prescription(product(), on="2021-04-01"))
    assert fact.traits == frozenset({"planned"})
    assert not fact.counts


@pytest.mark.parametrize("status", ["not-done", "entered-in-error"])
def test_what_was_not_given_never_counts(status: str) -> None:
    """No evidence, no contact."""
    found = read(administration(product(), on="2021-05-03", status=status)).facts
    assert [fact.concept for fact in found] == ["cart_product"]
    assert not found[0].counts


def test_an_unknown_administration_is_noted() -> None:
    """Not known to have been given."""
    given = administration(product(), on="2021-05-03", status="unknown")
    assert not only(given).counts
    assert kinds(given) == ["status"]


def test_a_contained_medication_is_read() -> None:
    """medicationReference "#m1"."""
    inside = {"resourceType": "Medication", "id": "m1", "code": concept(product())}
    given = administration(
        on="2021-05-03", medicationReference={"reference": "#m1"}, contained=[inside]
    )
    assert only(given).concept == "cart_product"


def test_a_medication_elsewhere_is_counted_as_unresolved() -> None:
    """Once for the patient, with how often."""
    given = [
        administration(on="2021-05-03", medicationReference={"reference": "Medication/9"})
        for _ in range(3)
    ]
    (note,) = read(*given).notes
    assert note.kind == "reference"
    assert "(3 times)" in note.what


def test_a_drug_given_over_a_period_has_start_and_end() -> None:
    """effectivePeriod."""
    given = administration(product(), effectivePeriod={"start": "2021-05-03", "end": "2021-05-04"})
    assert (only(given).when, only(given).end) == (on("2021-05-03"), on("2021-05-04"))


def test_text_only_drugs_are_listed() -> None:
    """CAR T products are often local and without a code."""
    given = administration(on="2021-05-03", medicationCodeableConcept={"text": "CAR-T"})
    assert [f.concept for f in facts(given)] == ["text_only"]


def test_an_unmapped_drug_is_remembered_for_coverage() -> None:
    """With its system, for the row to add."""
    found = read(administration("rxnorm|314076", on="2021-05-03"))
    assert found.unmapped == [(coding("rxnorm|1")["system"], "314076", "MedicationAdministration")]
