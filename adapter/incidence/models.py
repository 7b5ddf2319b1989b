"""Regression: Fine-Gray by our own code, cause-specific Cox and log-rank by statsmodels.

Fine & Gray 1999, JASA 94:496. Two conventions exist where a censoring ties with an event: `crr`
(as R cmprsk, SE with the censoring term) and `finegray` (as R survival, robust SE).
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from adapter.errors import TableError, UsageError
from adapter.incidence.risksets import Floats, FollowUp, Ints, time_grid
from adapter.intervals import chi_square_p, normal_quantile, number

Convention = Literal["crr", "finegray"]

# Newton: steps allowed, step that is small enough, gain that means a flat likelihood.
STEPS, SMALL, FLAT = 50, 1e-10, 1e-7
# An SE of the log hazard ratio over the range of a covariate that only separation can give.
WIDEST = 50.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Log hazard ratios `coef` and `se`, both (p,), one per name."""

    names: tuple[str, ...]
    coef: Floats
    se: Floats
    note: str

    def rows(self, level: float = 0.95) -> list[dict[str, Any]]:
        """One row per covariate: coefficient, SE, hazard ratio with Wald limits, p."""
        with np.errstate(all="ignore"):
            sides = normal_quantile(level) * np.array([[0.0], [-1.0], [1.0]])
            ratios = np.exp(self.coef + sides * self.se).T
            wald = (self.coef / self.se) ** 2
        keys = ("term", "coef", "se", "hazard_ratio", "lower", "upper", "p")
        return [
            dict(zip(keys, (name, *map(number, (b, s, *r)), chi_square_p(w, 1)), strict=True))
            for name, b, s, r, w in zip(self.names, self.coef, self.se, ratios, wald, strict=True)
        ]


def design(data: FollowUp) -> tuple[tuple[str, ...], Floats]:
    """Column names and matrix (n, p): one dummy per group after the first, then the covariates."""
    columns = {f"group {name}": (data.group == name).astype(float) for name in data.groups[1:]}
    columns |= data.covariates
    if not columns:
        raise UsageError("There is nothing to regress on.", "Give a group column or covariates.")
    return tuple(columns), np.column_stack(list(columns.values()))


class _Sorted(NamedTuple):
    """Patients in order of time, with the censoring weights that Fine and Gray need."""

    x: Floats  # (n, p) centred covariates
    place: Ints  # (n,) time of each patient as a place in the grid
    event: Floats  # (n,) 1 where the cause happened
    rival: Floats  # (n, 1) 1/G(T-) where another cause happened, else 0
    lost: Floats  # (n,) 1 where censored
    g_: Floats  # (grid, 1) censoring survival just before each time
    y: Floats  # (grid,) at risk
    jumps: Ints  # places with an event of the cause
    first: Ints  # first patient at each jump
    deaths: Floats  # events at each jump


def _sort(data: FollowUp, x: Floats, cause: int, convention: Convention) -> _Sorted:
    grid, place = time_grid(data.time)
    order = np.argsort(place, kind="stable")
    place, code = place[order], data.event[order]
    event, lost = (code == cause).astype(float), (code == 0).astype(float)
    leaving, gone, deaths = (
        np.bincount(place, weights, len(grid)).astype(float) for weights in (None, lost, event)
    )
    y = leaving[::-1].cumsum()[::-1]
    exposed = y if convention == "crr" else y - (leaving - gone)
    g = np.cumprod(1 - np.divide(gone, exposed, out=np.zeros_like(y), where=exposed > 0))
    g_ = np.concatenate([[1.0], g[:-1]])[:, None]
    other = ((code != 0) & (code != cause))[:, None]
    rival = np.divide(1.0, g_[place], out=np.zeros((data.n, 1)), where=other)
    jumps = np.flatnonzero(deaths).astype(np.int64)
    first = np.searchsorted(place, jumps).astype(np.int64)
    x = x[order] - x.mean(axis=0)
    return _Sorted(x, place, event, rival, lost, g_, y, jumps, first, deaths[jumps])


def _sums(values: Floats) -> Floats:
    """Running sums with a leading zero row, so that row i is the sum of the first i."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), values.cumsum(axis=0)])


def _moments(s: _Sorted, beta: Floats) -> tuple[float, Floats, Floats, Floats, Floats]:
    """Log-likelihood, score (p,), information (p, p), S0 (jumps,), mean covariates (jumps, p)."""
    p, risk = s.x.shape[1], np.exp(s.x @ beta)[:, None]
    squares = (s.x[:, :, None] * s.x[:, None, :]).reshape(-1, p * p)
    values = risk * np.hstack([np.ones_like(risk), s.x, squares])
    total = values[::-1].cumsum(axis=0)[::-1][s.first]
    total = total + s.g_[s.jumps] * _sums(values * s.rival)[s.first]
    s0, mean = total[:, 0], total[:, 1 : p + 1] / total[:, :1]
    spread = (total[:, p + 1 :] / total[:, :1]).reshape(-1, p, p)
    spread = spread - mean[:, :, None] * mean[:, None, :]
    loglik = float(s.event @ (s.x @ beta) - s.deaths @ np.log(s0))
    return loglik, s.event @ s.x - s.deaths @ mean, np.tensordot(s.deaths, spread, 1), s0, mean


def fine_gray(data: FollowUp, cause: int, convention: Convention = "crr") -> Fit:
    """Subdistribution log hazard ratios of one cause (Breslow ties) with sandwich SE.

    Raises TableError when the cause has no event or the covariates separate the events.
    """
    if data.entry is not None or data.strata is not None:
        raise UsageError("Fine-Gray here knows no late entry and no strata.", "Use the Cox model.")
    names, x = design(data)
    _needs_events(data, cause)
    s = _sort(data, x, cause, convention)
    beta = _newton(s)
    _, _, information, s0, mean = _moments(s, beta)
    influence = _scores(s, beta, s0, mean)
    if convention == "crr":
        influence = influence + _censoring(s, beta, s0, mean)
    influence = influence @ np.linalg.inv(information)
    return Fit(names, beta, np.sqrt((influence**2).sum(axis=0)), f"convention {convention}")


def _needs_events(data: FollowUp, cause: int) -> None:
    if not (data.event == cause).any():
        raise TableError(f"Cause {cause} has no event.", "Choose a cause that happened.")


def _newton(s: _Sorted) -> Floats:
    beta = np.zeros(s.x.shape[1])
    now = _moments(s, beta)
    for _ in range(STEPS):
        try:
            step = np.linalg.solve(now[2], now[1])
        except np.linalg.LinAlgError:
            break
        new = _moments(s, beta + step)
        while not new[0] >= now[0] - 1e-9 and np.abs(step).max() > SMALL:
            step = step / 2
            new = _moments(s, beta + step)
        gain, size = new[0] - now[0], np.abs(step).max()
        beta, now = beta + step, new
        if size < SMALL:
            return beta
        if gain < FLAT and size > 0.1:
            break  # the likelihood is flat along the step: a coefficient runs to infinity
    raise _no_fit("Fine-Gray")


def _no_fit(model: str) -> TableError:
    hint = "A covariate is constant, or separates who had the event: drop it or merge groups."
    return TableError(f"The {model} model does not converge.", hint)


def _scores(s: _Sorted, beta: Floats, s0: Floats, mean: Floats) -> Floats:
    """Each patient's score residual, also after a rival event; (n, p)."""
    step = (s.deaths / s0)[:, None]
    risk, seen = np.exp(s.x @ beta)[:, None], np.searchsorted(s.jumps, s.place, "right")
    eta = np.asarray(-risk * (s.x * _sums(step)[seen] - _sums(mean * step)[seen]))
    rest, rest_mean = _ahead(s, s0, mean)
    eta -= risk * s.rival * (s.x * rest[seen] - rest_mean[seen])
    own = s.event > 0
    eta[own] += s.x[own] - mean[seen[own] - 1]
    return eta


def _ahead(s: _Sorted, s0: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Sums over the jumps from the i-th on of G(t-)dL and of its product with the mean."""
    step = s.g_[s.jumps] * (s.deaths / s0)[:, None]
    total, total_mean = _sums(step), _sums(mean * step)
    return total[-1] - total, total_mean[-1] - total_mean


def _censoring(s: _Sorted, beta: Floats, s0: Floats, mean: Floats) -> Floats:
    """What estimating the censoring adds to each patient's influence; (n, p).

    The sums include the time itself: that reproduces crr to 1e-7 (other choices 2e-5 or worse).
    """
    rest, rest_mean = _ahead(s, s0, mean)
    weight, every = np.exp(s.x @ beta)[:, None] * s.rival, np.arange(len(s.y))
    first, ahead = np.searchsorted(s.place, every), np.searchsorted(s.jumps, every)
    y = np.maximum(s.y, 1.0)[:, None]
    q = _sums(weight * s.x)[first] * rest[ahead] - _sums(weight)[first] * rest_mean[ahead]
    lost = np.bincount(s.place, s.lost, len(s.y))[:, None]
    drift = np.cumsum(q * lost / y**2, axis=0)
    return np.asarray(s.lost[:, None] * (q / y)[s.place] - drift[s.place])


def _merged(data: FollowUp) -> tuple[Floats, Floats | None]:
    """Times and entries with near ties made exact, as statsmodels compares them bit by bit."""
    entry = np.empty(0) if data.entry is None else np.maximum(data.entry, 0.0)
    grid, place = time_grid(np.concatenate([data.time, entry]))
    times = grid[place]
    return times[: data.n], times[data.n :] if len(entry) else None


def cause_specific_cox(data: FollowUp, cause: int) -> Fit:
    """Cox model of one cause, other events censored (Efron ties; late entry and strata allowed)."""
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    names, x = design(data)
    _needs_events(data, cause)
    (time, entry), status = _merged(data), (data.event == cause).astype(int)
    model = PHReg(time, x, status, entry=entry, strata=data.strata, ties="efron")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # said below, in words that help
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fit = model.fit(disp=0)
        except (np.linalg.LinAlgError, ConvergenceWarning):
            raise _no_fit("Cox") from None
        coef, se = np.asarray(fit.params), np.asarray(fit.bse)
    if not (se * np.ptp(x, axis=0) < WIDEST).all():
        raise _no_fit("Cox")
    return Fit(names, coef, se, "Efron ties")


def log_rank(data: FollowUp, cause: int | None = None) -> dict[str, Any]:
    """Log-rank test between groups of one cause (others censored), or of any event when None."""
    from statsmodels.duration.survfunc import survdiff

    if data.group is None or data.entry is not None:
        raise UsageError("The log-rank test needs groups and knows no late entry.")
    happened = data.event == cause if cause else data.event > 0
    df = len(data.groups) - 1
    try:
        found = survdiff(_merged(data)[0], happened.astype(int), data.group, strata=data.strata)
    except np.linalg.LinAlgError:
        hint = "Compare groups that were under observation when something happened."
        raise TableError("The log-rank test has nothing to compare.", hint) from None
    statistic = float(found[0])
    return {"cause": cause, "statistic": statistic, "df": df, "p": chi_square_p(statistic, df)}
