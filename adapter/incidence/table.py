"""Everything `cart-nrm incidence` says about one table of patients, ready for JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.errors import CartNrmError
from adapter.incidence.curves import (
    Curve,
    Variance,
    crude,
    cumulative_incidence,
    density,
    early_late,
    median,
    patient_days,
    survival,
    upper_bound,
)
from adapter.incidence.gray import gray_test, pairwise_gray
from adapter.incidence.models import cause_specific_cox, fine_gray, log_rank
from adapter.incidence.risksets import MANY_CAUSES, FollowUp, RiskSets, count, risk_table
from adapter.intervals import Conf, limits, number

# Codes that registries write for "missing" (CIBMTR public data sets use 99).
MISSING_CODES = (98, 99, 998, 999)


@dataclass(frozen=True, slots=True)
class Options:
    """What to print: horizons in the unit of the times, variance, interval, rho of Gray's test.

    `early_day` splits early from late events (DESCAR-T: 28); `models` adds regression, which
    loads statsmodels and is slow to start.
    """

    at: tuple[float, ...] = (30.0, 100.0, 365.0)
    variance: Variance = "greenwood"
    conf: Conf = "log-log"
    level: float = 0.95
    rho: float = 0.0
    early_day: float = 28.0
    models: bool = False


def incidence_of_table(data: FollowUp, options: Options | None = None) -> dict[str, Any]:
    """Curves, survival, tests, crude rates and risk tables of one table of patients.

    Every cause that occurs anywhere is given for every group, also where it never happened (a
    flat 0). Values past a group's last follow-up are None.
    """
    options = options or Options()
    causes = _causes(data)
    groups = [(name, part, count(part, causes)) for name, part in data.by_group() if part.n]
    for _, _, sets in groups:
        assert_identity(sets)
    return {
        "n": data.n,
        "events": {str(cause): int((data.event == cause).sum()) for cause in causes},
        "variance": options.variance,
        "conf": options.conf,
        "level": options.level,
        "curves": [
            _curve_row(name, sets, cause, options) for name, _, sets in groups for cause in causes
        ],
        "survival": [_survival_row(name, sets, options) for name, _, sets in groups],
        "followup": [_followup_row(name, sets, options) for name, _, sets in groups],
        "risk_table": [
            {"group": name, "rows": risk_table(sets, options.at)} for name, _, sets in groups
        ],
        "rates": [
            _rates(name, part, cause, options) for name, part, _ in groups for cause in causes
        ],
        **_tests(data, causes, options),
        "warnings": _warnings(causes, groups),
    }


def assert_identity(sets: RiskSets) -> None:
    """Event-free survival and the incidences of all causes add up to 1 at every time."""
    total = survival(sets).estimate
    for cause in sets.causes:
        total = total + cumulative_incidence(sets, cause).estimate
    if not np.allclose(total, 1.0, rtol=0, atol=1e-9):
        raise AssertionError("survival and incidences do not add up to 1")


def _causes(data: FollowUp) -> tuple[int, ...]:
    seen = [int(code) for code in np.unique(data.event) if code > 0]
    highest = max(seen, default=1)
    return tuple(seen) if highest > MANY_CAUSES else tuple(range(1, highest + 1))


def _points(curve: Curve, sets: RiskSets, options: Options, conf: Conf) -> list[dict[str, Any]]:
    rows = []
    for t in options.at:
        estimate, se = curve.at(t)
        lower, upper = limits(estimate, se, conf, options.level)
        row = {"estimate": estimate, "se": se, "lower": float(lower), "upper": float(upper)}
        rows.append(
            {
                "time": t,
                **{key: number(value) for key, value in row.items()},
                "at_risk": sets.at_risk_at(t),
            }
        )
    return rows


def _curve_row(group: str | None, sets: RiskSets, cause: int, options: Options) -> dict[str, Any]:
    curve = cumulative_incidence(sets, cause, options.variance)
    points = _points(curve, sets, options, options.conf)
    for point in points:
        if point["estimate"] == 0:
            point["one_sided_upper"] = upper_bound(sets, point["time"], options.level)
    return {"group": group, "cause": cause, "at": points}


def _survival_row(group: str | None, sets: RiskSets, options: Options) -> dict[str, Any]:
    curve = survival(sets)
    points = _points(curve, sets, options, "log-log")
    return {"group": group, "at": points, **median(curve, options.level)}


def _followup_row(group: str | None, sets: RiskSets, options: Options) -> dict[str, Any]:
    reverse = median(survival(sets, "censored"), options.level)
    return {"group": group, "method": "reverse Kaplan-Meier", **reverse}


def _rates(group: str | None, data: FollowUp, cause: int, options: Options) -> dict[str, Any]:
    plain = crude(data, cause, options.level)
    return {
        "group": group,
        "cause": cause,
        "crude": plain,
        "density": density(plain["events"], patient_days(data), options.level),
        "early_late": early_late(data, cause, options.early_day, options.level),
    }


def _tests(data: FollowUp, causes: tuple[int, ...], options: Options) -> dict[str, Any]:
    answer: dict[str, Any] = {"gray": [], "gray_pairwise": []}
    groups = 0 if data.group is None else len(np.unique(data.group))
    if groups >= 2:
        answer["gray"] = [gray_test(data, cause, options.rho) for cause in causes]
    if groups >= 3:
        answer["gray_pairwise"] = [
            row for cause in causes for row in pairwise_gray(data, cause, options.rho)
        ]
    if options.models:
        answer["models"] = [_models(data, cause) for cause in causes]
    return answer


def _models(data: FollowUp, cause: int) -> dict[str, Any]:
    """All regressions of one cause; what cannot be fitted says why in its place."""
    calls: Mapping[str, Any] = {
        "fine_gray": lambda: fine_gray(data, cause).rows(),
        "fine_gray_finegray": lambda: fine_gray(data, cause, "finegray").rows(),
        "cause_specific_cox": lambda: cause_specific_cox(data, cause).rows(),
        "log_rank": lambda: log_rank(data, cause),
    }
    answer: dict[str, Any] = {"cause": cause}
    for name, call in calls.items():
        try:
            answer[name] = call()
        except CartNrmError as error:
            answer[name] = {"note": str(error)}
    return answer


def _warnings(
    causes: tuple[int, ...], groups: list[tuple[str | None, FollowUp, RiskSets]]
) -> list[str]:
    warnings = [
        f"Event code {cause} often means 'missing': is it a cause here?"
        for cause in causes
        if cause in MISSING_CODES
    ]
    for name, _, sets in groups:
        emptied = sets.times[:-1][sets.at_risk[:-1] == sets.events[:-1].sum(axis=1)]
        if len(emptied):
            who = "" if name is None else f" of group {name}"
            warnings.append(
                f"All at risk{who} had an event at time {emptied[0]:g}, before others entered: "
                "from then on the curves are flat. Start at a later landmark."
            )
    return warnings
