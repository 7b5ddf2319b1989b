"""The table a reviewer fills in: one row a death, as CSV or XLSX, and how it is read back.

Spreadsheets change what they save: German Excel writes semicolons, old Excel writes Windows-1252,
and dates come back as 03.05.2024 or as a date cell. All of that is read; a guess is never made.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import msgspec
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from adapter.atomic import write_atomically
from adapter.errors import ReviewError
from adapter.model import SUBCAUSES, Cause, Certainty

#: Written by us; `check` seals the row, so that no row can be taken for another.
SEALED = ("worklist", "case", "role", "copy", "evidence")
SHOWN = ("product", "indication", "age_years", "sex", "death_days", "dossier", "said")
FILLED = ("reviewer", "decided", "cause", "subcause", "certainty", "reason")
COLUMNS = (*SEALED, "check", *SHOWN, *FILLED)
MOST_ROWS, MOST_COLUMNS, MOST_BYTES = 100_000, 64, 2**28  # a bomb has more; convention
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Row(msgspec.Struct, frozen=True):
    """One row as read: where it stood, and its cells by column."""

    file: str
    number: int  # as the spreadsheet counts: the header is row 1
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    @property
    def blank(self) -> bool:
        """True while the reviewer has not decided."""
        return not any(self[name] for name in ("cause", "subcause", "certainty", "reason"))


def write_csv(path: Path, rows: Iterable[dict[str, str]]) -> Path:
    """A worklist as UTF-8 CSV with a byte-order mark, which Excel needs to read it rightly."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: guarded(row.get(name, "")) for name in COLUMNS} for row in rows)
    return write_atomically(path, b"\xef\xbb\xbf" + text.getvalue().encode())


def write_xlsx(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """The same as XLSX: what to fill in is coloured, and causes are chosen from a list."""
    book = Workbook()
    sheet = book.active
    if sheet is None:
        raise ReviewError("The worklist cannot be made.")
    sheet.title = "worklist"
    sheet.append(list(COLUMNS))
    for row in rows:
        sheet.append([guarded(row.get(name, "")) for name in COLUMNS])
    sheet.freeze_panes = "C2"
    for number, name in enumerate(COLUMNS, 1):
        head = sheet.cell(row=1, column=number)
        head.font = Font(bold=True)
        if name in FILLED:
            head.fill = PatternFill("solid", fgColor="FFF2CC")
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = 40 if name == "reason" else 16
        if choices := _CHOICES.get(name):
            rule = DataValidation("list", formula1=f'"{",".join(choices)}"', allow_blank=True)
            sheet.add_data_validation(rule)
            rule.add(f"{letter}2:{letter}{max(2, len(rows) + 1)}")
    content = io.BytesIO()
    book.save(content)
    return write_atomically(path, content.getvalue())


_CHOICES: dict[str, tuple[str, ...]] = {
    "cause": tuple(Cause),
    "certainty": tuple(Certainty),
    "subcause": tuple(dict.fromkeys(name for names in SUBCAUSES.values() for name in names)),
}


def read_worklist(path: Path) -> list[Row]:
    """The rows of a CSV or XLSX worklist; ReviewError when it is none."""
    try:
        table = _xlsx(path) if path.suffix.lower() == ".xlsx" else _csv(path)
        rows = list(table)
    except OSError as problem:
        raise ReviewError(f"{path.name} cannot be read: {problem.strerror}.") from None
    except Exception:  # openpyxl and what it rests on fail in many ways: XML, zip, attributes
        raise ReviewError(
            f"{path.name} is not a worklist: it cannot be read as {path.suffix or 'CSV'}.",
            "Save it again as XLSX or CSV.",
        ) from None
    if not rows:
        raise ReviewError(f"{path.name} is empty.", "Take the file that `review export` wrote.")
    header = [cell.strip().lower() for cell in rows[0]]
    missing = [name for name in (*SEALED, "check", *FILLED) if name not in header]
    if missing:
        raise ReviewError(
            f"{path.name} is not a worklist: it lacks {', '.join(missing)}.",
            "Fill in the file that `review export` wrote, and keep its columns.",
        )
    return [
        Row(path.name, number, dict(zip(header, (cell.strip() for cell in cells), strict=False)))
        for number, cells in enumerate(rows[1:], 2)
        if any(cell.strip() for cell in cells)
    ]


def _csv(path: Path) -> Iterator[list[str]]:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _xlsx(path: Path) -> Iterator[list[str]]:
    with zipfile.ZipFile(path) as package:
        if sum(part.file_size for part in package.infolist()) > MOST_BYTES:
            raise ValueError
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        sheet = book.worksheets[0]
        for row in sheet.iter_rows(values_only=True, max_row=MOST_ROWS, max_col=MOST_COLUMNS):
            yield [_text(value) for value in row]
    finally:
        book.close()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def day_of(text: str) -> date | None:
    """2024-05-03 or 03.05.2024; 5/3/2024 may be May or March and is not read."""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


def guarded(text: str) -> str:
    """No cell of ours is a formula to a spreadsheet."""
    return f"'{text}" if text.startswith(_FORMULA) else text
