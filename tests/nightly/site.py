"""A site that suffers: its store, its nights, and what must be true of both whatever happened.

The tests of faults and the campaign use the same looks: a reader finds whole nights only, and the
night after a fault leaves the store as the server is, with the history and the decisions it had.
"""

import csv
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
from click.testing import CliRunner

from adapter.config import Settings, read_settings
from adapter.dates import seconds_of
from adapter.journal import last_event
from adapter.model import Cause, Decision
from adapter.nightly import nights, run_night
from adapter.store import Store
from cli import main
from tests.builders import administration, condition, encounter, patient
from tests.nightly.ward import Resource, about, recipient, relapse, sepsis, settings

_TOML = """
store = "cart.db"
server = "{base}"
[connection]
retries = 0
longest-wait-seconds = 0.1
timeout-seconds = {patience}
[nightly]
free-mb = 0
keep = 4
heartbeat = "beat.json"
metrics = "night.prom"
"""
_TISA = "1986442"  # tisagenlecleucel as an injection, RxNorm


class Wrong(AssertionError):
    """Something was lost, or half a night was shown as a whole one."""


class Ended(NamedTuple):
    """How a command ended, and what its user saw."""

    code: int
    text: str


class Site:
    """One store, one server, and its nights."""

    def __init__(self, folder: Path, base: str, patience: float = 60) -> None:
        self.folder, self.base, self.patience = folder, base, patience
        self.config = folder / "study.toml"
        self.config.write_text(_TOML.format(base=base, patience=patience))
        self.chosen = read_settings(self.config)
        self.session = requests.Session()
        self.changed = self.corrected = self.drugs = self.versions = 0
        self.decisions: list[Decision] = []

    def command(self, *words: str) -> Ended:
        """A command, as its user meets it."""
        result = CliRunner().invoke(main, [*words, "--config", str(self.config)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise Wrong(f"{words[0]} crashed: {result.exception!r}")
        return Ended(result.exit_code, result.stdout.strip() or result.stderr.strip())

    def night(self) -> Ended:
        """One night by the command line."""
        return self.command("nightly")

    def decide(self) -> None:
        """A reviewer says something; nothing may ever lose it."""
        with Store(self.chosen.store) as store:
            self.decisions.append(Decision("synthetic-0002#1", "A", "2025-07-01", Cause.INFECTION))
            store.add_decisions(self.decisions[-1:])

    # -- the server changes ----------------------------------------------------------------

    def change(self) -> None:
        """Something new, something corrected, something deleted, now and then a new recipient."""
        self.changed += 1
        name = f"synthetic-kill-{self.changed:04d}"
        if self.changed % 12 == 0:
            self.newcomer_by_drug()
        elif self.changed % 4 == 0:
            died = "2025-06-21" if self.changed % 8 == 0 else None
            self.put(recipient(name, sepsis(), died=died))
        elif self.changed % 4 == 2:
            self.put(about(f"synthetic-kill-{self.changed - 2:04d}", patient(), relapse())[1:])
        else:
            self.put(about("synthetic-kill-0004", sepsis(f"2025-07-{1 + self.changed % 28:02d}")))
        if self.changed % 5 == 0:
            gone = f"synthetic-kill-{self.changed - self.changed % 4 - 4:04d}-encou3"
            self.session.delete(f"{self.base}/Encounter/{gone}", timeout=30)

    def newcomer_by_drug(self) -> None:
        """A recipient whom only a drug gives away."""
        self.drugs += 1
        given = administration(_TISA, on="2025-06-01")
        lymphoma, seen = condition("cm|C83.38", on="2025-01-15"), encounter("2025-09-09")
        self.put(about(f"synthetic-drug-{self.drugs:04d}", patient(), lymphoma, given, seen))

    def correct(self) -> None:
        """One row is another and no row is more: no count tells."""
        self.corrected += 1
        day = f"2025-01-{1 + self.corrected % 28:02d}"
        self.put(about("synthetic-0001", patient(), condition("cm|C83.38", on=day))[1:])

    def put(self, resources: list[Resource]) -> None:
        """New or changed on the server."""
        for one in resources:
            place = f"{self.base}/{one['resourceType']}/{one['id']}"
            self.session.put(place, json=one, timeout=30).raise_for_status()

    # -- looking ---------------------------------------------------------------------------

    def last_night(self) -> dict[str, Any]:
        """What `status` says of the last night, read where `status` reads it."""
        return last_event(self.chosen.nightly.folder / "journal.jsonl", "ended") or {"number": 0}

    def published(self) -> tuple[str, dict[str, bytes]]:
        """The night behind `latest`, and its files."""
        latest = self.chosen.nightly.folder / "latest"
        files = {path.name: path.read_bytes() for path in latest.iterdir()}
        return latest.resolve().name, files

    def look_from_outside(self) -> None:
        """A reader finds a whole night behind `latest`, and every dated one whole."""
        folder = self.chosen.nightly.folder
        dated = nights(folder)
        if dated and not (folder / "latest").is_dir():
            raise Wrong("latest leads nowhere")
        for night in dated:
            whole(night)

    def look_at_the_time(self) -> None:
        """What people are told of the last complete night is of today."""
        told = seconds_of(str(self.last_night()["last_complete"]))
        if told is None or abs(told - time.time()) > 86_400:
            raise Wrong(f"the last complete night is said to be of {told}")

    def look_after_recovery(self) -> None:
        """The next night left nothing half done, and the store is what the server has."""
        folder = self.chosen.nightly.folder
        if left := [path.name for path in folder.glob(".*")]:
            raise Wrong(f"left behind: {left}")
        if (folder / "latest").resolve() != nights(folder)[-1]:
            raise Wrong("latest is not the last night")
        self.look_from_outside()
        with Store(self.chosen.store) as store:
            if store.db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise Wrong("the store is damaged")
            if any(run["state"] == "running" for run in store.runs()):
                raise Wrong("a run never ended")
            if store.slices_due():
                raise Wrong("something is still due after a complete night")
            if store.decisions() != self.decisions:
                raise Wrong("decisions are lost")
            versions = store.db.execute("SELECT count(*) FROM version").fetchone()[0]
        if versions < self.versions:
            raise Wrong(f"history is lost: {versions} versions, there were {self.versions}")
        self.versions = versions
        self.equals_server()

    def equals_server(self) -> None:
        """The store holds what the server has, no more and no less."""
        with Store(self.chosen.store) as store:
            held = {
                (one.type, one.id): json.loads(one.body)
                for record in store.records()
                for one in record.resources
            }
        has = self.on_server({name for kind, name in held if kind == "Patient"})
        if held != has:
            differing = sorted(key for key in held.keys() | has.keys()
                               if held.get(key) != has.get(key))  # fmt: skip
            raise Wrong(f"store and server differ in {len(differing)}: {differing[:3]}")

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

    def agrees_with_a_fresh_pull(self, folder: Path) -> bool:
        """The survivor says what a new store says that was pulled once."""
        folder.mkdir(parents=True, exist_ok=True)
        fresh = settings(folder, self.base)
        with Store(fresh.store) as store:
            store.add_decisions(self.decisions)
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


def finds(look: Callable[[], object]) -> str:
    """What a look finds wrong; "" when all is well."""
    try:
        look()
    except Wrong as problem:
        return str(problem)
    return ""
