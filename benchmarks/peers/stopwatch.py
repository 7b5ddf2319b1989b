"""What every peer's script shares: time one pass over the file and print it as one line of JSON.

Standard library only, because these scripts run in the peers' own environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

BUFFER = 2**18  # bytes; Python's own 8 kB make reading lines a tenth of all the time
Row = tuple[str, str, str, str | None, str | None]  # type, id, patient, first code, date


class Found(NamedTuple):
    """How many rows came out, and how many of them have a patient, a code, a date."""

    rows: int
    patients: int | None = None
    codes: int | None = None
    dates: int | None = None


def counted(rows: Iterable[Row]) -> Found:
    """The counts of a finished table."""
    kept = list(rows)
    return Found(len(kept), *(sum(1 for row in kept if row[i]) for i in (2, 3, 4)))


def main(package: str, ways: Mapping[str, Callable[[Path], Found]]) -> None:
    """Time one of the ways on a file, both named on the command line: `WAY FILE`.

    Imports are over and do not count; the clock of this process counts all of its threads.
    """
    act, file = ways[sys.argv[1]], Path(sys.argv[2])
    wall, cpu = time.perf_counter(), time.process_time()
    found = act(file)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    said = {"version": _version(package), "cpu": cpu, "wall": wall, **found._asdict()}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(0)  # some peers keep threads that make leaving slow


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
