"""Cumulative incidence with competing risks (Aalen-Johansen), Kaplan-Meier, and plain rates.

The estimator, its two variances and their sources: `cumulative_incidence`. Checked against R
(survival, cmprsk, etm) in tests/oracle.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from adapter.errors import UsageError
from adapter.incidence.risksets import TIE, Floats, RiskSets
from adapter.intervals import limits, none_seen, number, poisson, wilson

Variance = Literal["greenwood", "aalen"]

# A variance this far below the terms it is the difference of is rounding, not variance.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class Curve:
    """A step function: `estimate` and `se` hold from each of `times` (all of shape (m,)) on."""

    times: Floats
    estimate: Floats
    se: Floats
    start: float = 0.0

    def at(self, t: float) -> tuple[float, float]:
        """Estimate and SE at t; NaN past the last follow-up, because curves are not carried on."""
        reach = t * (1 + TIE)
        row = int(np.searchsorted(self.times, reach, "right")) - 1
        if not len(self.times) or t * (1 - TIE) > self.times[-1]:
            return math.nan, math.nan
        return (self.start, 0.0) if row < 0 else (float(self.estimate[row]), float(self.se[row]))


def cumulative_incidence(
    sets: RiskSets, cause: int | Iterable[int], variance: Variance = "greenwood"
) -> Curve:
    """Aalen-Johansen estimate F_k(t) = sum S(t_i-) d_ki / Y_i of one cause, or of several as one.

    `greenwood` is recommended (Allignol, Schumacher & Beyersmann 2010, Biom J 52:126) and gives
    the binomial SE without censoring; `aalen` (Aalen 1978, Ann Stat 6:534) is what cmprsk prints.
    """
    if variance not in get_args(Variance):
        raise UsageError(f"Unknown variance '{variance}'.", "Use greenwood or aalen.")
    wanted = (cause,) if isinstance(cause, int) else tuple(cause)
    dk = np.sum([sets.column(c) for c in wanted], axis=0).astype(float)
    d, y = sets.events.sum(axis=1).astype(float), sets.at_risk.astype(float)
    after = np.cumprod(1 - d / y)
    before = np.concatenate([[1.0], after[:-1]])
    f = np.cumsum(before * dk / y)
    if variance == "greenwood":
        var = _greenwood(before, f, y, d, dk)
    else:
        var = _aalen(before, after, f, y, np.stack([dk, d - dk]))
    return Curve(sets.times, f, np.sqrt(var))


def _greenwood(before: Floats, f: Floats, y: Floats, d: Floats, dk: Floats) -> Floats:
    """Andersen, Borgan, Gill & Keiding 1993, (4.4.19), with (F-F_i) expanded into running sums."""
    a = np.divide(d, y * (y - d), out=np.zeros_like(y), where=y > d)
    b = before**2 * dk * (y - dk) / y**3
    c = before * dk / y**2
    sum_a, sum_b, sum_c = np.cumsum(a), np.cumsum(b), np.cumsum(c)
    sum_af, sum_aff, sum_cf = np.cumsum(a * f), np.cumsum(a * f * f), np.cumsum(c * f)
    var = f * f * sum_a - 2 * f * sum_af + sum_aff + sum_b - 2 * (f * sum_c - sum_cf)
    return np.where(var <= ROUNDING * (f * f * sum_a + sum_b), 0.0, var)


def _aalen(before: Floats, after: Floats, f: Floats, y: Floats, d: Floats) -> Floats:
    """Aalen 1978 with the tie factor 1-(d-1)/(Y-1); d: (2, m), this cause and all others as one."""
    inverse = np.divide(1.0, after, out=np.zeros_like(after), where=after > 0)
    alone = np.divide(d - 1, y - 1, out=np.zeros_like(d), where=y > 1)
    own, other = before**2 * d / y**2 * (1 - alone)
    lead = np.where(after > 0, 1 + f * inverse, 1.0)
    square = np.cumsum(own * lead**2) + np.cumsum(other * (f * inverse) ** 2)
    cross = np.cumsum(own * lead * inverse) + np.cumsum(other * f * inverse**2)
    var = square - 2 * f * cross + f * f * np.cumsum((own + other) * inverse**2)
    return np.where(var <= ROUNDING * square, 0.0, var)


def survival(sets: RiskSets, failures: Literal["events", "censored"] = "events") -> Curve:
    """Kaplan-Meier of being free of any event (Greenwood SE); of `censored`: reverse KM."""
    d = (sets.events.sum(axis=1) if failures == "events" else sets.censored).astype(float)
    y = sets.at_risk.astype(float)
    s = np.cumprod(1 - d / y)
    with np.errstate(invalid="ignore", divide="ignore"):
        se = s * np.sqrt(np.cumsum(d / (y * (y - d))))
    return Curve(sets.times, s, se, start=1.0)


def median(curve: Curve, level: float = 0.95) -> dict[str, float | None]:
    """First time the curve is at or below one half, limits from the inverted log-log interval.

    (R gives the middle of the plateau where a curve stays at exactly one half.)
    """
    lower, upper = limits(curve.estimate, curve.se, "log-log", level)
    return {
        "median": _first_at_half(curve.times, curve.estimate),
        "median_lower": _first_at_half(curve.times, lower),
        "median_upper": _first_at_half(curve.times, upper),
    }


def _first_at_half(times: Floats, values: Floats) -> float | None:
    # A product such as (1-1/4)(1-1/3) misses one half by the last bit.
    hits = np.flatnonzero(values <= 0.5 * (1 + 1e-12))
    return float(times[hits[0]]) if len(hits) else None


def split_incidence(
    sets: RiskSets, parts: Iterable[int], variance: Variance = "greenwood"
) -> tuple[Curve, dict[int, Curve]]:
    """NRM and its causes as curves that add up to it at every time (asserted).

    `parts` are the event codes that together are NRM; the denominator stays all patients.
    """
    codes = tuple(parts)
    whole = cumulative_incidence(sets, codes, variance)
    curves = {code: cumulative_incidence(sets, code, variance) for code in codes}
    total = np.sum([curve.estimate for curve in curves.values()], axis=0)
    if not np.allclose(total, whole.estimate, rtol=1e-12, atol=1e-12):
        raise AssertionError("the causes do not add up to the whole")
    return whole, curves


def upper_bound(sets: RiskSets, t: float, level: float = 0.95) -> float | None:
    """One-sided bound where nobody has had the event by t; the n is who is known to be free of it.

    Known are those at risk at t and those with another event before; the censored are not.
    """
    row = sets.before(t)
    return none_seen(sets.at_risk_at(t) + int(sets.events[:row].sum()), level)


def _share(part: int, whole: int, level: float) -> dict[str, float | None]:
    lower, upper = wilson(part, whole, level)
    share = part / whole if whole else None
    return {"estimate": share, "lower": number(lower), "upper": number(upper)}


def crude(sets: RiskSets, cause: int, level: float = 0.95) -> dict[str, Any]:
    """Events over patients with Wilson limits: no cumulative incidence, but what papers report."""
    events = int(sets.column(cause).sum())
    return {"events": events, "n": sets.n, **_share(events, sets.n, level)}


def density(events: int, patient_days: float, level: float = 0.95) -> dict[str, float | None]:
    """Events per 1,000 patient-days with exact Poisson limits; None when nobody was at risk."""
    days = patient_days if patient_days > 0 else math.nan
    rates = [number(1000 * value / days) for value in (events, *poisson(events, level))]
    named = dict(zip(("per_1000_days", "lower", "upper"), rates, strict=True))
    return {"events": events, "patient_days": patient_days, **named}


def early_late(
    sets: RiskSets, cause: int, day: float = 28.0, level: float = 0.95
) -> dict[str, Any]:
    """Events before `day` and on or after it, with the early share (Wilson).

    Day 28 as in DESCAR-T (Lemoine 2023).
    """
    events, row = sets.column(cause), sets.before(day)
    early, late = int(events[:row].sum()), int(events[row:].sum())
    share = _share(early, early + late, level)
    share["early_share"] = share.pop("estimate")
    return {"day": day, "early": early, "late": late, **share}


def patient_days(sets: RiskSets) -> float:
    """Days under observation of all patients together, from entry to the end of follow-up."""
    return float((sets.times * np.diff(sets.left)).sum() - sets.late.sum())
