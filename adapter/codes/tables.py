"""mappings/*.csv, their wording, and a site's overlay become one list of rows.

A row says: this code of this system belongs to this concept and subconcept. What the subconcept
is called in sentences, and which class it belongs to, stands once in mappings/subconcepts.csv.
"""

import csv
import difflib
import io
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, cast

import msgspec

from adapter.codes.systems import MAPPINGS, from_short, row_code
from adapter.dates import parse
from adapter.errors import MappingError

OVERLAY_HEADER = (
    "action", "concept", "subconcept", "system", "code", "match", "display", "signed", "dated",
)  # fmt: skip
MATCHES = ("exact", "prefix", "descendants")


class Row(msgspec.Struct, frozen=True):
    """One code of one concept; `origin` is the file and line it stands in."""

    concept: str
    subconcept: str
    system: str  # URI, as in mappings/systems.toml
    code: str  # as written
    match: str
    origin: str
    display: str
    source: str
    confidence: str
    licence: str
    note: str = ""
    site: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two rows the same statement: concept, system, code as compared."""
        return (self.concept, self.system, row_code(self.system, self.code))

    @property
    def counts_by_default(self) -> bool:
        """Unverified rows need a switch; those of a review concept never count, only queue."""
        return self.confidence != "unverified" or self.concept.endswith("_review")


class Wording(msgspec.Struct, frozen=True):
    """How a subconcept is classed (`group`, `kind`) and called in sentences (`label`)."""

    group: str
    kind: str
    label: str


class Concept(msgspec.Struct, frozen=True):
    """One entry of mappings/catalog.toml."""

    definition: str
    version: str
    reviewer: str
    sources: tuple[str, ...]
    excludes: tuple[str, ...] = ()  # concepts that a row of this one strikes out


@cache
def catalog(folder: Path = MAPPINGS) -> dict[str, Concept]:
    """Every concept with its definition, version and reviewer."""
    text = (folder / "catalog.toml").read_text(encoding="utf-8")
    try:
        return msgspec.convert(tomllib.loads(text), dict[str, Concept])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise MappingError(f"catalog.toml: {problem}.") from None


@cache
def wordings(folder: Path = MAPPINGS) -> dict[tuple[str, str, str], Wording]:
    """Wording by concept, subconcept and code; the empty code holds for all other codes."""
    lines = [line for _, line in read_csv(folder / "subconcepts.csv")]
    return {
        (line["concept"], line["subconcept"], line["code"]): msgspec.convert(line, Wording)
        for line in lines
    }


def wording_of(concept: str, subconcept: str, code: str) -> Wording:
    """The wording of one row."""
    words = wordings()
    return words.get((concept, subconcept, code)) or words[(concept, subconcept, "")]


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; lines starting with # are notices, blank ones nothing."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        kept = [(n, s) for n, s in enumerate(lines, 1) if s.lstrip('"')[:1] not in ("#", "")]
        header, *read = list(csv.reader(line for _, line in kept)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise MappingError(
            f"{path} cannot be read as a table in UTF-8: {problem}.", "Save it as CSV UTF-8."
        ) from None
    for (number, _), row in zip(kept[1:], read, strict=False):
        if len(row) != len(header):
            what = f"{path.name}:{number}: {len(row)} cells instead of {len(header)}."
            raise MappingError(what, "Quote cells that hold a comma; write every row in full.")
        cells = zip(header, row, strict=True)
        yield number, {name.strip(): cell.strip() for name, cell in cells if name}


def shipped_rows(folder: Path = MAPPINGS) -> list[Row]:
    """Every row of every <concept>.csv that the catalog names."""
    paths = (folder / f"{concept}.csv" for concept in sorted(catalog(folder)))
    return [
        _row({**cells, "concept": path.stem}, f"{path.name}:{number}")
        for path in paths
        if path.exists()
        for number, cells in read_csv(path)
    ]


def _row(cells: dict[str, str], origin: str, **more: str | bool) -> Row:
    stated = {**cells, "system": from_short(cells.get("system", "")), "origin": origin, **more}
    try:
        return msgspec.convert(stated, Row)
    except msgspec.ValidationError as problem:
        raise MappingError(f"{origin}: {problem}.", "Every table has the same columns.") from None


#: A signed row of a site overlay, and whether it is to be added or removed.
Change = tuple[Literal["add", "remove"], Row]


def overlay_changes(folder: Path) -> list[Change]:
    """Every row of every CSV in a site's overlay folder, checked."""
    if not folder.is_dir():
        what = "is a file: name its folder" if folder.exists() else "does not exist"
        raise MappingError(f"The site mappings folder {folder} {what}.")
    return [
        _change(f"{path.name}:{number}", cells)
        for path in sorted(folder.glob("*.csv"))
        for number, cells in read_csv(path)
    ]


def _change(where: str, cells: dict[str, str]) -> Change:
    missing = [name for name in OVERLAY_HEADER if name not in cells]
    if missing:
        raise MappingError(f"{where}: the column {missing[0]!r} is missing.",
                           f"The header must be {','.join(OVERLAY_HEADER)}.")  # fmt: skip
    action, match, day = cells["action"], cells["match"] or "exact", parse(cells["dated"])
    signed = f"signed {cells['signed']} {cells['dated']}"
    row = _row(cells, where, match=match, source=signed, confidence="site", licence="site",
               site=True)  # fmt: skip
    for wrong, what, todo in (
        (action not in ("add", "remove"), "action must be add or remove", ""),
        (not cells["system"], "system is empty", "Give the URI as the server sends it."),
        (not cells["code"], "code is empty", "Fill it in or delete the row."),
        (match not in MATCHES, f"match {match!r} is none of {', '.join(MATCHES)}", ""),
        (not cells["signed"], "not signed", "Put who decided this under signed."),
        (not (day and day.exact), "not dated", "Put the day (YYYY-MM-DD) under dated."),
        (not row.key[2], f"{row.code!r} is no code of {row.system}", ""),
    ):
        if wrong:
            raise MappingError(f"{where}: {what}.", todo)
    _check_names(row, action == "remove")
    return cast(Change, (action, row))


def _check_names(row: Row, removes: bool) -> None:
    concepts = {concept for concept, _, _ in wordings()}
    own = {subconcept for concept, subconcept, _ in wordings() if concept == row.concept}
    for what, name, known in (
        ("concept", row.concept, concepts),
        (f"subconcept of {row.concept}", row.subconcept, own | {""} if removes else own),
    ):
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1, 0.0)
            raise MappingError(f"{row.origin}: unknown {what} {name!r}.",
                               f"Did you mean {near[0]!r}?")  # fmt: skip


def apply_overlay(rows: list[Row], changes: list[Change]) -> tuple[list[Row], dict[Row, str]]:
    """The rows after a site's changes, and what became of the rows that went.

    An added code replaces ours of the same concept, system and code: the site knows better what
    it means there. Removing what is not there is an error, because it was meant to do something.
    """
    current = {(row.key, row.subconcept): row for row in rows}
    gone: dict[Row, str] = {}
    for action, new in changes:
        adds = action == "add"
        twins = [key for key in current
                 if key[0] == new.key and (adds or new.subconcept in ("", key[1]))]  # fmt: skip
        if not (adds or twins):
            raise MappingError(
                f"{new.origin}: there is no row {new.concept} {new.code} to remove.",
                f'See `cart-nrm mappings explain "{new.system}|{new.code}"`.',
            )
        became = f"{'replaced' if adds else 'removed'} by the site ({new.origin}, {new.source})"
        gone |= {current.pop(twin): became for twin in twins}
        if adds:
            current[new.key, new.subconcept] = new
    return list(current.values()), gone


def overlay_row(**cells: str) -> str:
    """One CSV line of a site overlay; what is not given stays empty for a person to fill in.

    Concept and subconcept are never guessed: only a person knows what a local code means.
    """
    line = io.StringIO()
    filled = {"action": "add", **cells}
    csv.writer(line, lineterminator="").writerow(filled.get(name, "") for name in OVERLAY_HEADER)
    return line.getvalue()
