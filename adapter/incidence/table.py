"""Everything `cart-nrm incidence` says about one table of patients, ready for JSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from adapter.errors import CartNrmError
from adapter.incidence import curves as cv
from adapter.incidence.gray import gray_test, pairwise_gray
from adapter.incidence.models import cause_specific_cox, fine_gray, log_rank
from adapter.incidence.risksets import MANY_CAUSES, FollowUp, RiskSets, count, risk_table
from adapter.intervals import Conf, limits, number

Row = dict[str, Any]

NOT_RECORDED = "not recorded"  # the group of those who have none
# Codes that registries write for "missing" (CIBMTR public data sets use 99).
MISSING_CODES = (98, 99, 998, 999)


@dataclass(frozen=True, slots=True)
class Options:
    """What to print: horizons in the unit of the times, variance, interval, rho of Gray's test.

    `early_day` splits early from late events (DESCAR-T: 28); `models` adds regression, which
    loads statsmodels and is slow to start.
    """

    at: tuple[float, ...] = (30.0, 100.0, 365.0)
    variance: cv.Variance = "greenwood"
    conf: Conf = "log-log"
    level: float = 0.95
    rho: float = 0.0
    early_day: float = 28.0
    models: bool = False


class _Group(NamedTuple):
    """One group of patients with its counts and curves."""

    name: str | None
    sets: RiskSets
    curves: dict[int, cv.Curve]
    survival: cv.Curve


def incidence_of_table(data: FollowUp, options: Options | None = None) -> Row:
    """Curves, survival, tests, crude rates and risk tables of one table of patients.

    Every cause that occurs anywhere is given for every group, also where it never happened (a
    flat 0). Values past a group's last follow-up are None.
    """
    o = options or Options()
    causes = _causes(data)
    groups = [_group(name, part, causes, o) for name, part in data.by_group() if part.n]
    return {
        "n": data.n,
        "events": {str(c): sum(int(g.sets.column(c).sum()) for g in groups) for c in causes},
        "variance": o.variance,
        "conf": o.conf,
        "level": o.level,
        "curves": [_curve(group, cause, o) for group in groups for cause in causes],
        "survival": [_survival(group, o) for group in groups],
        "followup": [_reverse(group, o) for group in groups],
        "risk_table": [{"group": g.name, "rows": risk_table(g.sets, o.at)} for g in groups],
        "rates": [_rates(group, cause, o) for group in groups for cause in causes],
        **_tests(data, causes, o),
        "warnings": [*_left_out(data), *_warnings(groups, causes)],
    }


def _group(name: str | None, data: FollowUp, causes: tuple[int, ...], o: Options) -> _Group:
    """Count and estimate; event-free survival and all incidences must add up to 1 at every time."""
    sets = count(data, causes)
    curves = {cause: cv.cumulative_incidence(sets, cause, o.variance) for cause in causes}
    free = cv.survival(sets)
    total = sum((curve.estimate for curve in curves.values()), free.estimate)
    if not np.allclose(total, 1.0, rtol=0, atol=1e-9):
        raise AssertionError("survival and incidences do not add up to 1")
    return _Group(name, sets, curves, free)


def _causes(data: FollowUp) -> tuple[int, ...]:
    highest = int(data.event.max(initial=1))
    if highest <= MANY_CAUSES:
        return tuple(range(1, highest + 1))
    return tuple(int(code) for code in np.unique(data.event) if code > 0)


def _point(curve: cv.Curve, sets: RiskSets, t: float, conf: Conf, level: float) -> Row:
    estimate, se = curve.at(t)
    values = map(number, (estimate, se, *map(float, limits(estimate, se, conf, level))))
    row = dict(zip(("estimate", "se", "lower", "upper"), values, strict=True))
    return {"time": t, **row, "at_risk": sets.at_risk_at(t)}


def _curve(group: _Group, cause: int, o: Options) -> Row:
    points = [_point(group.curves[cause], group.sets, t, o.conf, o.level) for t in o.at]
    for point in points:
        if point["estimate"] == 0:
            point["one_sided_upper"] = cv.upper_bound(group.sets, point["time"], o.level)
    return {"group": group.name, "cause": cause, "at": points}


def _survival(group: _Group, o: Options) -> Row:
    points = [_point(group.survival, group.sets, t, "log-log", o.level) for t in o.at]
    return {"group": group.name, "at": points, **cv.median(group.survival, o.level)}


def _reverse(group: _Group, o: Options) -> Row:
    middle = cv.median(cv.survival(group.sets, "censored"), o.level)
    return {"group": group.name, "method": "reverse Kaplan-Meier", **middle}


def _rates(group: _Group, cause: int, o: Options) -> Row:
    crude = cv.crude(group.sets, cause, o.level)
    density = cv.density(crude["events"], cv.patient_days(group.sets), o.level)
    split = cv.early_late(group.sets, cause, o.early_day, o.level)
    rates = {"crude": crude, "density": density, "early_late": split}
    return {"group": group.name, "cause": cause, **rates}


def _tests(data: FollowUp, causes: tuple[int, ...], o: Options) -> Row:
    """Whoever has no group is no group to compare with: left out here, as R does, and said so."""
    if data.group is not None:
        data = data.where(data.group != NOT_RECORDED)
    groups = len(data.groups)
    gray = [gray_test(data, cause, o.rho) for cause in causes if groups >= 2]
    pairs = [row for c in causes if groups >= 3 for row in pairwise_gray(data, c, o.rho)]
    answer: Row = {"gray": gray, "gray_pairwise": pairs}
    return {**answer, "models": [_models(data, c) for c in causes]} if o.models else answer


def _models(data: FollowUp, cause: int) -> Row:
    """All regressions of one cause; what cannot be fitted says why in its place."""
    calls: dict[str, Callable[[], Any]] = {
        "fine_gray": lambda: fine_gray(data, cause).rows(),
        "fine_gray_finegray": lambda: fine_gray(data, cause, "finegray").rows(),
        "cause_specific_cox": lambda: cause_specific_cox(data, cause).rows(),
        "log_rank": lambda: log_rank(data, cause),
    }
    answer: Row = {"cause": cause}
    for name, call in calls.items():
        try:
            answer[name] = call()
        except CartNrmError as error:
            answer[name] = {"note": str(error)}
    return answer


def _left_out(data: FollowUp) -> Iterator[str]:
    left = 0 if data.group is None else int((data.group == NOT_RECORDED).sum())
    if left:
        yield f"{left} without a recorded group: in the curves, not in the tests and models."


def _warnings(groups: list[_Group], causes: tuple[int, ...]) -> Iterator[str]:
    """Codes that may mean "missing"; risk sets that events emptied while others had to enter."""
    for code in set(causes).intersection(MISSING_CODES):
        yield f"Event code {code} often means 'missing': is it a cause here?"
    for name, sets, *_ in groups:
        emptied = sets.times[:-1][sets.at_risk[:-1] == sets.events[:-1].sum(axis=1)]
        who = "" if name is None else f" of group {name}"
        for t in emptied[:1]:
            yield (
                f"All at risk{who} had an event at time {t:g}, before others entered: from then "
                "on the curves are flat. Start at a later landmark."
            )
