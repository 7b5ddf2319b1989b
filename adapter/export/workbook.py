"""Excel: the cohort, its dictionary, and what the file is, as three sheets."""

import io
from typing import Any

from adapter.export.delimited import LIST_SEPARATOR
from adapter.export.released import Released
from adapter.pseudonyms import Release
from adapter.study import Study


def write_xlsx(study: Study, released: Released, release: Release) -> bytes:
    """A workbook with frozen header; text is stored as text, so no cell can become a formula."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    names = [column.name for column in released.columns]
    _sheet(book, "cohort", names, [[row[name] for name in names] for row in released.rows])
    described: list[list[Any]] = [[c.name, c.kind, c.unit, c.about] for c in released.columns]
    _sheet(book, "dictionary", ["name", "type", "unit", "about"], described)
    about = {"study": study.name, "data cut": study.cut, "synthetic data": study.synthetic}
    _sheet(book, "about", ["what", "value"], [list(item) for item in about.items()])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet(book: Any, title: str, header: list[str], rows: list[list[Any]]) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font

    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"

    def cell(value: Any) -> Any:
        if isinstance(value, list):
            value = LIST_SEPARATOR.join(value) or None
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value))
        made.data_type = "s"  # openpyxl takes text that starts with = for a formula
        return made

    def heading(name: str) -> Any:
        made = WriteOnlyCell(sheet, name)
        made.font = Font(bold=True)
        return made

    sheet.append([heading(name) for name in header])
    for row in rows:
        sheet.append([cell(value) for value in row])
