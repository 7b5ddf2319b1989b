"""Rows come, change and go while the sync walks: after the next sync the store is the server."""

import multiprocessing
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from adapter.codes import Codes, load_codes
from adapter.config import Settings
from adapter.store import Store
from adapter.sync import SyncReport, sync
from tests.hostile.little import TYPES, Asked, Little
from tests.servers import delete, put_all, sekmet_server, server_ids

Schedule = list[tuple[int, str, int]]
CHANGES = 30
ROWS = 600


@pytest.fixture(scope="module")
def codes() -> Codes:
    return load_codes()


@pytest.fixture(scope="module")
def host() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1") as server:
        yield server


class Moving:
    """A server whose rows move by a schedule: (after how many requests, what, which row)."""

    def __init__(self, host: HTTPServer, schedule: Schedule) -> None:
        host.clear()
        self.little = Little(host)
        self.little.clock = datetime.now(UTC) - timedelta(hours=1)
        for number in range(ROWS // 3):
            for kind in TYPES:
                self.little.put(kind, f"r{number}", "r1")
        self.little.live = True
        self.schedule = sorted(schedule)
        self.seen = 0
        self.little.trap("", self.move)

    def move(self, _: Asked) -> None:
        """Before each answer: do what the schedule says."""
        self.seen += 1
        while self.schedule and self.schedule[0][0] <= self.seen:
            what, number = self.schedule.pop(0)[1:]
            kind, id_ = TYPES[number % 3], f"r{number // 3}"
            if what == "insert":
                self.little.put(kind, f"new{number}", "r1")
            elif (kind, id_) in self.little.rows:
                if what == "delete":
                    self.little.remove(kind, id_)
                else:
                    self.little.put(kind, id_, "r2", note=[{"text": str(self.seen)}])

    def sync(self, path: Path, codes: Codes, **connection: object) -> SyncReport:
        """One sync with pages of 20 rows."""
        wanted = {"find": "all", "types": TYPES, "page_size": 20, **connection}
        with Store(path) as store:
            return sync(
                store,
                Settings(server=self.little.base, connection=wanted),  # type: ignore[arg-type]
                codes,
                sleep=lambda _: None,
            )

    def versions(self) -> set[tuple[str, str, str]]:
        """(type, id, version) of everything the server has."""
        rows = self.little.rows.values()
        return {(r["resourceType"], r["id"], r["meta"]["versionId"]) for r in rows}


def held(path: Path) -> set[tuple[str, str, str]]:
    """(type, id, version) of everything the store holds."""
    with Store(path) as store:
        rows = store.db.execute("SELECT type, fhir_id, version_id FROM newest WHERE gone = 0")
        return set(rows.fetchall())


def moves(*what: str, most: int = CHANGES, least: int = CHANGES) -> st.SearchStrategy[Schedule]:
    """Schedules of these kinds of change."""
    one = st.tuples(st.integers(2, 45), st.sampled_from(what), st.integers(0, ROWS - 1))
    return st.lists(one, min_size=least, max_size=most)


SCHEDULES = st.one_of(
    moves("insert", "update", "delete"),
    moves("delete", least=1, most=3),
    moves("update", least=1, most=3),
    moves("insert", "delete", least=2, most=6),
)


@pytest.mark.parametrize("mode", ["search", "bulk"])
@settings(max_examples=24, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=SCHEDULES)
def test_after_two_syncs_the_store_is_the_server(
    host: HTTPServer, codes: Codes, mode: str, schedule: Schedule
) -> None:
    """30 of 600 rows move at random moments of the first walk; two syncs later nothing differs."""
    moving = Moving(host, schedule)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        connection = {"mode": mode, "export": "system"}
        moving.sync(path, codes, **connection)
        moving.schedule = []
        second = moving.sync(path, codes, **connection)
        assert 0 == second.exit_code
        assert moving.versions() == held(path)


def _disturb(base: str, seed: int) -> None:
    chance = random.Random(seed)
    for number in chance.sample(range(ROWS), CHANGES):
        what = chance.choice(["insert", "update", "delete"])
        if what == "delete":
            delete(base, "Condition", f"c{number}")
        else:
            id_ = f"new{number}" if what == "insert" else f"c{number}"
            put_all(base, [_condition(id_, text=f"changed {number}")])


def _condition(id_: str, text: str = "") -> dict[str, object]:
    return {
        "resourceType": "Condition", "id": id_, "subject": {"reference": "Patient/synthetic-1"},
        "note": [{"text": text or "as it was"}],
    }  # fmt: skip


@pytest.mark.server
@pytest.mark.parametrize("mode", ["search", "bulk"])
def test_another_process_changes_a_real_server_meanwhile(
    tmp_path: Path, codes: Codes, mode: str
) -> None:
    """sekmet-fhir pages by offset over living rows; another process moves 30 of 600."""
    with sekmet_server(tmp_path) as base:
        put_all(base, [_condition(f"c{number}") for number in range(ROWS)])
        wanted = {
            "find": "all", "types": ("Condition",), "page_size": 5, "mode": mode,
            "export": "system",
        }  # fmt: skip
        connection = Settings(server=base, connection=wanted)  # type: ignore[arg-type]
        other = multiprocessing.get_context("spawn").Process(target=_disturb, args=(base, 7))
        path = tmp_path / "store.db"
        with Store(path) as store:
            other.start()
            while other.is_alive():
                sync(store, connection, codes)
            other.join(60)
            report = sync(store, connection, codes)
            assert (0, 0) == (other.exitcode, report.exit_code)
            assert server_ids(base, "Condition") == store.ids("Condition")
            texts = [r.body for record in store.records() for r in record.resources]
        changed = sum(b"changed" in text for text in texts)
        assert 0 < changed <= CHANGES
