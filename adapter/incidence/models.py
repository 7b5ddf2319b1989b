"""Regression: Fine-Gray by our own code, cause-specific Cox and log-rank by statsmodels.

Fine & Gray 1999, JASA 94:496. Two conventions exist where a censoring ties with an event: `crr`
(as R cmprsk, SE with the censoring term) and `finegray` (as R survival, robust SE).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from adapter.errors import TableError, UsageError
from adapter.incidence.risksets import Floats, FollowUp, Ints, time_grid
from adapter.intervals import chi_square_p, normal_quantile, number

Convention = Literal["crr", "finegray"]

NEWTON_STEPS, NEWTON_GOAL, FLAT = 50, 1e-10, 1e-7


@dataclass(frozen=True, slots=True)
class Fit:
    """Log hazard ratios `coef` and `se`, both (p,), one per name."""

    names: tuple[str, ...]
    coef: Floats
    se: Floats
    note: str = ""

    def rows(self, level: float = 0.95) -> list[dict[str, Any]]:
        """One row per covariate: coefficient, SE, hazard ratio with Wald limits, p."""
        z = normal_quantile(level)
        return [
            {
                "term": name,
                "coef": b,
                "se": s,
                "hazard_ratio": number(np.exp(b)),
                "lower": number(np.exp(b - z * s)),
                "upper": number(np.exp(b + z * s)),
                "p": chi_square_p((b / s) ** 2, 1) if s > 0 else None,
            }
            for name, b, s in zip(self.names, self.coef.tolist(), self.se.tolist(), strict=True)
        ]


def design(data: FollowUp) -> tuple[tuple[str, ...], Floats]:
    """Column names and matrix (n, p): one dummy per group after the first, then the covariates."""
    columns: dict[str, Floats] = {}
    if data.group is not None:
        for name in np.unique(data.group)[1:]:
            columns[f"group {name}"] = (data.group == name).astype(float)
    columns.update(data.covariates)
    if not columns:
        raise UsageError("There is nothing to regress on.", "Give a group column or covariates.")
    return tuple(columns), np.column_stack(list(columns.values()))


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Patients in order of time, with the censoring weights that Fine and Gray need."""

    x: Floats  # (n, p) centred covariates
    place: Ints  # (n,) time of each patient as a place in the grid
    event: Floats  # (n,) 1 where the cause happened
    rival: Floats  # (n,) 1/G(T-) where another cause happened, else 0
    censored: Floats
    g_: Floats  # (grid,) censoring survival just before each time
    y: Floats  # (grid,) at risk
    jumps: Ints  # places with an event of the cause
    first: Ints  # first patient at each jump
    deaths: Floats  # events at each jump


def _sort(data: FollowUp, x: Floats, cause: int, convention: Convention) -> _Sorted:
    grid, place = time_grid(data.time)
    order = np.argsort(place, kind="stable")
    place, code = place[order], data.event[order]
    own, censored = (code == cause).astype(float), (code == 0).astype(float)
    leaving = np.bincount(place, minlength=len(grid)).astype(float)
    lost = np.bincount(place, weights=censored, minlength=len(grid))
    y = leaving[::-1].cumsum()[::-1]
    exposed = y if convention == "crr" else y - (leaving - lost)
    g = np.cumprod(1 - np.divide(lost, exposed, out=np.zeros_like(y), where=exposed > 0))
    g_ = np.concatenate([[1.0], g[:-1]])
    rival = np.where((code != 0) & (code != cause), 1 / np.maximum(g_[place], 1e-300), 0.0)
    deaths = np.bincount(place, weights=own, minlength=len(grid)).astype(float)
    jumps = np.flatnonzero(deaths)
    first = np.searchsorted(place, jumps, "left").astype(np.int64)
    return _Sorted(
        x[order] - x.mean(axis=0), place, own, rival, censored, g_, y, jumps, first, deaths[jumps]
    )


def _suffix(values: Floats) -> Floats:
    return np.asarray(values[::-1].cumsum(axis=0)[::-1])


def _from_zero(values: Floats) -> Floats:
    """Running sums with a leading zero row, so that row i is the sum of the first i."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), values.cumsum(axis=0)])


def _weighted_sums(s: _Sorted, values: Floats) -> Floats:
    """Sum of `values` over the weighted risk set at each jump; values (n, q) -> (jumps, q)."""
    return (
        _suffix(values)[s.first]
        + s.g_[s.jumps, None] * _from_zero(values * s.rival[:, None])[s.first]
    )


def _moments(s: _Sorted, beta: Floats) -> tuple[float, Floats, Floats, Floats, Floats]:
    """Log-likelihood, score (p,), information (p, p), S0 (jumps,), mean covariates (jumps, p)."""
    p = s.x.shape[1]
    risk = np.exp(s.x @ beta)[:, None]
    squares = (s.x[:, :, None] * s.x[:, None, :]).reshape(-1, p * p)
    sums = _weighted_sums(s, risk * np.hstack([np.ones_like(risk), s.x, squares]))
    s0, mean = sums[:, 0], sums[:, 1 : p + 1] / sums[:, :1]
    spread = (sums[:, p + 1 :] / sums[:, :1]).reshape(-1, p, p)
    spread = spread - mean[:, :, None] * mean[:, None, :]
    loglik = float(s.event @ (s.x @ beta) - s.deaths @ np.log(s0))
    score = s.event @ s.x - s.deaths @ mean
    return loglik, score, np.tensordot(s.deaths, spread, 1), s0, mean


def fine_gray(data: FollowUp, cause: int, convention: Convention = "crr") -> Fit:
    """Subdistribution log hazard ratios of one cause (Breslow ties) with sandwich SE.

    Raises TableError when the cause has no event or the covariates separate the events.
    """
    if data.entry is not None or data.strata is not None:
        raise UsageError("Fine-Gray here knows no late entry and no strata.", "Use the Cox model.")
    names, x = design(data)
    s = _sort(data, x, cause, convention)
    if not len(s.jumps):
        raise TableError(f"Cause {cause} has no event.", "Choose a cause that happened.")
    beta = _newton(s)
    _, _, information, s0, mean = _moments(s, beta)
    inverse = np.linalg.inv(information)
    influence = _influence(s, beta, s0, mean, with_censoring=convention == "crr") @ inverse
    return Fit(names, beta, np.sqrt((influence**2).sum(axis=0)), f"convention {convention}")


def _newton(s: _Sorted) -> Floats:
    beta = np.zeros(s.x.shape[1])
    loglik, score, information, _, _ = _moments(s, beta)
    for _ in range(NEWTON_STEPS):
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            break
        new = _moments(s, beta + step)
        while not new[0] >= loglik - 1e-9 and np.abs(step).max() > NEWTON_GOAL:
            step = step / 2
            new = _moments(s, beta + step)
        gain = new[0] - loglik
        beta, (loglik, score, information, _, _) = beta + step, new
        if np.abs(step).max() < NEWTON_GOAL:
            return beta
        if gain < FLAT and np.abs(step).max() > 0.1:
            break  # the likelihood is flat along the step: a coefficient runs to infinity
    hint = "A covariate is constant, or separates who had the event: drop it or merge groups."
    raise TableError("The Fine-Gray model does not converge.", hint)


def _influence(s: _Sorted, beta: Floats, s0: Floats, mean: Floats, with_censoring: bool) -> Floats:
    """Each patient's score residual, plus what estimating the censoring adds; (n, p)."""
    step = (s.deaths / s0)[:, None]
    later = s.g_[s.jumps, None] * step
    risk = np.exp(s.x @ beta)[:, None]
    seen = np.searchsorted(s.jumps, s.place, "right")
    until, until_mean = _from_zero(step)[seen], _from_zero(mean * step)[seen]
    after, after_mean = _from_zero(later), _from_zero(mean * later)
    rest, rest_mean = after[-1] - after, after_mean[-1] - after_mean
    eta: Floats = -risk * (s.x * until - until_mean)
    eta = eta - risk * s.rival[:, None] * (s.x * rest[seen] - rest_mean[seen])
    own = s.event > 0
    eta[own] += s.x[own] - mean[seen[own] - 1]
    if not with_censoring:
        return eta
    # The sums include the time itself: that is what reproduces crr to 1e-7 (other choices 1e-5).
    weight = risk * s.rival[:, None]
    first = np.searchsorted(s.place, np.arange(len(s.y)), "left")
    ahead = np.searchsorted(s.jumps, np.arange(len(s.y)), "left")
    q = _from_zero(weight * s.x)[first] * rest[ahead]
    q = (q - _from_zero(weight)[first] * rest_mean[ahead]) / np.maximum(s.y, 1.0)[:, None]
    lost = np.bincount(s.place, weights=s.censored, minlength=len(s.y))
    drift = np.cumsum(q * (lost / np.maximum(s.y, 1.0))[:, None], axis=0)
    return np.asarray(eta + s.censored[:, None] * q[s.place] - drift[s.place])


def _merged(data: FollowUp) -> tuple[Floats, Floats | None]:
    """Times and entries with near ties made exact, as statsmodels compares them bit by bit."""
    if data.entry is None:
        grid, place = time_grid(data.time)
        return grid[place], None
    grid, place = time_grid(np.concatenate([data.time, np.maximum(data.entry, 0.0)]))
    return grid[place[: data.n]], grid[place[data.n :]]


def cause_specific_cox(data: FollowUp, cause: int) -> Fit:
    """Cox model of one cause, other events censored (Efron ties; late entry and strata allowed)."""
    from statsmodels.duration.hazard_regression import PHReg

    names, x = design(data)
    if not (data.event == cause).any():
        raise TableError(f"Cause {cause} has no event.", "Choose a cause that happened.")
    time, entry = _merged(data)
    model = PHReg(
        time,
        x,
        (data.event == cause).astype(int),
        entry=entry,
        strata=data.strata,
        ties="efron",
    )
    fit = model.fit(disp=0)
    return Fit(names, np.asarray(fit.params), np.asarray(fit.bse), "Efron ties")


def log_rank(data: FollowUp, cause: int | None = None) -> dict[str, Any]:
    """Log-rank test between groups of one cause (others censored), or of any event when None."""
    from statsmodels.duration.survfunc import survdiff

    if data.group is None or data.entry is not None:
        raise UsageError("The log-rank test needs groups and knows no late entry.")
    status = (data.event == cause if cause else data.event > 0).astype(int)
    statistic, _ = survdiff(_merged(data)[0], status, data.group, strata=data.strata)
    df = len(np.unique(data.group)) - 1
    p = chi_square_p(float(statistic), df)
    return {"cause": cause, "statistic": float(statistic), "df": df, "p": p}
