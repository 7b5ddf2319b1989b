"""FHIR-PYrate: Bundles of the same resources to pandas frames, in one process."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fhir_pyrate import Pirate
from fhir_pyrate.util import FHIRObj

from benchmarks.peers.stopwatch import BUFFER, Found, main

_PAGE = 100  # entries of a Bundle: it does not take single lines
_PATHS = [
    ("type", "resourceType"),
    ("id", "id"),
    ("patient", "subject.reference"),
    ("code", "code.coding[0].code"),
    ("drug", "medicationCodeableConcept.coding[0].code"),
    ("date", "effectiveDateTime"),
]


def flatten(file: Path) -> Found:
    """Every field of every resource is a column: what it does unless told otherwise."""
    return _framed(file)


def columns(file: Path) -> Found:
    """The columns as FHIRPath, the documented way to ask for some."""
    return _framed(file, fhir_paths=_PATHS)


def _framed(file: Path, **wanted: Any) -> Found:
    pirate = Pirate(
        "http://127.0.0.1/unused", None, num_processes=1, disable_multiprocessing_build=True,
        silence_fhirpath_warning=True,
    )  # fmt: skip
    frames = pirate.bundles_to_dataframe(_bundles(file), **wanted)
    return Found(sum(len(frame) for frame in frames.values()))


def _bundles(file: Path) -> Iterator[FHIRObj]:
    with file.open("rb", buffering=BUFFER) as lines:
        while page := [{"resource": json.loads(line)} for line in islice(lines, _PAGE)]:
            yield FHIRObj(resourceType="Bundle", entry=page)


if __name__ == "__main__":
    main("fhir-pyrate", {"flatten": flatten, "columns": columns})
