"""fhirpy: each line as the client's resource object, the five columns by path."""

import json
from collections.abc import Iterator
from pathlib import Path

from fhirpy import SyncFHIRClient

from benchmarks.peers.stopwatch import BUFFER, Found, Row, counted, main

_CODES = (["code", "coding", 0, "code"], ["medicationCodeableConcept", "coding", 0, "code"])
_DAYS = (
    ["effectiveDateTime"], ["onsetDateTime"], ["performedDateTime"], ["authoredOn"],
    ["effectivePeriod", "start"], ["onsetPeriod", "start"], ["performedPeriod", "start"],
    ["period", "start"],
)  # fmt: skip


def columns(file: Path) -> Found:
    """What the client does with the entries of a page, without the network."""
    client = SyncFHIRClient("http://127.0.0.1/unused")

    def rows() -> Iterator[Row]:
        with file.open("rb", buffering=BUFFER) as lines:
            for line in lines:
                plain = json.loads(line)
                one = client.resource(plain["resourceType"], **plain)
                about = one.get_by_path(["subject", "reference"])
                yield (
                    one.resource_type, one.id, about.split("/")[-1] if about else one.id,
                    next(filter(None, (one.get_by_path(path) for path in _CODES)), None),
                    next(filter(None, (one.get_by_path(path) for path in _DAYS)), None),
                )  # fmt: skip

    return counted(rows())


if __name__ == "__main__":
    main("fhirpy", {"columns": columns})
