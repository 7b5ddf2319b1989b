"""Whatever a server sends: no crash, no lost resource, no text of the source in our words."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.facts import facts_of
from adapter.store import PatientRecord, Stored
from tests.builders import (
    administration,
    concept,
    condition,
    encounter,
    lab,
    observation,
    patient,
    prescription,
    procedure,
    quantity,
    record,
    report,
)
from tests.facts.reader import codes, kinds, read

GOOD: list[dict[str, Any]] = [
    patient(died="2021-08-01", link=[{"type": "replaced-by", "other": {"reference": "Patient/2"}}]),
    encounter("2021-05-01", "2021-05-20", kind="IMP", discharge="discharge|exp", id="e1"),
    condition("gm|C83.3 A41.9!", certainty="V", status="relapse", category="encounter-diagnosis",
              encounter={"reference": "Encounter/e1"}, recordedDate="2021-05-12"),
    condition("who|A41.9", on="2021-08-01", category="loinc|79378-6"),
    procedure("pcs|XW033H7", "sct|1156961008", performedPeriod={"start": "2021-05-03"}),
    administration("rxnorm|1986801", on="2021-05-03T10:00:00Z"),
    prescription("rxnorm|612865", on="2021-05-03"),
    lab("26499-4", 0.4, "10*3/uL", comparator="<", issued="2021-05-03T10:00:00Z"),
    observation("85354-9", on="2021-05-03", component=[
        {"code": concept("loinc|8480-6"), "valueQuantity": quantity(85, "mm[Hg]")}]),
    observation("600-7", on="2021-05-03", result="sct|52499004", specimen={"reference": "#s1"},
                contained=[{"id": "s1", "type": concept("sct|119297000")}]),
    observation("97509-4", on="2021-09-01", result="sct|271299001",
                focus=[{"reference": "Condition/c1"}]),
    observation("80358-5", on="2021-08-01", result="who|A41.9"),
    observation("81956-5", valueDateTime="2021-08-01"),
    report("600-7", on="2021-05-03", concluded="sct|52499004"),
]  # fmt: skip

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12) | st.sampled_from(["2021-05", "2021-13-45", "0001-01-01", "<5", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                               max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a resource below the top."""
    found = [path] if path else []
    if isinstance(node, dict | list):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            found += places(inner, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """A good resource with one or two places replaced by anything."""
    resource: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([p for p in places(resource) if p[0] != "resourceType"]))
        node: Any = resource
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = draw(ODD)
        if not isinstance(node, dict | list):
            break
    resource["id"] = "x1"
    return resource


@settings(max_examples=600, deadline=None)
@given(st.lists(spoiled(), min_size=1, max_size=3), st.sampled_from([None, "Europe/Berlin"]))
def test_spoiled_resources_never_crash(resources: list[dict[str, Any]], zone: str | None) -> None:
    """One wrong type, one wrong value, anywhere."""
    found = facts_of(record(*resources), codes(), zone)
    assert all(fact.source for fact in found.facts)
    assert all(note.what and note.where for note in found.notes)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted({r["resourceType"] for r in GOOD})),
    st.binary(max_size=60) | ODD.map(lambda odd: json.dumps(odd).encode()),
)
def test_any_bytes_never_crash(kind: str, body: bytes) -> None:
    """The store refuses what is no resource; if one came through, it is noted."""
    facts_of(PatientRecord("p1", [Stored(kind, "x1", body)]), codes())


def test_a_deep_pile_is_noted() -> None:
    """Ten thousand brackets."""
    body = b'{"resourceType":"Observation","component":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    found = facts_of(PatientRecord("p1", [Stored("Observation", "x1", body)]), codes())
    assert [note.kind for note in found.notes] == ["shape"]


SECRET = "Frau Synthetic-0001"


@pytest.mark.parametrize("good", GOOD, ids=lambda r: f"{r['resourceType']}")
def test_text_of_the_source_is_never_repeated(good: dict[str, Any]) -> None:
    """Displays, texts and wrong values may name a person: none reaches a fact or a note."""
    for path in places(good):
        resource = copy.deepcopy(good)
        node: Any = resource
        for step in path[:-1]:
            node = node[step]
        if path[-1] in ("resourceType", "reference", "system", "code", "url", "version"):
            continue  # codes and references are shown: they are how a fact is traced
        node[path[-1]] = SECRET
        found = read(resource)
        said = [(f.label, f.unit, f.subconcept) for f in found.facts], found.notes, found.sex
        assert SECRET not in repr(said), path


def test_displays_are_not_even_read() -> None:
    """A coding's display is the most common place for a name."""
    sepsis = condition("cm|A41.9", on="2021-05-03", text=SECRET)
    sepsis["code"]["coding"][0]["display"] = SECRET
    assert SECRET not in repr(read(sepsis))


def test_one_bad_field_of_many_keeps_the_others() -> None:
    """Each odd field is named once, with how often."""
    odd = [condition("cm|A41.9", on="2021-05-03", recordedDate=5) for _ in range(3)]
    found = read(*odd)
    assert len(found.facts) == 3
    (note,) = found.notes
    assert note.what.endswith("(3 times)")
    assert note.where == "Condition/c1"


def test_order_of_resources_does_not_matter() -> None:
    """Facts, notes and unmapped codes are the same whichever way the store hands them over."""
    stored = record(*GOOD).resources
    one = facts_of(PatientRecord("p1", stored), codes())
    other = facts_of(PatientRecord("p1", stored[::-1]), codes())
    assert sorted(map(repr, one.facts)) == sorted(map(repr, other.facts))
    assert (one.notes, one.unmapped) == (other.notes, other.unmapped)


def test_an_unreadable_resource_is_noted() -> None:
    """A string where a resource belongs."""
    found = facts_of(PatientRecord("p1", [Stored("Condition", "c1", b'"x"')]), codes())
    assert [note.kind for note in found.notes] == ["shape"]


def test_other_types_are_ignored() -> None:
    """An Immunization in the store is not ours."""
    assert kinds({"resourceType": "Immunization", "status": "completed"}) == []
