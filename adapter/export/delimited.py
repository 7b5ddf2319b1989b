"""CSV: one row an episode, safe to open in a spreadsheet."""

import csv
import io
from typing import Any

from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study

#: A text cell that starts so may be run as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
LIST_SEPARATOR = "; "


def write_csv(study: Study, released: Released, release: Release) -> bytes:
    """The cohort as UTF-8 CSV with a header; lists joined by '; ', empty means not known."""
    return table(
        [column.name for column in released.columns],
        [[cell(row[column.name]) for column in released.columns] for row in released.rows],
    )


def table(header: list[str], rows: list[list[str]]) -> bytes:
    """A CSV table; line ends as RFC 4180 asks."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
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
