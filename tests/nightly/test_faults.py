"""Every fault of the campaign a few times; dead owners, half-written nights, old schemas."""

import errno
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.errors import LockedError
from adapter.lock import held
from adapter.model import Cause, Decision
from adapter.nightly import run_night
from adapter.schema import MIGRATIONS, SCHEMA_VERSION
from adapter.store import Store
from adapter.sync import sync
from adapter.tell import in_words
from cli import main
from tests.nightly.cases import cases
from tests.nightly.faults import overwrite, put_back
from tests.nightly.trials import Case, try_out
from tests.nightly.ward import Ward, outcome, settings


def journaled(chosen: Settings, event: str) -> list[dict[str, object]]:
    lines = (chosen.nightly.folder / "journal.jsonl").read_text().splitlines()
    return [found for line in lines if (found := json.loads(line))["event"] == event]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name.replace(" ", "-"))
def test_nothing_is_lost_nothing_is_silent_and_the_next_night_is_right(case: Case) -> None:
    """Each case of the campaign with a few of its faults; `make campaign` takes them all."""
    verdict = try_out(case, tries=1 if case.slow else 2)
    assert ([], [], []) == (verdict.lost, verdict.silent, verdict.after)
    assert verdict.nights


# -- the lock --------------------------------------------------------------------------------


def test_two_nights_at_once(chosen: Settings, tmp_path: Path) -> None:
    """The second stops with 15, names the first, and touches nothing of it."""
    with held(chosen.store, "nightly"):
        night = run_night(chosen)
    assert ("failed", 15) == outcome(night)
    assert f"process {os.getpid()}" in night.problem
    assert not (tmp_path / "night.prom").exists()
    assert not chosen.store.exists()
    assert ("complete", 0) == outcome(run_night(chosen))
    assert 1 == len(journaled(chosen, "locked"))


def test_the_lock_of_a_killed_run_is_taken_over(chosen: Settings) -> None:
    """The kernel let go of the lock; its text says that somebody died, and the journal keeps it."""
    owner = {"command": "nightly", "pid": 999_999, "host": os.uname().nodename, "since": "then"}
    chosen.store.with_name("cart.db.lock").write_text(json.dumps(owner))
    assert ("complete", 0) == outcome(run_night(chosen))
    assert [owner] == [event["owner"] for event in journaled(chosen, "recovered")]


def test_an_owner_on_another_machine_counts_as_alive_while_it_touches_the_file(
    tmp_path: Path,
) -> None:
    """A shared disk may not carry locks: fifteen quiet minutes make the other machine dead."""
    lock = tmp_path / "cart.db.lock"
    lock.write_text(json.dumps({"command": "nightly", "pid": 1, "host": "other", "since": "now"}))
    with (
        pytest.raises(LockedError, match="process 1 on other"),
        held(tmp_path / "cart.db", "sync"),
    ):
        pass
    os.utime(lock, (time.time() - 1_000, time.time() - 1_000))
    with held(tmp_path / "cart.db", "sync") as died:
        assert died is not None


def test_a_disk_that_is_away_for_a_moment_does_not_end_the_touching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another machine would take a long night for dead; and our file is meant, not a path."""
    touched = list[object]()
    again = Event()

    def utime(file: object) -> None:
        touched.append(file)
        if len(touched) > 1:
            again.set()
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("adapter.lock._TOUCHED_EVERY_SECONDS", 0.001)
    monkeypatch.setattr("adapter.lock.os.utime", utime)
    with held(tmp_path / "cart.db", "sync"):
        assert again.wait(10)
    assert {int} == {type(file) for file in touched}


def test_a_torn_owner_is_an_owner_that_died(tmp_path: Path) -> None:
    """Killed while writing its name: taken over after the same quiet time."""
    lock = tmp_path / "cart.db.lock"
    lock.write_text('{"command": "ni')
    os.utime(lock, (1, 1))
    with held(tmp_path / "cart.db", "sync") as died:
        assert {} == died


def test_a_second_night_says_only_who_holds_the_lock(chosen: Settings) -> None:
    """No count of the night that did not begin; for programs those of the last night."""
    run_night(chosen)
    with held(chosen.store, "sync"):
        night = run_night(chosen)
    first, holder, todo = in_words(night).splitlines()
    assert "cart-nrm night did not begin (exit 15)" == first
    assert f"sync, process {os.getpid()}" in holder
    assert ", since 2" in holder
    assert "Wait for its end, or stop it." == todo
    assert (2, 2) == (night.recipients, night.episodes)


def test_the_last_complete_night_is_a_night(chosen: Settings, hospital: Ward) -> None:
    """A plain `sync` read everything, but nobody's outputs came from it."""
    with Store(chosen.store) as store:
        sync(store, chosen, load_codes())
    hospital.refused = {"Encounter"}
    assert "last complete night: none yet" in in_words(run_night(chosen))
    hospital.refused = set()
    good = run_night(chosen)
    assert f"last complete night: {good.folder}" in in_words(good)
    hospital.refused = {"Encounter"}
    for _ in range(2):
        assert f"last complete night: {good.folder}" in in_words(run_night(chosen))


# -- interrupted nights ------------------------------------------------------------------------


def test_half_written_outputs_are_rolled_back(chosen: Settings) -> None:
    """A folder without its name, a pointer half switched: gone, and journaled."""
    run_night(chosen)
    part = chosen.nightly.folder / ".night-00002.part"
    part.mkdir()
    (part / "cohort.csv").write_text("half")
    (chosen.nightly.folder / ".latest.new").symlink_to("nowhere")
    assert ("complete", 0) == outcome(run_night(chosen))
    assert not list(chosen.nightly.folder.glob(".*"))
    assert [[".latest.new", ".night-00002.part"]] == [
        sorted(event["rolled_back"])  # type: ignore[call-overload]
        for event in journaled(chosen, "recovered")
    ]


def test_a_whole_night_whose_pointer_was_not_switched_is_finished(chosen: Settings) -> None:
    """Killed between naming the folder and switching `latest`; the next night then fails."""
    for _ in range(2):
        run_night(chosen)
    latest = chosen.nightly.folder / "latest"
    latest.unlink()
    latest.symlink_to(next(chosen.nightly.folder.glob("*_00001")).name)
    assert 14 == run_night(chosen.model_copy(update={"server": "http://127.0.0.1:9/x"})).exit_code
    assert latest.resolve().name.endswith("_00002")


def test_a_run_that_was_killed_is_closed_by_the_next(chosen: Settings) -> None:
    """The store's own record says interrupted, not running for ever."""
    with Store(chosen.store) as store:
        store.begin("sync", chosen.server)
    run_night(chosen)
    with Store(chosen.store) as store:
        assert ["interrupted", "complete"] == [run["state"] for run in store.runs()]


# -- disks and files ---------------------------------------------------------------------------


def test_too_little_space_begins_nothing(tmp_path: Path, hospital: Ward) -> None:
    """The check comes before the first byte, with what to do."""
    night = run_night(settings(tmp_path, hospital.base, free_mb=10**9))
    assert ("failed", 14) == outcome(night)
    assert "nothing was begun" in night.problem
    assert not (tmp_path / "cart.db").exists()


@pytest.mark.parametrize("command", ["sync", "load study.toml"])
def test_too_little_space_begins_nothing_by_hand_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`sync` and `load` ask for less than a night does, but not for nothing."""
    few = shutil.disk_usage(tmp_path)._replace(free=99 * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: few)
    config = tmp_path / "study.toml"
    config.write_text('store = "cart.db"\n')
    words = command.replace("study.toml", str(config)).split()
    result = CliRunner().invoke(main, [*words, "--config", str(config)])
    assert 14 == result.exit_code
    assert "nothing was begun" in result.stderr
    assert not (tmp_path / "cart.db").exists()


@pytest.mark.parametrize("command", ["purge synthetic-0001 --yes", "status"])
def test_a_copy_of_the_store_needs_room(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """To erase is to write the file anew, twice; an older schema is copied first."""
    run_night(chosen)
    if command == "status":
        with Store(chosen.store) as store:
            store.set_meta("schema", "1")
    before = chosen.store.read_bytes()
    monkeypatch.setattr("adapter.atomic.shutil.disk_usage", lambda _: SimpleNamespace(free=9_000))
    result = CliRunner().invoke(main, [*command.split(), "--store", str(chosen.store)])
    assert 14 == result.exit_code
    assert "nothing was begun" in result.stderr
    assert before == chosen.store.read_bytes()


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a night's folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_damaged_store_and_its_backup(tmp_path: Path, hospital: Ward) -> None:
    """A fifth in the middle is overwritten: 14, what to do, outputs as they were; then a backup."""
    config = tmp_path / "study.toml"
    config.write_text(f'store = "cart.db"\nserver = "{hospital.base}"\n[nightly]\nfree-mb = 0\n')
    command = ["nightly", "--config", str(config)]
    assert 0 == CliRunner().invoke(main, command).exit_code
    store, latest = tmp_path / "cart.db", next(tmp_path.rglob("latest"))
    good, backup, size = latest.resolve(), store.read_bytes(), store.stat().st_size
    before = files_of(good)
    put_back(store, overwrite(backup, 2 * size // 5, size // 5))
    result = CliRunner().invoke(main, command)
    assert 14 == result.exit_code
    assert "restore the last backup" in result.stdout
    assert "Traceback" not in result.output
    assert (good, before) == (latest.resolve(), files_of(good))
    put_back(store, backup)
    assert 0 == CliRunner().invoke(main, command).exit_code


def test_a_wrong_key_costs_no_sync(chosen: Settings, hospital: Ward) -> None:
    """Another key file lies beside the store: said before the server is asked anything."""
    run_night(chosen)
    chosen.store.with_name("cart.db.key").write_text("00" * 32)
    hospital.asked = 0
    assert ("failed", 10) == outcome(run_night(chosen))
    assert 0 == hospital.asked


def test_a_fault_of_ours_is_told_by_place_not_by_text(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception's text may quote a patient: only its type and place are told."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("Mrs Synthetic-Canary, born 1960-02-03")

    monkeypatch.setattr("adapter.nightly.run_study", broken)
    night = run_night(chosen)
    assert ("failed", 1) == outcome(night)
    assert "KeyError at test_faults.py" in night.problem
    assert "Canary" not in (chosen.nightly.folder / "journal.jsonl").read_text()


# -- schema ------------------------------------------------------------------------------------


def test_an_older_store_is_copied_and_then_migrated(chosen: Settings) -> None:
    """Schema 1 becomes the present one; the copy beside it still is schema 1.

    A decision is seen by the runs that saw it by their times.
    """
    run_night(chosen)
    made = Decision("synthetic-0002#1", "A", "2025-07-01", Cause.INFECTION)
    with Store(chosen.store) as store:
        store.add_decisions([made, made])
        store.db.execute("UPDATE decision SET imported = '2020' WHERE id = 1")
        store.db.execute("ALTER TABLE decision DROP COLUMN run")
        held_before = store.counts()
        for newer in ("TABLE night", "TABLE erased", "INDEX version_by_run", "TABLE judged",
                      "TABLE live"):  # fmt: skip
            store.db.execute(f"DROP {newer}")
        store.set_meta("schema", "1")
    assert ("complete", 0) == outcome(run_night(chosen))
    copy = chosen.store.with_name("cart.db.schema1.backup")
    assert 0o600 == copy.stat().st_mode & 0o777
    with sqlite3.connect(copy) as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    db.close()
    assert ("1",) == row
    with Store(chosen.store) as store:
        assert str(SCHEMA_VERSION) == store.meta("schema")
        assert held_before == store.counts()
        assert [1, 2] == [len(store.decisions(run)) for run in (1, 2)]


def test_a_newer_store_is_refused(chosen: Settings) -> None:
    """A store of a later version is not touched."""
    with Store(chosen.store) as store:
        store.set_meta("schema", "99")
    night = run_night(chosen)
    assert ("failed", 14) == outcome(night)
    assert "schema 99" in night.problem


def test_a_migration_that_fails_leaves_the_old_store(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing: the tables and the number stay as they were."""
    with Store(chosen.store):
        pass
    monkeypatch.setattr("adapter.schema.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    steps = {**MIGRATIONS, SCHEMA_VERSION: ("CREATE TABLE extra (x)", "CREATE TABLE extra (x)")}
    monkeypatch.setattr("adapter.schema.MIGRATIONS", steps)
    assert 14 == run_night(chosen).exit_code
    monkeypatch.undo()
    with Store(chosen.store) as store:
        assert str(SCHEMA_VERSION) == store.meta("schema")
        assert not store.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchone()
