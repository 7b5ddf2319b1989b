"""How well two readers, or the rules and a reader, agree on the cause of death."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.errors import UsageError
from adapter.intervals import normal_quantile, number, wilson


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa with SE and limits; NaN where one category takes everything."""

    n: int
    observed: float
    expected: float
    estimate: float
    se: float
    lower: float
    upper: float


def cohen_kappa(one: Sequence[str], other: Sequence[str], level: float = 0.95) -> Kappa:
    """Agreement beyond chance; SE of Fleiss, Cohen & Everitt 1969 (Psychol Bull 72:323).

    That SE is for intervals; the null SE of the same paper is for tests and is not used.
    """
    if len(one) != len(other) or not one:
        raise UsageError("Two readings of the same deaths are needed.", "Give pairs, at least one.")
    names = sorted({*one, *other})
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for a, b in zip(one, other, strict=True):
        table[place[a], place[b]] += 1 / len(one)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, expected = float(np.trace(table)), float(rows @ columns)
    if expected >= 1 - 1e-12:
        return Kappa(len(one), observed, expected, *[math.nan] * 4)
    kappa = (observed - expected) / (1 - expected)
    mixed = columns[:, None] + rows[None, :]  # p.i + pj. for cell (i, j)
    agree = float((np.diag(table) * (1 - np.diag(mixed) * (1 - kappa)) ** 2).sum())
    off = table - np.diag(np.diag(table))
    differ = (1 - kappa) ** 2 * float((off * mixed**2).sum())
    chance = (kappa - expected * (1 - kappa)) ** 2
    se = math.sqrt(max(agree + differ - chance, 0.0) / len(one)) / (1 - expected)
    z = normal_quantile(level)
    return Kappa(len(one), observed, expected, kappa, se, kappa - z * se, min(kappa + z * se, 1.0))


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
        row: dict[str, Any] = {
            "cause": name,
            "both": both,
            "proposed": said[name],
            "truth": was[name],
        }
        for what, base in (("sensitivity", was[name]), ("ppv", said[name])):
            lower, upper = wilson(both, base, level)
            row[what] = both / base if base else None
            row[f"{what}_lower"], row[f"{what}_upper"] = number(lower), number(upper)
        rows.append(row)
    return rows


def agreement(proposed: Sequence[str], truth: Sequence[str], level: float = 0.95) -> dict[str, Any]:
    """Kappa and the per-cause table, ready for JSON; kappa is None when there are no pairs."""
    kappa = cohen_kappa(proposed, truth, level) if proposed else None
    names = ("n", "observed", "expected", "estimate", "se", "lower", "upper")
    return {
        "n": len(proposed),
        "kappa": {name: number(getattr(kappa, name)) for name in names} if kappa else None,
        "by_cause": by_category(proposed, truth, level),
    }
