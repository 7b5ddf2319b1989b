"""fhir.resources: every field of every resource into validated R4B models."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from benchmarks.peers.stopwatch import Found, main


@cache
def _model(kind: str) -> Any:
    return get_fhir_model_class(kind)


def parse(file: Path) -> Found:
    """The type is found by decoding once; the models decode the bytes themselves."""
    count = 0
    with file.open("rb") as lines:
        for line in lines:
            _model(json.loads(line)["resourceType"]).model_validate_json(line)
            count += 1
    return Found(count)


if __name__ == "__main__":
    main("fhir.resources", {"parse": parse})
