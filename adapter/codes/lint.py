"""What is wrong with the tables, in words a person can act on (`cart-nrm mappings lint`)."""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec

from adapter.codes import tables
from adapter.codes.systems import LOINC, MAPPINGS, RXNORM, SNOMED, short_name, systems
from adapter.codes.tables import MATCHES, Row, catalog, wordings
from adapter.errors import MappingError

CONFIDENCES = ("verified", "single-source", "unverified")
_WORDS = "subconcepts.csv"
_FREE_SNOMED = "SNOMED-GPS-CC-BY-4.0"


class Fault(msgspec.Struct, frozen=True):
    """One thing to mend: where it stands, what is wrong, what to do."""

    origin: str
    what: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.origin}: {self.what}. {self.todo}".strip()


def lint(
    folder: Path = MAPPINGS, site: Path | None = None, today: date | None = None
) -> list[Fault]:
    """Every fault of the tables in `folder`, and of a site's overlay when one is given.

    With `today` no row of the overlay may be signed on a later day.
    """
    try:
        rows = tables.shipped_rows(folder)
        faults = [fault for row in rows for fault in (*_code_faults(row), *_row_faults(row))]
        faults += _doubles(rows)
        faults += _contradictions(rows, folder)
        faults += _wording_faults(rows, folder)
        if site is not None:
            faults += _site_faults(rows, site, today)
    except (MappingError, OSError) as problem:
        return [Fault(folder.name, str(problem).rstrip("."))]
    return faults


def _site_faults(rows: list[Row], site: Path, today: date | None) -> list[Fault]:
    try:
        changes = tables.overlay_changes(site)
        tables.apply_overlay(rows, changes)
    except MappingError as problem:
        return [Fault(site.name, problem.message.rstrip("."), problem.hint)]
    faults = [fault for _, row in changes for fault in _code_faults(row)]
    for _, row in changes:
        signed = row.source.rpartition(" ")[2]
        if today and signed > today.isoformat():
            todo = "Put the day of the decision (YYYY-MM-DD) under dated."
            faults.append(Fault(row.origin, f"dated in the future ({signed})", todo))
    return faults


def _code_faults(row: Row) -> Iterator[Fault]:
    """A code that cannot exist in its system: wrong shape or wrong check digit."""
    name, check = short_name(row.system), {LOINC: loinc_check, SNOMED: snomed_check}
    shape = systems()[row.system].codes if row.system in systems() else ""
    if shape and not re.fullmatch(shape, row.code):
        yield Fault(row.origin, f"{row.code!r} has not the shape of {name} codes")
    elif row.system in check and not check[row.system](row.code):
        yield Fault(row.origin, f"{name} {row.code} has a wrong check digit")


def _row_faults(row: Row) -> Iterator[Fault]:
    system, name = systems().get(row.system), short_name(row.system)
    may_show = row.licence == _FREE_SNOMED if row.system == SNOMED else system and system.displays
    ranked = row.match != "descendants" or row.system in (SNOMED, RXNORM)
    for wrong, what, todo in (
        (not system, f"unknown code system {row.system!r}", "Add it to systems.toml."),
        (not row.source, f"{row.code} has no source", "Name the evidence for this code."),
        (not row.licence, f"{row.code} has no licence", ""),
        (row.confidence not in CONFIDENCES,
         f"confidence {row.confidence!r} is none of {CONFIDENCES}", ""),
        (row.match not in MATCHES or not ranked,
         f"match {row.match!r} does not work for {name}", ""),
        (system and not system.shipped,
         f"{name} codes may not be shipped", "Use a site overlay."),
        (row.display and not may_show,
         f"the licence of {name} forbids this display text",
         "Leave it blank; labels stand in subconcepts.csv."),
    ):  # fmt: skip
        if wrong:
            yield Fault(row.origin, what, todo)


def _doubles(rows: list[Row]) -> Iterator[Fault]:
    seen: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        first = seen.setdefault(row.key, row)
        if first is not row:
            yield Fault(row.origin, f"{row.code} stands already in {first.origin}")


def _contradictions(rows: list[Row], folder: Path) -> Iterator[Fault]:
    """Included and excluded by rows of the same width: one of the two is a mistake."""
    included = {row.key: row for row in rows}
    for row in rows:
        for concept in catalog(folder)[row.concept].excludes:
            twin = included.get((concept, *row.key[1:]))
            if twin is not None:
                what = f"{row.code} is excluded here and included in {twin.origin}"
                yield Fault(row.origin, what, "Remove one of the two rows.")


def _wording_faults(rows: list[Row], folder: Path) -> Iterator[Fault]:
    words, concepts = wordings(folder), catalog(folder)
    codes = defaultdict(set)
    for row in rows:
        codes[row.concept, row.subconcept].add(row.code)
    for concept, subconcept in codes:
        if (concept, subconcept, "") not in words:
            yield Fault(_WORDS, f"{concept} {subconcept} has no line", "Add group and label.")
    for (concept, subconcept, code), word in words.items():
        if not word.group or not word.label:
            yield Fault(_WORDS, f"{concept} {subconcept}: no group or label")
        if concept not in concepts:
            yield Fault(_WORDS, f"{concept} is not in catalog.toml")
        if code and code not in codes[concept, subconcept]:
            yield Fault(_WORDS, f"{concept} {subconcept}: no row has {code}")


def loinc_check(code: str) -> bool:
    """LOINC's mod-10 check digit (LOINC Users' Guide, appendix): the Luhn sum of the digits.

    Answer codes (LA...) carry another check, which we do not know: they pass.
    """
    digits, _, check = code.partition("-")
    if digits.startswith("LA"):
        return True
    doubled = [int(d) * (2 - place % 2) for place, d in enumerate(reversed(digits))]
    return check == str(-sum(value // 10 + value % 10 for value in doubled) % 10)


_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTE = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def snomed_check(code: str) -> bool:
    """Verhoeff's dihedral check over all digits (SNOMED CT TIG, SCTID check-digit)."""
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_TIMES[check][int(_PERMUTE[place % 8][int(digit)])])
    return check == 0
