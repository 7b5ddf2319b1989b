"""An export as it comes: many files, some gzip, with twins, holes, bad lines and one huge chart."""

import gzip
import json
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path
from typing import Any

from examples.synthetic import StudyShape, background, generate
from examples.synthetic.writer import as_line

HUGE = 100_000  # resources of one patient
_RESULT = (
    '{"resourceType":"Observation","id":"huge-%d","status":"final","subject":{"reference":"%s"},'
    '"code":{"coding":[{"system":"http://loinc.org","code":"777-3"}]},"effectiveDateTime":'
    '"2022-%02d-%02dT%02d:00:00Z","valueQuantity":{"value":%d,"code":"10*3/uL"}}\n'
)


def write_export(folder: Path, huge: int) -> Path:
    """60 people, 24 of them recipients, and what every data manager has met."""
    folder.mkdir()
    study = [resource for _, resource in generate(StudyShape(40, 24, 3))]
    others = [resource for _, resource in background(20, 5)]
    recipients = sorted({one["subject"]["reference"] for one in study if _is_cart(one)})
    without = recipients[1].removeprefix("Patient/")
    study = [one for one in study if one["id"] != without]  # resources of somebody unknown
    half = len(study) // 2
    _plain(folder / "b.ndjson", study[:half])
    with gzip.open(folder / "c.ndjson.gz", "wb") as packed:
        packed.writelines(as_line(one) for one in [*study[half:], *others])
    _plain(folder / "a.ndjson", _older(study[::7]), b"\r\n")  # read first, older: they lose
    _plain(folder / "d.ndjson", _newer(study[::9]))  # read last, newer: they win
    (folder / "e.ndjson").write_bytes(_bad(recipients[0], study[0]))
    with (folder / "f.ndjson").open("w") as file:
        file.writelines(islice(_results(recipients[2]), huge))
    return folder


def _is_cart(one: dict[str, Any]) -> bool:
    return one["resourceType"] == "Procedure" and "XW0" in json.dumps(one)


def _plain(file: Path, resources: Iterable[dict[str, Any]], end: bytes = b"\n") -> None:
    file.write_bytes(b"".join(as_line(one).rstrip() + end for one in resources))


def _older(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As they were before: entered in error, changed later."""
    return [_at("2001-01-01T00:00:00Z", one) | {"status": "entered-in-error"} for one in some]


def _newer(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_at("2031-01-01T00:00:00Z", one) for one in some]


def _at(when: str, one: dict[str, Any]) -> dict[str, Any]:
    return one | {"meta": one.get("meta", {}) | {"lastUpdated": when}}


def _bad(recipient: str, known: dict[str, Any]) -> bytes:
    subject = {"subject": {"reference": recipient}}
    entries = [{"resource": {"resourceType": "Condition", "id": "bundled", **subject}}]
    lines = [
        b"\xef\xbb\xbf" + as_line({"resourceType": "Condition", "id": "first", **subject}),
        as_line(known)[:-20],
        b'{"resourceType": "Condition", "id": "latin", "note": "Fi\xe8vre"}',
        b"<html>Bad gateway</html>",
        b"",
        b"[1, 2]",
        as_line({"id": "typeless", **subject}),
        as_line({"resourceType": "Condition", **subject}),
        as_line({"resourceType": "Condition", "id": "no id at all", **subject}),
        as_line({"resourceType": "Condition", "id": "of-nobody"}),
        as_line({"resourceType": "Claim", "id": "unused", **subject}),
        as_line({"resourceType": "Unheard", "id": "unknown", **subject}),
        as_line({"resourceType": "Bundle", "type": "searchset", "entry": entries}),
        b'{"resourceType":\r"Condition", "id": "inner-cr", "subject": {"reference": "%s"}}'
        % recipient.encode(),
    ]
    return b"\n".join(line.strip(b"\n") for line in lines)  # no newline at the end


def _results(patient: str) -> Iterable[str]:
    return (_RESULT % (n, patient, 1 + n % 12, 1 + n % 28, n % 24, 20 + n % 300) for n in count())
