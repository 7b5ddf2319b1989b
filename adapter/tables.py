"""Tables other people wrote: patients for `incidence`, sites for `pool`, published figures.

Every refusal names the column, the data row (the first under the header is 1) and what to do.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adapter.errors import TableError
from adapter.incidence.risksets import FollowUp, Labels, follow_up
from adapter.incidence.table import Options, incidence_of_table
from adapter.pooling import Scale, Site, pool, pool_horizon, reproduce

BENCHMARKS = Path(__file__).resolve().parent.parent / "mappings" / "benchmarks"
BLANK = {"", "NA", "NaN", "nan", "."}  # what spreadsheets, R and SAS write for "nothing here"
CODES = "Write 0 = censored, 1 = relapse, 2 = non-relapse death, 3.. = further causes."
NUMBERS = "Write plain numbers with a decimal point, without units."
NRM = 2


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table mean what."""

    time: str = "time"
    event: str = "event"
    group: str | None = None
    entry: str | None = None
    strata: str | None = None
    covariates: tuple[str, ...] = ()


def incidence_of_file(path: Path, columns: Columns, options: Options) -> dict[str, Any]:
    """What `cart-nrm incidence CSV` prints."""
    data, notes = read_table(path, columns)
    answer = incidence_of_table(data, options)
    return {**answer, "warnings": [*notes, *answer["warnings"]]}


def pool_files(
    paths: Sequence[Path], horizon: float | None = None, scale: Scale = "logit"
) -> dict[str, Any]:
    """What `cart-nrm pool` prints; with a horizon also the pooled cumulative incidences."""
    sites = [site for path in paths for site in read_sites(path, horizon)]
    names = [site.study for site in sites]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"'{twice[0]}' is given twice.", "Give each site once.")
    answer = pool(sites)
    if horizon is not None:
        answer["horizon"] = pool_horizon(sites, horizon, scale)
    return answer


def published_reproduced() -> list[dict[str, Any]]:
    """What `cart-nrm pool --published` prints: every published row beside our own."""
    return reproduce(benchmark("cohorts"), benchmark("pooled"))


def benchmark(name: str) -> list[dict[str, str]]:
    """The rows of one published table: cohorts, pooled or causes."""
    table = _read_csv(BENCHMARKS / f"{name}.csv")
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def read_table(path: Path, columns: Columns) -> tuple[FollowUp, list[str]]:
    """One patient a row; also what was left out and why.

    Rows with neither time nor event (episodes that are not evaluable) are left out and counted;
    anything else that is missing or impossible is refused.
    """
    table = _read_csv(path)
    time = _numbers(table, columns.time, path, NUMBERS)
    event = _numbers(table, columns.event, path, CODES)
    out = np.isnan(time) & np.isnan(event)
    if (~out).sum() == 0:
        raise TableError(f"{path.name} has no patient.", "Give one row per patient.")
    data = follow_up(
        np.where(out, 0.0, time),
        np.where(out, 0.0, event),
        _numbers(table, columns.entry, path, NUMBERS) if columns.entry else None,
        _labels(table, columns.group, path, out),
        _labels(table, columns.strata, path, out),
    )
    covariates = {name: _covariate(table, name, path) for name in columns.covariates}
    note = f"{out.sum()} rows have neither time nor event and were left out."
    return replace(data, covariates=covariates).where(~out), [note] if out.any() else []


def _read_csv(path: Path) -> dict[str, list[str]]:
    """Columns by name; comma or semicolon, with or without byte order mark."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read.", "Give a CSV file in UTF-8.") from error
    head = text.partition("\n")[0]
    rows = list(csv.reader(text.splitlines(), delimiter=";" if ";" in head else ","))
    rows = [row for row in rows if row]
    names = [name.strip() for name in rows[0]] if rows else []
    if not names or len(set(names)) < len(names):
        raise TableError(f"{path.name} has no header of unique names.", "Name each column once.")
    for i, row in enumerate(rows):
        if len(row) != len(names):
            hint = "Quote cells that hold a comma, and write every row in full."
            raise TableError(
                f"{path.name}: data row {i} has {len(row)} cells, not {len(names)}.", hint
            )
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else ([] for _ in names)
    return {
        name: [cell.strip() for cell in column] for name, column in zip(names, columns, strict=True)
    }


def _column(table: dict[str, list[str]], name: str, path: Path) -> list[str]:
    if name not in table:
        raise TableError(f"{path.name} has no column '{name}'.", f"It has: {', '.join(table)}.")
    return table[name]


def _numbers(
    table: dict[str, list[str]], name: str, path: Path, hint: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One column as numbers, NaN where blank."""
    cells = _column(table, name, path)
    try:
        return np.array([math.nan if cell in BLANK else float(cell) for cell in cells])
    except ValueError:
        row, cell = next((i, c) for i, c in enumerate(cells, 1) if not _is_number(c))
    raise TableError(f"Column '{name}', data row {row}: '{cell}' is not a number.", hint)


def _is_number(cell: str) -> bool:
    try:
        return cell in BLANK or float(cell) is not None
    except ValueError:
        return False


def _labels(
    table: dict[str, list[str]], name: str | None, path: Path, out: np.ndarray[Any, Any]
) -> Labels | None:
    if name is None:
        return None
    return np.where(out, "left out", np.array(_column(table, name, path), str))


def _covariate(
    table: dict[str, list[str]], name: str, path: Path
) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = _numbers(table, name, path, "Covariates are numbers; code categories as 0 and 1.")
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values))[0]) + 1
        raise TableError(f"Column '{name}', data row {row}: no value.", "Fill it or leave it out.")
    return values


def read_sites(path: Path, horizon: float | None = None) -> list[Site]:
    """The site of a summary.json, or CSV rows `study,n,events` [`subgroup`] [`estimate,se`]."""
    if path.suffix.lower() == ".json":
        return [_site_of_summary(path, horizon)]
    table = _read_csv(path)
    studies, size = _column(table, "study", path), len(_column(table, "study", path))
    n, events = (_counts(table, name, path) for name in ("n", "events"))
    subgroups = table.get("subgroup", [""] * size)
    pairs = [
        _numbers(table, name, path, NUMBERS) if name in table else np.full(size, np.nan)
        for name in ("estimate", "se")
    ]
    return [
        Site(
            studies[i], n[i], events[i], subgroups[i], _or_none(pairs[0][i]), _or_none(pairs[1][i])
        )
        for i in range(size)
    ]


def _counts(table: dict[str, list[str]], name: str, path: Path) -> list[int]:
    values = _numbers(table, name, path, "Write a whole number.")
    bad = np.flatnonzero(~(values == np.floor(values)) | ~np.isfinite(values))
    if len(bad):
        raise TableError(f"Column '{name}', data row {bad[0] + 1}: no whole number.", NUMBERS)
    return [int(value) for value in values]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _site_of_summary(path: Path, horizon: float | None) -> Site:
    hint = "Give the file that `cart-nrm export summary.json` wrote."
    try:
        summary = json.loads(path.read_text("utf-8"))
        site = Site(str(summary["study"]), int(summary["n"]), int(summary["events"]))
        curves = [c for c in summary.get("curves", []) if c["cause"] == NRM and c["group"] is None]
        points = [p for curve in curves for p in curve["at"] if p["time"] == horizon]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path.name} is no summary.", hint) from error
    return replace(site, estimate=points[0]["estimate"], se=points[0]["se"]) if points else site
