"""A study written to disk: NDJSON per resource type, and the truth beside it."""

import gzip
import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from . import truth
from .study import Study
from .validate import Shapes

README = """Synthetic data. No real person is described here.

Made by examples/synthetic of cart-nrm: every name, date, code and event is invented by a seeded
generator. Rates follow published tables where there are any; nothing here supports a clinical
conclusion. Resources carry the tag "synthetic".
"""


def write(study: Study, folder: Path, compress: bool = False, every: bool = False) -> Counter[str]:
    """Write FOLDER/fhir/*.ndjson[.gz] and FOLDER/truth.csv; counts of resources by type.

    `every` validates each resource instead of one of each shape.
    """
    fhir = folder / "fhir"
    fhir.mkdir(parents=True, exist_ok=True)
    for place in (folder, fhir):
        (place / "README.txt").write_text(README, encoding="utf-8")
    counts: Counter[str] = Counter()
    shapes = Shapes(every)
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for kind, resource in study:
            shapes.check(resource)
            if kind not in files:
                files[kind] = _open(fhir / f"{kind}.ndjson", compress, stack)
            files[kind].write(as_line(resource))
            counts[kind] += 1
    truth.write(study.truth, folder / "truth.csv")
    return counts


def as_line(resource: dict[str, object]) -> bytes:
    """One line of NDJSON."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _open(path: Path, compress: bool, stack: ExitStack) -> IO[bytes]:
    """The file to write; gzip without a time stamp, so that equal studies are equal bytes."""
    if not compress:
        return stack.enter_context(path.open("wb"))
    raw = stack.enter_context(path.with_suffix(".ndjson.gz").open("wb"))
    packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=5)
    return cast(IO[bytes], stack.enter_context(packed))
