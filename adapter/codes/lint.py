"""What is wrong with the tables, in words a person can act on (`cart-nrm mappings lint`)."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from adapter.codes.systems import LOINC, MAPPINGS, RXNORM, SNOMED, short_name, systems
from adapter.codes.tables import (
    MATCHES,
    Row,
    apply_overlay,
    catalog,
    overlay_changes,
    shipped_rows,
    wordings,
)
from adapter.errors import MappingError

CONFIDENCES = ("verified", "single-source", "unverified")
_FREE_SNOMED = "SNOMED-GPS-CC-BY-4.0"


class Fault(msgspec.Struct, frozen=True):
    """One thing to mend: where it stands, what is wrong, what to do."""

    origin: str
    what: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.origin}: {self.what}. {self.todo}".strip()


def lint(folder: Path = MAPPINGS, site: Path | None = None) -> list[Fault]:
    """Every fault of the tables in `folder`, and of a site's overlay when one is given."""
    try:
        rows = shipped_rows(folder)
        faults = [fault for row in rows for fault in (*_code_faults(row), *_row_faults(row))]
        faults += _doubles(rows) + _contradictions(rows, folder) + _wording_faults(rows, folder)
        if site is not None:
            faults += _site_faults(rows, site)
    except (MappingError, OSError) as problem:
        return [Fault(folder.name, str(problem).rstrip("."))]
    return faults


def _site_faults(rows: list[Row], site: Path) -> list[Fault]:
    try:
        changes = overlay_changes(site)
        apply_overlay(rows, changes)
    except MappingError as problem:
        return [Fault(site.name, problem.message.rstrip("."), problem.hint)]
    return [fault for change in changes for fault in _code_faults(change.row)]


def _code_faults(row: Row) -> Iterator[Fault]:
    """A code that cannot exist in its system: wrong shape or wrong check digit."""
    system = systems().get(row.system)
    if system is None:
        return
    if system.codes and not _shape(system.codes).fullmatch(row.code):
        yield Fault(row.origin, f"{row.code!r} has not the shape of {system.name} codes")
    elif row.system == LOINC and not loinc_check(row.code):
        yield Fault(row.origin, f"LOINC {row.code} has a wrong check digit")
    elif row.system == SNOMED and not snomed_check(row.code):
        yield Fault(row.origin, f"SNOMED CT {row.code} has a wrong check digit")


@cache
def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _row_faults(row: Row) -> Iterator[Fault]:
    system = systems().get(row.system)
    if system is None:
        yield Fault(row.origin, f"unknown code system {row.system!r}", "Add it to systems.toml.")
    if not row.source:
        yield Fault(row.origin, f"{row.code} has no source", "Name the evidence for this code.")
    if not row.licence:
        yield Fault(row.origin, f"{row.code} has no licence")
    if row.confidence not in CONFIDENCES:
        yield Fault(row.origin, f"confidence {row.confidence!r} is none of {CONFIDENCES}")
    if row.match not in MATCHES or (
        row.match == "descendants" and row.system not in (SNOMED, RXNORM)
    ):
        yield Fault(row.origin, f"match {row.match!r} does not work for {short_name(row.system)}")
    if system is not None and not system.shipped:
        yield Fault(row.origin, f"{system.name} codes may not be shipped", "Use a site overlay.")
    elif row.display and not _may_show(row):
        yield Fault(
            row.origin,
            f"the licence of {short_name(row.system)} forbids this display text",
            "Leave it blank; labels stand in subconcepts.csv.",
        )


def _may_show(row: Row) -> bool:
    system = systems().get(row.system)
    if row.system == SNOMED:
        return row.licence == _FREE_SNOMED
    return system is not None and system.displays


def _doubles(rows: list[Row]) -> list[Fault]:
    seen: dict[tuple[str, str, str], Row] = {}
    faults = []
    for row in rows:
        first = seen.setdefault(row.key, row)
        if first is not row:
            faults.append(Fault(row.origin, f"{row.code} stands already in {first.origin}"))
    return faults


def _contradictions(rows: list[Row], folder: Path) -> list[Fault]:
    """Included and excluded by rows of the same width: one of the two is a mistake."""
    concepts = catalog(folder)
    included = {row.key: row for row in rows}
    faults = []
    for row in rows:
        for concept in concepts[row.concept].excludes:
            twin = included.get((concept, *row.key[1:]))
            if twin is not None:
                what = f"{row.code} is excluded here and included in {twin.origin}"
                faults.append(Fault(row.origin, what, "Remove one of the two rows."))
    return faults


def _wording_faults(rows: list[Row], folder: Path) -> list[Fault]:
    words, concepts = wordings(folder), catalog(folder)
    codes = defaultdict(set)
    for row in rows:
        codes[row.concept, row.subconcept].add(row.code)
    faults = [
        Fault("subconcepts.csv", f"{concept} {subconcept} has no line", "Add group and label.")
        for concept, subconcept in codes
        if (concept, subconcept, "") not in words
    ]
    for (concept, subconcept, code), word in words.items():
        if not word.group or not word.label:
            faults.append(Fault("subconcepts.csv", f"{concept} {subconcept}: no group or label"))
        if concept not in concepts:
            faults.append(Fault("subconcepts.csv", f"{concept} is not in catalog.toml"))
        if code and code not in codes[concept, subconcept]:
            faults.append(Fault("subconcepts.csv", f"{concept} {subconcept}: no row has {code}"))
    return faults


def loinc_check(code: str) -> bool:
    """LOINC's mod-10 check digit (LOINC Users' Guide, appendix): the Luhn sum of the digits.

    Answer codes (LA...) carry another check, which we do not know: they pass.
    """
    digits, _, check = code.partition("-")
    if digits.startswith("LA"):
        return True
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return check == str(-total % 10)


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
