"""kill -9 in the middle of a sync: nothing unfinished is called done, the next run ends it."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from adapter.codes import Codes, load_codes
from adapter.config import Settings
from adapter.store import Store
from adapter.sync import sync
from tests.hostile.little import TYPES, Little

KILLS = 50

# Reads store paths and forks a sync for each: so that a kill costs milliseconds, not an import.
PARENT = """
import os, sys
from adapter.codes import load_codes
from adapter.config import Settings
from adapter.store import Store
from adapter.sync import sync
codes, server, mode = load_codes(), sys.argv[1], sys.argv[2]
connection = {"find": "all", "types": sys.argv[3].split(","), "page_size": 10, "mode": mode,
              "export": "system"}
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        with Store(line.strip()) as store:
            sync(store, Settings(server=server, connection=connection), codes)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("over", flush=True)
"""


@pytest.fixture(scope="module")
def codes() -> Codes:
    return load_codes()


@pytest.fixture
def little() -> Iterator[Little]:
    with HTTPServer(host="127.0.0.1") as host:
        yield Little(host).people(patients=30, each=4)


class Victim:
    """A process that syncs on demand and can be killed at any moment."""

    def __init__(self, server: str, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, server, mode, ",".join(TYPES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        self.send, self.hear = self.process.stdin, self.process.stdout
        assert "ready\n" == self.hear.readline()

    def sync(self, store: Path, killed_after: float | None) -> float:
        """Start a sync, kill it after so many seconds; returns how long it lived."""
        self.send.write(f"{store}\n")
        self.send.flush()
        child, began = int(self.hear.readline()), time.monotonic()
        if killed_after is not None:
            time.sleep(killed_after)
            with suppress(ProcessLookupError):  # it was faster than we
                os.kill(child, signal.SIGKILL)
        assert "over\n" == self.hear.readline()
        return time.monotonic() - began

    def close(self) -> None:
        """Let the parent end."""
        self.send.close()
        self.process.wait(30)
        self.hear.close()


def contents(path: Path) -> list[tuple[str, str, bytes]]:
    """Everything the store holds, byte for byte."""
    with Store(path) as store:
        return [(r.type, r.id, r.body) for record in store.records() for r in record.resources]


def finished(path: Path) -> set[str]:
    """Types whose slice the store calls done; nothing when there is no store yet."""
    if not path.exists():
        return set()
    with sqlite3.connect(path) as db:
        assert "ok" == db.execute("PRAGMA integrity_check").fetchone()[0]
        try:
            rows = db.execute("SELECT type FROM slice WHERE due IS NULL").fetchall()
        except sqlite3.OperationalError:
            return set()
    return {row[0] for row in rows}


@pytest.mark.parametrize("mode", ["search", "bulk"])
def test_fifty_kills_lose_nothing(little: Little, codes: Codes, tmp_path: Path, mode: str) -> None:
    """At random moments; what is called done is whole, and the next run equals a clean one."""
    chance = random.Random(20)
    victim = Victim(little.base, mode)
    try:
        clean = tmp_path / "clean.db"
        lives = victim.sync(clean, None)
        expected = contents(clean)
        for number in range(KILLS):
            path = tmp_path / f"{number}.db"
            victim.sync(path, chance.uniform(0, lives))
            for kind in finished(path):
                with Store(path) as store:
                    assert {f"{kind}/{i}" for i in store.ids(kind)} == little.ids(kind)
            wanted = {
                "find": "all", "types": TYPES, "page_size": 10, "mode": mode, "export": "system",
            }  # fmt: skip
            settings = Settings(server=little.base, connection=wanted)  # type: ignore[arg-type]
            with Store(path) as store:
                report = sync(store, settings, codes)
                assert (0, 0) == (report.exit_code, store.slices_due())
            assert expected == contents(path)
    finally:
        victim.close()
