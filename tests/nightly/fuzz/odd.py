"""Odd documents for the fuzzer: valid ones with a few places exchanged, and bytes that were cut.

What is drawn is what servers, spreadsheets and people do: wrong types, wrong nesting, dates that do
not exist, NUL, halves of surrogate pairs, numbers without end, keys twice, byte-order marks, bytes
that are no UTF-8, files cut off.
"""

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

#: Stands for a person's text: no message of ours may repeat it.
CANARY = "Kanarienvogel"
#: Under these keys a text is a code or a reference: it is shown, because a fact is traced by it.
SHOWN = frozenset({"code", "id", "reference", "resourceType", "system", "unit", "url", "version"})
#: What JSON's writer cannot write; put in as bytes.
RAW = {
    "@deep": b"[" * 3000 + b"]" * 3000,
    "@objects": b'{"a":' * 1500 + b"1" + b"}" * 1500,
    "@digits": b"9" * 5000,
    "@exponent": b"1e999",
    "@nan": b"NaN",
    "@twice": b'{"a":1,"a":2}',
    "@broken": b'"\xff\xfe"',
    "@open": b'{"a":',
}
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 2**70, 1e308, -0.0, "", " ", "\x00", "2021-13-45", "0000",
    "0001-01-01", "2021-02-30T25:61:61+99:99", "9999-12-31T23:59:60Z", "<5", "é" * 9, "\ud800",
    "\udc00x", "Patient/", "urn:uuid:", "urn:uuid:\ud800", "http://[", "//", "https://x:99999/",
    "../../etc", "\u202e", "=cmd()", "A41.9", [], {}, [[]], [None], {"": {}}, {"coding": None},
    {"coding": [None]}, [{"code": 7}], {"value": "1e999"}, {"reference": 5},
    {"extension": [{"url": None}]}, CANARY, f"{CANARY}/1", [CANARY], {"text": CANARY},
    {"display": CANARY}, *RAW,
)  # fmt: skip

anything = st.sampled_from(ODD) | st.text(max_size=8) | st.integers() | st.floats()


def _places(node: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of every value below the top."""
    found = []
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        found.append((node, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


@st.composite
def spoiled(draw: st.DrawFn, *good: Any) -> Any:
    """One of these documents with up to three places exchanged, taken away or moved."""
    made = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 3))):
        places = _places(made) if isinstance(made, dict | list) else []
        if not places:
            return draw(anything)
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        how = draw(st.integers(0, 9))
        if how == 0 and isinstance(holder, dict):
            del holder[key]
        elif how == 1:
            other, where = places[draw(st.integers(0, len(places) - 1))]
            holder[key] = copy.deepcopy(other[where])
        else:
            holder[key] = _fit(key, copy.deepcopy(draw(anything)))
    return made


def _fit(key: Any, value: Any) -> Any:
    """Planted text is not put where codes are shown."""
    return "x" if key in SHOWN and CANARY in repr(value) else value


def written(document: Any, ascii_only: bool = True) -> bytes:
    """JSON, also of what JSON cannot say."""
    raw = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    for name, odd in RAW.items():
        raw = raw.replace(f'"{name}"'.encode(), odd)
    return raw


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes that arrive whole four times in five, else cut, doubled, marked or mixed up."""
    raw = draw(whole)
    how = draw(st.integers(0, 24))
    if how > 4:
        return raw
    at = draw(st.integers(0, 10_000)) * len(raw) // 10_000
    end = min(len(raw), at + draw(st.integers(1, 40)))
    odd = draw(st.sampled_from((b"\x00", b"\xff", b'"', b"\\", b"{", b"]", b"\n", b"\xed\xa0\x80")))
    return (
        raw[:at],
        raw[:at] + raw[end:],
        raw[:end] + raw[at:],
        b"\xef\xbb\xbf" + raw,
        raw[:at] + odd + raw[at:],
    )[how]


def documents(*good: Any) -> st.SearchStrategy[bytes]:
    """JSON documents like these, odd in places."""
    return damaged(st.builds(written, spoiled(*good), st.booleans()))


#: One valid document of each further kind.
DOCUMENTS: dict[str, Any] = json.loads(Path(__file__).with_name("documents.json").read_text())
CELLS = (
    "", " ", "NA", "nan", "inf", "-1", "1e999", "1_0", "0x1", "٣", "3,5", "2021-02-30", "'", '"',
    "a;b", "\x00", "x" * 140_000, "=cmd()", "🙂", CANARY, "#", "\ufeff", "1" * 400,
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, *rows: tuple[str, ...]) -> bytes:
    """A CSV file like this one: cells exchanged, rows cut, another delimiter or encoding."""
    table = [list(row) for row in rows]
    for _ in range(draw(st.integers(0, 4))):
        row = table[draw(st.integers(0, len(table) - 1))]
        if draw(st.integers(0, 5)) == 0:
            row[draw(st.integers(0, len(row))) :] = []
        elif row:
            cell = draw(st.sampled_from(CELLS) | st.text(max_size=6))
            row[draw(st.integers(0, len(row) - 1))] = cell
    if CANARY in table[0]:  # names of columns are shown
        table[0] = ["x" if cell == CANARY else cell for cell in table[0]]
    text = io.StringIO()
    csv.writer(text, delimiter=draw(st.sampled_from(",,,;\t"))).writerows(table)
    coding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16")))
    return text.getvalue().encode(coding, "replace")


def csv_files(*rows: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """CSV files like this one, some of them cut or mixed up."""
    return damaged(tables(*rows))


def toml(value: Any) -> str:
    """One TOML value; texts are written as JSON writes them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "[]" if value is None else json.dumps(value)


def toml_files(good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """TOML files like this one."""

    def lines(document: Any) -> bytes:
        found = document.items() if isinstance(document, dict) else [("x", document)]
        raw = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in found)
        made = raw.encode("utf-8", "surrogatepass")
        for name, odd in RAW.items():
            made = made.replace(f'"{name}"'.encode(), odd)
        return made

    return damaged(st.builds(lines, spoiled(good)))
