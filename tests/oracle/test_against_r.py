"""Our estimators against R: survival, cmprsk, etm and metafor, called as black boxes."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from adapter.errors import TableError
from adapter.incidence import (
    FollowUp,
    cause_specific_cox,
    count,
    cumulative_incidence,
    fine_gray,
    gray_test,
    log_rank,
    median,
    survival,
)
from adapter.incidence.models import Convention, Fit
from adapter.intervals import limits
from adapter.pooling import Site, egger, heterogeneity, logistic_mixed, logits, pool, reml

from .data_sets import DATA_SETS, DataSet

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent.parent / "mappings" / "benchmarks"
PACKAGES = ("survival", "cmprsk", "etm", "metafor", "lme4", "jsonlite")


@cache
def missing_r() -> str:
    """Why R cannot be asked; empty when it can."""
    if not shutil.which("Rscript"):
        return "Rscript is not installed"
    names = ", ".join(f"'{name}'" for name in PACKAGES)
    code = f"cat(Filter(function(p) !requireNamespace(p, quietly = TRUE), c({names})))"
    run = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    absent = run.stdout.strip() or ("" if run.returncode == 0 else "R does not start")
    return f"R lacks: {absent}" if absent else ""


@pytest.fixture(autouse=True)
def _needs_r() -> None:
    if missing_r():
        pytest.skip(missing_r())


pytestmark = pytest.mark.oracle
every_set = pytest.mark.parametrize("name", DATA_SETS)
GROUPED = [name for name, data in DATA_SETS.items() if not data.entry.any() and len(data.time) > 1]
WITH_EVENTS = [name for name in GROUPED if DATA_SETS[name].event.any()]
grouped_set = pytest.mark.parametrize("name", WITH_EVENTS)


def ask(script: str, table: str) -> dict[str, Any]:
    """Run one R script on one CSV text."""
    with TemporaryDirectory() as folder:
        source, answer = Path(folder) / "table.csv", Path(folder) / "answer.json"
        source.write_text(table)
        command = ["Rscript", str(HERE / script), str(source), str(answer)]
        subprocess.run(command, check=True, capture_output=True)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


@cache
def r_says(name: str) -> dict[str, Any]:
    return ask("oracle.R", DATA_SETS[name].as_csv())


def patients(data: DataSet, strata: bool = False) -> FollowUp:
    entry = np.where(data.entry == 0, -np.inf, data.entry)
    return FollowUp(
        data.time,
        data.event,
        entry if data.entry.any() else None,
        data.group,
        data.strata if strata else None,
        {"x1": data.x[:, 0], "x2": data.x[:, 1]},
    )


def numbers(values: Any) -> Any:
    """R's numbers as an array; its NA as NaN, its scalars as arrays of one."""
    listed = values if isinstance(values, list) else [] if isinstance(values, dict) else [values]
    return np.array([np.nan if v in (None, "NaN", "NA") else v for v in listed], float)


def close(expected: Any, actual: Any, relative: float, absolute: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=absolute)


@every_set
def test_incidence_and_greenwood_equal_survfit(name: str) -> None:
    """Estimate, SE and log-log limits equal the multi-state survfit at every time."""
    sets = count(patients(DATA_SETS[name]))
    for curve in r_says(name)["curves"]:
        expected = numbers(curve.get("survfit", {}).get("estimate", {}))
        if not len(expected):
            continue  # survfit knows no late entry without a start-stop form; etm answers there
        ours = cumulative_incidence(sets, curve["cause"])
        close(expected, ours.estimate, 1e-9)
        close(numbers(curve["survfit"]["se"]), ours.se, 1e-9, 1e-9 * max(ours.se.max(), 1e-3))
        lower, upper = limits(ours.estimate, ours.se)
        inside = np.isfinite(lower) & (ours.se > 1e-9)
        close(numbers(curve["loglog"]["lower"])[inside], lower[inside], 1e-9)
        close(numbers(curve["loglog"]["upper"])[inside], upper[inside], 1e-9)


@every_set
def test_incidence_and_greenwood_equal_etm(name: str) -> None:
    """Estimate and variance equal etm, also under left truncation."""
    data = DATA_SETS[name]
    for curve in r_says(name)["curves"]:
        if "etm" not in curve or data.time.min() == 0:
            continue  # etm starts after time 0
        ours = cumulative_incidence(count(patients(data)), curve["cause"])
        rows = np.searchsorted(ours.times, numbers(curve["etm"]["times"]) * (1 + 1e-9)) - 1
        close(numbers(curve["etm"]["estimate"]), ours.estimate[rows], 1e-9)
        close(np.sqrt(np.maximum(numbers(curve["etm"]["var"]), 0)), ours.se[rows], 1e-9, 1e-8)


@every_set
def test_incidence_and_aalen_variance_equal_cuminc(name: str) -> None:
    """Estimate and Aalen SE equal cmprsk at every time."""
    sets = count(patients(DATA_SETS[name]))
    for curve in r_says(name)["curves"]:
        if "cuminc" not in curve:
            continue
        ours = cumulative_incidence(sets, curve["cause"], "aalen")
        close(numbers(curve["cuminc"]["estimate"]), ours.estimate, 1e-9)
        close(np.sqrt(numbers(curve["cuminc"]["var"])), ours.se, 1e-9)


@every_set
def test_kaplan_meier_equals_survfit(name: str) -> None:
    """Event-free survival, SE, log-log limits and the median equal survfit."""
    expected = r_says(name)["km"]
    ours = survival(count(patients(DATA_SETS[name])))
    close(numbers(expected["estimate"]), ours.estimate, 1e-9)
    alive = ours.estimate > 0
    close(numbers(expected["se"])[alive], ours.se[alive], 1e-9)
    lower, upper = limits(ours.estimate, ours.se)
    inside = np.isfinite(lower)
    close(numbers(expected["lower"])[inside], lower[inside], 1e-9)
    close(numbers(expected["upper"])[inside], upper[inside], 1e-9)
    close(numbers(expected["median"]), numbers(list(median(ours).values())), 1e-9)


@grouped_set
@pytest.mark.parametrize(
    ("which", "rho", "strata"),
    [("gray", 0, False), ("gray_rho", 1, False), ("gray_strata", 0, True)],
)
def test_gray_equals_cuminc(name: str, which: str, rho: float, strata: bool) -> None:
    """Gray's statistic equals cmprsk: plain, rho = 1 and stratified."""
    expected = r_says(name)[which]
    causes, statistics = numbers(expected["cause"]), numbers(expected["statistic"])
    for cause, statistic in zip(causes.astype(int), statistics, strict=True):
        ours = gray_test(patients(DATA_SETS[name], strata), int(cause), rho)
        close(statistic, ours["statistic"], 1e-8)


def fits(name: str, which: str) -> list[tuple[int, Any, Any]]:
    """R's coefficients and SE of each cause, without those that ran away to infinity."""
    rows = [
        (m["cause"], numbers(m[which]["coef"]), numbers(m[which]["se"]))
        for m in r_says(name)["models"]
    ]
    return [row for row in rows if len(row[1]) and np.abs(row[1]).max() < 8]


@grouped_set
@pytest.mark.parametrize("convention", ["crr", "finegray"])
def test_fine_gray_equals_both_conventions(name: str, convention: Convention) -> None:
    """Coefficients equal cmprsk::crr and survival::finegray, each in its convention."""
    for cause, coef, se in fits(name, convention):
        ours = fine_gray(patients(DATA_SETS[name]), cause, convention)
        close(coef, ours.coef, 1e-5, 1e-6)
        close(se, ours.se, 1e-4)


@grouped_set
def test_cox_and_log_rank_equal_survival(name: str) -> None:
    """The cause-specific Cox model and the log-rank test equal coxph and survdiff."""
    data = patients(DATA_SETS[name])
    for cause, coef, se in fits(name, "cox"):
        ours: Fit = cause_specific_cox(data, cause)
        close(coef, ours.coef, 1e-5, 1e-6)
        close(se, ours.se, 1e-5)
    for model in r_says(name)["models"]:
        close(model["log_rank"], log_rank(data, model["cause"])["statistic"], 1e-8)


def test_separated_groups_are_refused_where_r_runs_away() -> None:
    """Where a group never had the cause, R prints a coefficient of -11 or -21; we say why not."""
    with pytest.raises(TableError, match="converge"):
        fine_gray(patients(DATA_SETS["absent cause"]), 2)


def cohorts() -> list[Site]:
    with (BENCHMARKS / "cohorts.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [Site(row["study"], int(row["n"]), int(row["events"]), row["entity"]) for row in rows]


def rare() -> list[Site]:
    """Thirty sites, most without a death: where methods disagree most."""
    rng = np.random.default_rng(12)
    n = rng.integers(10, 120, 30)
    p = 1 / (1 + np.exp(-rng.normal(-4.5, 1.2, 30)))
    return [Site(f"s{i}", int(n[i]), int(rng.binomial(n[i], p[i]))) for i in range(30)]


POOLED: dict[str, Callable[[], list[Site]]] = {
    "all cohorts": cohorts,
    "myeloma": lambda: [s for s in cohorts() if s.subgroup == "MM"],
    "lymphoma": lambda: [s for s in cohorts() if s.subgroup == "LBCL"],
    "rare deaths": rare,
    "first six": lambda: cohorts()[:6],
}


@pytest.mark.parametrize("name", POOLED)
def test_pooling_equals_metafor(name: str) -> None:
    """GLMM to 1e-3, REML with Hartung-Knapp to 1e-6, and what is printed beside them."""
    sites = POOLED[name]()
    lines = [f"{s.study},{s.n},{s.events}" for s in sites]
    expected = ask("pooling.R", "\n".join(["study,n,events", *lines]) + "\n")
    ours, (y, v) = logistic_mixed(sites), logits(sites)
    assert ours is not None
    close(expected["glmm"]["mean"], ours.mean, 1e-3)
    close(expected["glmm"]["se"], ours.se, 1e-3)
    close(expected["glmm"]["tau2"], ours.tau2, 1e-3, 1e-6)
    again = reml(y, v)
    close(expected["reml"]["mean"], again.mean, 1e-6)
    close(expected["reml"]["se"], again.se, 1e-6)
    close(expected["reml"]["tau2"], again.tau2, 1e-6, 1e-9)
    close(expected["dl"], heterogeneity(y, v)["tau2_dl"], 1e-6)
    close(expected["reml"]["q"], heterogeneity(y, v)["q"], 1e-6)
    close(expected["egger"], egger(y, v)["p"], 1e-6)
    row = pool(sites)["reml_hk"]
    close(expected["reml"]["i2"], row["i2"], 1e-6)
    ends = 1 / (1 + np.exp(-np.array([*expected["reml"]["prediction"], expected["reml"]["upper"]])))
    close(ends, [*row["prediction"], row["upper"]], 1e-6)
