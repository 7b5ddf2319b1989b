"""CSV: one row an episode, safe to open in a spreadsheet; and the two files REDCap reads."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from adapter.export.columns import Column, asset
from adapter.export.released import Released

#: A text cell that starts so may be run as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
LIST_SEPARATOR = "; "


def write_csv(cohort: Released) -> bytes:
    """The cohort as UTF-8 CSV with a header; lists joined by '; ', empty means not known."""
    return table(cohort.names, ([cell(value) for value in row.values()] for row in cohort.rows))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV table; line ends as RFC 4180 asks."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode("utf-8")


def cell(value: Any) -> str:
    """One value as CSV text: numbers as they are (negative ones too), text guarded."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = LIST_SEPARATOR.join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


# -- REDCap -------------------------------------------------------------------------------


def write_redcap(cohort: Released) -> bytes:
    """The cohort with `record_id` first and yes/no as 1/0, as REDCap's import tool reads it."""
    rows = (
        [f"{number}", *(f"{v:d}" if isinstance(v, bool) else cell(v) for v in row.values())]
        for number, row in enumerate(cohort.rows, start=1)
    )
    return table(["record_id", *cohort.names], rows)


def write_redcap_dictionary(cohort: Released) -> bytes:
    """The project's data dictionary, to be uploaded once before the data."""
    (header,) = csv.reader([asset("redcap.csv").strip()])  # fixed by REDCap
    fields = [_field(column, cohort.release.identified) for column in cohort.columns]
    record = {"Variable / Field Name": "record_id", "Field Type": "text", "Field Label": "Record"}
    rows = [{"Form Name": "cohort", **field} for field in (record, *fields)]
    return table(header, ([row.get(name, "") for name in header] for row in rows))


def _field(column: Column, identified: bool) -> dict[str, str]:
    kind = {"boolean": "yesno", "list": "notes"}.get(column.kind, "text")
    number = column.kind in ("integer", "number") and not column.values
    return {
        "Variable / Field Name": column.name,
        "Field Type": "dropdown" if column.values else kind,
        "Field Label": f"{column.about} ({column.unit})" if column.unit else column.about,
        "Choices, Calculations, OR Slider Labels": " | ".join(
            f"{value}, {value.replace('_', ' ')}" for value in column.values
        ),
        "Text Validation Type OR Show Slider Number": column.kind if number else "",
        "Identifier?": "y" if identified and column.leaves in ("patient", "episode") else "",
    }
