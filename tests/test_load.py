"""Loading what is already on disk: everything valid is stored, everything else is accounted for."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.envelope import Envelope, Reject
from adapter.files import Portion, blocks, entries, portions
from adapter.load import LoadReport, load
from adapter.pseudonyms import pseudonyms_beside
from adapter.report import write_report
from adapter.status import status_of
from adapter.store import Store
from adapter.study import run_study
from cli import main
from examples.synthetic.writer import as_line

PATIENT = {"resourceType": "Patient", "id": "p1"}


def condition(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": name,
        "subject": {"reference": "Patient/p1"},
        **fields,
    }


def loaded(tmp_path: Path, *paths: Path) -> LoadReport:
    with Store(tmp_path / "store.db") as store:
        return load(store, paths)


def held(tmp_path: Path) -> dict[str, int]:
    with Store(tmp_path / "store.db") as store:
        return store.counts()


def ndjson(path: Path, *lines: Any) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_valid_neighbours_of_bad_lines_are_stored(tmp_path: Path) -> None:
    """Cut-off JSON, no id, an unknown type: three rejects; the other lines are in the store."""
    file = ndjson(
        tmp_path / "Condition.ndjson",
        PATIENT,
        '{"resourceType": "Condition", "id": "cut',
        {"resourceType": "Condition"},
        {"resourceType": "Conditoin", "id": "c1"},
        condition("c2"),
    )
    report = loaded(tmp_path, file)
    assert (report.read, report.stored, report.rejected) == (5, 2, 3)
    assert held(tmp_path) == {"Condition": 1, "Patient": 1}


def test_a_reject_is_kept_with_place_and_reason(tmp_path: Path) -> None:
    """The store says where each reject stood and why it could not be used."""
    loaded(tmp_path, ndjson(tmp_path / "a.ndjson", PATIENT, "{", {"resourceType": "Patient"}))
    with Store(tmp_path / "store.db") as store:
        rejects = [(place, reason) for place, reason, _ in store.rejects()]
    assert rejects == [("a.ndjson:2", "not readable as JSON"), ("a.ndjson:3", "no id")]


def test_types_that_are_not_used_are_counted_and_not_rejected(tmp_path: Path) -> None:
    """An Immunization is FHIR, but nothing here rests on it."""
    immunization = {"resourceType": "Immunization", "id": "i1"}
    report = loaded(tmp_path, ndjson(tmp_path / "all.ndjson", PATIENT, immunization))
    assert (report.stored, report.rejected, report.not_used) == (1, 0, {"Immunization": 1})


def test_loading_again_changes_nothing(tmp_path: Path) -> None:
    """The same file a second time is known, resource by resource."""
    file = ndjson(tmp_path / "a.ndjson", PATIENT, condition("c1"))
    loaded(tmp_path, file)
    again = loaded(tmp_path, file)
    assert (again.stored, again.unchanged) == (0, 2)


def test_plain_gzip_bundle_and_single_resource_are_the_same(tmp_path: Path) -> None:
    """Whatever the packing, the same two resources arrive."""
    both = [PATIENT, condition("c1")]
    plain = ndjson(tmp_path / "plain.ndjson", *both)
    packed = tmp_path / "packed.ndjson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    bundled = tmp_path / "bundle.json"
    bundled.write_text(json.dumps({**bundle, "entry": [{"resource": r} for r in both]}, indent=2))
    single = tmp_path / "single.json"
    single.write_text(json.dumps(PATIENT, indent=2))
    for number, file in enumerate((plain, packed, bundled, single)):
        folder = tmp_path / str(number)
        folder.mkdir()
        expected = {"Patient": 1} if file == single else {"Condition": 1, "Patient": 1}
        loaded(folder, file)
        assert held(folder) == expected


def test_a_bundle_that_names_its_patient_by_urn_is_resolved(tmp_path: Path) -> None:
    """Transaction Bundles refer by urn:uuid; the condition belongs to the patient all the same."""
    urn = "urn:uuid:5d7e2a55-0000-4000-8000-000000000001"
    entries = [
        {"fullUrl": urn, "resource": {"resourceType": "Patient", "id": "p1"}},
        {"resource": condition("c1", subject={"reference": urn})},
    ]
    file = tmp_path / "transaction.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    loaded(tmp_path, file)
    with Store(tmp_path / "store.db") as store:
        assert [(r.patient, len(r.resources)) for r in store.records()] == [("p1", 2)]


def test_what_names_no_patient_is_counted(tmp_path: Path) -> None:
    """A CAR T procedure with `subject.identifier` alone was in no count, and nobody's infusion."""
    lost = condition("1", subject={"identifier": {"value": "synthetic-1"}}) | {
        "resourceType": "Procedure"
    }
    file = ndjson(tmp_path / "all.ndjson", PATIENT, condition("c1"), lost)
    assert {"Procedure": 1} == loaded(tmp_path, file).unresolved
    given = {"store": str(tmp_path / "store.db")}
    with Store(tmp_path / "store.db") as store:
        study = run_study(store, Settings.model_validate(given), load_codes())
        status = status_of(store, Settings.model_validate(given), load_codes())
    assert {"Procedure": 1} == study.quality.unresolved == status["unresolved"]
    page = tmp_path / "report.html"
    write_report(study, page, pseudonyms_beside(tmp_path / "store.db"))
    assert "no patient of the store is named: 1 Procedure" in page.read_text()


def test_a_cut_off_gzip_gives_what_came_before_the_cut(tmp_path: Path) -> None:
    """A download that broke is a reject of its own, not a lost file."""
    lines = "\n".join(json.dumps(condition(f"c{n}", note="x" * n)) for n in range(2000))
    packed = gzip.compress(lines.encode())
    (tmp_path / "cut.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    report = loaded(tmp_path, tmp_path / "cut.ndjson.gz")
    assert report.stored > 0
    assert not report.complete


def test_the_command_says_what_was_rejected_and_ends_with_20(tmp_path: Path) -> None:
    """Partial: kept what came. The account adds up and names the reasons, never the content."""
    file = ndjson(tmp_path / "a.ndjson", PATIENT, '{"name": "Secret-Name', condition("c1"))
    answer = run("load", file, "--store", tmp_path / "s.db")
    assert answer.exit_code == 20
    assert "1  rejected: not readable as JSON" in answer.output
    assert "2  stored" in answer.output
    assert "Secret-Name" not in answer.output


def test_the_same_broken_file_counts_once(tmp_path: Path) -> None:
    """Loaded again it is still Partial, but the store holds no second reject."""
    file = ndjson(tmp_path / "a.ndjson", "{", '[{"resourceType": "Patient"}]')
    assert [2, 2] == [loaded(tmp_path, file).rejected, loaded(tmp_path, file).rejected]
    with Store(tmp_path / "store.db") as store:
        reasons = [reason for _, reason, _ in store.rejects()]
    assert ["not readable as JSON", "an array of resources; give NDJSON or a Bundle"] == reasons


def test_a_wrong_key_in_the_settings_is_named(tmp_path: Path) -> None:
    """A typing error in study.toml ends with 10 and the key that was meant."""
    (tmp_path / "study.toml").write_text('sevrer = "http://127.0.0.1"\n')
    answer = run("load", tmp_path, "--config", tmp_path / "study.toml")
    assert answer.exit_code == 10
    assert "unknown key 'sevrer' (did you mean 'server'?)." in answer.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("xyz = 1", "unknown key 'xyz' (known here: auth, "),
        ("xyz = 1\nzyx = 1", "workers). unknown key 'zyx'."),
        ("store = 1", "store: a path in quotes is expected."),
        ("auth = 1", "auth: this is a section, with keys of its own."),
        ('timezone = "Mars"', "timezone: no time zone is called 'Mars'."),
        ('site-mappings = "a"\nsite_mappings = "b"', "site_mappings is given twice"),
    ],
)
def test_settings_are_refused_in_our_words(tmp_path: Path, text: str, told: str) -> None:
    """A data manager reads no class names; a byte order mark is no fault."""
    (tmp_path / "study.toml").write_text(text, "utf-8-sig")
    answer = run("status", "--config", tmp_path / "study.toml")
    assert (10, True) == (answer.exit_code, told in answer.output), answer.output


def test_a_folder_without_fhir_files_says_so(tmp_path: Path) -> None:
    """An empty folder is a usage error that names what was expected."""
    answer = run("load", tmp_path, "--store", tmp_path / "s.db")
    assert answer.exit_code == 2
    assert ".ndjson" in answer.output


def test_a_missing_store_is_not_created_by_reading(tmp_path: Path) -> None:
    """`classify` on a store that is not there ends with 14 and says what to do first."""
    answer = run("classify", "--store", tmp_path / "none.db")
    assert answer.exit_code == 14
    assert "sync" in answer.output
    assert not (tmp_path / "none.db").exists()


def test_the_store_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine can read the store."""
    loaded(tmp_path, ndjson(tmp_path / "a.ndjson", PATIENT))
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def numbered(portion: Portion) -> list[tuple[int, bytes]]:
    return [pair for first, block in blocks(portion) for pair in enumerate(block, first)]


@given(st.lists(st.sampled_from([b"", b"{}", b"x" * 7, b"long" * 40, b"\r"]), max_size=40),
       st.booleans(), st.integers(1, 90), st.integers(2, 70))  # fmt: skip
def test_portions_of_a_file_are_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    every: list[bytes], ended: bool, size: int, block: int,
) -> None:  # fmt: skip
    """Cut and read in handfuls of any size, every line comes once and is counted."""
    file = tmp_path_factory.mktemp("cut") / "x.ndjson"
    file.write_bytes(b"\n".join(every) + b"\n" * (ended and bool(every)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapter.files._BLOCK", block)
        patch.setattr("adapter.files._HANDFUL", block)
        whole, before, cut = numbered(Portion(file)), 0, list[tuple[int, bytes]]()
        for piece in portions([file], size):
            found = numbered(piece)
            cut += [(before + number, line) for number, line in found]
            before += len(found)
    expected = file.read_bytes().split(b"\n")
    bare = [line.strip(b"\n") for _, line in whole]
    assert [line for line in expected if line] == [line for line in bare if line]
    assert whole == cut


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_too_long_is_one_reject(
    tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attachment of gigabytes must not fill the memory; its neighbours are read."""
    monkeypatch.setattr("adapter.files._LONGEST_LINE", 5_000)
    monkeypatch.setattr("adapter.files._BLOCK", 700)
    good = as_line({**PATIENT})
    raw = good + b"y" * 40_000 + b"\n" + good
    file = tmp_path / "x.ndjson"
    file.write_bytes(gzip.compress(raw) if packed else raw)
    found = list(entries(Portion(file)))
    assert [Envelope, Reject, Envelope] == [type(one) for one in found]
    assert isinstance(found[1], Reject)
    assert ("x.ndjson:2", 1_000) == (found[1].where, len(found[1].body))
    assert 3 == sum(len(block) for _, block in blocks(Portion(file)))
