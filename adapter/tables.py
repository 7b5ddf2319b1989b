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

from adapter.errors import UNREADABLE, TableError
from adapter.incidence.risksets import CODES, FollowUp, Labels, follow_up
from adapter.incidence.table import NOT_RECORDED, Options, incidence_of_table
from adapter.intervals import Floats, number
from adapter.pooling import Site, pool, pool_horizon, reproduced

BENCHMARKS = Path(__file__).resolve().parent.parent / "mappings" / "benchmarks"
BLANK = {"", "NA", "NaN", "nan", "."}  # what spreadsheets, R and SAS write for "nothing here"
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


def pool_files(paths: Sequence[Path], horizon: float | None = None) -> dict[str, Any]:
    """What `cart-nrm pool` prints; with a horizon also the pooled cumulative incidences."""
    sites = [site for path in paths for site in read_sites(path, horizon)]
    names = [site.study for site in sites]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TableError(f"'{twice}' is given twice.", "Give each site once.")
    answer = pool(sites)
    return answer if horizon is None else {**answer, "horizon": pool_horizon(sites, horizon)}


def published_reproduced() -> list[dict[str, Any]]:
    """What `cart-nrm pool --published` prints: every published row beside our own."""
    cohorts = benchmark("cohorts")
    return [reproduced(row, cohorts) for row in benchmark("pooled")]


def benchmark(name: str) -> list[dict[str, str]]:
    """The rows of one published table: cohorts, pooled or causes."""
    columns = _Csv(BENCHMARKS / f"{name}.csv").columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_table(path: Path, columns: Columns) -> tuple[FollowUp, list[str]]:
    """One patient a row; also what was left out and why.

    Rows with neither time nor event (episodes that are not evaluable) are left out and counted;
    anything else that is missing or impossible is refused.
    """
    table = _Csv(path)
    time, event = table.numbers(columns.time), table.numbers(columns.event, CODES)
    out = np.isnan(time) & np.isnan(event)
    if out.all():
        raise TableError(f"{path.name} has no patient.", "Give one row per patient.")

    def labels(name: str | None) -> Labels | None:
        if name is None:
            return None
        # an episode without a product is an ordinary one: it is a group, not a mistake
        named = [NOT_RECORDED if cell in BLANK else cell for cell in table.cells(name)]
        return np.where(out, "left out", np.array(named))

    data = follow_up(
        np.where(out, 0.0, time),
        np.where(out, 0.0, event),
        table.numbers(columns.entry) if columns.entry else None,
        labels(columns.group),
        labels(columns.strata),
    )
    data = replace(data, covariates={name: table.filled(name) for name in columns.covariates})
    note = f"{out.sum()} rows have neither time nor event and were left out."
    return data.where(~out), [note] if out.any() else []


class _Csv:
    """A CSV file as columns of text; comma or semicolon, with or without byte order mark."""

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
            delimiter = ";" if lines and ";" in lines[0] else ","
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except FileNotFoundError:
            raise TableError(f"{path} does not exist.", "Name a CSV file.") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"{path} cannot be read.", "Give a CSV file in UTF-8.") from error
        names = [name.strip() for name in rows[0]] if rows else []
        if not names or len(set(names)) < len(names):
            raise TableError(
                f"{path.name} has no header of unique names.", "Name each column once."
            )
        for i, row in enumerate(rows):
            if len(row) != len(names):
                what = f"{path.name}: data row {i} has {len(row)} cells, not {len(names)}."
                raise TableError(what, "Quote cells that hold a comma; write every row in full.")
        self.path = path
        self.columns = {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(names)}

    def cells(self, name: str) -> list[str]:
        """One column as text."""
        if name not in self.columns:
            has = f"It has: {', '.join(self.columns)}."
            raise TableError(f"{self.path.name} has no column '{name}'.", has)
        return self.columns[name]

    def numbers(self, name: str, hint: str = NUMBERS) -> Floats:
        """One column as numbers, NaN where blank."""
        values = []
        for row, cell in enumerate(self.cells(name), start=1):
            try:
                values.append(math.nan if cell in BLANK else float(cell))
            except ValueError:
                what = f"Column '{name}', data row {row}: that is not a number."
                raise TableError(what, hint) from None
        return np.array(values)

    def filled(self, name: str, whole: bool = False) -> Floats:
        """One column as numbers without gaps, on request whole ones."""
        values = self.numbers(name)
        bad = ~np.isfinite(values) | (whole & (values != np.floor(values)))
        if bad.any():
            what = f"Column '{name}', data row {np.argmax(bad) + 1}: no {'whole ' * whole}number."
            raise TableError(what, "Fill it, or leave the row out and say so.")
        return values


def read_sites(path: Path, horizon: float | None = None) -> list[Site]:
    """The site of a summary.json, or CSV rows `study,n,events` [`subgroup`] [`estimate,se`]."""
    if path.suffix.lower() == ".json":
        return [_site_of_summary(path, horizon)]
    table = _Csv(path)
    counts = [map(int, table.filled(name, whole=True)) for name in ("n", "events")]
    blank = dict.fromkeys(("subgroup", "estimate", "se"), [""] * len(table.cells("study")))
    table.columns = blank | table.columns
    incidences = (map(number, table.numbers(name)) for name in ("estimate", "se"))
    return list(map(Site, table.cells("study"), *counts, table.cells("subgroup"), *incidences))


def _site_of_summary(path: Path, horizon: float | None) -> Site:
    try:
        summary = json.loads(path.read_text("utf-8"))
        site = Site(str(summary["study"]), int(summary["n"]), int(summary["events"]))
        curves = [c for c in summary.get("curves", []) if c["cause"] == NRM and c["group"] is None]
        points = [p for curve in curves for p in curve["at"] if p["time"] == horizon]
        known: dict[str, Any] = {
            name: number(float(points[0][name])) for name in ("estimate", "se") if points
        }
    except (OSError, *UNREADABLE, KeyError, TypeError, OverflowError) as error:
        hint = "Give the file that `cart-nrm export summary.json` wrote."
        raise TableError(f"{path.name} is no summary.", hint) from error
    return replace(site, **known)
