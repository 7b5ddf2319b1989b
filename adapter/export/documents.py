"""JSON, NDJSON, JSON Schema and the data dictionary in Markdown."""

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


def write_dictionary(study: Study, released: Released, release: Release) -> bytes:
    """The data dictionary as Markdown."""
    return dictionary_page(released.columns).encode("utf-8")


def dictionary_page(columns: tuple[Column, ...] = COLUMNS) -> str:
    """What docs/data-dictionary.md holds; a test checks that it is current."""
    head = (
        "# Data dictionary\n\n"
        "One row is one episode (a CAR T course). Made from `adapter/export/columns.py`;\n"
        "`cart-nrm export dictionary.md` writes it anew. How a column leaves the site in a\n"
        "pseudonymous export is in the last column.\n\n"
        "| column | type | unit | values | meaning | leaves |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(_line(column) for column in columns)


def _line(column: Column) -> str:
    values = ", ".join(f"`{value}`" for value in column.values)
    return (
        f"| `{column.name}` | {column.kind} | {column.unit} | {values} | {column.about}"
        f" | {_LEAVES[column.leaves]} |\n"
    )


_LEAVES = {
    "as_is": "as it is",
    "patient": "keyed pseudonym",
    "episode": "keyed pseudonym",
    "date": "by date mode; empty in mode `days`",
    "age": "over 89 as 90",
    "text": "without references and dates",
    "notes": "kinds only",
}
