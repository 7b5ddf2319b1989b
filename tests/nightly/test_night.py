"""A night from end to end: what it writes, and what the next one makes of it."""

import csv
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from adapter.config import Settings
from adapter.nightly import nights, run_night
from adapter.store import Store
from tests.nightly.ward import Ward, about, outcome, recipient, relapse, settings


def latest(chosen: Settings) -> Path:
    return chosen.nightly.folder / "latest"


def changes(chosen: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((latest(chosen) / "changes.json").read_text())["what"]
    return found


def events(chosen: Settings) -> list[str]:
    lines = (chosen.nightly.folder / "journal.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def busy(path: Path) -> None:
    raise OSError(errno.ENOTEMPTY, "Directory not empty")


def test_the_first_night_writes_everything_for_its_owner_only(chosen: Settings) -> None:
    """Cohort, summary, report, changes and the account of the night; 0600 in folders of 0700."""
    night = run_night(chosen)
    assert ("complete", 0) == outcome(night)
    written = {path.name for path in latest(chosen).iterdir()}
    assert {"cohort.csv", "cohort.summary.json", "report.html", "changes.json", "night.json"} <= (
        written
    )
    assert 2 == len(list(csv.DictReader((latest(chosen) / "cohort.csv").open())))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in latest(chosen).iterdir()}
    assert {0o600} == modes
    assert 0o700 == stat.S_IMODE(chosen.nightly.folder.stat().st_mode)
    assert 0o700 == stat.S_IMODE(latest(chosen).resolve().stat().st_mode)


def test_a_quiet_night_says_that_nothing_changed(chosen: Settings) -> None:
    """Same bytes in the cohort, no change, and the report says so."""
    run_night(chosen)
    before = (latest(chosen) / "cohort.csv").read_bytes()
    night = run_night(chosen)
    assert {} == night.changes
    assert before == (latest(chosen) / "cohort.csv").read_bytes()
    assert "Nothing changed." in (latest(chosen) / "report.html").read_text()


def test_a_night_tells_what_is_new(chosen: Settings, hospital: Ward) -> None:
    """A new recipient and a relapse are told, in the folder and in the report, by pseudonym."""
    run_night(chosen)
    hospital.put(*recipient("synthetic-0004"), *about("synthetic-0001", relapse())[-1:])
    night = run_night(chosen)
    assert {"new infusion": 1, "new relapse": 1} == night.changes
    assert ["new infusion", "new relapse"] == sorted(one["kind"] for one in changes(chosen))
    page = (latest(chosen) / "report.html").read_text()
    assert "What changed since run 1" in page
    assert "synthetic-0004" not in page + (latest(chosen) / "changes.json").read_text()


def test_old_nights_go_and_the_latest_stays(tmp_path: Path, hospital: Ward) -> None:
    """Three are kept of five; `latest` is the fifth."""
    chosen = settings(tmp_path, hospital.base, keep=3)
    for _ in range(5):
        run_night(chosen)
    assert 3 == len(nights(chosen.nightly.folder))
    assert latest(chosen).resolve().name.endswith("_00005")


def test_the_last_complete_night_stays(tmp_path: Path, hospital: Ward) -> None:
    """Partial nights follow it, more than are kept."""
    chosen = settings(tmp_path, hospital.base, keep=1)
    good = run_night(chosen)
    hospital.refused = {"Encounter"}
    partial = [run_night(chosen) for _ in range(3)][-1]
    assert [good.folder, partial.folder] == [path.name for path in nights(chosen.nightly.folder)]
    hospital.refused = set()
    last = run_night(chosen)
    assert [last.folder] == [path.name for path in nights(chosen.nightly.folder)]


def test_what_cannot_be_removed_fails_no_night(
    tmp_path: Path, hospital: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads an old night on a network disk: journaled, and tried again by the next."""
    chosen = settings(tmp_path, hospital.base, keep=1)
    run_night(chosen)
    with monkeypatch.context() as patch:
        patch.setattr("adapter.nightly.shutil.rmtree", busy)
        assert [("complete", 0)] * 2 == [outcome(run_night(chosen)) for _ in range(2)]
    assert "could_not_remove" in events(chosen)
    assert ("complete", 0) == outcome(run_night(chosen))
    assert [] == list(chosen.nightly.folder.glob(".night-*"))


def test_a_partial_night_exports_and_says_so(chosen: Settings, hospital: Ward) -> None:
    """One type fails: exit 20, what came is published, the next night fetches the rest."""
    hospital.refused = {"Encounter"}
    night = run_night(chosen)
    assert ("partial", 20) == outcome(night)
    assert any(due.startswith("Encounter") for due in night.due)
    assert "partial" == json.loads((latest(chosen) / "night.json").read_text())["state"]
    assert "; this report may be incomplete" in (latest(chosen) / "report.html").read_text()
    hospital.refused = set()
    assert ("complete", 0) == outcome(run_night(chosen))


def test_an_alarm_overwrites_nothing(chosen: Settings, hospital: Ward) -> None:
    """All infusions vanish: exit 21, `latest` stays, until somebody says that they are gone."""
    run_night(chosen)
    before = latest(chosen).resolve()
    for name in ("synthetic-0001", "synthetic-0002"):
        hospital.delete("Procedure", f"{name}-proc2")
    night = run_night(chosen)
    assert ("alarm", 21) == outcome(night)
    assert "vanished" in night.problem
    assert before == latest(chosen).resolve()
    assert 2 == night.recipients
    accepted = run_night(chosen, accept_vanished=True)
    assert ("complete", 0) == outcome(accepted)
    assert {"infusion gone": 2} == accepted.changes


def test_a_server_that_is_down_leaves_the_last_night(tmp_path: Path, hospital: Ward) -> None:
    """Exit 13, the outputs of the last good night stay, the counts are still told."""
    chosen = settings(tmp_path, hospital.base)
    run_night(chosen)
    before = latest(chosen).resolve()
    with Store(chosen.store) as store:
        store.set_meta("server", "http://127.0.0.1:9/fhir")
    night = run_night(settings(tmp_path, "http://127.0.0.1:9/fhir"))
    assert ("failed", 13) == outcome(night)
    assert before == latest(chosen).resolve()
    assert "cart_nrm_recipients 2\n" in (tmp_path / "night.prom").read_text()
    assert "cart_nrm_night_exit_code 13\n" in (tmp_path / "night.prom").read_text()
    assert 13 == json.loads((tmp_path / "beat.json").read_text())["exit_code"]


def test_nights_are_ordered_by_number_not_by_clock(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps back twenty years and forward again: `latest` is the night that ran last."""
    for year in ("2046", "2006", "2026"):
        monkeypatch.setattr("adapter.nightly.now", lambda year=year: f"{year}-03-29T01:30:00.000Z")
        run_night(chosen)
        assert f"{year}-03-29" == latest(chosen).resolve().name[:10]
    names = [path.name for path in nights(chosen.nightly.folder)]
    assert ["2046-03-29_00001", "2006-03-29_00002", "2026-03-29_00003"] == names


def test_summer_time_changes_nothing(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and journal are in UTC, whatever the machine's zone."""
    import time

    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        night = run_night(chosen)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert night.started.endswith("Z")
    assert night.started[:10] == latest(chosen).resolve().name[:10]


def test_a_restored_store_catches_up(chosen: Settings, hospital: Ward, tmp_path: Path) -> None:
    """Somebody puts last week's store back: the next night is complete and numbered on."""
    run_night(chosen)
    old = chosen.store.read_bytes()
    hospital.put(*recipient("synthetic-0004"))
    run_night(chosen)
    for path in tmp_path.glob("cart.db-*"):
        path.unlink()
    chosen.store.write_bytes(old)
    night = run_night(chosen)
    assert ("complete", 0, 3) == (*outcome(night), night.number)
    assert 3 == night.recipients
    assert latest(chosen).resolve().name.endswith("_00003")


def test_the_journal_ends_a_torn_line(chosen: Settings) -> None:
    """A power cut tears the last line: the next event begins on its own."""
    run_night(chosen)
    journal = chosen.nightly.folder / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"at": "2026-')
    run_night(chosen)
    lines = journal.read_bytes().splitlines()
    assert b'{"at": "2026-' in lines
    assert "ended" == json.loads(lines[-1])["event"]


def test_an_unwritable_folder_has_a_message(tmp_path: Path, hospital: Ward) -> None:
    """The outputs' folder is a file: exit 14, and what to do."""
    (tmp_path / "nights").write_text("")
    night = run_night(settings(tmp_path, hospital.base))
    assert ("failed", 14) == outcome(night)
    assert "cannot be made" in night.problem
    assert "nightly.folder" in night.todo


def test_umask_is_set_by_every_command(tmp_path: Path) -> None:
    """The command line leaves nothing that others may read."""
    from click.testing import CliRunner

    from cli import main

    os.umask(0o022)
    CliRunner().invoke(main, ["status", "--store", str(tmp_path / "none.db")])
    assert 0o077 == os.umask(0o077)
