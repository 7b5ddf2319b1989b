"""Pooling sites without their patients: proportions of deaths, or incidences at a horizon.

Primary is the random-intercept logistic model (GLMM), as in the published meta-analysis; logit
REML with Hartung-Knapp is the sensitivity analysis. The double arcsine is left out on purpose
(Schwarzer 2019, Res Synth Methods 10:476).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy import special

from adapter.errors import TableError, UsageError
from adapter.intervals import Floats, chi_square_p, none_seen, normal_quantile, number, wilson

Scale = Literal["logit", "cloglog"]

# Seven points is what lme4 uses under metafor's rma.glmm, so the published digits come out.
POINTS = 7
FEW_SITES = 5  # convention: below this tau2 and its interval mean little


@dataclass(frozen=True, slots=True)
class Site:
    """One site or study: deaths among n patients; for a horizon also its incidence and SE."""

    study: str
    n: int
    events: int
    subgroup: str = ""
    estimate: float | None = None
    se: float | None = None


@dataclass(frozen=True, slots=True)
class Pooled:
    """A pooled value on the model's scale with its SE and the variance between sites."""

    mean: float
    se: float
    tau2: float


def logistic_mixed(sites: Sequence[Site], points: int = POINTS) -> Pooled | None:
    """Random-intercept logistic model by maximum likelihood; None when none or all died.

    Adaptive Gauss-Hermite (Pinheiro & Bates 1995, JCGS 4:12); SE from the observed information.
    """
    from scipy.optimize import minimize

    y, n = _counts(sites)
    if y.sum() in (0, n.sum()):
        return None
    nodes = np.polynomial.hermite.hermgauss(points)
    start = math.log(y.sum() / (n - y).sum())

    def loss(at: Floats) -> float:
        return -_log_likelihood(at[0], at[1], (y, n), nodes)

    # The likelihood is even in tau, so tau may pass through 0 and no bound is needed.
    found = minimize(
        loss,
        np.array([start, 0.5]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 2000},
    )
    mean, tau = float(found.x[0]), abs(float(found.x[1]))
    if loss(np.array([start, 0.0])) <= found.fun + 1e-9:
        mean, tau = start, 0.0
    information = _hessian(loss, np.array([mean, tau]))
    if tau == 0:
        return Pooled(mean, 1 / math.sqrt(information[0, 0]), 0.0)
    return Pooled(mean, math.sqrt(np.linalg.inv(information)[0, 0]), tau**2)


def _counts(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    return np.array([s.events for s in sites], float), np.array([s.n for s in sites], float)


def _log_likelihood(
    mean: float, tau: float, data: tuple[Floats, Floats], nodes: tuple[Floats, Floats]
) -> float:
    """Sum over sites of log of the integral of Bin(y; n, expit(mean + tau z)) over normal z."""
    y, n = data
    z = np.zeros_like(y)
    for _ in range(100):  # the mode of each site's integrand, by Newton steps kept short
        p = special.expit(mean + tau * z)
        step = (tau * (y - n * p) - z) / (tau**2 * n * p * (1 - p) + 1)
        z += np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-12:
            break
    p = special.expit(mean + tau * z)
    width = 1 / np.sqrt(tau**2 * n * p * (1 - p) + 1)
    at = z[:, None] + math.sqrt(2) * width[:, None] * nodes[0]
    eta = mean + tau * at
    density = y[:, None] * eta - n[:, None] * np.logaddexp(0, eta) - at**2 / 2
    sums = special.logsumexp(density + nodes[0] ** 2 + np.log(nodes[1]), axis=1)
    return float((sums + np.log(width)).sum())


def _hessian(function: Any, at: Floats, h: float = 1e-3) -> Floats:
    """Second derivatives in two variables by central differences."""
    e = np.eye(2) * h
    out = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            plus = function(at + e[i] + e[j]) + function(at - e[i] - e[j])
            minus = function(at + e[i] - e[j]) + function(at - e[i] + e[j])
            out[i, j] = (plus - minus) / (4 * h * h)
    return out


def logits(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    """Logits and their variances; one half is added to both cells of a site that has a zero."""
    y, n = _counts(sites)
    half = np.where((y == 0) | (y == n), 0.5, 0.0)
    died, lived = y + half, n - y + half
    return np.log(died / lived), 1 / died + 1 / lived


def at_horizon(sites: Sequence[Site], scale: Scale = "logit") -> tuple[Floats, Floats]:
    """Incidences on the logit or log(-log(1-F)) scale and their variances by the delta method."""
    f = np.array([s.estimate for s in sites], float)
    se = np.array([s.se for s in sites], float)
    if scale == "logit":
        return special.logit(f), (se / (f * (1 - f))) ** 2
    return np.log(-np.log1p(-f)), (se / ((1 - f) * np.log1p(-f))) ** 2


def reml(y: Floats, v: Floats) -> Pooled:
    """REML with the variance of Hartung & Knapp 2001 (Stat Med 20:3875), Sidik & Jonkman 2002.

    tau2 is the root of the REML score (Viechtbauer 2005, JEBS 30:261, eq. 15), 0 when negative.
    """
    from scipy.optimize import brentq

    def score(tau2: float) -> float:
        w = 1 / (v + tau2)
        residual = y - w @ y / w.sum()
        return float(w**2 @ residual**2 - w.sum() + w @ w / w.sum())

    top = 10 * (float(np.var(y)) + 1e-6)
    while score(top) > 0:
        top *= 10
    tau2 = float(brentq(score, 0.0, top, xtol=1e-15, rtol=1e-12)) if score(0.0) > 0 else 0.0
    w = 1 / (v + tau2)
    mean = float(w @ y / w.sum())
    return Pooled(mean, math.sqrt(float(w @ (y - mean) ** 2) / ((len(y) - 1) * w.sum())), tau2)


def heterogeneity(y: Floats, v: Floats) -> dict[str, float]:
    """Cochran's Q, its p, the moment estimate of tau2 (DerSimonian & Laird 1986), typical variance.

    The typical variance is that of Higgins & Thompson 2002 (Stat Med 21:1539, eq. 9).
    """
    w, df = 1 / v, len(y) - 1
    q = float(w @ (y - w @ y / w.sum()) ** 2)
    spare = float(w.sum() - w @ w / w.sum())
    return {"q": q, "df": df, "p": chi_square_p(q, df), "tau2_dl": max(0.0, (q - df) / spare),
            "typical": df / spare}  # fmt: skip


def egger(y: Floats, v: Floats) -> dict[str, Any]:
    """Egger 1997 (BMJ 315:629): is y/se related to 1/se? The intercept with its t test, k-2 df."""
    if len(y) < 3 or np.ptp(v) == 0:
        return {"intercept": None, "se": None, "p": None, "note": "needs three unequal sites"}
    precision = 1 / np.sqrt(v)
    x = np.column_stack([np.ones_like(y), precision])
    coef, *_ = np.linalg.lstsq(x, y * precision, rcond=None)
    spread = float(((y * precision - x @ coef) ** 2).sum()) / (len(y) - 2)
    se = math.sqrt(spread * np.linalg.inv(x.T @ x)[0, 0])
    p = 2 * float(special.stdtr(len(y) - 2, -abs(coef[0] / se)))
    return {"intercept": float(coef[0]), "se": se, "p": p}


def _back(value: float, scale: Scale = "logit") -> float:
    return float(special.expit(value) if scale == "logit" else -math.expm1(-math.exp(value)))


def _t(df: int, level: float) -> float:
    return float(special.stdtrit(df, 0.5 + level / 2)) if df > 0 else math.nan


def _interval(pooled: Pooled, quantile: float, scale: Scale = "logit") -> dict[str, Any]:
    ends = [pooled.mean + side * quantile * pooled.se for side in (0, -1, 1)]
    values = (_back(end, scale) for end in ends)
    answer: dict[str, Any] = dict(zip(("estimate", "lower", "upper"), values, strict=True))
    return {**answer, "tau2": pooled.tau2}


def _prediction(pooled: Pooled, quantile: float, scale: Scale = "logit") -> list[float | None]:
    half = quantile * math.sqrt(pooled.tau2 + pooled.se**2)
    if math.isnan(half):
        return [None, None]
    return [_back(pooled.mean - half, scale), _back(pooled.mean + half, scale)]


def _glmm_row(sites: Sequence[Site], level: float) -> dict[str, Any]:
    """The GLMM as printed: Wald interval, prediction interval (t, k-2 df), I2 in percent."""
    pooled = logistic_mixed(sites)
    if pooled is None:
        n = sum(s.n for s in sites)
        share = sum(s.events for s in sites) / n
        empty: dict[str, Any] = dict.fromkeys(("lower", "upper", "tau2", "i2", "logit", "se"))
        note = "no model: nobody died" if share == 0 else "no model: everybody died"
        bound = none_seen(n, level) if share == 0 else None
        return {"estimate": share, **empty, "one_sided_upper": bound, "note": note}
    row = _interval(pooled, normal_quantile(level))
    row["prediction"] = _prediction(pooled, _t(len(sites) - 2, level))
    row["i2"] = _i2(pooled.tau2, logits(sites)[1])
    return {**row, "logit": pooled.mean, "se": pooled.se}


def _i2(tau2: float, v: Floats) -> float | None:
    if len(v) < 2:
        return None
    typical = heterogeneity(np.zeros_like(v), v)["typical"]
    return 100 * tau2 / (tau2 + typical)


def _reml_row(y: Floats, v: Floats, level: float, scale: Scale = "logit") -> dict[str, Any]:
    pooled, t = reml(y, v), _t(len(y) - 1, level)
    row = _interval(pooled, t, scale)
    return {**row, "i2": _i2(pooled.tau2, v), "prediction": _prediction(pooled, t, scale)}


def _fixed_row(sites: Sequence[Site], level: float) -> dict[str, Any]:
    """All patients as one: the logistic model without differences between sites."""
    y, n = (float(part.sum()) for part in _counts(sites))
    if y in (0, n):
        return {"estimate": y / n, "lower": None, "upper": None, "tau2": 0.0}
    return _interval(Pooled(math.log(y / (n - y)), math.sqrt(1 / y + 1 / (n - y)), 0.0),
                     normal_quantile(level))  # fmt: skip


def _check(sites: Sequence[Site]) -> list[str]:
    for site in sites:
        if not 0 <= site.events <= site.n or site.n == 0:
            raise TableError(f"'{site.study}' has {site.events} events among {site.n} patients.",
                             "Give n above 0 and events from 0 to n.")  # fmt: skip
    if len(sites) < 2:
        raise UsageError("Pooling needs at least two sites.", "Add another summary.")
    few = f"Only {len(sites)} sites: the differences between sites cannot be estimated well."
    return [few] if len(sites) < FEW_SITES else []


def pool(sites: Sequence[Site], level: float = 0.95) -> dict[str, Any]:
    """Pool proportions: GLMM, logit REML with Hartung-Knapp, heterogeneity, subgroups, Egger.

    Proportions ignore follow-up; where sites give incidences use `pool_horizon`.
    """
    warnings = _check(sites)
    y, v = logits(sites)
    return {
        "k": len(sites),
        "n": sum(s.n for s in sites),
        "events": sum(s.events for s in sites),
        "measure": "crude proportion: deaths over patients, whatever the follow-up",
        "level": level,
        "glmm": _glmm_row(sites, level),
        "reml_hk": _reml_row(y, v, level),
        "fixed": _fixed_row(sites, level),
        "heterogeneity": heterogeneity(y, v),
        "egger": egger(y, v),
        "subgroups": subgroups(sites, level),
        "between": between(sites),
        "sites": [_site_row(s, level) for s in sites],
        "warnings": warnings,
    }


def _site_row(site: Site, level: float) -> dict[str, Any]:
    lower, upper = wilson(site.events, site.n, level)
    return {"study": site.study, "subgroup": site.subgroup, "n": site.n, "events": site.events,
            "estimate": site.events / site.n, "lower": lower, "upper": upper}  # fmt: skip


def _by_subgroup(sites: Sequence[Site]) -> dict[str, list[Site]]:
    names = sorted({s.subgroup for s in sites})
    return {name: [s for s in sites if s.subgroup == name] for name in names}


def subgroups(sites: Sequence[Site], level: float = 0.95) -> list[dict[str, Any]]:
    """The GLMM of each subgroup; empty when there is only one."""
    parts = _by_subgroup(sites)
    if len(parts) < 2:
        return []
    return [
        {
            "subgroup": name,
            "k": len(part),
            "n": sum(s.n for s in part),
            "events": sum(s.events for s in part),
            **_glmm_row(part, level),
        }
        for name, part in parts.items()
    ]


def between(sites: Sequence[Site]) -> dict[str, Any] | None:
    """Q between subgroups on the random model, each with its own tau2 (Borenstein 2009, ch. 19)."""
    fits = [logistic_mixed(part) for part in _by_subgroup(sites).values()]
    known = [fit for fit in fits if fit is not None]
    if len(known) < 2:
        return None
    means, w = np.array([f.mean for f in known]), np.array([1 / f.se**2 for f in known])
    q = float(w @ (means - w @ means / w.sum()) ** 2)
    return {"q": q, "df": len(known) - 1, "p": chi_square_p(q, len(known) - 1)}


def pool_horizon(
    sites: Sequence[Site], horizon: float, scale: Scale = "logit", level: float = 0.95
) -> dict[str, Any]:
    """Pool cumulative incidences at one horizon by inverse variance, REML with Hartung-Knapp.

    Sites without an incidence strictly between 0 and 1, or without SE, are named in `left_out`.
    """
    if scale not in get_args(Scale):
        raise UsageError(f"Unknown scale '{scale}'.", "Use logit or cloglog.")
    usable = [s for s in sites if s.estimate is not None and 0 < s.estimate < 1 and s.se]
    if len(usable) < 2:
        raise UsageError(f"Fewer than two sites have an incidence at {horizon:g}.",
                         "Choose a horizon that the sites reached.")  # fmt: skip
    y, v = at_horizon(usable, scale)
    return {
        "horizon": horizon,
        "scale": scale,
        "k": len(usable),
        "n": sum(s.n for s in usable),
        "reml_hk": _reml_row(y, v, level, scale),
        "heterogeneity": heterogeneity(y, v),
        "sites": [
            {"study": s.study, "estimate": s.estimate, "se": number(s.se or 0.0)} for s in usable
        ],
        "left_out": [s.study for s in sites if s not in usable],
        "warnings": _check(usable),
    }


def reproduce(
    cohorts: Sequence[dict[str, str]], published: Sequence[dict[str, str]], level: float = 0.95
) -> list[dict[str, Any]]:
    """Each published row (percent, two decimals) beside the same row pooled from the cohorts.

    `agrees` says whether counts, estimate and limits are the printed ones; a limit that was not
    printed is not compared.
    """
    return [_reproduced(cohorts, row, level) for row in published]


def _reproduced(
    cohorts: Sequence[dict[str, str]], row: dict[str, str], level: float
) -> dict[str, Any]:
    chosen = [
        Site(c["study"], int(c["n"]), int(c["events"]))
        for c in cohorts
        if all(row[key] in ("", c[key]) for key in ("entity", "setting", "product", "line"))
    ]
    fit = _fixed_row(chosen, level) if row["model"] == "fixed" else _glmm_row(chosen, level)
    ours = [f"{100 * fit[key]:.2f}" for key in ("estimate", "lower", "upper")]
    theirs = [row["percent"], row["lower"], row["upper"]]
    counts = [len(chosen), sum(s.events for s in chosen), sum(s.n for s in chosen)]
    same = counts == [int(row[key]) for key in ("cohorts", "events", "n")]
    same &= all(b in ("", a) for a, b in zip(ours, theirs, strict=True))
    return {
        "label": row["label"],
        "cohorts": counts[0],
        "events": counts[1],
        "n": counts[2],
        "published": theirs,
        "reproduced": ours,
        "exact": [fit["estimate"], fit["lower"], fit["upper"]],
        "agrees": same,
    }
