"""Numbers as sources write them, in the canonical unit of their analyte; refused when doubtful.

A wrong unit is worse than none: CRP 12 may be mg/L (nothing) or mg/dL (a sepsis). So a missing
unit is accepted only when the value is plausible in exactly one of the accepted units, and an
unknown, contradictory or implausible one is refused with a note.
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from adapter.codes.systems import MAPPINGS
from adapter.codes.tables import read_csv
from adapter.errors import MappingError
from adapter.facts.shapes import Observation

UNITS_FILE = MAPPINGS / "units.csv"

_NUMBER = re.compile(
    r"(?P<sign>[<>]=?)?\s*(?P<number>-?\d+(?:[.,]\d+)?)(?:(?:\s+|(?=[^\d\s.,<>-]))(?P<unit>\S.*))?"
)
_THOUSANDS = re.compile(r"[1-9]\d*,\d{3}")  # 1,200 is twelve hundred to some and 1.2 to others
_BOUND = {"<": "less_than", "<=": "less_than", ">": "more_than", ">=": "more_than"}

_SUPERSCRIPTS = str.maketrans({"³": "*3", "⁶": "*6", "⁹": "*9", "²": "*2", "µ": "u", "μ": "u"})
_ANNOTATION = re.compile(r"\{[^}]*\}")
_REWRITES = (
    (re.compile(r"[\s\[\]]|^x(?=10)"), ""),  # "x 10^9/L", "[degF]"
    (re.compile(r"\^|\*\*|(?<=10)e(?=\d)"), "*"),
    (re.compile(r"mcg"), "ug"),
    (re.compile(r"mcl|cumm|cmm|mm\*?3|mm3"), "ul"),
    (re.compile(r"(cells?|zellen|#|count)(?=/)"), ""),
)


class Number(NamedTuple):
    """A number as written: `bound` is the trait less_than or more_than, or empty."""

    value: float
    bound: str = ""
    units: tuple[str | None, ...] = ()  # UCUM code and unit text


def number_of(valued: Observation) -> Number | None:
    """The numeric value, also when it is written as text."""
    quantity = valued.valueQuantity
    if quantity is None:
        if valued.valueInteger is not None:
            return Number(float(valued.valueInteger))
        return _from_text(valued.valueString or "")
    value, bound = quantity.value, _BOUND.get(quantity.comparator or "", "")
    if isinstance(value, str) and (read := _from_text(value)) is not None:
        value, bound = read.value, read.bound or bound
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Number(float(value), bound, (quantity.code, quantity.unit))


def _from_text(text: str) -> Number | None:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or _THOUSANDS.fullmatch(match["number"]):
        return None
    value = float(match["number"].replace(",", "."))
    return Number(value, _BOUND.get(match["sign"] or "", ""), (match["unit"],))


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
        for _, row in read_csv(path):
            numbers = (float(row[name]) for name in ("factor", "offset", "low", "high"))
            unit = Unit(row["analyte"], row["canonical"], *numbers)
            for spelling in row["spellings"].split(";"):
                table.setdefault(unit.analyte, {})[spelled(spelling)] = unit
    except (KeyError, ValueError) as problem:
        raise MappingError(f"{path.name} cannot be read: {problem}.") from None
    return table


@lru_cache(maxsize=16_384)  # laboratories print few digits, so that values come again and again
def measure(analyte: str, value: float, *units: str | None) -> Measured:
    """`value` of `analyte` in its canonical unit; `units` are the UCUM code and the unit text."""
    accepted = known_units().get(analyte, {})
    written = [unit for unit in units if unit and unit.strip()]
    found = {accepted[key] for key in map(spelled, written or [""]) if key in accepted}
    assumed = ""
    if not written and not found:
        found = {unit for unit in accepted.values() if unit.fits(value)}
        if len(found) != 1:
            return Measured(None, doubt=f"A value of {analyte} has no unit and is not used.")
        assumed = f"A value of {analyte} has no unit; the only possible one was assumed."
    if not found:
        return Measured(None, doubt=f"A unit of {analyte} is not known; the value is not used.")
    if len(found) > 1:
        return Measured(None, doubt=f"Code and text of a unit of {analyte} contradict each other.")
    (unit,) = found
    if not unit.fits(value):
        return Measured(None, doubt=f"A value of {analyte} is impossible in its unit.")
    return Measured(unit.convert(value), unit.canonical, assumed)
