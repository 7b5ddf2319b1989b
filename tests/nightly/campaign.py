"""kill -9 at random points of `nightly`: nothing lost, never a silent partial, next night right.

python -m tests.nightly.campaign --kills 200

Before each kill the server's data change. A third of the nights is killed after a random time, a
third at a random event inside the process (a file opened, renamed or removed, a socket used, an SQL
statement), a third at a random event of a step that is drawn first. Then it is looked at from
outside, the next night runs to its end, and everything is compared with the server.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from adapter.config import Settings
from adapter.nightly import nights, run_night
from adapter.store import Store
from examples.synthetic import StudyShape, generate
from tests.builders import patient
from tests.nightly.ward import Resource, about, recipient, relapse, sepsis, settings

TICKS = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink",
                   "os.truncate", "socket.connect", "socket.getaddrinfo", "sqlite3.connect",
                   "tempfile.mkstemp", "shutil.rmtree"})  # fmt: skip

Point = tuple[str, int]  # a journal event, and how many process events after it


class Wrong(AssertionError):
    """Something was lost, or half a night was shown as a whole one."""


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


class Campaign:
    """One store, one server, and nights that are killed."""

    def __init__(self, folder: Path, base: str, seed: int) -> None:
        self.base, self.chosen = base, settings(folder, base, keep=4)
        self.chance = random.Random(seed)
        self.session = requests.Session()
        self.figures: Counter[str] = Counter()
        self.slowest = 0.0
        self.changed = 0

    # -- nights in a process of their own --------------------------------------------------

    def night(self, at: Point | None = None, after: float | None = None) -> tuple[int, float]:
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

    # -- the server changes ----------------------------------------------------------------

    def change(self) -> None:
        """Something new, something corrected, something deleted, now and then a new recipient."""
        self.changed += 1
        name = f"synthetic-kill-{self.changed:04d}"
        if self.changed % 4 == 0:
            died = "2025-06-21" if self.changed % 8 == 0 else None
            self._put(recipient(name, sepsis(), died=died))
        elif self.changed % 4 == 2:
            self._put(about(f"synthetic-kill-{self.changed - 2:04d}", patient(), relapse())[1:])
        else:
            self._put(about("synthetic-kill-0004", sepsis(f"2025-07-{1 + self.changed % 28:02d}")))
        if self.changed % 5 == 0:
            gone = f"synthetic-kill-{self.changed - self.changed % 4 - 4:04d}-encou3"
            self.session.delete(f"{self.base}/Encounter/{gone}", timeout=30)

    def _put(self, resources: list[Resource]) -> None:
        for one in resources:
            place = f"{self.base}/{one['resourceType']}/{one['id']}"
            self.session.put(place, json=one, timeout=30).raise_for_status()

    # -- looking ---------------------------------------------------------------------------

    def look_from_outside(self) -> None:
        """After a kill a reader finds a whole night behind `latest`, and every dated one whole."""
        folder = self.chosen.nightly.folder
        dated = nights(folder)
        if dated and not (folder / "latest").is_dir():
            raise Wrong("latest leads nowhere")
        for night in dated:
            whole(night)

    def look_after_recovery(self) -> None:
        """The next night left nothing half done, and the store is what the server has."""
        folder = self.chosen.nightly.folder
        if left := [path.name for path in folder.glob(".*")]:
            raise Wrong(f"left behind: {left}")
        if (folder / "latest").resolve() != nights(folder)[-1]:
            raise Wrong("latest is not the last night")
        self.look_from_outside()
        with Store(self.chosen.store) as store:
            if store.db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise Wrong("the store is damaged")
            if any(run["state"] == "running" for run in store.runs()):
                raise Wrong("a run never ended")
            if store.slices_due():
                raise Wrong("something is still due after a complete night")
            held = {(one.type, one.id): json.loads(one.body)
                    for record in store.records() for one in record.resources}  # fmt: skip
        if held != self.on_server({name for kind, name in held if kind == "Patient"}):
            raise Wrong("store and server differ")

    def on_server(self, patients: set[str]) -> dict[tuple[str, str], Any]:
        """What the server has of these patients, asked without the code under test."""
        found: dict[tuple[str, str], Any] = {}
        for kind in self.chosen.connection.types:
            url: str | None = f"{self.base}/{kind}?_count=1000"
            while url:
                bundle = self.session.get(url, timeout=60).json()
                for entry in bundle.get("entry", []):
                    one = entry["resource"]
                    subject = one.get("subject", {}).get("reference", f"Patient/{one['id']}")
                    if subject.removeprefix("Patient/") in patients:
                        found[kind, one["id"]] = one
                links = bundle.get("link", [])
                url = next((x["url"] for x in links if x["relation"] == "next"), None)
        return found

    # -- the campaign ----------------------------------------------------------------------

    def go(self, kills: int, tell: Callable[[str], None] = lambda line: None) -> None:
        """Kill, look, recover, compare; raises Wrong at the first loss."""
        code, _ = self.night()
        if code != 0:
            raise Wrong(f"the first night ended with {code}")
        self.change()
        steps = self.steps()
        self.change()
        _, usual = self.night()
        tell(f"a night has {sum(n for _, n in steps):,} events and takes {usual:.1f} s")
        for number in range(kills):
            self.change()
            code, _ = self._killed_night(number, steps, usual)
            self.figures["killed" if code == -signal.SIGKILL else "over before the kill"] += 1
            self.figures[f"last step: {self._last_step()}"] += code == -signal.SIGKILL
            self.look_from_outside()
            code, seconds = self.night()
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
            return self.night(after=self.chance.uniform(0, usual))
        weights = [n for _, n in steps] if number % 3 == 1 else [1 if n else 0 for _, n in steps]
        step, events = self.chance.choices(steps, weights)[0]
        return self.night(at=(step, self.chance.randint(1, max(1, events))))

    def _last_step(self) -> str:
        lines = (self.chosen.nightly.folder / "journal.jsonl").read_bytes().splitlines()
        for line in reversed(lines):
            try:
                return str(json.loads(line)["event"])
            except ValueError:
                self.figures["torn journal lines"] += 1
        return "nothing"

    def fresh_pull_agrees(self, folder: Path) -> bool:
        """The survivor of all kills says what a new store says that was pulled once."""
        fresh = settings(folder, self.base)
        run_night(fresh)
        rows = [cohort(one) for one in (self.chosen, fresh)]
        return rows[0] == rows[1]


def cohort(chosen: Settings) -> list[tuple[str, ...]]:
    """The cohort file without the patients' names, which differ from key to key."""
    with (chosen.nightly.folder / "latest" / "cohort.csv").open(encoding="utf-8-sig") as file:
        rows = [
            tuple(v for k, v in row.items() if k not in ("patient", "episode"))
            for row in csv.DictReader(file)
        ]
    return sorted(rows)


def whole(night: Path) -> None:
    """A dated folder has all its files, and they are what their manifests say."""
    account = json.loads((night / "night.json").read_text())
    if account["state"] not in ("complete", "partial"):
        raise Wrong(f"{night.name} says {account['state']}")
    if not (night / "report.html").read_text().rstrip().endswith("</html>"):
        raise Wrong(f"{night.name}: the report is cut off")
    manifests = list(night.glob("*.manifest.json"))
    if len(manifests) != 2:
        raise Wrong(f"{night.name}: {len(manifests)} manifests")
    for path in manifests:
        told = json.loads(path.read_text())
        content = (night / told["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise Wrong(f"{night.name}: {told['file']} is not what its manifest says")


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


def main() -> None:
    """The whole campaign, with figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, hospital(Path(name)) as base:
        folder = Path(name) / "site"
        folder.mkdir()
        campaign = Campaign(folder, base, options.seed)
        campaign.go(options.kills, lambda line: print(line, flush=True))
        for figure, count in sorted(campaign.figures.items()):
            print(f"{count:6,}  {figure}")
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        agrees = campaign.fresh_pull_agrees(fresh)
        print(f"equal to a fresh full pull: {'yes' if agrees else 'NO'}")
        print(
            f"slowest next night {campaign.slowest:.1f} s, all in {time.monotonic() - began:.0f} s"
        )
    sys.exit(not agrees)


if __name__ == "__main__":
    main()
