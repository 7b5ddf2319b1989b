"""The figures that are kept, and what follows from them: ratios, exponents, promises."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.measure import ROOT, Cost

RESULTS = ROOT / "benchmarks" / "results"

DECODE = "read + decode (msgspec)"
LOAD_ALL = "load, all patients"
LOAD = "load --recipients-only"
LOAD_TWO = "load --recipients-only, 2 workers"
CLASSIFY = "classify"
CLASSIFY_TWO = "classify, 2 workers"
CLASSIFY_ALL = "classify, all patients stored"
AGAIN = "classify again, nothing changed"
NIGHT_LOAD = "load of a night, 0.1 % changed"
NIGHT = "classify after that night"
EXPORT = "export cohort.csv"
REPORT = "report, validating what it rests on"
REPORT_AGAIN = "report again"


class Series(msgspec.Struct):
    """What every stage cost on one hospital: the best time and the largest memory of the rounds."""

    patients: int
    recipients: int
    resources: int
    bytes: int
    rounds: int
    costs: dict[str, Cost] = {}
    sizes: dict[str, int] = {}  # bytes of what was written

    def cpu(self, *stages: str) -> float:
        """CPU seconds of the stages together."""
        return sum(self.costs[stage].cpu for stage in stages)

    def wall(self, *stages: str) -> float:
        """Wall seconds of the stages, one after the other."""
        return sum(self.costs[stage].wall for stage in stages)

    def ratio(self, *stages: str) -> float:
        """CPU time of the stages over that of the bare decoder on the same bytes."""
        return self.cpu(*stages) / self.cpu(DECODE)

    def micros(self, *stages: str) -> float:
        """CPU microseconds a resource of the input."""
        return 1e6 * self.cpu(*stages) / self.resources


class Figures(msgspec.Struct):
    """Everything measured: exports of several sizes, and a registry with its quiet night."""

    machine: dict[str, object]
    exports: list[Series]
    registry: Series | None = None


class Peer(msgspec.Struct):
    """A row of the comparison: the best of the rounds; `failed` says why there is none."""

    name: str
    work: str
    version: str = ""
    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0
    rows: int = 0
    failed: str = ""
    found: tuple[int | None, int | None, int | None] = (None, None, None)

    @property
    def micros(self) -> float:
        """CPU microseconds a resource."""
        return 1e6 * self.cpu / self.rows


class Comparison(msgspec.Struct):
    """Tools that did the same work on the same bytes."""

    machine: dict[str, object]
    resources: int
    bytes: int
    rounds: int
    peers: list[Peer]

    def cpu(self, name: str) -> float:
        """CPU seconds of a tool; not a number if it did not run."""
        return next((p.cpu for p in self.peers if p.name == name and not p.failed), math.nan)


def exponent(series: Sequence[Series], *stages: str) -> float:
    """The b of cost = a * resources^b, by least squares on logarithms; 1 is in proportion.

    Not a number where there is one size only.
    """
    if len(series) < 2:
        return math.nan
    sizes = np.log([one.resources for one in series])
    return float(np.polyfit(sizes, np.log([one.cpu(*stages) for one in series]), 1)[0])


class Promise(NamedTuple):
    """What was to be reached, and what was."""

    what: str
    wanted: str
    measured: str
    kept: bool


OURS, OURS_ALL, DUCKDB = "cart-nrm, five columns", "cart-nrm, all a night reads", "DuckDB read_json"
VALIDATED, FLAT = "fhir.resources (R4B)", "FHIR-PYrate, all columns"
MEMORY = 400  # MB


def promises(figures: Figures, peers: Comparison) -> list[Promise]:
    """Each promise about speed with its figure; the sizes are the largest that were measured."""
    usual = next((one for one in figures.exports if one.patients == 10_000), figures.exports[-1])
    rate = 1 / usual.ratio(LOAD, CLASSIFY)
    made = [
        Promise(f"load + classify of {usual.patients:,} patients, over bare decoding, on one core",
                "at least 0.33", f"{rate:.2f}", rate >= 1 / 3),
        *map(_gain, {one.patients: one for one in (usual, figures.exports[-1])}.values()),
        _memory(figures.exports),
    ]  # fmt: skip
    if figures.registry is not None:
        made.append(_night(figures.registry))
    return [
        *made,
        _faster(peers, VALIDATED, OURS, 50, "fhir.resources, all fields validated"),
        _faster(peers, FLAT, OURS, 20, "FHIR-PYrate, flattening"),
        _faster(peers, DUCKDB, OURS, 1, "DuckDB read_json, the same five columns, one core"),
    ]


def _gain(export: Series) -> Promise:
    gain = export.wall(LOAD, CLASSIFY) / export.wall(LOAD_TWO, CLASSIFY_TWO)
    return Promise(f"two processes over one, load + classify of {export.patients:,} patients",
                   "at least 1.7", f"{gain:.2f}", gain >= 1.7)  # fmt: skip


def _memory(exports: Sequence[Series]) -> Promise:
    stages = (LOAD, CLASSIFY, LOAD_TWO, CLASSIFY_TWO)
    peaks = [max(s.costs[name].peak for name in stages) >> 20 for s in exports]
    grown = peaks[-1] / peaks[-2] if len(peaks) > 1 else 1.0
    said = ", ".join(
        f"{mb} MB at {s.patients:,}" for s, mb in zip(exports, peaks, strict=True)
    )  # fmt: skip
    kept = max(peaks) < MEMORY and grown < 1.1
    return Promise(
        "peak memory, two processes together", f"under {MEMORY} MB, not growing", said, kept
    )


def _night(registry: Series) -> Promise:
    share = registry.cpu(NIGHT) / registry.cpu(CLASSIFY)
    return Promise(
        f"classify after 0.1 % of {registry.recipients:,} recipients changed, over a full run",
        "under 3 %", f"{100 * share:.1f} %", share < 0.03,
    )  # fmt: skip


def _faster(peers: Comparison, theirs: str, ours: str, wanted: float, name: str) -> Promise:
    times = peers.cpu(theirs) / peers.cpu(ours)
    return Promise(f"times faster than {name}", f"at least {wanted:g}", f"{times:.1f}",
                   times >= wanted)  # fmt: skip


def read(folder: Path = RESULTS) -> tuple[Figures, Comparison]:
    """The figures as they were kept."""
    return (
        msgspec.json.decode((folder / "stages.json").read_bytes(), type=Figures),
        msgspec.json.decode((folder / "peers.json").read_bytes(), type=Comparison),
    )
