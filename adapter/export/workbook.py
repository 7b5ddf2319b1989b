"""Excel: the cohort, its dictionary, and what the file is, as three sheets."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

from adapter.export.delimited import LIST_SEPARATOR
from adapter.export.released import Released


def write_xlsx(cohort: Released) -> bytes:
    """A workbook with frozen header; text is stored as text, so no cell can become a formula."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    _sheet(book, "cohort", cohort.names, ([*row.values()] for row in cohort.rows))
    described = ((c.name, c.kind, c.unit, c.about) for c in cohort.columns)
    _sheet(book, "dictionary", ["name", "type", "unit", "about"], described)
    about = ((name.replace("_", " "), value) for name, value in cohort.about.items())
    _sheet(book, "about", ["what", "value"], about)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet(book: Any, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font

    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"

    def cell(value: Any, bold: bool = False) -> Any:
        if isinstance(value, list):
            value = LIST_SEPARATOR.join(value) or None
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value))
        made.data_type = "s"  # openpyxl takes text that starts with = for a formula
        made.font = Font(bold=bold)
        return made

    sheet.append([cell(name, bold=True) for name in header])
    for row in rows:
        sheet.append([cell(value) for value in row])
