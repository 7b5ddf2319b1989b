"""mappings/*.csv, their wording, and a site's overlay become one list of rows.

A row says: this code of this system belongs to this concept and subconcept. What the subconcept
is called in sentences, and which class it belongs to, stands once in mappings/subconcepts.csv.
"""

import csv
import difflib
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from pathlib import Path

import msgspec

from adapter.codes.systems import MAPPINGS, row_code, system_of
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
    display: str = ""
    source: str = ""
    confidence: str = ""
    licence: str = ""
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
    return {
        (line["concept"], line["subconcept"], line["code"]): Wording(
            line["group"], line["kind"], line["label"]
        )
        for _, line in read_csv(folder / "subconcepts.csv")
    }


def wording_of(concept: str, subconcept: str, code: str) -> Wording:
    """The wording of one row."""
    words = wordings()
    return words.get((concept, subconcept, code)) or words[(concept, subconcept, "")]


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; lines starting with # are notices, blank ones nothing."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise MappingError(
            f"{path} cannot be read as UTF-8 text: {problem}.", "Save it as CSV UTF-8."
        ) from None
    kept = [(n, line) for n, line in enumerate(lines, 1) if line.lstrip('"')[:1] not in ("#", "")]
    reader = csv.DictReader((line for _, line in kept), restval="")
    for (number, _), cells in zip(kept[1:], reader, strict=False):
        texts = {key.strip(): value.strip() for key, value in cells.items() if key and value}
        yield number, dict.fromkeys((name for name in cells if name), "") | texts


def shipped_rows(folder: Path = MAPPINGS) -> list[Row]:
    """Every row of every <concept>.csv that the catalog names."""
    paths = (folder / f"{concept}.csv" for concept in sorted(catalog(folder)))
    return [
        _row(path.stem, f"{path.name}:{number}", cells)
        for path in paths
        if path.exists()
        for number, cells in read_csv(path)
    ]


def _row(concept: str, origin: str, cells: dict[str, str]) -> Row:
    try:
        return Row(
            concept=concept,
            subconcept=cells["subconcept"],
            system=system_of(cells["system"]),
            code=cells["code"],
            match=cells["match"],
            origin=origin,
            display=cells["display"],
            source=cells["source"],
            confidence=cells["confidence"],
            licence=cells["licence"],
            note=cells["note"],
        )
    except KeyError as missing:
        raise MappingError(f"{origin}: the column {missing} is missing.") from None


class Change(msgspec.Struct, frozen=True):
    """One signed row of a site overlay."""

    action: str
    row: Row


def overlay_changes(folder: Path) -> list[Change]:
    """Every row of every CSV in a site's overlay folder, checked."""
    if not folder.is_dir():
        raise MappingError(f"The site mappings folder {folder} does not exist.")
    return [
        _change(f"{path.name}:{number}", cells)
        for path in sorted(folder.glob("*.csv"))
        for number, cells in _overlay_cells(path)
    ]


def _overlay_cells(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in read_csv(path):
        missing = [name for name in OVERLAY_HEADER if name not in cells]
        if missing:
            raise MappingError(
                f"{path.name}: the column {missing[0]!r} is missing.",
                f"The header must be {','.join(OVERLAY_HEADER)}.",
            )
        yield number, cells


def _change(where: str, cells: dict[str, str]) -> Change:
    _check(cells["action"] in ("add", "remove"), where, "action must be add or remove")
    concept, subconcept = _known_names(where, cells)
    _check(bool(cells["system"]), where, "system is empty", "Give the URI as the server sends it.")
    _check(bool(cells["code"]), where, "code is empty", "Fill it in or delete the row.")
    match = cells["match"] or "exact"
    _check(match in MATCHES, where, f"match {match!r} is none of {', '.join(MATCHES)}")
    _check(bool(cells["signed"]), where, "not signed", "Put who decided this under signed.")
    _check(_is_date(cells["dated"]), where, "not dated", "Put the day (YYYY-MM-DD) under dated.")
    row = Row(
        concept=concept,
        subconcept=subconcept,
        system=system_of(cells["system"]),
        code=cells["code"],
        match=match,
        origin=where,
        display=cells["display"],
        source=f"signed {cells['signed']} {cells['dated']}",
        confidence="site",
        licence="site",
        site=True,
    )
    _check(bool(row.key[2]), where, f"{cells['code']!r} is no code of {cells['system']}")
    return Change(cells["action"], row)


def _known_names(where: str, cells: dict[str, str]) -> tuple[str, str]:
    concept, subconcept = cells["concept"], cells["subconcept"]
    known: dict[str, set[str]] = {}
    for name, sub, _ in wordings():
        known.setdefault(name, set()).add(sub)
    if concept not in known:
        raise _unknown(where, "concept", concept, known)
    if subconcept not in known[concept] and not (cells["action"] == "remove" and not subconcept):
        raise _unknown(where, f"subconcept of {concept}", subconcept, known[concept])
    return concept, subconcept


def _unknown(where: str, what: str, name: str, known: Iterable[str]) -> MappingError:
    near = difflib.get_close_matches(name, list(known), 1, 0.0)
    return MappingError(f"{where}: unknown {what} {name!r}.", f"Did you mean {near[0]!r}?")


def _check(good: bool, where: str, what: str, todo: str = "") -> None:
    if not good:
        raise MappingError(f"{where}: {what}.", todo)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def apply_overlay(rows: list[Row], changes: list[Change]) -> tuple[list[Row], dict[Row, str]]:
    """The rows after a site's changes, and what became of the rows that went.

    An added code replaces ours of the same concept, system and code: the site knows better what
    it means there. Removing what is not there is an error, because it was meant to do something.
    """
    current = {(row.key, row.subconcept): row for row in rows}
    gone: dict[Row, str] = {}
    for change in changes:
        new = change.row
        twins = [
            key for key in current
            if key[0] == new.key and (change.action == "add" or new.subconcept in ("", key[1]))
        ]  # fmt: skip
        if change.action == "remove" and not twins:
            raise MappingError(
                f"{new.origin}: there is no row {new.concept} {new.code} to remove.",
                f'See `cart-nrm mappings explain "{new.system}|{new.code}"`.',
            )
        for key in twins:
            old = current.pop(key)
            verb = "replaced" if change.action == "add" else "removed"
            gone[old] = f"{verb} by the site ({new.origin}, {new.source})"
        if change.action == "add":
            current[(new.key, new.subconcept)] = new
    return list(current.values()), gone
