"""A site adds, replaces and removes codes; each row signed and dated, each fault with its line."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from adapter.account import Unmapped
from adapter.codes import load_codes
from adapter.codes.explain import explain
from adapter.codes.lint import lint
from adapter.codes.systems import CM, SNOMED
from adapter.codes.tables import overlay_row
from adapter.errors import MappingError, UsageError
from adapter.words import coverage_in_words

HEADER = "action,concept,subconcept,system,code,match,display,signed,dated\n"
LOCAL = "urn:oid:1.2.840.114350.1.13.99"
PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
ROW = f"add,cart_infusion,axicabtagene_ciloleucel,{LOCAL},RX-77,exact,,A. Reviewer,2025-03-01\n"


def site(folder: Path, *rows: str, name: str = "local.csv") -> Path:
    """A site's overlay folder with one file."""
    (folder / name).write_text(HEADER + "".join(rows), encoding="utf-8")
    return folder


def test_a_local_code_gets_a_meaning(tmp_path: Path) -> None:
    """CAR T products often have local codes only."""
    found = load_codes(site(tmp_path, ROW)).lookup(LOCAL, "rx-77 ")
    assert [("cart_infusion", "axi-cel")] == [(m.concept, m.group) for m in found]


def test_the_oid_may_come_without_its_prefix(tmp_path: Path) -> None:
    """What the site writes with urn:oid: is found without it."""
    assert load_codes(site(tmp_path, ROW)).lookup(LOCAL.removeprefix("urn:oid:"), "RX-77")


def test_a_short_system_name_means_its_uri(tmp_path: Path) -> None:
    """What `mappings explain` prints may be typed: ICD-10-CM is the URI the server sends."""
    row = "add,infection,sepsis_other,ICD-10-CM,Q99.77,exact,,A. Reviewer,2025-03-01\n"
    assert load_codes(site(tmp_path, row)).lookup(CM, "Q99.77")


def test_all_files_of_the_folder_count(tmp_path: Path) -> None:
    """A site may keep one file per department."""
    site(tmp_path, ROW)
    site(tmp_path, ROW.replace("RX-77", "RX-78"), name="pharmacy.csv")
    codes = load_codes(tmp_path)
    one, other = (codes.lookup(LOCAL, code) for code in ("RX-77", "RX-78"))
    assert () != one == tuple(replace(meaning, code=f"{LOCAL}|RX-77") for meaning in other)


def test_notices_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    """Spreadsheets add a byte order mark and put notices into quotes."""
    text = '"# our codes, kept by the data office"\n' + HEADER + "\n" + ROW
    (tmp_path / "a.csv").write_text(text, encoding="utf-8-sig")
    assert load_codes(tmp_path).lookup(LOCAL, "RX-77")


def test_a_site_replaces_what_we_say(tmp_path: Path) -> None:
    """At a site where the unspecific code means one trial product, the site is right."""
    row = f"add,cart_infusion,obecabtagene_autoleucel,{PCS},XW033C7,exact,,A. Reviewer,2025-03-01\n"
    codes = load_codes(site(tmp_path, row))
    assert ["obe-cel"] == [m.group for m in codes.lookup(PCS, "XW033C7")]
    assert "replaced by the site" in " ".join(explain(codes, f"{PCS}|XW033C7").lines())


def test_a_site_removes_a_row(tmp_path: Path) -> None:
    """A removed row is gone, and explain says who removed it."""
    row = f"remove,infection,,{CM},A49,prefix,,A. Reviewer,2025-03-01\n"
    codes = load_codes(site(tmp_path, row))
    assert ["chapter_I_fallback"] == [m.subconcept for m in codes.lookup(CM, "A49.9")]
    assert "removed by the site" in " ".join(explain(codes, "ICD-10-CM|A49.9").lines())


def test_an_exclusion_beats_a_site_that_includes(tmp_path: Path) -> None:
    """To include a look-alike a site must first remove the exclusion."""
    row = f"add,cart_infusion,car_t_generic,{PCS},XW033L7,exact,,A. Reviewer,2025-03-01\n"
    gone = f"remove,cart_infusion_EXCLUDE,,{PCS},XW033L7,exact,,A. Reviewer,2025-03-01\n"
    assert all(m.excluded for m in load_codes(site(tmp_path, row)).lookup(PCS, "XW033L7"))
    both = load_codes(site(tmp_path, row, gone)).lookup(PCS, "XW033L7")
    assert ["cart_infusion"] == [m.concept for m in both]


def test_a_licensed_site_fills_in_cpt(tmp_path: Path) -> None:
    """The names for CPT codes are known, the codes come from the site."""
    cpt = "http://www.ama-assn.org/go/cpt"
    row = f"add,cart_infusion,car_t_administration,{cpt},99999,exact,,A. Reviewer,2025-03-01\n"
    found = load_codes(site(tmp_path, row)).lookup("urn:oid:2.16.840.1.113883.6.12", "99999")
    assert ["cart_infusion"] == [m.concept for m in found]


def test_the_overlay_changes_the_digest(tmp_path: Path) -> None:
    """A run names the tables it used."""
    assert load_codes().digest != load_codes(site(tmp_path, ROW)).digest


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("add,", "insert,", "action must be add or remove"),
        ("cart_infusion", "cart_infusions", "Did you mean 'cart_infusion'?"),
        ("axicabtagene_ciloleucel", "axicabtagen", "Did you mean 'axicabtagene_ciloleucel'?"),
        (LOCAL, "", "system is empty"),
        ("RX-77", "", "code is empty"),
        ("exact", "like", "match 'like'"),
        ("A. Reviewer", "", "not signed"),
        ("2025-03-01", "", "not dated"),
        ("2025-03-01", "1.3.2025", "not dated"),
    ],
)
def test_a_faulty_row_is_named_with_its_line(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    """File, line, what is wrong and what to do."""
    rows = (ROW, ROW.replace(before, after, 1).replace("RX-77", "RX-78"))
    with pytest.raises(MappingError) as raised:
        load_codes(site(tmp_path, *rows))
    assert "local.csv:3" in str(raised.value)
    assert words in str(raised.value)
    assert 11 == raised.value.exit_code


def test_removing_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A removal that does nothing was meant to do something."""
    row = f"remove,infection,,{CM},A499,exact,,A. Reviewer,2025-03-01\n"
    with pytest.raises(MappingError, match="no row infection A499 to remove"):
        load_codes(site(tmp_path, row))


def test_a_missing_column_shows_the_header(tmp_path: Path) -> None:
    """The message holds the header to copy."""
    (tmp_path / "a.csv").write_text("concept,code\ninfection,A\n")
    with pytest.raises(MappingError, match="action,concept,subconcept,system"):
        load_codes(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A typing error in study.toml must not mean no overlay."""
    with pytest.raises(MappingError, match="does not exist"):
        load_codes(tmp_path / "nowhere")


def test_a_file_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    """Spreadsheets in Europe still write Latin-1."""
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + "Müller".encode("latin-1"))
    with pytest.raises(MappingError, match="Save it as CSV UTF-8"):
        load_codes(tmp_path)


def test_an_expansion_teaches_descendants(tmp_path: Path) -> None:
    """The nearer ancestor wins; an exclusion reaches its descendants too."""
    (tmp_path / "expansions").mkdir()
    (tmp_path / "expansions" / "snomed.csv").write_text(
        "system,parent,code\n"
        f"{SNOMED},40733004,87628006\n{SNOMED},40733004,111111111\n{SNOMED},40733004,222222222\n"
        f"{SNOMED},87628006,111111111\n"
        f"{SNOMED},363346000,333333333\n{SNOMED},128462008,333333333\n"
    )
    codes = load_codes(tmp_path)
    assert ["bacterial"] == [m.subconcept for m in codes.lookup(SNOMED, "111111111")]
    assert ["any_infection"] == [m.subconcept for m in codes.lookup(SNOMED, "222222222")]
    assert ["second_primary_EXCLUDE"] == [m.concept for m in codes.lookup(SNOMED, "333333333")]
    assert codes.digest != load_codes().digest


# --- explain and coverage --------------------------------------------------------------------


def test_explain_names_winner_losers_and_other_systems() -> None:
    """Every row that matched or lost, and why."""
    text = "\n".join(explain(load_codes(), "icd-10-cm|C90.02").lines())
    for words in (
        "won  indication",
        "lost indication multiple_myeloma",
        "a closer row",
        "won  dis",
    ):
        assert words in text
    other = "\n".join(explain(load_codes(), f"{CM}|R65.1").lines())
    assert "a code of ICD-10, and systems never share rows" in other
    assert "excluded by" in "\n".join(explain(load_codes(), "ICD-10-CM|B44.81").lines())


def test_explain_says_that_unverified_rows_are_off() -> None:
    """The row is there, and the switch is off."""
    assert "unverified: off" in "\n".join(explain(load_codes(), "LOINC|6463-4").lines())


def test_explain_says_why_cpt_means_nothing() -> None:
    """A licensed system is not a gap in our tables."""
    assert "licence" in "\n".join(explain(load_codes(), "CPT|38228").lines())


@pytest.mark.parametrize("text", ["C83.3", "ICD-10-CM|", ""])
def test_explain_wants_system_and_code(text: str) -> None:
    """The message shows an example."""
    with pytest.raises(UsageError, match=r"ICD-10-CM\|C83\.3"):
        explain(load_codes(), text)


def test_coverage_offers_the_row_to_add(tmp_path: Path) -> None:
    """Filled in and signed, the offered row maps the code."""
    offered = overlay_row(system=LOCAL, code="a,b", match="exact")
    assert f'add,,,{LOCAL},"a,b",exact,,,' == offered
    filled = offered.replace("add,,,", "add,infection,sepsis,").removesuffix(",,,")
    codes = load_codes(site(tmp_path, filled + ",,A. Reviewer,2025-03-01\n"))
    assert ["sepsis"] == [m.subconcept for m in codes.lookup(LOCAL, "a,b")]


def test_coverage_offers_no_row_that_lint_refuses() -> None:
    """A code without a system can be named by no row: the source has to send it."""
    gaps = [Unmapped("", "RX-1", "Condition", 3, 2), Unmapped(LOCAL, "RX-2", "Condition", 1, 1)]
    *_, row, last = coverage_in_words(gaps).splitlines()
    assert row.startswith(f"add,,,{LOCAL},RX-2")
    assert last == "1 without a row: the source sends no system with the code."


def test_lint_checks_a_site_too(tmp_path: Path) -> None:
    """A check digit may be wrong in an overlay as well."""
    assert [] == lint(site=site(tmp_path, ROW))
    wrong = ROW.replace(LOCAL, SNOMED).replace("RX-77", "840539007")
    assert "wrong check digit" in lint(site=site(tmp_path, wrong))[0].what
    unsigned = ROW.replace("A. Reviewer", "")
    assert "not signed" in lint(site=site(tmp_path, unsigned))[0].what
