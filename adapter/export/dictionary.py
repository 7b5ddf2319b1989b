"""What the columns mean: Markdown for people, JSON Schema for machines."""

from typing import Any

from adapter.export.columns import COLUMNS, Column, asset
from adapter.export.documents import dump
from adapter.export.released import Released

_JSON_TYPES = {"text": "string", "date": "string", "list": "array"}


def write_dictionary(cohort: Released) -> bytes:
    """The data dictionary as Markdown."""
    return dictionary_page(cohort.columns).encode("utf-8")


def dictionary_page(columns: tuple[Column, ...] = COLUMNS) -> str:
    """What docs/data-dictionary.md holds; a test checks that it is current."""
    lines = []
    for column in columns:
        values = ", ".join(f"`{value}`" for value in column.values)
        cells = (f"`{column.name}`", column.kind, column.unit, values, column.about)
        lines.append(f"| {' | '.join((*cells, column.leaves))} |\n")
    return asset("dictionary.md") + "".join(lines)


def write_schema(cohort: Released) -> bytes:
    """The JSON Schema (2020-12) of one row."""
    return dump(schema(cohort.columns), indent=1).encode("utf-8")


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
    kind = _JSON_TYPES.get(column.kind, column.kind)
    if kind == "array":
        return {"description": column.about, "type": kind, "items": {"type": "string"}}
    found: dict[str, Any] = {"description": column.about, "type": [kind, "null"]}
    if column.values:
        found["enum"] = [int(v) if kind == "integer" else v for v in column.values] + [None]
    return found
