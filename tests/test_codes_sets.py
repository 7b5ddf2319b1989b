"""FHIR ValueSet and ConceptMap out and in, and expansion by a terminology server."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapter.codes import load_codes
from adapter.codes.sets import OURS, concept_map, overlay_csv, overlay_from, value_set
from adapter.codes.systems import CM, SNOMED, WHO
from adapter.codes.tables import catalog
from adapter.errors import MappingError, ServerError, SliceFailed
from adapter.fhir.terminology import expand

CODES = load_codes()
STAMP = {"signed": "A. Reviewer", "dated": "2025-03-01"}


@pytest.mark.parametrize("concept", sorted({row.concept for row in CODES.rows}))
def test_every_concept_is_a_valid_value_set_and_map(concept: str) -> None:
    """fhir.resources accepts what we write."""
    assert "ValueSet" == value_set(CODES, concept)["resourceType"]
    assert catalog()[concept].definition == value_set(CODES, concept)["description"]
    assert "ConceptMap" == concept_map(CODES, concept)["resourceType"]


def test_no_display_text_leaks_into_a_value_set() -> None:
    """WHO titles are not ours to hand on."""
    who = [i for i in value_set(CODES, "infection")["compose"]["include"] if i["system"] == WHO]
    assert not [one for include in who for one in include.get("concept", []) if "display" in one]


def test_exclusions_are_in_the_value_set() -> None:
    """A server that uses it leaves the look-alikes out too."""
    excluded = value_set(CODES, "cart_infusion")["compose"]["exclude"]
    assert "XW033L7" in {one["code"] for part in excluded for one in part.get("concept", [])}


def test_an_unknown_concept_is_an_error() -> None:
    """Nothing to write is not an empty file."""
    with pytest.raises(MappingError, match="no rows of nonsense"):
        value_set(CODES, "nonsense")
    with pytest.raises(MappingError, match="no rows of nonsense"):
        concept_map(CODES, "nonsense")


@pytest.mark.parametrize(
    ("concept", "subconcept"),
    [("indication", "FL"), ("cart_product", "tisagenlecleucel"), ("infection", "CMV")],
)
def test_a_value_set_comes_back_as_the_same_rows(
    tmp_path: Path, concept: str, subconcept: str
) -> None:
    """Exact, prefix and descendants survive the way out and in."""
    body = value_set(CODES, concept, subconcept)
    body["compose"].pop("exclude", None)
    back = overlay_from(body, CODES, concept=concept, subconcept=subconcept, **STAMP)
    (tmp_path / "back.csv").write_text(overlay_csv(back.rows), encoding="utf-8")
    ours = {(r.system, r.code, r.match) for r in CODES.rows
            if (r.concept, r.subconcept) == (concept, subconcept)}  # fmt: skip
    site = {(r.system, r.code, r.match) for r in load_codes(tmp_path).rows if r.site}
    assert ours == site


def test_a_concept_map_comes_back_as_the_same_rows(tmp_path: Path) -> None:
    """Subconcepts survive too."""
    back = overlay_from(concept_map(CODES, "organ"), CODES, **STAMP)
    (tmp_path / "back.csv").write_text(overlay_csv(back.rows), encoding="utf-8")
    ours = {(r.subconcept, r.system, r.code, r.match) for r in CODES.rows if r.concept == "organ"}
    site = {(r.subconcept, r.system, r.code, r.match) for r in load_codes(tmp_path).rows if r.site}
    assert ours == site


def mapped(target: str, code: str, equivalence: str = "equivalent") -> dict[str, Any]:
    """A site's ConceptMap from a local code."""
    aim = {"code": code, "equivalence": equivalence}
    element = {"code": "DX-1", "target": [aim]}
    group = {"source": "urn:oid:1.2.3", "target": target, "element": [element]}
    return {"resourceType": "ConceptMap", "status": "active", "group": [group]}


def test_a_local_code_mapped_to_a_standard_one_gets_its_meaning(tmp_path: Path) -> None:
    """Laboratories keep ConceptMaps from local codes to SNOMED CT."""
    back = overlay_from(mapped(SNOMED, "840539006"), CODES, **STAMP)
    (tmp_path / "a.csv").write_text(overlay_csv(back.rows), encoding="utf-8")
    found = load_codes(tmp_path).lookup("1.2.3", "DX-1")
    assert [("infection", "covid19")] == [(m.concept, m.group) for m in found]


@pytest.mark.parametrize(
    ("target", "code", "equivalence"),
    [(SNOMED, "840539006", "narrower"), (SNOMED, "840539006", "disjoint"),
     (SNOMED, "1", "equivalent")],
)  # fmt: skip
def test_what_does_not_carry_over_is_listed(target: str, code: str, equivalence: str) -> None:
    """A narrower target would say more than the source does."""
    back = overlay_from(mapped(target, code, equivalence), CODES, **STAMP)
    assert ((), (f"urn:oid:1.2.3|DX-1: {equivalence}",)) == (back.rows, back.left_out)


def test_an_expansion_is_read_with_its_children() -> None:
    """Servers nest expansions; abstract entries are headings."""
    child = {"system": CM, "code": "A40.1"}
    top = {"system": CM, "code": "A40", "abstract": True, "contains": [child]}
    body = {"resourceType": "ValueSet", "status": "active",
            "expansion": {"timestamp": "2025-01-01T00:00:00Z", "contains": [top]}}  # fmt: skip
    back = overlay_from(body, CODES, concept="infection", subconcept="sepsis", **STAMP)
    assert ["A40.1"] == [row["code"] for row in back.rows]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"resourceType": "Patient"}, "A 'Patient' cannot be used"),
        ({"resourceType": "ValueSet", "status": 7}, "not valid FHIR"),
        ({"resourceType": "ValueSet", "status": "active",
          "compose": {"include": [{"valueSet": ["http://x.org/vs"]}]}}, "refers to others"),
        ({"resourceType": "ValueSet", "status": "active",
          "compose": {"include": [{"system": CM}]}}, "refers to others"),
        ({"resourceType": "ValueSet", "status": "active", "compose": {
            "include": [{"system": CM, "concept": [{"code": "A40"}]}],
            "exclude": [{"system": CM, "concept": [{"code": "A40"}]}]}}, "excludes codes"),
        ({"resourceType": "ValueSet", "status": "active", "compose": {"include": [{
            "system": CM, "filter": [{"property": "x", "op": "=", "value": "1"}]}]}},
         "cannot be taken over"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_says_why(body: dict[str, Any], words: str) -> None:
    """Better no row than a wrong one."""
    with pytest.raises(MappingError, match=words):
        overlay_from(body, CODES, concept="infection", subconcept="sepsis", **STAMP)


def test_a_value_set_needs_a_name_of_ours() -> None:
    """A ValueSet says which codes, not what they mean here."""
    with pytest.raises(MappingError, match="needs the concept"):
        overlay_from({"resourceType": "ValueSet", "status": "active"}, CODES, **STAMP)


def test_ours_is_no_web_address() -> None:
    """The system of our names must not point to a server that is not there."""
    assert OURS.startswith("urn:")


# --- expansion -------------------------------------------------------------------------------


class TerminologyServer:
    """Knows the descendants of two codes, in pages of two; refuses the rest."""

    below: ClassVar = {"40733004": ["40733004", "111", "222", "333"], "363346000": ["444", "5,6"]}

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, path: str, params: tuple[tuple[str, str], ...]) -> Any:
        given = dict(params)
        self.asked.append(given["url"])
        parent = given["url"].rpartition("<<")[2]
        if path != "ValueSet/$expand" or parent not in self.below:
            raise SliceFailed("terminology $expand: the server answered 404.")
        start = int(given["offset"])
        page = [{"system": SNOMED, "code": c} for c in self.below[parent][start : start + 2]]
        return {"expansion": {"total": len(self.below[parent]), "contains": page}}


def test_expand_writes_what_the_tables_then_know(tmp_path: Path) -> None:
    """All pages are fetched; what failed is a note; the site folder teaches the tables."""
    notes = expand(TerminologyServer(), CODES, tmp_path)
    codes = load_codes(tmp_path)
    assert ["any_infection"] == [m.subconcept for m in codes.lookup(SNOMED, "333")]
    assert ["any_malignancy_parent"] == [m.subconcept for m in codes.lookup(SNOMED, "444")]
    assert any("404" in note.what for note in notes)
    assert any("RxNorm" in note.what for note in notes)


def test_expand_asks_by_ecl(tmp_path: Path) -> None:
    """Descendants or self of each parent."""
    server = TerminologyServer()
    expand(server, CODES, tmp_path)
    assert "http://snomed.info/sct?fhir_vs=ecl/<<40733004" in server.asked


def test_expand_keeps_the_older_file_when_nothing_came(tmp_path: Path) -> None:
    """A server that is down must not empty the tables."""

    def down(path: str, params: tuple[tuple[str, str], ...]) -> Any:
        raise SliceFailed("terminology $expand: the server answered 503.")

    expand(TerminologyServer(), CODES, tmp_path)
    before = (tmp_path / "expansions" / "snomed.csv").read_text()
    with pytest.raises(ServerError, match="expanded nothing"):
        expand(down, CODES, tmp_path)
    assert before == (tmp_path / "expansions" / "snomed.csv").read_text()
