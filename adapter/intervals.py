"""Confidence intervals of a probability, a proportion and a rate, and the p of a chi-square.

Only `scipy.special` is used: it loads ten times faster than `scipy.stats` and has the same numbers;
and only when it is asked, because a night that draws no curve need not wait for it.
"""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter.errors import UsageError

Floats = NDArray[np.float64]
Conf = Literal["log-log", "log", "plain", "cloglog"]


def normal_quantile(level: float = 0.95) -> float:
    """The two-sided normal quantile: 1.96 for 95 %."""
    from scipy import special

    return float(special.ndtri(0.5 + level / 2))


def limits(
    estimate: ArrayLike, se: ArrayLike, conf: Conf = "log-log", level: float = 0.95
) -> tuple[Floats, Floats]:
    """Limits of a probability from its SE on the scale `conf`; NaN where it is 0, 1 or unknown.

    log-log: F^exp(±z·SE/(F·log F)) (Choudhury 2002, Stat Med 21:1129); cloglog: the same of 1-F.
    """
    f, s = np.asarray(estimate, float), np.asarray(se, float)
    if conf not in get_args(Conf):
        raise UsageError(f"Unknown interval '{conf}'.", f"Use one of: {', '.join(get_args(Conf))}.")
    z = normal_quantile(level)
    with np.errstate(all="ignore"):
        if conf == "plain":
            lower, upper = f - z * s, f + z * s
        elif conf == "log":
            lower, upper = f * np.exp(-z * s / f), f * np.exp(z * s / f)
        else:
            p = f if conf == "log-log" else 1 - f
            width = np.abs(z * s / (p * np.log(p)))
            near, far = p ** np.exp(-width), p ** np.exp(width)
            lower, upper = (far, near) if conf == "log-log" else (1 - near, 1 - far)
    unknown = ~((f > 0) & (f < 1) & np.isfinite(s))
    return (
        np.where(unknown, np.nan, np.clip(lower, 0, 1)),
        np.where(unknown, np.nan, np.clip(upper, 0, 1)),
    )


def wilson(events: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Score limits of the proportion events/n (Wilson 1927, JASA 22:209); NaN when n is 0."""
    if n <= 0:
        return math.nan, math.nan
    z2 = normal_quantile(level) ** 2
    centre = (events + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (events * (n - events) / n + z2 / 4)) / (n + z2)
    return (0.0 if events == 0 else centre - half, 1.0 if events == n else centre + half)


def poisson(events: int, level: float = 0.95) -> tuple[float, float]:
    """Exact limits of a Poisson mean (Garwood 1936, Biometrika 28:437)."""
    from scipy import special

    tail = (1 - level) / 2
    lower = float(special.gammaincinv(events, tail)) if events else 0.0
    return lower, float(special.gammainccinv(events + 1, tail))


def none_seen(n: float, level: float = 0.95) -> float | None:
    """One-sided upper bound of a probability when 0 of n had the event: 1-0.025^(1/n)."""
    return 1 - ((1 - level) / 2) ** (1 / n) if n > 0 else None


def chi_square_p(statistic: float, df: int) -> float:
    """Upper tail of chi-square: small p keep their digits and are never printed as 0."""
    from scipy import special

    return float(special.chdtrc(df, statistic))


def number(value: float) -> float | None:
    """The value for JSON, where NaN and infinity do not exist."""
    return float(value) if math.isfinite(value) else None
