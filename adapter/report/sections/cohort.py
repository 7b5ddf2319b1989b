"""Who they are: baseline by outcome."""

from collections.abc import Callable, Sequence

import htpy as h
import numpy as np
from htpy import Node

from adapter.model import Judged, OutcomeKind
from adapter.report.sections.outcomes import age_group, hematotox_group
from adapter.report.view import Section, View, plain, share, tally

_COLUMNS: tuple[tuple[str, OutcomeKind | None], ...] = (
    ("All", None),
    ("Non-relapse death", OutcomeKind.NRM),
    ("Relapse", OutcomeKind.RELAPSE),
    ("Alive", OutcomeKind.ALIVE),
)
_SPLITS: tuple[tuple[str, Callable[[Judged], str]], ...] = (
    ("Age", age_group),
    ("Sex", lambda j: j.episode.timeline.sex),
    ("Product", lambda j: j.episode.product),
    ("Indication", lambda j: plain(j.episode.indication)),
    ("CAR-HEMATOTOX", hematotox_group),
)
#: Classes that have an order of their own; all others come by size.
_ORDER = ("under 65", "65 to 74", "75 and over", "low (0–1)", "high (2 or more)", "")


def cohort(view: View) -> Section:
    """Counts with percent of their column; what is not recorded is a row of its own."""
    columns = [
        [j for j in view.judged if kind is None or j.outcome.kind is kind] for _, kind in _COLUMNS
    ]
    rows: list[Sequence[Node]] = [
        ["Episodes", *(f"{len(column):,}" for column in columns)],
        ["Age, median (quartiles)", *(_ages(column) for column in columns)],
    ]
    for heading, of in _SPLITS:
        rows.append([h.b[heading], *([""] * len(columns))])
        found = tally(of(j) for j in view.judged)
        for value in sorted(found, key=_ORDER.index) if set(found) <= set(_ORDER) else found:
            counts = [sum(of(j) == value for j in column) for column in columns]
            cells = [share(n, len(c)) for n, c in zip(counts, columns, strict=True)]
            rows.append([h.span(".indent")[value or "not recorded"], *cells])
    head = ["", *(name for name, _ in _COLUMNS)]
    table = view.table("Evaluable episodes by what came first", head, rows)
    return Section("cohort", "The cohort", table)


def _ages(column: Sequence[Judged]) -> str:
    ages = [j.episode.age_years for j in column if j.episode.age_years is not None]
    if not ages:
        return "–"
    low, middle, high = np.percentile(ages, [25, 50, 75])
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"
