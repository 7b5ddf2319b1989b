"""The stages of a night on disk, each as its own process, with the bare decoder in between."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import (
    AGAIN,
    CLASSIFY,
    CLASSIFY_ALL,
    CLASSIFY_TWO,
    DECODE,
    EXPORT,
    LOAD,
    LOAD_ALL,
    LOAD_TWO,
    NIGHT,
    NIGHT_LOAD,
    REPORT,
    REPORT_AGAIN,
    Series,
)
from benchmarks.hospital import Hospital, night
from benchmarks.measure import cart_nrm, cost_of

NIGHTS = 3


class Bench:
    """Runs commands on one hospital; stores and files are made in `work`."""

    def __init__(
        self, hospital: Hospital, work: Path, rounds: int, say: Callable[[str], None]
    ) -> None:
        self.hospital, self.work, self._say = hospital, work, say
        self.series = Series(
            hospital.patients, hospital.recipients, hospital.resources, hospital.bytes, rounds
        )
        work.mkdir(parents=True, exist_ok=True)

    def time(self, stage: str, *arguments: object) -> None:
        """Run a command of ours; keeps the better of its rounds."""
        self._keep(stage, cart_nrm(*arguments))

    def decode(self) -> None:
        """The baseline once more, so that it meets the machine in the same moods."""
        folder = str(self.hospital.folder)
        self._keep(DECODE, [sys.executable, "-m", "benchmarks.decode", folder])

    def store(self, name: str) -> Path:
        """The path of a store that is not there yet."""
        path = self.work / f"{name}.db"
        for old in self.work.glob(f"{name}.db*"):
            old.unlink()
        return path

    def _keep(self, stage: str, command: list[str]) -> None:
        cost, _ = cost_of(command)
        before = self.series.costs.get(stage)
        self.series.costs[stage] = cost.least(before) if before is not None else cost
        self._say(
            f"  {stage:<36}{cost.cpu:>9.2f} s CPU {cost.wall:>9.2f} s wall {cost.peak >> 20:>6} MB"
        )


def whole_export(bench: Bench) -> None:
    """A system-level export, from disk to verdicts, cohort file and report."""
    folder = bench.hospital.folder
    for _ in range(bench.series.rounds):
        everyone, one, two = (bench.store(name) for name in ("everyone", "one", "two"))
        few = ("load", folder, "--recipients-only")
        bench.decode()
        bench.time(LOAD, *few, "--store", one, "--workers", 1)
        bench.time(CLASSIFY, "classify", "--json", "--store", one, "--workers", 1)
        bench.decode()
        bench.time(LOAD_TWO, *few, "--store", two, "--workers", 2)
        bench.time(CLASSIFY_TWO, "classify", "--json", "--store", two, "--workers", 2)
        _tell(bench, one)
        bench.decode()
        bench.time(LOAD_ALL, "load", folder, "--store", everyone, "--workers", 1)
        bench.time(CLASSIFY_ALL, "classify", "--json", "--store", everyone, "--workers", 1)


def registry(bench: Bench) -> None:
    """Recipients only: a full run, and quiet nights after it."""
    loaded = bench.store("loaded")
    bench.time(LOAD_ALL, "load", bench.hospital.folder, "--store", loaded, "--workers", 1)
    changed = max(bench.hospital.recipients // 1000, 1)
    for _ in range(bench.series.rounds):
        bench.decode()
        one, two = _copy(bench, loaded, "one"), _copy(bench, loaded, "two")
        bench.time(CLASSIFY_TWO, "classify", "--store", two, "--workers", 2)
        bench.time(CLASSIFY, "classify", "--store", one, "--workers", 1)
        bench.time(AGAIN, "classify", "--store", one, "--workers", 1)
        for number in range(NIGHTS):
            news = night(bench.hospital, number, changed)
            bench.time(NIGHT_LOAD, "load", news, "--store", one, "--workers", 1)
            bench.time(NIGHT, "classify", "--store", one, "--workers", 1)
        _tell(bench, one)


def _tell(bench: Bench, store: Path) -> None:
    """Cohort file and report of patients already judged, and what they weigh."""
    cohort, report = bench.work / "cohort.csv", bench.work / "report.html"
    bench.time(EXPORT, "export", cohort, "--store", store)
    bench.time(REPORT, "report", report, "--store", store)
    bench.time(REPORT_AGAIN, "report", report, "--store", store)
    files = {"store": store, cohort.name: cohort, report.name: report}
    bench.series.sizes = {name: file.stat().st_size for name, file in files.items()}


def _copy(bench: Bench, store: Path, name: str) -> Path:
    target = bench.store(name)
    for part in store.parent.glob(f"{store.name}*"):
        shutil.copy(part, part.with_name(part.name.replace(store.name, target.name)))
    return target
