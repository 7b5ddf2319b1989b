"""How well two readers, or the rules and a reader, agree on the cause of death."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adapter.errors import UsageError
from adapter.intervals import normal_quantile, number, wilson


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa with SE and limits; NaN where one category takes everything."""

    n: int
    observed: float
    expected: float
    estimate: float = math.nan
    se: float = math.nan
    lower: float = math.nan
    upper: float = math.nan


def cohen_kappa(one: Sequence[str], other: Sequence[str], level: float = 0.95) -> Kappa:
    """Agreement beyond chance; SE of Fleiss, Cohen & Everitt 1969 (Psychol Bull 72:323).

    That SE is for intervals; the null SE of the same paper is for tests and is not used.
    """
    if len(one) != len(other) or not one:
        raise UsageError("Two readings of the same deaths are needed.", "Give pairs, at least one.")
    names, n = sorted({*one, *other}), len(one)
    table = np.zeros((len(names), len(names)))
    for (a, b), pairs in Counter(zip(one, other, strict=True)).items():
        table[names.index(a), names.index(b)] = pairs / n
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, expected = float(np.trace(table)), float(rows @ columns)
    if expected >= 1 - 1e-12:
        return Kappa(n, observed, expected)
    kappa = (observed - expected) / (1 - expected)
    mixed = columns[:, None] + rows[None, :]  # p.i + pj. for cell (i, j)
    agree = float((np.diag(table) * (1 - np.diag(mixed) * (1 - kappa)) ** 2).sum())
    apart = float(((table - np.diag(np.diag(table))) * mixed**2).sum()) * (1 - kappa) ** 2
    variance = agree + apart - (kappa - expected * (1 - kappa)) ** 2
    se = math.sqrt(max(variance, 0.0) / n) / (1 - expected)
    half = normal_quantile(level) * se
    return Kappa(n, observed, expected, kappa, se, kappa - half, min(kappa + half, 1.0))


def by_category(
    proposed: Sequence[str], truth: Sequence[str], level: float = 0.95
) -> list[dict[str, Any]]:
    """Per cause: how often the truth was found (sensitivity) and a proposal was right (PPV).

    Wilson limits; None where the cause never occurs on that side.
    """
    pairs = Counter(zip(proposed, truth, strict=True))
    said, was = Counter(proposed), Counter(truth)
    rows = []
    for name in sorted({*said, *was}):
        both = pairs[name, name]
        row: dict[str, Any] = {"cause": name, "both": both}
        row |= {"proposed": said[name], "truth": was[name]}
        for what, base in (("sensitivity", was[name]), ("ppv", said[name])):
            lower, upper = wilson(both, base, level)
            row[what] = both / base if base else None
            row[f"{what}_lower"], row[f"{what}_upper"] = number(lower), number(upper)
        rows.append(row)
    return rows


def agreement(proposed: Sequence[str], truth: Sequence[str], level: float = 0.95) -> dict[str, Any]:
    """Kappa and the per-cause table, ready for JSON; kappa is None when there are no pairs."""
    kappa = asdict(cohen_kappa(proposed, truth, level)) if proposed else None
    return {
        "n": len(proposed),
        "kappa": kappa and {name: number(value) for name, value in kappa.items()},
        "by_cause": by_category(proposed, truth, level),
    }
