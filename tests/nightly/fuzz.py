"""Broken input of every kind: no crash, no traceback, no lost valid neighbour.

python -m tests.nightly.fuzz --inputs 1000000

Valid documents are mutated, as trees (values exchanged, keys taken away) and as bytes (cut,
doubled, flipped, joined), and handed to what reads them: resources up to the verdict, NDJSON lines,
export manifests, study.toml, worklists, site overlays. Anything but our own errors is a finding.
"""

import argparse
import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapter.causes.rule import Plan
from adapter.codes.tables import overlay_changes
from adapter.config import read_settings
from adapter.envelope import Envelope
from adapter.errors import CartNrmError
from adapter.facts import facts_of
from adapter.fhir.bulk import _file, _manifest, deleted_in, errors_in
from adapter.fhir.transport import Reply
from adapter.files import Portion, entries
from adapter.store import PatientRecord, Stored
from adapter.patient import judge_patient
from adapter.timelines import timeline_of
from adapter.worklist import COLUMNS, read_worklist
from tests.builders import record
from tests.facts.reader import codes
from tests.facts.test_any_json import GOOD
from tests.nightly.ward import recipient

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**70, 1e308, "", " ", "\x00", "2021-13-45", "0001-01-01", "<5",
    "é" * 9, "9999-12-31T23:59:60Z", "Patient/", "urn:uuid:", [], {}, [[]], [None], {"": {}},
    {"value": "1e999"}, {"coding": None}, {"coding": [None]}, [{"code": 7}], "A41.9", "=cmd()",
)  # fmt: skip
BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b"\n",
    b"\r",
    b"\xed\xa0\x80",
    b"e9999",
)
MANIFEST = {"transactionTime": "2026-01-01T00:00:00Z", "request": "x", "requiresAccessToken": True,
            "output": [{"type": "Patient", "url": "http://x/1.ndjson", "count": 3}],
            "error": [], "deleted": [], "link": []}  # fmt: skip
TOML = (Path(__file__).resolve().parents[2] / "examples" / "nightly" / "study.toml").read_bytes()
OVERLAY = (
    b"action,concept,subconcept,system,code,match,display,signed,dated\n"
    b"add,infection,influenza,http://loinc.org,1-8,exact,,Synthetic,2026-01-01\n"
)
NEIGHBOUR = json.dumps(recipient("neighbour")[2]).encode()


class Fuzz:
    """One source of chance, the findings, and a folder for files."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance, self.folder = random.Random(seed), folder
        self.done: Counter[str] = Counter()
        self.found: list[tuple[str, str, bytes]] = []

    # -- mutations -------------------------------------------------------------------------

    def tree(self, value: Any) -> Any:
        """One to three places of a document replaced, taken away or exchanged."""
        made = copy.deepcopy(value)
        for _ in range(self.chance.randint(1, 3)):
            places = list(_places(made))
            if not places:
                break
            holder, key = self.chance.choice(places)
            if self.chance.random() < 0.2 and isinstance(holder, dict):
                del holder[key]
            elif self.chance.random() < 0.3:
                other, where = self.chance.choice(places)
                holder[key] = copy.deepcopy(other[where])
            else:
                holder[key] = copy.deepcopy(self.chance.choice(ODD))
        return made

    def noise(self, raw: bytes) -> bytes:
        """One to four cuts, insertions, doublings or flips."""
        for _ in range(self.chance.randint(1, 4)):
            at = self.chance.randint(0, len(raw))
            end = min(len(raw), at + self.chance.randint(0, 30))
            raw = self.chance.choice((
                raw[:at] + raw[end:], raw[:at] + self.chance.choice(BYTES) + raw[at:], raw[:at],
                raw[:end] + raw[at:],
                raw[:at] + bytes([self.chance.randrange(256)]) + raw[at + 1 :],
            ))  # fmt: skip
        return raw

    # -- targets ---------------------------------------------------------------------------

    def resources(self) -> int:
        """A record with broken resources is read to its verdict; the infusion beside them stays."""
        whole = record(*recipient("p1")).resources
        broken = [self.tree(one) for one in self.chance.choices(GOOD, k=8)]
        bodies = [Stored(str(good["resourceType"]), f"b{n}", json.dumps(one).encode())
                  for n, (one, good) in enumerate(zip(broken, GOOD, strict=False))]  # fmt: skip
        facts = facts_of(PatientRecord("p1", sorted([*whole, *bodies])), codes())
        if not any(fact.source == "Procedure/p1-proc2" for fact in facts.facts):
            raise AssertionError("the infusion was lost")
        judge_patient(timeline_of(facts), Plan())
        return len(broken)

    def lines(self) -> int:
        """Broken NDJSON, plain or packed by name, between two good lines."""
        middle = [self.noise(json.dumps(self.chance.choice(GOOD)).encode()) for _ in range(20)]
        file = self.folder / self.chance.choice(("x.ndjson", "x.json", "x.ndjson.gz"))
        file.write_bytes(b"\n".join([NEIGHBOUR, *middle, b"", NEIGHBOUR]))
        found = list(entries(Portion(file)))
        file.unlink()
        kept = [e for e in found if isinstance(e, Envelope) and e.id == "neighbour-proc2"]
        if len(kept) < 2:
            raise AssertionError("a valid neighbour was lost")
        return len(middle)

    def manifest(self) -> int:
        """What a bulk export says it made."""
        raw = json.dumps(self.tree(MANIFEST)).encode()
        body = raw if self.chance.random() < 0.5 else self.noise(raw)
        for read in (lambda: _manifest(Reply(200, {}, "http://x", body)),
                     lambda: deleted_in(body), lambda: errors_in(body)):  # fmt: skip
            with suppress(CartNrmError):
                read()
        if isinstance(item := json.loads(raw).get("output"), list):
            for one in item:
                if isinstance(one, dict):
                    _file(one)
        return 1

    def settings(self) -> int:
        """study.toml."""
        return self._file("study.toml", self.noise(TOML), read_settings)

    def worklist(self) -> int:
        """A worklist that a reader saved."""
        text = ",".join(COLUMNS) + "\r\n" + ",".join("abc" for _ in COLUMNS) + "\r\n"
        return self._file("w.csv", self.noise(text.encode()), read_worklist)

    def overlay(self) -> int:
        """A site's code lists."""
        return self._file("o.csv", self.noise(OVERLAY), lambda path: overlay_changes(path.parent))

    def _file(self, name: str, content: bytes, read: Callable[[Path], object]) -> int:
        folder = self.folder / name.replace(".", "-")
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        with suppress(CartNrmError):
            read(folder / name)
        return 1

    # -- the run ---------------------------------------------------------------------------

    def go(self, inputs: int) -> None:
        """Every kind in turn, until so many inputs were read."""
        few = (self.manifest, self.settings, self.worklist, self.overlay)
        kinds = (self.resources, self.lines, *few * 5)
        while sum(self.done.values()) < inputs:
            for kind in kinds:
                before = self.chance.getstate()
                try:
                    self.done[kind.__name__] += kind()
                except Exception as problem:
                    self.done[kind.__name__] += 1
                    self.found.append(
                        (kind.__name__, repr(problem)[:200], repr(before[1][-1]).encode())
                    )
                    if len(self.found) > 20:
                        return


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every value below the top."""
    inside = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(inside):
        yield node, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def main() -> None:
    """Read so many broken inputs and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(options.seed, Path(name))
        fuzz.go(options.inputs)
    for kind, count in sorted(fuzz.done.items()):
        print(f"{count:9,}  {kind}")
    for found in fuzz.found:
        print("FOUND", *found[:2])
    print(f"{len(fuzz.found)} findings in {time.monotonic() - began:.0f} s")
    sys.exit(bool(fuzz.found))


if __name__ == "__main__":
    main()
