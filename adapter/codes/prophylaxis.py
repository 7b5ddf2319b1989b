"""The site-editable table of prophylaxis rules: what is asked, of whom, when, on whose word."""

from pathlib import Path
from typing import Literal

import msgspec

from adapter.codes.systems import MAPPINGS
from adapter.codes.tables import read_csv, wordings
from adapter.errors import MappingError

Who = Literal[
    "everybody", "high_risk", "high_risk_neutropenia", "neutropenia", "hepatitis_b", "prior_mould",
    "low_igg_infection", "low_igg_airway_infection", "five_days_of_steroids",
]  # fmt: skip
_DRUGS = frozenset({"MedicationAdministration", "MedicationRequest"})
_TESTS = frozenset({"Observation", "DiagnosticReport"})


class ProphylaxisRule(msgspec.Struct, frozen=True):
    """One rule. `first` and `last` are days after it began to apply, `until` from infusion."""

    rule: str
    title: str
    facts: tuple[str, ...]  # subconcepts; any one will do
    who: Who
    first: int
    last: int
    until: int | None  # None: one record is enough
    gap: int | None  # longest days between two records while it goes on
    cd4: float | None  # per µL: it may end when CD4 exceeds this
    source: str
    needs: frozenset[str]  # resource types that tell of it


def prophylaxis_rules(path: Path | None = None) -> tuple[ProphylaxisRule, ...]:
    """The rules of a table, ours when the site names none; every fault with file and line."""
    path = path or MAPPINGS / "prophylaxis.csv"
    known = {subconcept: concept for concept, subconcept, _ in wordings()}
    return tuple(_rule(f"{path.name}:{line}", cells, known) for line, cells in read_csv(path))


def _rule(where: str, cells: dict[str, str], known: dict[str, str]) -> ProphylaxisRule:
    names = [name.strip() for name in cells.get("facts", "").split(";")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MappingError(f"{where}: no subconcept is called {unknown[0]!r}.",
                           "Use a name of mappings/subconcepts.csv.")  # fmt: skip
    if not cells.get("source"):
        raise MappingError(f"{where}: no source.", "Cite one, or write unsourced.")
    drug = any(known[name] == "supportive_drug" for name in names)
    filled = {key: value or None for key, value in cells.items()}
    more = {"facts": names, "needs": _DRUGS if drug else _TESTS}
    try:
        return msgspec.convert(filled | more, ProphylaxisRule, strict=False)
    except msgspec.ValidationError as problem:
        raise MappingError(f"{where}: {problem}.", "Compare mappings/prophylaxis.csv.") from None
