"""REDCap: a file for its data import tool, and the data dictionary that makes the project."""

from typing import Any

from adapter.export.columns import Column
from adapter.export.delimited import cell, table
from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study

#: REDCap's fixed header of a data dictionary.
_HEADER = [
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note",
    "Text Validation Type OR Show Slider Number", "Text Validation Min", "Text Validation Max",
    "Identifier?", "Branching Logic (Show field only if...)", "Required Field?",
    "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
]  # fmt: skip
_VALIDATION = {"integer": "integer", "number": "number"}


def write_redcap(study: Study, released: Released, release: Release) -> bytes:
    """The cohort with `record_id` (the episode) first and yes/no as 1/0, as REDCap imports it."""
    names = [column.name for column in released.columns]
    rows = [
        [str(number), *(_raw(row[name]) for name in names)]
        for number, row in enumerate(released.rows, start=1)
    ]
    return table(["record_id", *names], rows)


def write_redcap_dictionary(study: Study, released: Released, release: Release) -> bytes:
    """The project's data dictionary, to be uploaded once before the data."""
    record = ["record_id", "cohort", "", "text", "Record"]
    rows = [record, *(_field(column, release) for column in released.columns)]
    return table(_HEADER, [row + [""] * (len(_HEADER) - len(row)) for row in rows])


def _raw(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else cell(value)


def _field(column: Column, release: Release) -> list[str]:
    kind = {"boolean": "yesno", "list": "notes"}.get(column.kind, "text")
    if column.values:
        kind = "dropdown"
    choices = " | ".join(f"{value}, {value.replace('_', ' ')}" for value in column.values)
    validation = _VALIDATION.get(column.kind, "") if kind == "text" else ""
    identifier = "y" if release.identified and column.leaves in ("patient", "episode") else ""
    label = f"{column.about} ({column.unit})" if column.unit else column.about
    field = [column.name, "cohort", "", kind, label, choices, "", validation, "", ""]
    return [*field, identifier]
