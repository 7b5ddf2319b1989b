"""FHIR resources in memory or in mapped files, findable by what a search asks about them."""

import gzip
import json
import mmap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Body = bytes | memoryview
Key = tuple[str, str]
SEARCHES = ("_id", "_lastUpdated", "category", "code", "patient", "status", "subject")
CONTROLS = ("_count", "_elements", "_format", "_sort", "_summary", "_total")
TYPES = (
    "Patient", "Condition", "Procedure", "Observation", "Encounter", "MedicationAdministration",
    "MedicationRequest", "DiagnosticReport",
)  # fmt: skip


class Refused(Exception):
    """A request that is answered with an OperationOutcome."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        issue = {"severity": "error", "code": code, "diagnostics": text}
        self.outcome = {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass(frozen=True, slots=True)
class Entry:
    """What searches ask about one resource, and its bytes."""

    key: Key
    body: Body
    updated: float
    patient: str
    status: str
    codes: frozenset[str]  # "system|code" and "code"


class Shelf:
    """All resources, findable by type, patient and code."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: dict[str, dict[str, Entry]] = {kind: {} for kind in TYPES}
        self.by_patient: dict[Key, dict[str, None]] = {}
        self.by_code: dict[Key, dict[str, None]] = {}
        self.deleted: set[Key] = set()
        self.shared: dict[frozenset[str], frozenset[str]] = {}

    def load(self, folder: Path) -> None:
        """Every *.ndjson and *.ndjson.gz of a folder; plain files are mapped, not copied."""
        for path in sorted(folder.glob("*.ndjson*")):
            with path.open("rb") as file:
                if path.suffix == ".gz":
                    whole: bytes | mmap.mmap = gzip.decompress(file.read())
                elif path.stat().st_size:
                    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                else:
                    continue
            self._lines(whole)

    def _lines(self, whole: bytes | mmap.mmap) -> None:
        view, start = memoryview(whole), 0
        while start < len(whole):
            end = whole.find(b"\n", start)
            end = len(whole) if end < 0 else end
            if line := view[start:end].tobytes().strip():
                self.put(json.loads(line), view[start:end])
            start = end + 1

    def put(self, resource: Json, body: Body | None = None) -> Entry:
        """Keep a resource; without time of last update it gets one."""
        if body is None or not resource.get("meta", {}).get("lastUpdated"):
            resource.setdefault("meta", {}).setdefault("lastUpdated", stamp(datetime.now(UTC)))
            body = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
        entry = self._entry(resource, body)
        kind, name = entry.key
        with self.lock:
            self._forget(entry.key)
            self.entries.setdefault(kind, {})[name] = entry
            self.by_patient.setdefault((kind, entry.patient), {})[name] = None
            for code in entry.codes:
                self.by_code.setdefault((kind, code), {})[name] = None
            self.deleted.discard(entry.key)
        return entry

    def _entry(self, resource: Json, body: Body) -> Entry:
        codes = frozenset(_codes(resource))
        subject = resource.get("subject") or resource.get("patient") or {}
        return Entry(
            (resource["resourceType"], resource["id"]),
            body,
            _interval(resource["meta"]["lastUpdated"])[0],
            str(subject.get("reference", "")).rpartition("/")[2],
            str(resource.get("status", "")),
            self.shared.setdefault(codes, codes),
        )

    def _forget(self, key: Key) -> Entry | None:
        kind, name = key
        entry = self.entries.get(kind, {}).pop(name, None)
        if entry:
            self.by_patient[kind, entry.patient].pop(name, None)
            for code in entry.codes:
                self.by_code[kind, code].pop(name, None)
        return entry

    def delete(self, key: Key) -> None:
        """Take a resource away; it is gone (410) from then on."""
        with self.lock:
            if self._forget(key):
                self.deleted.add(key)

    def get(self, key: Key) -> Entry:
        """One resource, or a refusal that says whether it ever was."""
        entry = self.entries.get(key[0], {}).get(key[1])
        if entry is None and key in self.deleted:
            raise Refused(410, "deleted", f"{key[0]}/{key[1]} was deleted")
        if entry is None:
            raise Refused(404, "not-found", f"{key[0]}/{key[1]} is not known")
        return entry

    def search(self, kind: str, query: list[tuple[str, str]]) -> list[Entry]:
        """Entries of one type that match every parameter (commas mean or)."""
        with self.lock:
            found = self._candidates(kind, query)
        for name, value in query:
            if test := _test(name, value):
                found = [entry for entry in found if test(entry)]
        order = dict(query).get("_sort", "")
        if order.lstrip("-") == "_lastUpdated":
            found.sort(key=lambda entry: (entry.updated, entry.key), reverse=order[0] == "-")
        elif order:
            raise Refused(400, "not-supported", f"_sort={order} is not supported")
        return found

    def _candidates(self, kind: str, query: list[tuple[str, str]]) -> list[Entry]:
        """The shortest list an index offers."""
        entries = self.entries.get(kind, {})
        lists = []
        for name, value in query:
            if name in ("patient", "subject"):
                index, wanted = self.by_patient, [v.rpartition("/")[2] for v in value.split(",")]
            elif name == "code" and not any(v.endswith("|") for v in value.split(",")):
                index, wanted = self.by_code, value.split(",")
            else:
                continue
            lists.append([name for v in dict.fromkeys(wanted) for name in index.get((kind, v), ())])
        names = min(lists, key=len) if lists else list(entries)
        return [entries[name] for name in dict.fromkeys(names)]


def _codes(resource: Json) -> Iterator[str]:
    concepts = [resource.get("code"), resource.get("medicationCodeableConcept")]
    for concept in [*concepts, *(resource.get("type") or [])]:
        for coding in (concept or {}).get("coding", []):
            yield f"{coding.get('system', '')}|{coding.get('code', '')}"
            yield str(coding.get("code", ""))


def _test(name: str, value: str) -> Callable[[Entry], bool] | None:
    """The question one search parameter asks of an entry."""
    values = set(value.split(","))
    match name:
        case "_id":
            return lambda entry: entry.key[1] in values
        case "patient" | "subject":
            patients = {value.rpartition("/")[2] for value in values}
            return lambda entry: entry.patient in patients
        case "status":
            return lambda entry: entry.status in {value.rpartition("|")[2] for value in values}
        case "code":
            starts = tuple(value for value in values if value.endswith("|"))
            return lambda entry: (
                not values.isdisjoint(entry.codes)
                or (bool(starts) and any(code.startswith(starts) for code in entry.codes))
            )
        case "_lastUpdated":
            return _updated(value)
        case _ if name in SEARCHES or name in CONTROLS:
            return None
        case _:
            raise Refused(400, "not-supported", f"search parameter {name} is not supported")


def _updated(value: str) -> Callable[[Entry], bool]:
    prefix = value[:2] if value[:2].isalpha() else "eq"
    try:
        first, after = _interval(value.removeprefix(prefix))
    except ValueError:
        raise Refused(400, "invalid", f"_lastUpdated={value} is no date") from None
    tests: dict[str, Callable[[Entry], bool]] = {
        "eq": lambda entry: first <= entry.updated < after,
        "ge": lambda entry: entry.updated >= first,
        "gt": lambda entry: entry.updated >= after,
        "le": lambda entry: entry.updated < after,
        "lt": lambda entry: entry.updated < first,
    }
    if prefix not in tests:
        raise Refused(400, "not-supported", f"prefix {prefix} is not supported")
    return tests[prefix]


def _interval(text: str) -> tuple[float, float]:
    """First instant and the instant after, in seconds: a day is a day long, an instant 1 ms."""
    text = text.strip().replace(" ", "+")  # a plus sign that was not encoded arrives as a blank
    padded = text + {4: "-01-01", 7: "-01"}.get(len(text), "")
    start = datetime.fromisoformat(padded)
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    match len(text):
        case 4:
            end = start.replace(year=start.year + 1)
        case 7:
            end = (start + timedelta(days=31)).replace(day=1)
        case 10:
            end = start + timedelta(days=1)
        case _ if "." in text:
            end = start + timedelta(milliseconds=1)
        case _:
            end = start + timedelta(seconds=1)
    return start.timestamp(), end.timestamp()


def stamp(moment: datetime) -> str:
    """An instant as FHIR writes it, in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
