"""lifelines and scikit-survival on one table of patients, timed by themselves.

    python -m benchmarks.peers.statistics TABLE.npz [TOOL ...]

Runs in the peers' own environment and imports nothing of cart-nrm: the tables come as arrays
`time`, `event` and `at` in a file, the answer leaves as one line of JSON, for each tool `version`,
`seconds` (CPU), `what` it does more or less than cart-nrm and `result`, [estimate, lower, upper]
at each of `at`; or `failed`. (scikit-survival is GPL-3: it is measured, never part of cart-nrm.)
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

CAUSE = 2
# scikit-survival compares all pairs of distinct times: 4 GB at 10,000 of them.
MOST_TIMES = 4_000
WARM_UP = 300  # rows, so that what loads on the first call is not timed


def lifelines_incidence(times: Any, events: Any) -> Any:
    """Curve, Greenwood variance and log-log limits of one cause."""
    from lifelines import AalenJohansenFitter

    fit = AalenJohansenFitter(seed=0).fit(times, events, CAUSE)
    # Sorted, because in 0.30.3 the column called upper holds the lower limit.
    limits = np.sort(fit.confidence_interval_.to_numpy(), axis=1).T
    return fit.cumulative_density_.index.to_numpy(), fit.cumulative_density_.iloc[:, 0], *limits


def lifelines_survival(times: Any, events: Any) -> Any:
    """Kaplan-Meier of any event, with log-log limits."""
    from lifelines import KaplanMeierFitter

    fit = KaplanMeierFitter().fit(times, events > 0)
    curve, limits = fit.survival_function_, fit.confidence_interval_.to_numpy().T
    return curve.index.to_numpy(), curve.iloc[:, 0], *limits


def sksurv_incidence(times: Any, events: Any) -> Any:
    """Curves, Aalen variance and log-log limits of all causes."""
    from sksurv.nonparametric import cumulative_incidence_competing_risks

    if len(np.unique(times)) > MOST_TIMES:
        raise MemoryError("memory grows with the square of the distinct times: 4 GB at 10,000")
    at, curves, limits = cumulative_incidence_competing_risks(events, times, conf_type="log-log")
    return at, curves[CAUSE], *limits[CAUSE]


def sksurv_survival(times: Any, events: Any) -> Any:
    """Kaplan-Meier of any event, with log-log limits."""
    from sksurv.nonparametric import kaplan_meier_estimator

    at, curve, limits = kaplan_meier_estimator(events > 0, times, conf_type="log-log")
    return at, curve, *limits


# Name of the tool: its package, what it is asked for, what it does more or less.
TOOLS: dict[str, tuple[str, Callable[[Any, Any], Any], str]] = {
    "lifelines AalenJohansenFitter": (
        "lifelines", lifelines_incidence,
        "one cause; takes late entry and weights; once some patient alone has an event tied with "
        "another cause it moves all tied times at random (documented; wrong for days)",
    ),
    "lifelines KaplanMeierFitter": (
        "lifelines", lifelines_survival, "survival alone; takes late entry and weights",
    ),
    "scikit-survival cumulative_incidence": (
        "scikit-survival", sksurv_incidence,
        "all causes; no late entry, and memory in the square of the distinct times",
    ),
    "scikit-survival kaplan_meier_estimator": (
        "scikit-survival", sksurv_survival, "survival alone; takes late entry",
    ),
}  # fmt: skip


def measured(name: str, table: Any) -> dict[str, Any]:
    """Ask one tool once."""
    package, ask, what = TOOLS[name]
    said = {"version": version(package), "what": what}
    times, events, at = (table[column] for column in ("time", "event", "at"))
    try:
        ask(times[:WARM_UP], events[:WARM_UP])
        start = time.process_time()
        steps, *curves = ask(times, events)
        spent = time.process_time() - start
    except (ImportError, MemoryError) as problem:
        return {**said, "failed": str(problem)}
    rows = np.searchsorted(steps, at, "right") - 1
    result = np.column_stack([np.asarray(curve, float)[rows] for curve in curves])
    return {**said, "seconds": spent, "result": result.tolist()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    table = np.load(sys.argv[1])
    sys.stdout.write(json.dumps({name: measured(name, table) for name in sys.argv[2:] or TOOLS}))
