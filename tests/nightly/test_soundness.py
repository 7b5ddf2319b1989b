"""What a night finds out about itself: a changed store, a store that is gone, rows unaccounted for,
a lock that hangs, settings that cannot be read.
"""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from adapter import soundness
from adapter.config import Settings
from adapter.journal import last_event
from adapter.lock import held
from adapter.model import Cause, Decision
from adapter.nightly import run_night
from adapter.soundness import check_soundness
from adapter.store import SEALED, Store
from adapter.sync.intake import Intake
from adapter.tell import in_words
from cli import main
from tests.nightly.site import Site
from tests.nightly.ward import Ward, outcome, recipient, sepsis, settings

CHANGES: dict[str, Callable[[Store], object]] = {
    "a body": lambda store: store.db.execute(
        "UPDATE version SET dictionary = NULL, body = ? WHERE id = 1",
        (zstandard.compress(b'{"resourceType": "Patient"}'),),
    ),
    "which version is the newest": lambda store: store.db.execute(
        "UPDATE newest SET version = version + 1 WHERE type = 'Procedure'"
    ),
    "whose a remembered answer is": lambda store: store.db.execute(
        "UPDATE judged SET patient = 'synthetic-0001x' WHERE patient = 'synthetic-0001'"
    ),
    "whom nobody may bring back": lambda store: store.db.execute("DELETE FROM erased"),
    "a decision": lambda store: store.db.execute(
        "UPDATE decision SET body = replace(body, 'infection', 'other')"
    ),
    "when a decision was made": lambda store: store.db.execute("UPDATE decision SET run = run + 1"),
    "how a run ended": lambda store: store.db.execute("UPDATE run SET state = 'complete!'"),
    "a text that is no text": lambda store: store.db.execute(
        "UPDATE run SET summary = CAST(x'43616e617279ff' AS TEXT)"
    ),
    "under which rules a night spoke": lambda store: store.db.execute(
        "UPDATE night SET said = replace(said, 'rules', 'ruler')"
    ),
    "what a night said": lambda store: store.db.execute(
        "UPDATE night SET rows = substr(rows, 1, length(rows) - 4) || x'00000000'"
    ),
    "a remembered answer": lambda store: store.db.execute(
        "UPDATE judged SET share = substr(share, 1, length(share) - 4) || x'00000000'"
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_behind_our_back_is_found(chosen: Settings, what: str) -> None:
    """Each kind of row that carries data: 14, restore the backup, and no new outputs."""
    run_night(chosen)
    with Store(chosen.store) as store:
        with store.transaction(*SEALED):
            store.db.execute("INSERT INTO erased VALUES (?)", (store.erasure_mark("somebody"),))
        store.add_decisions([Decision("synthetic-0002#1", "A", "2025-07-01", Cause.INFECTION)])
    with Store(chosen.store) as store:
        CHANGES[what](store)
    night = run_night(chosen)
    assert ("failed", 14, "") == (*outcome(night), night.folder)
    assert "restore the last backup" in night.todo


@pytest.mark.parametrize(
    "change", ["watermark = watermark + 86400", "patient = CAST(x'ff' AS TEXT)", "due = 'x'"]
)
def test_damaged_marks_are_asked_for_again(chosen: Settings, hospital: Ward, change: str) -> None:
    """What is complete up to when follows from the server: nobody is woken, nothing is missed."""
    run_night(chosen)
    with Store(chosen.store) as store:
        store.db.execute(f"UPDATE slice SET {change} WHERE patient = 'synthetic-0001'"
                         " AND type = 'Encounter'")  # fmt: skip
    hospital.put(*recipient("synthetic-0001", sepsis(), died="2025-12-01"))
    night = run_night(chosen)
    assert ("complete", 0, 2) == (*outcome(night), night.outcomes["nrm"])
    assert last_event(chosen.nightly.folder / "journal.jsonl", "asked_again")


def test_what_is_told_is_on_the_disk(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions, runs and nights are synced before anybody hears of them: a power cut takes none.

    One commit that waits for the disk takes all before it along: pages need not wait one by one.
    """
    said = list[str]()
    opened = Store._open
    monkeypatch.setattr(Store, "_open", lambda self, create: (
        opened(self, create), self.db.set_trace_callback(said.append))[0])  # fmt: skip
    run_night(chosen)
    with Store(chosen.store) as store:
        store.add_decisions([Decision("synthetic-0002#1", "A", "2025-07-01", Cause.INFECTION)])
    for told in ("INSERT INTO run", "UPDATE run SET ended", "INTO night", "INTO decision"):
        at = next(n for n, sql in enumerate(said) if told in sql)
        begun = max(n for n, sql in enumerate(said[:at]) if sql == "BEGIN IMMEDIATE")
        assert "PRAGMA synchronous=FULL" == said[begun - 1], told
    assert "PRAGMA synchronous=NORMAL" in said[4:]


def test_a_wrong_running_count_is_mended(chosen: Settings) -> None:
    """It follows from the rows, so that nobody needs to be woken."""
    good = run_night(chosen)
    with Store(chosen.store) as store:
        store.db.execute("UPDATE live SET held = held + 1")
    night = run_night(chosen)
    assert ("complete", 0, good.resources) == (*outcome(night), night.resources)


def test_a_damaged_text_is_not_quoted(tmp_path: Path, hospital: Ward) -> None:
    """SQLite's complaint quotes the whole text, which may name a patient: we say the column."""
    site = Site(tmp_path, hospital.base)
    site.night()
    with Store(site.chosen.store) as store:
        store.db.execute("UPDATE newest SET patient = CAST(x'43616e617279ff' AS TEXT)")
    for command in ("nightly", "status", "classify"):
        ended = site.command(command)
        assert "Canary" not in ended.text, command
    assert "Canary" not in (site.chosen.nightly.folder / "journal.jsonl").read_text()


def test_a_damaged_schema_is_damage(chosen: Settings) -> None:
    """Python cannot even decode SQLite's complaint; the user reads the same as for any page."""
    run_night(chosen)
    whole = chosen.store.read_bytes()
    chosen.store.write_bytes(whole.replace(b"CREATE TABLE run", b"\xff\xfeEATE TABLE run"))
    night = run_night(chosen)
    assert ("failed", 14) == outcome(night)
    assert "restore the last backup" in night.todo


def test_a_large_store_is_checked_once_a_week(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in between; at once after a clock that was ahead."""
    run_night(chosen)
    monkeypatch.setattr(soundness, "_SMALL_BYTES", 0)
    with Store(chosen.store) as store:
        now = float(store.meta("checked") or 0)
        for days, last in ((1, now), (6, now), (8, now + 8 * 86_400), (2, now + 2 * 86_400)):
            check_soundness(store, now + days * 86_400)
            assert last == pytest.approx(float(store.meta("checked") or 0))


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("left", [None, b""])
def test_a_store_that_is_gone_is_not_begun_anew(
    chosen: Settings, left: bytes | None, rotated: bool
) -> None:
    """An unmounted disk, an emptied file: the decisions were in it. By hand one may begin anew."""
    run_night(chosen)
    if rotated:
        (chosen.nightly.folder / "journal.jsonl").write_bytes(b"")
    chosen.store.unlink()
    if left is not None:
        chosen.store.write_bytes(left)
    night = run_night(chosen)
    assert ("failed", 14) == outcome(night)
    assert "gone or empty" in night.problem
    assert "Is its disk mounted?" in night.todo
    config = chosen.store.with_name("study.toml")
    config.write_text(f'store = "cart.db"\nserver = "{chosen.server}"\n')
    assert 0 == CliRunner().invoke(main, ["sync", "--config", str(config)]).exit_code
    assert ("complete", 0) == outcome(run_night(chosen))


def test_rows_that_nothing_accounts_for_stop_the_night(
    chosen: Settings, hospital: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Received is not stored + unchanged + left out: 21, outputs as they were, all asked again."""
    run_night(chosen)
    before = (chosen.nightly.folder / "latest").resolve()
    hospital.put(*recipient("synthetic-0004"))
    count = Intake._count
    monkeypatch.setattr(
        Intake, "_count", lambda self, kept: count(self, kept._replace(stored=kept.stored + 1))
    )
    night = run_night(chosen)
    assert ("alarm", 21, before) == (*outcome(night), (chosen.nightly.folder / "latest").resolve())
    assert "The count of what came is not that of what was kept." == night.problem
    assert "please report it" in night.todo
    assert "--accept-vanished" not in night.todo
    monkeypatch.undo()
    night = run_night(chosen)
    assert ("complete", 0, 3) == (*outcome(night), night.recipients)


@pytest.mark.parametrize(("hours", "told"), [(1, 0), (23, 1)])
def test_a_lock_that_hangs_is_told(
    tmp_path: Path, hospital: Ward, httpserver: HTTPServer, hours: int, told: int
) -> None:
    """Longer than a run may take: webhook and mail say so; heartbeat and metrics grow old."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    (tmp_path / "hook").write_text(httpserver.url_for("/hook"))
    chosen = settings(tmp_path, hospital.base, webhook_file=tmp_path / "hook")
    run_night(chosen)
    files = [(tmp_path / name).read_bytes() for name in ("beat.json", "night.prom")]
    with held(chosen.store, "nightly"):
        lock = chosen.store.with_name("cart.db.lock")
        owner = json.loads(lock.read_text())
        since = datetime.now(UTC) - timedelta(hours=hours)
        lock.write_text(json.dumps({**owner, "since": since.isoformat()}))
        night = run_night(chosen)
    assert ("failed", 15) == outcome(night)
    assert told == len(httpserver.log)
    assert files == [(tmp_path / name).read_bytes() for name in ("beat.json", "night.prom")]
    if told:
        assert f"process {os.getpid()}" in httpserver.log[0][0].get_json()["text"]
        assert "It hangs: no run takes 22 h." in in_words(night)


def test_settings_that_cannot_be_read_let_the_heartbeat_grow_old(
    tmp_path: Path, hospital: Ward
) -> None:
    """Nobody can be told where to tell: exit 10, and the files people watch are not renewed."""
    site = Site(tmp_path, hospital.base)
    site.night()
    watched = [tmp_path / "beat.json", tmp_path / "night.prom"]
    for path in watched:
        os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    site.config.write_text(site.config.read_text() + "stoer = 1\n")
    ended = site.night()
    assert 10 == ended.code
    assert "unknown key 'nightly.stoer'" in ended.text
    assert all(time.time() - path.stat().st_mtime > 86_400 for path in watched)
