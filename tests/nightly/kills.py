"""kill -9 at random points of `nightly`: nothing lost, never a silent partial, next night right.

Before each kill the server's data change. A third of the nights is killed after a random time, a
third at a random event inside the process (a file opened, renamed or removed, a socket used, an SQL
statement), a third at a random event of a step that is drawn first. Then it is looked at from
outside, the next night runs to its end, and everything is compared with the server.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapter.config import Settings
from adapter.nightly import run_night
from examples.synthetic import StudyShape, generate
from tests.nightly.site import Site, Wrong

TICKS = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink",
                   "os.truncate", "socket.connect", "socket.getaddrinfo", "sqlite3.connect",
                   "tempfile.mkstemp", "shutil.rmtree"})  # fmt: skip

Point = tuple[str, int]  # a journal event, and how many process events after it


@contextmanager
def hospital(folder: Path) -> Iterator[str]:
    """A synthetic hospital as a process of its own; gives its FHIR base."""
    data = folder / "hospital"
    data.mkdir()
    with (data / "all.ndjson").open("w") as file:
        for _, resource in generate(StudyShape(patients=14, recipients=8, seed=5)):
            file.write(json.dumps(resource) + "\n")
    command = [sys.executable, "-m", "examples.endpoint", str(data)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Kills(Site):
    """A site whose nights are killed."""

    def __init__(self, folder: Path, base: str, seed: int) -> None:
        super().__init__(folder, base)
        self.chance = random.Random(seed)
        self.figures: Counter[str] = Counter()
        self.slowest = 0.0

    # -- nights in a process of their own --------------------------------------------------

    def forked(self, at: Point | None = None, after: float | None = None) -> tuple[int, float]:
        """Run one night; gives its exit code (-9 when killed) and its seconds."""
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _in_child(self.chosen, at)
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), time.monotonic() - began

    def steps(self) -> list[Point]:
        """Each step of a whole night and how many events follow it until the next."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _in_child(self.chosen, None, lambda steps: os.write(write, json.dumps(steps).encode()))
        os.close(write)
        with os.fdopen(read) as pipe:
            found: list[Point] = [(step, n) for step, n in json.loads(pipe.read())]
        os.waitpid(child, 0)
        return found

    # -- killing ---------------------------------------------------------------------------

    def go(self, kills: int, tell: Callable[[str], None] = lambda line: None) -> None:
        """Kill, look, recover, compare; raises Wrong at the first loss."""
        code, _ = self.forked()
        if code != 0:
            raise Wrong(f"the first night ended with {code}")
        self.decide()
        self.change()
        steps = self.steps()
        self.change()
        _, usual = self.forked()
        tell(f"a night has {sum(n for _, n in steps):,} events and takes {usual:.1f} s")
        for number in range(kills):
            self.change()
            code, _ = self._killed_night(number, steps, usual)
            self.figures["killed" if code == -signal.SIGKILL else "over before the kill"] += 1
            self.figures[f"last step: {self._last_step()}"] += code == -signal.SIGKILL
            self.look_from_outside()
            code, seconds = self.forked()
            if code != 0:
                raise Wrong(f"the night after kill {number} ended with {code}")
            self.slowest = max(self.slowest, seconds)
            self.look_after_recovery()
            self.figures["next nights complete"] += 1
            if (number + 1) % 20 == 0:
                tell(f"{number + 1} kills")

    def _killed_night(self, number: int, steps: list[Point], usual: float) -> tuple[int, float]:
        """After a random time, at any event, or at one within a step that is drawn first."""
        if number % 3 == 0:
            return self.forked(after=self.chance.uniform(0, usual))
        weights = [n for _, n in steps] if number % 3 == 1 else [1 if n else 0 for _, n in steps]
        step, events = self.chance.choices(steps, weights)[0]
        return self.forked(at=(step, self.chance.randint(1, max(1, events))))

    def _last_step(self) -> str:
        lines = (self.chosen.nightly.folder / "journal.jsonl").read_bytes().splitlines()
        for line in reversed(lines):
            try:
                return str(json.loads(line)["event"])
            except ValueError:
                self.figures["torn journal lines"] += 1
        return "nothing"


def _in_child(
    chosen: Settings, at: Point | None, tell: Callable[[list[Point]], object] | None = None
) -> None:
    """Run a night and leave; at the given event the process kills itself as kill -9 does."""
    steps: list[Point] = [("begin", 0)]

    def tick(*_: object) -> None:
        steps[-1] = (steps[-1][0], steps[-1][1] + 1)
        if steps[-1] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(lambda event, _: tick() if event in TICKS else None)
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.set_trace_callback(tick)
        return db

    sqlite3.connect = traced  # type: ignore[assignment]
    night = run_night(chosen, lambda line: steps.append((json.loads(line)["event"], 0)))
    if tell is not None:
        tell(steps)
    os._exit(night.exit_code)
