"""Files on disk with odd resources in them: loaded, judged, explained, exported."""

import copy
import gzip
from typing import Any

from hypothesis import strategies as st

from adapter.config import Settings
from adapter.explain import explain
from adapter.export import rows_of
from adapter.files import Portion, entries, portions
from adapter.study import run_study
from cli import _as_json
from tests.facts.reader import codes
from tests.facts.test_any_json import GOOD
from tests.nightly.fuzz import odd
from tests.nightly.fuzz.bench import Bench, Kind, is_json, line_of, lines_of, quiet


def resources(data: bytes, bench: Bench) -> None:
    """Odd resources of a recipient are judged, explained and exported."""
    name = bench.name()
    path = bench.file("r.ndjson", lines_of(name) + b"\n" + data.replace(b"@P", name.encode()))
    bench.take(path, ())
    study = run_study(bench.store, Settings(), codes(), only=[name])
    if not (study.judged or study.attrition.not_recipients):
        raise AssertionError("the patient was lost")
    _as_json(rows_of(study)).encode()
    quiet(*(explain(one, study.plan, name) for one in study.judged))
    quiet(*(str(note) for _, note in study.notes))


def ndjson(data: bytes, bench: Bench) -> None:
    """Odd lines between two good ones."""
    one, two = bench.name(), bench.name()
    path = bench.file("x.ndjson", b"\n".join((line_of(one), data, line_of(two))))
    bench.take(path, (one, two))
    whole, pieces = entries(Portion(path)), map(entries, portions([path], 300))
    if [x.body for x in whole if x] != [x.body for piece in pieces for x in piece if x]:
        raise AssertionError("a file read in portions holds something else")


def sifted(data: bytes, bench: Bench) -> None:
    """The same where only recipients are wanted, and where they turn up only as it is read."""
    for first in (b"", b'{"resourceType": "Observation", "id": "first"}\n'):
        one, two = bench.name(), bench.name()
        path = bench.file("x.ndjson", first + b"\n".join((line_of(one), data, line_of(two))))
        bench.take(path, (one, two), codes())


def packed(data: bytes, bench: Bench) -> None:
    """A good line, packed, and odd packed bytes behind it."""
    name = bench.name()
    good = gzip.compress(line_of(name) + b"\n", 1, mtime=0)
    bench.take(bench.file("x.ndjson.gz", good + data), (name,))


def bundle(data: bytes, bench: Bench) -> None:
    """An odd entry between two good ones."""
    one, two = bench.name(), bench.name()
    if is_json(data):
        body = b'{"resourceType":"Bundle","entry":[{"resource":%b},%b,{"resource":%b}]}'
        whole = body % (line_of(one), data, line_of(two))
        bench.take(bench.file("x.json", whole), (one, two))
    else:
        bench.take(bench.file("x.json", data), ())


def _mine(number: int, one: dict[str, Any]) -> dict[str, Any]:
    """A good resource as a further one of the input's own patient."""
    made = copy.deepcopy(one)
    if made["resourceType"] == "Patient":
        return {**made, "id": "@P"}
    made["code"] = {**made.get("code", {}), "text": odd.CANARY}
    return {**made, "id": f"@P-x{number}", "subject": {"reference": "Patient/@P"}}


MINE = [_mine(number, one) for number, one in enumerate(GOOD)]
PAGE = {
    "resourceType": "Bundle",
    "total": 3,
    "link": [{"relation": "next", "url": "/fhir?p=2"}],
    "entry": [
        {"fullUrl": "urn:uuid:1", "resource": MINE[4], "search": {"mode": "match"}},
        {"resource": odd.DOCUMENTS["OperationOutcome"], "search": {"mode": "outcome"}},
    ],
}
ENTRIES = (
    *PAGE["entry"],
    {"resource": MINE[1]},
    {"fullUrl": 5},
    {"fullUrl": "urn:uuid:7", "resource": {"resourceType": "Patient", "big": [1]}},
    None,
    5,
    [],
    {},
)  # type: ignore[misc]
NDJSON = st.lists(odd.documents(*MINE), min_size=1, max_size=4).map(b"\n".join)
KINDS = {
    "resources": Kind(NDJSON, resources, 0.15),
    "ndjson": Kind(NDJSON, ndjson, 1),
    "sifted": Kind(NDJSON, sifted, 0.5),
    "packed": Kind(odd.damaged(NDJSON.map(lambda raw: gzip.compress(raw, 1, mtime=0))), packed, 1),
    "bundle": Kind(odd.documents(*ENTRIES, PAGE), bundle, 1),
}
