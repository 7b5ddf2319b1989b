"""Numbers in the canonical unit of their analyte, from mappings/units.csv; refused when doubtful.

A wrong unit is worse than none: CRP 12 may be mg/L (nothing) or mg/dL (a sepsis). So a missing
unit is accepted only when the value is plausible in exactly one of the accepted units, and an
unknown, contradictory or implausible one is refused with a note.
"""

import csv
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from adapter.errors import MappingError

UNITS_FILE = Path(__file__).resolve().parents[2] / "mappings" / "units.csv"

_SUPERSCRIPTS = str.maketrans({"³": "*3", "⁶": "*6", "⁹": "*9", "²": "*2", "µ": "u", "μ": "u"})
_ANNOTATION = re.compile(r"\{[^}]*\}")
_REWRITES = (
    (re.compile(r"[\s\[\]]|^x(?=10)"), ""),  # "x 10^9/L", "[degF]"
    (re.compile(r"\^|\*\*|(?<=10)e(?=\d)"), "*"),
    (re.compile(r"mcg"), "ug"),
    (re.compile(r"mcl|cumm|cmm|mm\*?3|mm3"), "ul"),
    (re.compile(r"(cells?|zellen|#|count)(?=/)"), ""),
)


class Unit(NamedTuple):
    """One accepted unit of one analyte: canonical = value * factor + offset."""

    analyte: str
    canonical: str
    factor: float
    offset: float
    low: float  # plausible range, in the canonical unit
    high: float

    def convert(self, value: float) -> float:
        """`value` in the canonical unit, without binary dust (0.1 * 10 stays 1)."""
        return float(f"{value * self.factor + self.offset:.12g}")

    def fits(self, value: float) -> bool:
        """Is `value`, read in this unit, a value a person can have?"""
        return self.low <= self.convert(value) <= self.high


class Measured(NamedTuple):
    """A converted value, or None; `doubt` says in one sentence what was wrong or assumed."""

    value: float | None
    unit: str = ""
    doubt: str = ""


@lru_cache(maxsize=4096)
def spelled(unit: str) -> str:
    """One spelling for the many of one unit: "x10^9/L", "10*9/L" and "10E9/l" are the same."""
    text = _ANNOTATION.sub("", unit.translate(_SUPERSCRIPTS).casefold())
    for pattern, instead in _REWRITES:
        text = pattern.sub(instead, text)
    return text


@cache
def known_units(path: Path = UNITS_FILE) -> dict[str, dict[str, Unit]]:
    """analyte -> spelling -> unit."""
    table: dict[str, dict[str, Unit]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(line for line in file if not line.startswith("#")):
                unit = Unit(
                    row["analyte"],
                    row["canonical"],
                    *(float(row[name]) for name in ("factor", "offset", "low", "high")),
                )
                for spelling in row["spellings"].split(";"):
                    table.setdefault(unit.analyte, {})[spelled(spelling)] = unit
    except (OSError, KeyError, ValueError) as problem:
        raise MappingError(f"{path.name} cannot be read: {problem}.") from None
    return table  # fmt: skip


def measure(analyte: str, value: float, *units: str | None) -> Measured:
    """`value` of `analyte` in its canonical unit; `units` are the UCUM code and the unit text."""
    accepted = known_units().get(analyte)
    if accepted is None:
        return Measured(None, doubt=f"No units are known for {analyte}.")
    written = [unit for unit in units if unit and unit.strip()]
    found = {accepted[key] for key in map(spelled, written) if key in accepted}
    if not written and "" not in accepted:
        return _without_unit(analyte, value, set(accepted.values()))
    if not written:
        found = {accepted[""]}
    if not found:
        return Measured(None, doubt=f"A unit of {analyte} is not known; the value is not used.")
    if len(found) > 1:
        return Measured(None, doubt=f"Code and text of a unit of {analyte} contradict each other.")
    (unit,) = found
    if not unit.fits(value):
        return Measured(None, doubt=f"A value of {analyte} is impossible in its unit.")
    return Measured(unit.convert(value), unit.canonical)


def _without_unit(analyte: str, value: float, candidates: set[Unit]) -> Measured:
    fitting = [unit for unit in candidates if unit.fits(value)]
    if len(fitting) != 1:
        return Measured(None, doubt=f"A value of {analyte} has no unit and is not used.")
    (unit,) = fitting
    assumed = f"A value of {analyte} has no unit; the only possible one was assumed."
    return Measured(unit.convert(value), unit.canonical, assumed)
