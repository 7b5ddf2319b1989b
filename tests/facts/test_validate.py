"""Validation tells what is wrong with a resource and repeats nothing of what it says."""

import json
from typing import Any

import pytest

from adapter.validate import problems_of
from tests.builders import condition, encounter, lab, patient, procedure, record


def problems(resource: dict[str, Any]) -> list[str]:
    """What is said of one resource."""
    return problems_of(resource["resourceType"], json.dumps(resource).encode())


@pytest.mark.parametrize(
    "resource",
    [
        patient(died="2021-08-01"), condition("cm|C83.38", on="2021-05"),
        procedure("pcs|XW033H7", on="2021-05-03"), lab("718-7", 10.0, "g/dL"),
        encounter("2021-05-01", "2021-05-20", discharge="discharge|exp"),
    ],
)  # fmt: skip
def test_what_the_builders_make_is_valid_r4(resource: dict[str, Any]) -> None:
    """So the tests read what servers send."""
    (stored,) = record(resource).resources
    assert problems_of(stored.type, stored.body) == []


def test_a_missing_element_is_named() -> None:
    """Observation.status is required."""
    resource = lab("718-7", 10.0, "g/dL", subject={"reference": "Patient/p1"})
    del resource["status"]
    assert problems(resource) == ["Observation.status is missing."]


def test_a_wrong_type_is_named_by_its_place() -> None:
    """With the index of the component."""
    found = problems(lab("718-7", 10.0, component=[{"code": 5}]))
    assert found == ["Observation.component[0].code is not of the type FHIR R4 says."]


@pytest.mark.parametrize(
    "odd",
    [
        {"Synthetic-0001": 1}, {"effectiveDateTime": "Synthetic-0001"},
        {"valueInteger": "Synthetic-0001"}, {"issued": "Synthetic-0001"},
        {"status": {"Synthetic-0001": 1}}, {"contained": [{"resourceType": "Synthetic-0001"}]},
        {"subject": "Synthetic-0001"},
    ],
)  # fmt: skip
def test_no_value_is_repeated(odd: dict[str, Any]) -> None:
    """A wrong field may hold a name."""
    found = problems(lab("718-7", 10.0) | odd)
    assert found
    assert "Synthetic-0001" not in "".join(found)


@pytest.mark.parametrize(("kind", "body"), [("Observation", b"[]"), ("Observation", b"{"),
                                            ("Nonsense", b"{}"), ("Patient", b"null")])  # fmt: skip
def test_what_is_no_resource_is_said_so(kind: str, body: bytes) -> None:
    """And never raises."""
    assert problems_of(kind, body)
