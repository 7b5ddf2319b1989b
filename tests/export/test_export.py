"""Every export format: round trip, safety, pseudonyms, manifest, schema and dictionary."""

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapter.causes import Plan
from adapter.config import Policy
from adapter.daytables import timeline_of_rows
from adapter.errors import ConfigError, StoreError, UsageError
from adapter.export import FORMATS, Release, export_cohort, rows_of
from adapter.export.columns import COLUMNS, row_of
from adapter.export.delimited import cell
from adapter.export.dictionary import dictionary_page, schema
from adapter.export.released import released
from adapter.model import Cause, Certainty, Decision, Judged, OutcomeKind
from adapter.patient import judge_patient
from adapter.pseudonyms import Pseudonyms
from tests.export.readers import READERS
from tests.report.studies import Person, a_study, judged_of, study_of

KEY = Pseudonyms(bytes(range(32)))
RELEASE = Release(KEY)
STUDY = a_study(60)


def export(tmp_path: Path, ending: str, release: Release = RELEASE) -> Path:
    path = tmp_path / f"cohort{ending}"
    export_cohort(STUDY, path, release)
    return path


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("identified", [False, True])
def test_what_goes_out_comes_back(tmp_path: Path, ending: str, identified: bool) -> None:
    """Reading a file back gives the rows that were released, in every format."""
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the optional pyarrow")
    release = Release(identified=True) if identified else RELEASE
    expected = released(STUDY, release).rows
    assert expected == READERS[ending](export(tmp_path, ending, release))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing optional library is one clear line, not an ImportError."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"cart-nrm\[parquet\]"):
        export(tmp_path, ".parquet")


def test_no_identifier_leaves_in_any_format(tmp_path: Path) -> None:
    """Server ids, references and calendar dates are in no pseudonymous file and no manifest."""
    for ending in FORMATS:
        if ending != ".parquet":
            export_cohort(STUDY, tmp_path / f"x{ending}", RELEASE)
    with zipfile.ZipFile(tmp_path / "x.xlsx") as book:
        book.extractall(tmp_path / "unzipped")
    content = b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.suffix != ".key"
                       and f.is_file())  # fmt: skip
    for planted in (b"synthetic-0", b"secret-77", b"2021-03-01", b"2021-04-05", b"Condition/"):
        assert planted not in content


def test_files_are_for_their_owner_only_and_nothing_else_stays(tmp_path: Path) -> None:
    """Mode 0600 for the file and its manifest, no temporary files left."""
    export(tmp_path, ".csv")
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in tmp_path.iterdir()}
    assert {"cohort.csv": 0o600, "cohort.csv.manifest.json": 0o600} == modes


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    """When the disk is full the old export is still whole and no half file lies about."""
    path = export(tmp_path, ".csv")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adapter.atomic.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        export_cohort(a_study(5), path, RELEASE)
    assert before == path.read_bytes()
    assert 2 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("ending", [".csv", ".ndjson", ".json", ".fhir.json", "summary.json"])
def test_the_same_cohort_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    """The order of judging does not show."""
    first = export(tmp_path, ending).read_bytes()
    turned = msgspec.structs.replace(STUDY, judged=tuple(reversed(STUDY.judged)))
    export_cohort(turned, tmp_path / f"cohort{ending}", RELEASE)
    assert first == (tmp_path / f"cohort{ending}").read_bytes()


def test_an_unknown_ending_names_the_formats(tmp_path: Path) -> None:
    """The message lists what can be written."""
    with pytest.raises(UsageError, match=r"\.xlsx"):
        export(tmp_path, ".docx")


def test_without_a_key_nothing_is_written(tmp_path: Path) -> None:
    """A pseudonymous export without key is refused before the file appears."""
    with pytest.raises(ConfigError):
        export(tmp_path, ".csv", Release())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_that_could_be_a_formula_is_guarded(text: str) -> None:
    """Text cells are quoted; a number stays a number, negative ones too."""
    assert f"'{text}" == cell(text)
    assert f"'{text}; b" == cell([text, "b"])
    assert "-7" == cell(-7)
    assert "-0.5" == cell(-0.5)


def test_a_formula_in_a_workbook_is_text(tmp_path: Path) -> None:
    """openpyxl would make a formula of text that begins with an equals sign."""
    from openpyxl import load_workbook

    evil = judged_of(Person(1, OutcomeKind.ALIVE, 9, product='=HYPERLINK("http://x")'))
    export_cohort(study_of([evil]), tmp_path / "x.xlsx", RELEASE)
    sheet = load_workbook(tmp_path / "x.xlsx")["cohort"]
    assert {"s", "n", "b"} >= {c.data_type for row in sheet.iter_rows() for c in row}


def test_the_allow_list_limits_the_columns() -> None:
    """Only the named columns leave; an unknown name is an error, not an empty column."""
    rows = released(STUDY, Release(KEY, columns=("patient", "event"))).rows
    assert {"patient", "event"} == {name for row in rows for name in row}
    with pytest.raises(UsageError, match="Unknown column"):
        released(STUDY, Release(KEY, columns=("name",)))


def test_the_order_of_rows_does_not_tell_the_order_of_ids() -> None:
    """Rows come by pseudonym, also when the allow-list leaves the episode out."""
    rows = released(STUDY, Release(KEY, columns=("patient",))).rows
    assert sorted(KEY.of(j.episode.patient) for j in STUDY.judged) == [
        row["patient"] for row in rows
    ]


def test_ages_over_89_are_one_class() -> None:
    """90 means 90 or older; 89 stays 89."""
    people = [judged_of(Person(n, OutcomeKind.ALIVE, 9, age=age)) for n, age in
              enumerate((88, 89, 90, 97))]  # fmt: skip
    rows = released(study_of(people), RELEASE).rows
    assert [88, 89, 90, 90] == sorted(row["age_years"] for row in rows)


def test_an_undated_infusion_counts_no_days() -> None:
    """Follow-up of -1,087,023 days came from an infusion "some day of the calendar"."""
    table = [(0, "?", "infusion: axi-cel"), (1, "30", "visit"), (2, "40", "death")]
    (one,) = judge_patient(timeline_of_rows(table), Plan(Policy()))
    row = row_of(one)
    assert "infusion_undated" == row["outcome_reason"]
    counted = ("infusion_date", "time_days", "death_days", "followup_days", "age_years")
    assert {None} == {row[name] for name in counted}


@pytest.mark.parametrize("seen", ["-5", "10"])
def test_a_death_known_to_the_year_has_one_time(seen: str) -> None:
    """time_days and death_days of one non-relapse death were 178 and 173."""
    table = [(0, "0", "infusion: axi-cel"), (1, seen, "visit"), (2, "-9..356", "death")]
    (one,) = judge_patient(timeline_of_rows(table), Plan(Policy()))
    row = row_of(one)
    assert row["time_days"] == row["death_days"] == row["followup_days"]


def test_the_manifest_says_what_was_removed(tmp_path: Path) -> None:
    """Hash, versions, settings and the counts of changed values stand beside the file."""
    import hashlib

    path = export(tmp_path, ".csv")
    manifest = json.loads((tmp_path / "cohort.csv.manifest.json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest["sha256"]
    assert 60 == manifest["release"]["changed_or_removed"]["infusion_date (date)"]
    assert KEY.key_id == manifest["release"]["key_id"]
    assert {"Sepsis"} == set(manifest["rules_changed"])


def test_the_manifest_names_the_columns_left_out(tmp_path: Path) -> None:
    """What the allow-list kept back; a dictionary has no values that were changed."""
    release = Release(KEY, columns=("patient", "age_years"))
    for ending in (".csv", "dictionary.md"):
        export(tmp_path, ending, release)
        about = json.loads((tmp_path / f"cohort{ending}.manifest.json").read_text())["release"]
        assert {c.name for c in COLUMNS} - set(about["columns_left_out"]) == {*release.columns}
        assert ("patient (patient)" in about["changed_or_removed"]) == (ending == ".csv")


@pytest.mark.parametrize("ending", [".fhir.json", ".fhir.ndjson"])
def test_fhir_names_the_columns_it_needs(tmp_path: Path, ending: str) -> None:
    """An allow-list without patient, episode or outcome is refused; no file appears."""
    with pytest.raises(UsageError, match="without the columns patient, episode, outcome"):
        export(tmp_path, ending, Release(KEY, columns=("age_years", "sex")))
    assert [] == list(tmp_path.iterdir())


def test_rows_fit_their_schema() -> None:
    """Every value has a type and, where there is a list, a value that the schema allows."""
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
    }
    for row in rows_of(STUDY):
        assert set(schema()["required"]) == set(row)
        for name, rule in schema()["properties"].items():
            allowed = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
            if row[name] is None:
                assert "null" in allowed
                continue
            assert isinstance(row[name], types[allowed[0]])
            assert row[name] in rule.get("enum", [row[name]])


def test_the_contract_columns_are_there() -> None:
    """Other people's scripts rest on these names."""
    contract = (
        "patient episode infusion_date product indication age_years sex outcome event time_days "
        "death death_days cause subcause certainty contributing rule needs_review followup_end "
        "notes"
    )
    assert set(contract.split()) <= {column.name for column in COLUMNS}


def test_the_dictionary_in_docs_is_current() -> None:
    """docs/data-dictionary.md is what `export dictionary.md` writes."""
    page = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
    assert dictionary_page() == page.read_text(encoding="utf-8")


def decided(judged: Judged, **more: Any) -> Judged:
    decision = Decision(judged.episode.name, "r1", "2024-01-01", Cause.CRS, "", Certainty.DEFINITE)
    return msgspec.structs.replace(judged, decision=decision, **more)


def test_a_reviewers_decision_outranks_the_rules() -> None:
    """The cause that counts is the reviewer's; what the rules said stays visible."""
    person = Person(1, OutcomeKind.NRM, 30, Cause.INFECTION)
    row = rows_of(study_of([decided(judged_of(person))]))[0]
    assert ("crs", "infection", "reviewer") == (
        row["cause"], row["rules_cause"], row["decided_by"]
    )  # fmt: skip


def test_a_decision_on_other_evidence_stays_in_force_and_is_flagged() -> None:
    """The reviewer's cause counts until it is reviewed again, and the row says so."""
    person = Person(1, OutcomeKind.NRM, 30, Cause.UNKNOWN)
    row = rows_of(study_of([decided(judged_of(person), evidence_changed=True)]))[0]
    assert ("crs", True, True) == (row["cause"], row["evidence_changed"], row["needs_review"])
