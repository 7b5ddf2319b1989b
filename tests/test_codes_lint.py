"""The shipped tables are clean, and every planted fault is found."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes.lint import lint, loinc_check, snomed_check
from adapter.codes.systems import MAPPINGS

CM = "http://hl7.org/fhir/sid/icd-10-cm"
TAIL = ",a source,verified,US-public-domain,\n"


def test_the_shipped_tables_are_clean() -> None:
    """No fault in what we ship."""
    assert [] == lint()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A copy of the shipped tables, to be spoiled."""
    folder = tmp_path / "mappings"
    shutil.copytree(MAPPINGS, folder, ignore=shutil.ignore_patterns("benchmarks"))
    return folder


def append(folder: Path, name: str, line: str) -> None:
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(line)


def planted(concept: str, row: str) -> Callable[[Path], None]:
    """One more row in a concept's table."""
    return lambda folder: append(folder, f"{concept}.csv", row)


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """One change in one file."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


SCT, LNC = "http://snomed.info/sct", "http://loinc.org"
GPS = ",s,verified,SNOMED-GPS-CC-BY-4.0,\n"
FAULTS = {
    "LOINC check digit": (
        planted("lab", f"ANC,{LNC},751-9,exact,,s,verified,LOINC,\n"), "751-9 has a wrong check",
    ),
    "SNOMED check digit": (
        planted("infection", f"sepsis,{SCT},91302009,exact,{GPS}"), "91302009 has a wrong check",
    ),
    "ICD shape": (planted("infection", f"sepsis,{CM},4A1.9,exact,{TAIL}"), "not the shape"),
    "PCS shape": (
        planted("hct", f"any,http://www.cms.gov/Medicare/Coding/ICD10,XW033,exact,{TAIL}"),
        "not the shape",
    ),
    "HCPCS shape": (
        planted("cart_product", "tisagenlecleucel,"
                f"http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets,20401,exact,{TAIL}"),
        "not the shape",
    ),
    "ATC shape": (
        planted("bridging", "rituximab,http://www.whocc.no/atc,L01X1,exact,,s,verified,WHOCC,\n"),
        "not the shape",
    ),
    "RxNorm shape": (
        planted("bridging", "rituximab,http://www.nlm.nih.gov/research/umls/rxnorm,"
                "R12,exact,,s,verified,RxNorm-NLM,\n"),
        "not the shape",
    ),
    "duplicate": (planted("infection", f"sepsis_other,{CM},A41,prefix,{TAIL}"), "stands already"),
    "include and exclude": (
        planted("infection", f"aspergillosis,{CM},B44.81,exact,{TAIL}"), "and included in",
    ),
    "missing source": (
        planted("infection", f"sepsis,{CM},T88.0,exact,,,verified,US-public-domain,\n"),
        "has no source",
    ),
    "missing licence": (planted("infection", f"sepsis,{CM},T88.0,exact,,s,verified,,\n"),
                        "has no licence"),
    "display of WHO": (
        planted("infection", "sepsis,http://hl7.org/fhir/sid/icd-10,T88.0,exact,"
                "A title of WHO,s,verified,WHO-codes-only,\n"),
        "forbids this display",
    ),
    "display outside the Patient Set": (
        planted("infection", f"sepsis,{SCT},721104000,exact,A name,s,verified,SNOMED-affiliate,\n"),
        "forbids this display",
    ),
    "CPT": (
        planted("hct", "allogeneic,http://www.ama-assn.org/go/cpt,99999,exact,,s,verified,AMA,\n"),
        "may not be shipped",
    ),
    "unknown system": (planted("hct", "any,urn:oid:1.2.3,7,exact,,s,verified,own,\n"),
                       "unknown code system"),
    "unknown confidence": (
        planted("infection", f"sepsis,{CM},T88.0,exact,,s,sure,US-public-domain,\n"),
        "confidence 'sure'",
    ),
    "descendants without a hierarchy": (
        planted("infection", f"sepsis,{CM},T88.0,descendants,{TAIL}"), "does not work for",
    ),
    "subconcept without wording": (
        planted("infection", f"new_thing,{CM},T88.0,exact,{TAIL}"), "new_thing has no line",
    ),
    "no group": (replaced("subconcepts.csv", "infection,PML,,viral,", "infection,PML,,,"),
                 "no group or label"),
    "wording for a code that is gone": (
        lambda f: append(f, "subconcepts.csv", "infection,sepsis,Q99,viral,sepsis,label\n"),
        "no row has Q99",
    ),
    "wording for no concept": (
        lambda f: append(f, "subconcepts.csv", "nonsense,a,,b,,c\n"), "not in catalog.toml",
    ),
    "catalog without a reviewer": (
        replaced("catalog.toml", 'reviewer = "not yet reviewed"\n', ""), "reviewer",
    ),
    "missing column": (replaced("vital.csv", ",confidence,", ",sureness,"), "confidence"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tables: Path, fault: str) -> None:
    """Each kind of mistake is named with what is wrong."""
    plant, words = FAULTS[fault]
    plant(tables)
    assert [words] == [words for found in lint(tables) if words in str(found)][:1]


def test_a_fault_names_file_and_line(tables: Path) -> None:
    """A person can go there."""
    planted("infection", f"sepsis,{CM},4A1.9,exact,{TAIL}")(tables)
    lines = len((tables / "infection.csv").read_text(encoding="utf-8").splitlines())
    assert [f"infection.csv:{lines}"] == [fault.origin for fault in lint(tables)]


@pytest.mark.parametrize("code", ["8116-6", "97509-4", "2532-0", "80358-5", "600-7"])
def test_loinc_check_digits(code: str) -> None:
    """True LOINC codes pass, any other check digit fails."""
    number, _, check = code.partition("-")
    assert [int(check)] == [d for d in range(10) if loinc_check(f"{number}-{d}")]


@pytest.mark.parametrize("code", ["840539006", "1156961008", "12301000132103", "3491000146109"])
def test_snomed_check_digits(code: str) -> None:
    """True SNOMED CT ids pass, any other last digit fails."""
    assert [int(code[-1])] == [d for d in range(10) if snomed_check(f"{code[:-1]}{d}")]


@given(st.integers(10**5, 10**17), st.integers(0, 16))
def test_verhoeff_finds_swapped_neighbours(number: int, place: int) -> None:
    """Two swapped neighbours never keep a valid check digit."""
    valid = next(f"{number}{d}" for d in range(10) if snomed_check(f"{number}{d}"))
    place %= len(valid) - 1
    swapped = valid[:place] + valid[place + 1] + valid[place] + valid[place + 2 :]
    assert swapped == valid or not snomed_check(swapped)
