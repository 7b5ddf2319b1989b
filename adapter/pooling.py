"""Pooling sites without their patients: proportions of deaths, or incidences at a horizon.

Primary is the random-intercept logistic model (GLMM), as in the published meta-analysis; logit
REML with Hartung-Knapp is the sensitivity analysis. The double arcsine is left out on purpose
(Schwarzer 2019, Res Synth Methods 10:476).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from adapter.errors import TableError, UsageError
from adapter.intervals import Floats, chi_square_p, none_seen, normal_quantile, wilson

Row = dict[str, Any]

# Seven points is what lme4 uses under metafor's rma.glmm, so the published digits come out.
POINTS = 7
MOST_TAU = 10.0  # logits; beyond this the model runs to infinity (convention)
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


def _counts(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    return np.array([s.events for s in sites], float), np.array([s.n for s in sites], float)


def logistic(sites: Sequence[Site]) -> Pooled | None:
    """All patients as one: logistic regression without differences between sites."""
    y, n = (float(part.sum()) for part in _counts(sites))
    if y in (0, n):
        return None
    return Pooled(math.log(y / (n - y)), math.sqrt(1 / y + 1 / (n - y)), 0.0)


def logistic_mixed(sites: Sequence[Site], points: int = POINTS) -> Pooled | None:
    """Random-intercept logistic model by maximum likelihood; None where it has no maximum.

    Adaptive Gauss-Hermite (Pinheiro & Bates 1995, JCGS 4:12); SE from the observed information.
    """
    from scipy.optimize import minimize

    fixed = logistic(sites)
    if fixed is None:
        return None
    data, nodes = _counts(sites), np.polynomial.hermite.hermgauss(points)

    def loss(at: Floats) -> float:
        inside = abs(at[1]) <= MOST_TAU
        return -_log_likelihood(at[0], at[1], data, nodes) if inside else math.inf

    # The likelihood is even in tau, so tau may pass through 0 and no bound is needed.
    start, goal = np.array([fixed.mean, 0.5]), {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 500.0}
    found = minimize(loss, start, method="Nelder-Mead", options=goal)  # type: ignore[call-overload]
    if loss(np.array([fixed.mean, 0.0])) <= found.fun + 1e-9:
        return fixed
    information = _hessian(loss, found.x)
    if abs(found.x[1]) > 0.9 * MOST_TAU or not np.linalg.eigvalsh(information).min() > 1e-6:
        return None  # all deaths in one tiny site, say: the likelihood has no maximum
    se = math.sqrt(np.linalg.inv(information)[0, 0])
    return Pooled(float(found.x[0]), se, float(found.x[1]) ** 2)


def _log_likelihood(
    mean: float, tau: float, data: tuple[Floats, Floats], nodes: tuple[Floats, Floats]
) -> float:
    """Sum over sites of log of the integral of Bin(y; n, expit(mean + tau z)) over normal z."""
    y, n = data
    z = np.zeros_like(y)
    for _ in range(100):  # the mode of each site's integrand, by Newton steps kept short
        p = special.expit(mean + tau * z)
        curvature = tau**2 * n * p * (1 - p) + 1
        step = (tau * (y - n * p) - z) / curvature
        z += np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-12:
            break
    at = z[:, None] + math.sqrt(2) * nodes[0] / np.sqrt(curvature)[:, None]
    eta = mean + tau * at
    density = y[:, None] * eta - n[:, None] * np.logaddexp(0, eta) - at**2 / 2
    sums = special.logsumexp(density + nodes[0] ** 2 + np.log(nodes[1]), axis=1)
    return float((sums - np.log(curvature) / 2).sum())


def _hessian(function: Callable[[Floats], float], at: Floats, h: float = 1e-3) -> Floats:
    """Second derivatives in two variables by central differences."""
    e = np.eye(2) * h

    def cell(one: Floats, other: Floats) -> float:
        same = function(at + one + other) + function(at - one - other)
        return (same - function(at + one - other) - function(at - one + other)) / (4 * h * h)

    return np.array([[cell(one, other) for other in e] for one in e])


def logits(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    """Logits and their variances; one half is added to both cells of a site that has a zero."""
    y, n = _counts(sites)
    half = np.where((y == 0) | (y == n), 0.5, 0.0)
    died, lived = y + half, n - y + half
    return np.log(died / lived), 1 / died + 1 / lived


def at_horizon(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    """Logits of the incidences and their variances by the delta method."""
    f, se = np.array([(s.estimate, s.se) for s in sites], float).T
    return special.logit(f), (se / (f * (1 - f))) ** 2


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


def heterogeneity(y: Floats, v: Floats) -> Row:
    """Cochran's Q, its p, and the moment estimate of tau2 (DerSimonian & Laird 1986)."""
    w, df = 1 / v, len(y) - 1
    q = float(w @ (y - w @ y / w.sum()) ** 2)
    tau2 = max(0.0, (q - df) / float(w.sum() - w @ w / w.sum()))
    return {"q": q, "df": df, "p": chi_square_p(q, df), "tau2_dl": tau2}


def _i2(tau2: float, v: Floats) -> float | None:
    """Percent of the variance that lies between sites (Higgins & Thompson 2002, eq. 9 and 10)."""
    w = 1 / v
    typical = (len(v) - 1) * w.sum() / (w.sum() ** 2 - w @ w) if len(v) > 1 else math.nan
    return None if math.isnan(typical) else float(100 * tau2 / (tau2 + typical))


def egger(y: Floats, v: Floats) -> Row:
    """Egger 1997 (BMJ 315:629): is y/se related to 1/se? The intercept with its t test, k-2 df."""
    if len(y) < 3 or np.ptp(v) == 0:
        return {"intercept": None, "se": None, "p": None, "note": "needs three unequal sites"}
    precision = 1 / np.sqrt(v)
    x = np.column_stack([np.ones_like(y), precision])
    coef = np.linalg.lstsq(x, y * precision, rcond=None)[0]
    spread = float(((y * precision - x @ coef) ** 2).sum()) / (len(y) - 2)
    se = math.sqrt(spread * np.linalg.inv(x.T @ x)[0, 0])
    p = 2 * float(special.stdtr(len(y) - 2, -abs(coef[0] / se)))
    return {"intercept": float(coef[0]), "se": se, "p": p}


def _t(df: int, level: float) -> float:
    return float(special.stdtrit(df, 0.5 + level / 2)) if df > 0 else math.nan


def _row(pooled: Pooled, quantile: float, t: float) -> Row:
    """As printed: estimate, interval, tau2, and the prediction interval with quantile t."""
    half, wide = quantile * pooled.se, t * math.sqrt(pooled.tau2 + pooled.se**2)
    ends = special.expit(pooled.mean + np.array([0, -half, half, -wide, wide])).tolist()
    row = dict(zip(("estimate", "lower", "upper"), ends[:3], strict=True))
    return {**row, "tau2": pooled.tau2, "prediction": None if math.isnan(t) else ends[3:]}


def _glmm_row(sites: Sequence[Site], level: float, fixed: bool = False) -> Row:
    """The GLMM, or all patients as one: Wald interval, prediction with k-2 df, I2 in percent."""
    pooled = logistic(sites) if fixed else logistic_mixed(sites)
    if pooled is None:
        n, events = (sum(part) for part in zip(*((s.n, s.events) for s in sites), strict=True))
        empty: Row = dict.fromkeys(("lower", "upper", "tau2", "prediction", "i2"))
        bound = none_seen(n, level) if events == 0 else None
        why = {0: "nobody died", n: "everybody died"}.get(events, "the sites are too unequal")
        row = {"estimate": events / n, **empty, "one_sided_upper": bound}
        return {**row, "note": f"no model: {why}"}
    row = _row(pooled, normal_quantile(level), _t(len(sites) - 2, level))
    return {**row, "i2": _i2(pooled.tau2, logits(sites)[1])}


def _reml_row(y: Floats, v: Floats, level: float) -> Row:
    pooled, t = reml(y, v), _t(len(y) - 1, level)
    return {**_row(pooled, t, t), "i2": _i2(pooled.tau2, v)}


def _check(sites: Sequence[Site]) -> list[str]:
    for site in sites:
        if not 0 <= site.events <= site.n or site.n == 0:
            what = f"'{site.study}' has {site.events} events among {site.n} patients."
            raise TableError(what, "Give n above 0 and events from 0 to n.")
    if len(sites) < 2:
        raise UsageError("Pooling needs at least two sites.", "Add another summary.")
    few = f"Only {len(sites)} sites: the differences between sites cannot be estimated well."
    return [few] if len(sites) < FEW_SITES else []


def _totals(sites: Sequence[Site]) -> Row:
    y, n = _counts(sites)
    return {"k": len(sites), "n": int(n.sum()), "events": int(y.sum())}


def pool(sites: Sequence[Site], level: float = 0.95) -> Row:
    """Pool proportions: GLMM, logit REML with Hartung-Knapp, heterogeneity, subgroups, Egger.

    Proportions ignore follow-up; where sites give incidences use `pool_horizon`.
    """
    warnings = _check(sites)
    y, v = logits(sites)
    return {
        **_totals(sites),
        "measure": "crude proportion: deaths over patients, whatever the follow-up",
        "level": level,
        "glmm": _glmm_row(sites, level),
        "reml_hk": _reml_row(y, v, level),
        "fixed": _glmm_row(sites, level, fixed=True),
        "heterogeneity": heterogeneity(y, v),
        "egger": egger(y, v),
        "subgroups": subgroups(sites, level),
        "between": between(sites),
        "sites": [_site_row(site, level) for site in sites],
        "warnings": warnings,
    }


def _site_row(site: Site, level: float) -> Row:
    lower, upper = wilson(site.events, site.n, level)
    row: Row = {"study": site.study, "subgroup": site.subgroup, "n": site.n, "events": site.events}
    return {**row, "estimate": site.events / site.n, "lower": lower, "upper": upper}


def _by_subgroup(sites: Sequence[Site]) -> dict[str, list[Site]]:
    names = sorted({s.subgroup for s in sites})
    return {name: [s for s in sites if s.subgroup == name] for name in names}


def subgroups(sites: Sequence[Site], level: float = 0.95) -> list[Row]:
    """The GLMM of each subgroup; empty when there is only one."""
    parts = _by_subgroup(sites)
    rows = [{"subgroup": k, **_totals(part), **_glmm_row(part, level)} for k, part in parts.items()]
    return rows if len(rows) > 1 else []


def between(sites: Sequence[Site]) -> Row | None:
    """Q between subgroups on the random model, each with its own tau2 (Borenstein 2009, ch. 19)."""
    fits = [logistic_mixed(part) for part in _by_subgroup(sites).values()]
    known = [fit for fit in fits if fit is not None]
    if len(known) < 2:
        return None
    found = heterogeneity(np.array([f.mean for f in known]), np.array([f.se**2 for f in known]))
    return {key: found[key] for key in ("q", "df", "p")}


def pool_horizon(sites: Sequence[Site], horizon: float, level: float = 0.95) -> Row:
    """Pool logits of incidences at one horizon by inverse variance, REML with Hartung-Knapp.

    Sites without an incidence strictly between 0 and 1, or without SE, are named in `left_out`.
    """
    usable = [s for s in sites if s.estimate is not None and 0 < s.estimate < 1 and s.se]
    if len(usable) < 2:
        what = f"Fewer than two sites have an incidence at {horizon:g}."
        raise UsageError(what, "Choose a horizon that the sites reached.")
    y, v = at_horizon(usable)
    return {
        "horizon": horizon,
        "scale": "logit",
        **_totals(usable),
        "reml_hk": _reml_row(y, v, level),
        "heterogeneity": heterogeneity(y, v),
        "sites": [{"study": s.study, "estimate": s.estimate, "se": s.se} for s in usable],
        "left_out": [s.study for s in sites if s not in usable],
        "warnings": _check(usable),
    }


def reproduced(row: dict[str, str], cohorts: Sequence[dict[str, str]]) -> Row:
    """A published row (percent, two decimals) beside the same row pooled from the cohorts.

    `agrees` says whether counts, estimate and limits are the printed ones; a limit that was not
    printed is not compared.
    """
    chosen = [
        Site(c["study"], int(c["n"]), int(c["events"]))
        for c in cohorts
        if all(row[key] in ("", c[key]) for key in ("entity", "setting", "product", "line"))
    ]
    fit, totals = _glmm_row(chosen, 0.95, fixed=row["model"] == "fixed"), _totals(chosen)
    exact = [fit[key] for key in ("estimate", "lower", "upper")]
    ours = [f"{100 * value:.2f}" for value in exact]
    theirs = [row[key] for key in ("percent", "lower", "upper")]
    same = all(b in ("", a) for a, b in zip(ours, theirs, strict=True))
    same &= [*totals.values()] == [int(row[key]) for key in ("cohorts", "n", "events")]
    values = {"published": theirs, "reproduced": ours, "exact": exact, "agrees": same}
    return {"label": row["label"], "cohorts": totals.pop("k"), **totals, **values}
