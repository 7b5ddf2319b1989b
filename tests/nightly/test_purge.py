"""The right to erasure: nothing of a patient stays, and nobody brings the patient back."""

import json
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from adapter.config import Settings
from adapter.envelope import Reject, open_envelope
from adapter.load import load
from adapter.model import Cause, Decision
from adapter.nightly import run_night
from adapter.pseudonyms import rotate
from adapter.store import Store
from cli import main
from tests.builders import lab, patient
from tests.nightly.ward import Ward, about, outcome, recipient, settings

GONE = "synthetic-0002"
NAME = "Unmistakable-Canary"


def purge(chosen: Settings, name: str = GONE, *options: str) -> Result:
    config = chosen.store.with_name("study.toml")
    config.write_text(f'store = "cart.db"\nserver = "{chosen.server}"\n')
    return CliRunner().invoke(main, ["purge", name, "--config", str(config), "--yes", *options])


def every_byte(store: Store) -> bytes:
    """Everything the store says, unpacked."""
    tables = [row[0] for row in store.db.execute("SELECT name FROM sqlite_master WHERE sql <> ''"
                                                 " AND type = 'table'")]  # fmt: skip
    cells = [cell for table in tables for row in store.db.execute(f"SELECT * FROM {table}")
             for cell in row if cell is not None]  # fmt: skip
    unpacked = [body for _, _, _, body in store.bodies()]
    unpacked += [zstandard.decompress(r[0]) for r in store.db.execute(
        "SELECT body FROM reject UNION ALL SELECT rows FROM night WHERE rows <> x''")]  # fmt: skip
    return b"\n".join([*(c if isinstance(c, bytes) else str(c).encode() for c in cells), *unpacked])


def test_nothing_of_the_patient_stays(chosen: Settings, hospital: Ward) -> None:
    """Versions, rejects, decisions, ledger, memory of the nights: not one byte; others stay."""
    hospital.put({**recipient(GONE, died="2025-06-21")[0], "name": [{"family": NAME}]})
    run_night(chosen)
    with Store(chosen.store) as store:
        others = {key: n for key, n in store.counts().items() if key == "Encounter"}
        store.add_decisions([Decision(f"{GONE}#1", "R", "2026-01-05", Cause.OTHER)])
        with store.transaction():
            body = json.dumps({"subject": {"reference": f"Patient/{GONE}"}, "n": NAME}).encode()
            store.reject(1, [Reject("x.ndjson:1", "no id", body), Reject("y:1", "no id", b"{}")])
    result = purge(chosen, GONE, "--outputs")
    assert 0 == result.exit_code, result.output
    assert "0 times in the raw bytes" in result.stdout
    raw = chosen.store.read_bytes()
    assert GONE.encode() not in raw
    assert NAME.encode() not in raw
    with Store(chosen.store) as store:
        everything = every_byte(store)
        assert others == {key: n for key, n in store.counts().items() if key == "Encounter"}
        assert 1 == len(store.rejects())
    assert GONE.encode() not in everything
    assert NAME.encode() not in everything


def test_pieces_in_shared_dictionaries_go_too(tmp_path: Path) -> None:
    """The dictionary was trained on this patient's records: it is made anew, the others read well.

    The name stands in every record, so that training surely keeps it.
    """
    with Store(tmp_path / "cart.db") as store:
        run = store.begin("load", "files")
        rows = [
            {**one, "note": [{"text": f"{NAME} {n} " * 4}]}
            for n, one in enumerate(about("erase-me", patient(), *[
                lab("2276-4", 100 + n, "ng/mL", id=f"erase-me-{n}") for n in range(450)]))
        ]  # fmt: skip
        kept = about("keep-me", *[lab("2276-4", n, "ng/mL", id=f"keep-{n}") for n in range(600)])
        with store.transaction():
            envelopes = [open_envelope(json.dumps(row).encode()) for row in [*rows, *kept]]
            store.add(run, [one for one in envelopes if not isinstance(one, Reject)])
        store.end(run, "complete", {})
        before = [(id_, body) for _, id_, owner, body in store.bodies() if owner == "keep-me"]
        trained = b"".join(r[0] for r in store.db.execute("SELECT bytes FROM dictionary"))
        assert NAME.encode() in trained
    result = CliRunner().invoke(
        main, ["purge", "erase-me", "--yes", "--store", str(tmp_path / "cart.db")]
    )
    assert 0 == result.exit_code, result.output
    with Store(tmp_path / "cart.db") as store:
        assert before == [(id_, body) for _, id_, _, body in store.bodies()]
        assert NAME.encode() not in every_byte(store)
        assert 1 == store.db.execute("SELECT count(*) FROM dictionary").fetchone()[0]


def test_no_sync_or_load_brings_the_patient_back(
    chosen: Settings, hospital: Ward, tmp_path: Path
) -> None:
    """The server still has the patient: the next nights are complete without, and so is a load."""
    run_night(chosen)
    assert 0 == purge(chosen, GONE, "--outputs").exit_code
    for _ in range(2):
        night = run_night(chosen)
        assert ("complete", 0, 1) == (*outcome(night), night.recipients)
    file = tmp_path / "again.ndjson"
    file.write_text("".join(json.dumps(one) + "\n" for one in recipient(GONE)))
    with Store(chosen.store) as store:
        report = load(store, [file])
        assert 0 == report.stored
        assert report.read == sum(report.not_used.values())
        assert GONE.encode() not in every_byte(store)
        assert set() == {row for row in store.ids("Patient") if row == GONE}


def test_a_new_key_brings_nobody_back(chosen: Settings) -> None:
    """Who was erased stays so; nights under the older key are found, and a name of theirs is known.

    Killed between the key and the store's word of it, the next command goes on with the new key.
    """
    run_night(chosen)
    with Store(chosen.store) as store:
        names = store.pseudonyms()
    assert 0 == purge(chosen, GONE, "--outputs").exit_code
    run_night(chosen)
    rotate(chosen.store, names.key_id)
    night = run_night(chosen)
    assert ("complete", 0, 1) == (*outcome(night), night.recipients)
    cohort = (chosen.nightly.folder / "latest" / "cohort.csv").read_text()
    assert names.of("synthetic-0001") not in cohort
    listed = purge(chosen, names.of("synthetic-0001"))
    assert ["00002/cohort.csv", "00003/cohort.csv"] == [
        line.split(" (")[0][-16:] for line in listed.stdout.splitlines() if ".csv (" in line
    ]


def test_outputs_that_name_the_patient_are_listed_or_deleted(chosen: Settings) -> None:
    """Without --outputs the command ends with 20 and names the files; with it they go."""
    run_night(chosen)
    listed = purge(chosen)
    assert 20 == listed.exit_code
    assert "cohort.csv" in listed.stdout
    assert 0 == purge(chosen, GONE, "--outputs").exit_code
    assert [] == list(chosen.nightly.folder.glob("20*"))
    assert ("complete", 0) == outcome(run_night(chosen))


def test_packed_outputs_are_looked_into(tmp_path: Path, hospital: Ward) -> None:
    """Workbook and Parquet say who is in them only unpacked; what cannot be read may name all."""
    pytest.importorskip("pyarrow", reason="Parquet needs the optional pyarrow")
    chosen = settings(tmp_path, hospital.base, formats=("xlsx", "parquet"))
    hospital.delete("Procedure", f"{GONE}-proc2")
    first = run_night(chosen)  # without the patient
    hospital.put(*recipient(GONE))
    night = run_night(chosen)
    for file in ("report.html", "changes.json"):
        (chosen.nightly.folder / night.folder / file).unlink()
    (chosen.nightly.folder / first.folder / "report.pdf").write_bytes(b"")
    listed = json.loads(purge(chosen, GONE, "--json").stdout)["files"]
    assert {"cohort.xlsx", "cohort.parquet", "report.pdf"} == {Path(one).name for one in listed}
    assert 3 == len(listed)


def test_a_reader_elsewhere_is_told(chosen: Settings, hospital: Ward) -> None:
    """Who reads the store keeps the old pages in its log: not clean, and what to do about it."""
    run_night(chosen)
    with Store(chosen.store) as reader:
        reader.db.execute("BEGIN")
        reader.db.execute("SELECT count(*) FROM version").fetchone()
        busy = purge(chosen, GONE, "--outputs")
    assert 20 == busy.exit_code
    assert "Another program has the store open" in busy.stdout
    assert 0 == purge(chosen, GONE, "--outputs").exit_code


def test_a_half_made_copy_of_the_store_goes(chosen: Settings) -> None:
    """A migration that was killed leaves a whole store under a hidden name."""
    run_night(chosen)
    half = chosen.store.with_name(".cart.db.schema1.backup.x7")
    half.write_bytes(chosen.store.read_bytes())
    assert half.name in purge(chosen).stdout
    assert 0 == purge(chosen, GONE, "--outputs").exit_code
    assert not half.exists()
    half.write_bytes(b"")
    run_night(chosen)
    assert not half.exists()


def test_latest_leads_to_a_night_that_is_left(chosen: Settings, hospital: Ward) -> None:
    """The newest of those that do not name the patient; to none when none is left."""
    hospital.delete("Procedure", f"{GONE}-proc2")
    left = run_night(chosen)
    hospital.put(*recipient(GONE))
    run_night(chosen)
    latest = chosen.nightly.folder / "latest"
    assert 0 == purge(chosen, GONE, "--outputs").exit_code
    assert left.folder == latest.resolve().name
    assert 0 == purge(chosen, "synthetic-0001", "--outputs").exit_code
    assert not latest.is_symlink()


def test_a_patient_may_be_named_by_pseudonym(chosen: Settings) -> None:
    """The request may come with the name the report prints."""
    run_night(chosen)
    with Store(chosen.store) as store:
        names = store.pseudonyms()
    assert 0 == purge(chosen, names.of(GONE), "--outputs").exit_code
    with Store(chosen.store) as store:
        assert store.is_erased(GONE)


def test_a_mention_in_another_record_is_told(chosen: Settings, hospital: Ward) -> None:
    """Another patient's record links to the erased one: not ours to change, so it is said."""
    link = {"link": [{"other": {"reference": f"Patient/{GONE}"}, "type": "seealso"}]}
    hospital.put({**recipient("synthetic-0001")[0], **link})
    run_night(chosen)
    result = purge(chosen, GONE, "--outputs")
    assert 20 == result.exit_code
    assert "still named in: 1 Patient of another patient" in result.stdout


def test_an_unknown_patient_is_a_usage_error(chosen: Settings) -> None:
    """Nothing is marked for a name that nobody has."""
    run_night(chosen)
    assert 2 == purge(chosen, "nobody").exit_code
    with Store(chosen.store) as store:
        assert not store.is_erased("nobody")


@pytest.mark.parametrize("short", ["7", "12"])
def test_a_short_id_does_not_take_others_along(tmp_path: Path, short: str) -> None:
    """The id is also a number: rejects that only hold the number stay."""
    with Store(tmp_path / "cart.db") as store:
        run = store.begin("load", "files")
        with store.transaction():
            envelopes = [open_envelope(json.dumps(row).encode()) for row in recipient(short)]
            store.add(run, [one for one in envelopes if not isinstance(one, Reject)])
            bodies = (f'{{"value": {short}}}', f'{{"r": "Patient/{short}"}}')
            store.reject(run, [Reject("a:1", "no id", body.encode()) for body in bodies])
    result = CliRunner().invoke(
        main, ["purge", short, "--yes", "--json", "--store", str(tmp_path / "cart.db")]
    )
    assert 0 == result.exit_code, result.output
    assert 1 == json.loads(result.stdout)["removed"]["rejects"]
