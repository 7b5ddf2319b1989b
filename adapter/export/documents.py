"""JSON, NDJSON and the JSON Schema of a row."""

import json
from typing import Any

from adapter.export.columns import COLUMNS, Column
from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study

_JSON_TYPES = {
    "text": "string",
    "date": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "list": "array",
}


def dump(value: Any, indent: int | None = None) -> str:
    """JSON with sorted keys: the same content gives the same bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent, allow_nan=False)


def write_ndjson(study: Study, released: Released, release: Release) -> bytes:
    """One JSON object a line."""
    return "".join(f"{dump(row)}\n" for row in released.rows).encode("utf-8")


def write_json(study: Study, released: Released, release: Release) -> bytes:
    """One object: what the study is, and its rows."""
    about = {"study": study.name, "data_cut": study.cut, "synthetic": study.synthetic}
    return (dump({**about, "rows": released.rows}, indent=1) + "\n").encode("utf-8")


def write_schema(study: Study, released: Released, release: Release) -> bytes:
    """The JSON Schema (2020-12) of one row."""
    return (dump(schema(released.columns), indent=1) + "\n").encode("utf-8")


def schema(columns: tuple[Column, ...] = COLUMNS) -> dict[str, Any]:
    """JSON Schema of one row; every column is there, those that may be empty may be null."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cart-nrm cohort row",
        "type": "object",
        "properties": {column.name: _property(column) for column in columns},
        "required": [column.name for column in columns],
        "additionalProperties": False,
    }


def _property(column: Column) -> dict[str, Any]:
    kind = _JSON_TYPES[column.kind]
    found: dict[str, Any] = {"description": column.about}
    if kind == "array":
        return {**found, "type": "array", "items": {"type": "string"}}
    found["type"] = [kind, "null"]
    if column.values:
        found["enum"] = [int(v) if kind == "integer" else v for v in column.values] + [None]
    return found
