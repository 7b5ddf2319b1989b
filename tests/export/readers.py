"""How a user would read each export format back: rows as they went in."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter.export.columns import COLUMNS

Rows = list[dict[str, Any]]
KINDS = {column.name: column.kind for column in COLUMNS}


def value_of(name: str, text: str) -> Any:
    """One CSV cell as the value it was written from."""
    kind = KINDS[name]
    if kind == "list":
        return text.lstrip("'").split("; ") if text else []
    if text == "":
        return None
    if kind == "boolean":
        return text in ("true", "1")
    if kind in ("integer", "number"):
        return int(text) if kind == "integer" else float(text)
    return text[1:] if text[:1] == "'" else text


def read_csv(path: Path) -> Rows:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    return [{k: value_of(k, v) for k, v in row.items() if k in KINDS} for row in rows]


def read_json(path: Path) -> Rows:
    found: Rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return found


def read_ndjson(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_xlsx(path: Path) -> Rows:
    from openpyxl import load_workbook

    book = load_workbook(path)
    header, *rows = book["cohort"].iter_rows(values_only=True)
    names = [str(name) for name in header]
    named: Rows = [dict(zip(names, row, strict=True)) for row in rows]
    for row in named:
        for name, kind in KINDS.items():
            if kind == "list":
                row[name] = str(row[name]).split("; ") if row[name] else []
    return named


def read_parquet(path: Path) -> Rows:
    from pyarrow import parquet

    found: Rows = parquet.read_table(path).to_pylist()
    return found


def read_fhir_ndjson(path: Path) -> Rows:
    return _from_resources(read_ndjson(path))


def read_fhir_bundle(path: Path) -> Rows:
    bundle = json.loads(path.read_text(encoding="utf-8"))
    return _from_resources([entry["resource"] for entry in bundle["entry"]])


def _from_resources(resources: Rows) -> Rows:
    genders = {r["id"]: r["gender"] for r in resources if r["resourceType"] == "Patient"}
    return [_from_observation(r, genders) for r in resources if r["resourceType"] == "Observation"]


def _from_observation(resource: dict[str, Any], genders: dict[str, str]) -> dict[str, Any]:
    patient = resource["subject"]["reference"].removeprefix("Patient/")
    row: dict[str, Any] = {name: [] if kind == "list" else None for name, kind in KINDS.items()}
    row |= {"patient": patient, "episode": "#".join(resource["id"].rsplit(".", 1)),
            "sex": genders[patient]}  # fmt: skip
    for component in resource["component"]:
        name = component["code"]["coding"][0]["code"]
        (value,) = (v for k, v in component.items() if k.startswith("value"))
        value = value["value"] if isinstance(value, dict) else value
        row[name] = [*row[name], value] if KINDS[name] == "list" else value
    return row


READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": read_csv,
    ".ndjson": read_ndjson,
    ".json": read_json,
    ".xlsx": read_xlsx,
    ".parquet": read_parquet,
    ".fhir.json": read_fhir_bundle,
    ".fhir.ndjson": read_fhir_ndjson,
    ".redcap.csv": read_csv,
}
