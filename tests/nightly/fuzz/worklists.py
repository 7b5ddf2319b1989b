"""Worklists that a reader saved, as CSV or XLSX, and the decisions in them."""

import csv
import io
import json
import tempfile
import zipfile
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st
from openpyxl import Workbook

from adapter.causes.rule import Plan
from adapter.config import Settings
from adapter.load import load
from adapter.model import Judged
from adapter.pseudonyms import Pseudonyms
from adapter.review import agreement_of, export_review, import_review
from adapter.store import Store
from adapter.study import run_study
from cli import _as_json
from tests.facts.reader import codes
from tests.nightly.fuzz import odd
from tests.nightly.fuzz.bench import Bench, Kind
from tests.nightly.ward import recipient, sepsis

NAMES = Pseudonyms(bytes(range(32))).of
TODAY = date(2026, 1, 1)


@cache
def dead() -> tuple[Judged, ...]:
    """One judged death."""

    with tempfile.TemporaryDirectory() as name, Store(Path(name) / "d.db") as store:
        file = Path(name) / "d.ndjson"
        people = recipient("dead", sepsis(), died="2025-06-21")
        file.write_text("\n".join(map(json.dumps, people)))
        load(store, [file])
        return run_study(store, Settings(), codes()).judged


@cache
def filled() -> tuple[tuple[str, ...], ...]:
    """A worklist as a reader saved it: header and one row."""
    with tempfile.TemporaryDirectory() as name:
        made = export_review(dead(), Plan(), Path(name) / "out", NAMES, which="all")
        (header, row) = csv.reader(made.files[0].read_text("utf-8-sig").splitlines())
    said = {"reviewer": odd.CANARY, "decided": "2025-12-01", "cause": "infection",
            "subcause": "bacterial", "certainty": "probable", "reason": odd.CANARY}  # fmt: skip
    whole = dict(zip(header, row, strict=True)) | said
    return tuple(header), tuple(whole.values())


def worklist(data: bytes, bench: Bench) -> None:
    """A worklist saved as CSV, and the decisions in it."""
    _decided(bench.file("w.csv", data), bench)


def workbook(data: bytes, bench: Bench) -> None:
    """A worklist saved as XLSX: raw bytes, or one part of the package exchanged (first byte)."""
    parts = _parts()
    which = data[0] % (len(parts) + 1) if data else 0
    whole = data[1:]
    if which:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as book:
            for number, (name, content) in enumerate(parts, 1):
                book.writestr(name, data[1:] if number == which else content)
        whole = made.getvalue()
    _decided(bench.file("w.xlsx", whole), bench)


def _decided(path: Path, bench: Bench) -> None:
    bench.name()
    done = import_review([path], dead(), NAMES, bench.store, TODAY)
    said = bench.store.decisions()
    _as_json(agreement_of(dead(), said)).encode()
    if done.added + done.known > len(said):
        raise AssertionError("a decision was not kept")
    bench.store.db.execute("DELETE FROM decision")


@cache
def _parts() -> tuple[tuple[str, bytes], ...]:
    made = io.BytesIO()
    book_of(filled()).save(made)
    with zipfile.ZipFile(made) as book:
        return tuple((name, book.read(name)) for name in sorted(book.namelist()))


def book_of(rows: Any) -> Workbook:
    book = Workbook()
    for row in rows:
        cast(Any, book.active).append(list(row))
    return book


CELLS = ("=1+1", '=HYPERLINK("x")', 1e308, -1, True, date(1900, 1, 1), odd.CANARY, "2025-12-01",
         45_000, 2.5, "x" * 30_000, None)  # fmt: skip


@st.composite
def workbooks(draw: st.DrawFn) -> bytes:
    """Workbooks with odd cells, merged ones, further sheets, and parts that were cut."""
    rows: list[list[Any]] = [list(row) for row in (*filled(), filled()[1])]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(CELLS) | st.integers())
    book = book_of(rows)
    sheet = cast(Any, book.active)
    if draw(st.booleans()):
        sheet.merge_cells("A1:C2")
    for how in draw(st.lists(st.sampled_from(("sheet", "chart", "wide", "long")), max_size=2)):
        if how == "sheet":
            book.create_sheet("other", 0)
        elif how == "chart":
            book.create_chartsheet("chart", 0)
        else:
            sheet["XFD2" if how == "wide" else "A1048576"] = "x"
    made = io.BytesIO()
    book.save(made)
    if draw(st.booleans()):
        return b"\x00" + draw(odd.damaged(st.just(made.getvalue())))
    number, (_, part) = draw(st.sampled_from(list(enumerate(_parts(), 1))))
    return bytes([number]) + draw(odd.damaged(st.just(part)))


KINDS = {
    "worklist": Kind(st.deferred(lambda: odd.csv_files(*filled(), filled()[1])), worklist, 1),
    "workbook": Kind(st.deferred(workbooks), workbook, 0.3),
}
