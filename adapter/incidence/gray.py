"""Gray's test: do groups differ in the cumulative incidence of one cause?

Gray 1988, Ann Stat 16:1141. Symbols: Y at risk, S all-cause survival, F incidence of the cause,
d1 its events, d2 the others; a trailing `_` means just before the time. Arrays are (times, groups).
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter.incidence.risksets import Floats, FollowUp, time_grid
from adapter.intervals import chi_square_p

# No p from fewer events than this in all: the chi-square approximation is not to be trusted.
FEW_EVENTS = 5


def gray_test(data: FollowUp, cause: int, rho: float = 0.0) -> dict[str, Any]:
    """Chi-square of Gray's test over the groups of `data`, stratified when it has strata.

    `statistic` and `p` are None with a `note` when they cannot or should not be computed.
    """
    names, events = data.groups, int((data.event == cause).sum())
    answer = {"cause": cause, "statistic": None, "df": len(names) - 1, "p": None, "events": events}
    if len(names) < 2:
        return {**answer, "note": "not computed: fewer than two groups"}
    if data.entry is not None:
        return {**answer, "note": "not computed: the test does not cover late entry"}
    if not events:
        return {**answer, "note": "not computed: the cause has no event"}
    statistic = _statistic(data, names, cause, rho)
    if statistic is None:
        return {**answer, "note": "not computed: the groups share no time at risk"}
    if events < FEW_EVENTS:
        note = f"no p below {FEW_EVENTS} events in all"
        return {**answer, "statistic": statistic, "note": note}
    return {**answer, "statistic": statistic, "p": chi_square_p(statistic, len(names) - 1)}


def _statistic(data: FollowUp, names: NDArray[np.str_], cause: int, rho: float) -> float | None:
    u, v = np.zeros(len(names)), np.zeros((len(names), len(names)))
    strata = data.strata if data.strata is not None else np.zeros(data.n, int)
    for stratum in np.unique(strata):
        score, variance = _score(data.where(strata == stratum), names, cause, rho)
        u, v = u + score, v + variance
    try:
        return float(u[1:] @ np.linalg.solve(v[1:, 1:], u[1:]))
    except np.linalg.LinAlgError:
        return None


def _counts(data: FollowUp, names: NDArray[np.str_], cause: int) -> tuple[Floats, Floats, Floats]:
    """Y, d1, d2 of shape (times, groups) at the times of events."""
    grid, place = time_grid(data.time)
    group = np.searchsorted(names, np.asarray(data.group))
    kind = np.where(data.event == 0, 0, np.where(data.event == cause, 1, 2))
    key = (place * len(names) + group) * 3 + kind
    size = len(grid) * len(names) * 3
    table = np.bincount(key, minlength=size).reshape(len(grid), len(names), 3).astype(float)
    y = table.sum(axis=2)[::-1].cumsum(axis=0)[::-1]
    some = table[:, :, 1:].sum(axis=(1, 2)) > 0
    return y[some], table[some, :, 1], table[some, :, 2]


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """top/bottom, and 0 where bottom is not positive."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.asarray(np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0))


def _lag(values: Floats, first: float) -> Floats:
    return np.concatenate([np.full((1, *values.shape[1:]), first), values[:-1]])


def _score(
    data: FollowUp, names: NDArray[np.str_], cause: int, rho: float
) -> tuple[Floats, Floats]:
    """Scores U (groups,) and their covariance V (groups, groups) in one stratum."""
    y, d1, d2 = _counts(data, names, cause)
    s = np.asarray(np.cumprod(1 - _ratio(d1 + d2, y), axis=0))
    s_ = _lag(s, 1.0)
    f_ = _lag(np.cumsum(s_ * _ratio(d1, y), axis=0), 0.0)
    a = _ratio(y, s_)
    r = a * (1 - f_)
    total, events = (np.asarray(part.sum(axis=1, keepdims=True)) for part in (a, d1))
    f0 = np.cumsum(_ratio(events, total), axis=0)
    free_ = 1 - _lag(f0, 0.0)
    weight = np.maximum(free_, 0.0) ** rho
    u = (weight * (d1 - events * r / r.sum(axis=1, keepdims=True))).sum(axis=0)

    same = np.eye(len(names))
    big_a = (weight * a)[:, None, :] * (same - (a / total)[:, :, None])  # (times, g, k)
    c = np.cumsum(big_a * _ratio(events, total * free_)[:, :, None], axis=0)
    rest = c[-1:] - c if len(c) else c
    left = _ratio(1 - f0, s)
    b1, b2 = np.where(s > 0, 1 - left, 1.0), left
    tie1 = np.where(total * s_ > 1, 1 - _ratio(events - 1, total * s_ - 1), 1.0)
    tie2 = np.where(y > 1, 1 - _ratio(d2 - 1, y - 1), 1.0)
    s1 = s_ * _ratio(events, total * y) * tie1
    s2 = s_**2 * _ratio(d2, y**2) * tie2
    x = big_a + b1[:, None, :] * rest
    z = b2[:, None, :] * rest
    v = np.einsum("igk,ik,ihk->gh", x, s1, x) + np.einsum("igk,ik,ihk->gh", z, s2, z)
    return u, v


def pairwise_gray(data: FollowUp, cause: int, rho: float = 0.0) -> list[dict[str, Any]]:
    """Gray's test of each pair of groups, p adjusted after Holm 1979 (Scand J Stat 6:65)."""
    rows = []
    for one, other in combinations(data.groups, 2):
        pair = data.where(np.isin(np.asarray(data.group), [one, other]))
        rows.append({"groups": [str(one), str(other)], **gray_test(pair, cause, rho)})
    tested = sorted((row for row in rows if row["p"] is not None), key=lambda row: row["p"])
    running = 0.0
    for rank, row in enumerate(tested):
        running = max(running, min(1.0, row["p"] * (len(tested) - rank)))
        row["p_holm"] = running
    return rows
