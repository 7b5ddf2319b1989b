"""Time each stage against a bare JSON decoder on the same bytes, in the same run.

    python -m benchmarks [--patients 1000 10000 100000] [--registry 10000] [--keep FILE]

A number of seconds says little on a shared machine; the ratio to the decoder does. Every stage is a
fresh process; CPU time counts its workers, and so does its memory. The inputs are synthetic, made
anew where they are not there yet (7 GB for 100,000 patients), and equal on every machine.
"""

import argparse
from functools import partial
from pathlib import Path

from adapter.words import table
from benchmarks.figures import DECODE, Figures, Series
from benchmarks.hospital import Hospital, mixed, recipients_only
from benchmarks.measure import ROOT, keep, machine
from benchmarks.stages import Bench, registry, whole_export

LARGE = 2_000_000  # resources; a larger hospital is measured once


def measure(sizes: list[int], recipients: int, work: Path, rounds: int) -> Figures:
    """Run all stages; what is measured is said as it comes."""
    say = partial(print, flush=True)
    figures = Figures(machine(), [])
    for patients in sorted(sizes):
        hospital = mixed(work / f"export-{patients}", patients)
        say(f"An export: {hospital.in_words}")
        bench = Bench(hospital, work / "stores", _rounds(hospital, rounds), say)
        whole_export(bench)
        figures.exports.append(bench.series)
    if recipients:
        hospital = recipients_only(work / f"registry-{recipients}", recipients)
        say(f"A registry: {hospital.in_words}")
        bench = Bench(hospital, work / "stores", _rounds(hospital, rounds), say)
        registry(bench)
        figures.registry = bench.series
    return figures


def _rounds(hospital: Hospital, rounds: int) -> int:
    return 1 if hospital.resources > LARGE else rounds


def in_words(series: Series) -> str:
    """One hospital's stages as a table for the terminal."""
    rows = [
        (stage, f"{cost.cpu:.2f}", f"{series.ratio(stage):.2f}",
         f"{series.micros(stage):.1f}", f"{cost.wall:.2f}", f"{cost.peak >> 20}")
        for stage, cost in sorted(series.costs.items(), key=lambda item: item[0] != DECODE)
    ]  # fmt: skip
    head = ("stage", "CPU s", "x decoding", "µs a resource", "wall s", "MB at most")
    return f"{series.patients:,} patients, best of {series.rounds}\n\n{table(head, rows)}\n"


def main() -> None:
    """Measure, print the tables, keep the figures where they are wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--registry", type=int, default=10_000, metavar="RECIPIENTS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--keep", type=Path, help="a JSON file for the figures")
    wanted = parser.parse_args()
    figures = measure(wanted.patients, wanted.registry, wanted.work, wanted.rounds)
    for series in (*figures.exports, *filter(None, [figures.registry])):
        print("\n" + in_words(series))
    keep(figures, wanted.keep)


if __name__ == "__main__":
    main()
