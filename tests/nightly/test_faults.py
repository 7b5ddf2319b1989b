"""Two at once, dead owners, half-written nights, full disks, damaged stores, old schemas."""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.errors import LockedError
from adapter.lock import held
from adapter.nightly import run_night
from adapter.schema import MIGRATIONS, SCHEMA_VERSION
from adapter.store import Store
from adapter.sync import sync
from adapter.tell import in_words
from cli import main
from tests.nightly.ward import Ward, outcome, recipient, settings


def journaled(chosen: Settings, event: str) -> list[dict[str, object]]:
    lines = (chosen.nightly.folder / "journal.jsonl").read_text().splitlines()
    return [found for line in lines if (found := json.loads(line))["event"] == event]


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A memory disk of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_disk_that_fills_up(small_disk: Path, hospital: Ward) -> None:
    """The night fails with 14, `latest` stays whole, and the next night with room is right."""
    chosen = settings(small_disk, hospital.base)
    assert ("complete", 0) == outcome(run_night(chosen))
    before = (small_disk / "nights" / "latest").resolve()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize))
    hospital.put(*recipient("synthetic-0004"))
    night = run_night(chosen)
    assert ("failed", 14) == outcome(night)
    assert before == (small_disk / "nights" / "latest").resolve()
    filler.unlink()
    night = run_night(chosen)
    assert ("complete", 0, 3) == (*outcome(night), night.recipients)


def test_a_read_only_store(small_disk: Path, hospital: Ward) -> None:
    """Exit 14 and the reason; nothing is told as done."""
    chosen = settings(small_disk, hospital.base)
    run_night(chosen)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    if subprocess.run(remount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow remounts")
    night = run_night(chosen)
    assert ("failed", 14) == outcome(night)
    assert "cannot be" in night.problem


def overwrite(whole: bytes, start: int, length: int) -> bytes:
    """The file's bytes with some of them turned into nonsense."""
    return whole[:start] + b"\xff" * length + whole[start + length :]


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a night's folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def restore(store: Path, content: bytes) -> None:
    """Put a copy in the place of the store, as an operator does: without the journal beside it."""
    for beside in store.parent.glob(f"{store.name}-*"):
        beside.unlink()
    store.write_bytes(content)


def test_a_damaged_store_and_its_backup(tmp_path: Path, hospital: Ward) -> None:
    """A fifth in the middle is overwritten: 14, what to do, outputs as they were; then a backup."""
    config = tmp_path / "study.toml"
    config.write_text(f'store = "cart.db"\nserver = "{hospital.base}"\n[nightly]\nfree-mb = 0\n')
    command = ["nightly", "--config", str(config)]
    assert 0 == CliRunner().invoke(main, command).exit_code
    store, latest = tmp_path / "cart.db", next(tmp_path.rglob("latest"))
    good, backup, size = latest.resolve(), store.read_bytes(), store.stat().st_size
    before = files_of(good)
    restore(store, overwrite(backup, 2 * size // 5, size // 5))
    result = CliRunner().invoke(main, command)
    assert 14 == result.exit_code
    assert "restore the last backup" in result.stdout
    assert "Traceback" not in result.output
    assert (good, before) == (latest.resolve(), files_of(good))
    restore(store, backup)
    assert 0 == CliRunner().invoke(main, command).exit_code


def test_each_damaged_page_is_told_or_does_not_matter(chosen: Settings) -> None:
    """Page by page: 14 with what to do, or (a page nobody reads) the same outcomes as before."""
    good = run_night(chosen)
    whole, told = chosen.store.read_bytes(), 0
    for start in range(0, len(whole), 4096):
        restore(chosen.store, overwrite(whole, start, 4096))
        night = run_night(chosen)
        if night.exit_code:
            assert ("failed", 14) == outcome(night)
            assert "restore the last backup" in night.todo
            told += 1
        else:
            assert (good.outcomes, good.resources) == (night.outcomes, night.resources)
    assert told > len(whole) // 4096 // 2


def test_a_server_that_answers_too_late(chosen: Settings, hospital: Ward) -> None:
    """One type never answers in time: partial, named with its reason; the next night is right."""
    impatient = chosen.connection.model_copy(update={"timeout_seconds": 0.3})
    chosen = chosen.model_copy(update={"connection": impatient})
    hospital.slow = {"Encounter"}
    night = run_night(chosen)
    hospital.answer.set()
    assert ("partial", 20) == outcome(night)
    assert ["Encounter (2): Encounter search: The server did not answer within 0.3 s."] == night.due
    hospital.slow = set()
    night = run_night(chosen)
    assert ("complete", 0, []) == (*outcome(night), night.due)
    assert 1 == night.resources["Encounter"]


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
    """Schema 1 becomes the present one; the copy beside it still is schema 1."""
    run_night(chosen)
    with Store(chosen.store) as store:
        store.db.execute("DROP TABLE night")
        store.db.execute("DROP TABLE erased")
        store.db.execute("DROP INDEX version_by_run")
        store.set_meta("schema", "1")
        held_before = store.counts()
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
