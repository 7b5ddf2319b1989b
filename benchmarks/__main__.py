"""Time each stage against a bare JSON decoder on the same bytes, in the same run.

    python -m benchmarks [--patients 1000] [--recipients 20] [--seed 7]

A single number of seconds says little on a shared machine; the ratio to the decoder does. CPU time
of this process is what is compared; memory is the peak of the whole process.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.export import export_cohort
from adapter.incidence import Options, follow_up, incidence_of_table
from adapter.load import load
from adapter.pseudonyms import Release, pseudonyms_beside
from adapter.report import write_report
from adapter.store import Store
from adapter.study import run_study
from adapter.words import table
from examples.synthetic import StudyShape, background, generate
from examples.synthetic.writer import as_line

ROUNDS = 3
N = 1_000_000


class Clock:
    """Best CPU seconds of each stage, in the order they were first timed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; the best of several rounds is kept."""
        start = time.process_time()
        yield
        spent = time.process_time() - start
        self.seconds[name] = min(spent, self.seconds.get(name, spent))


def write_hospital(folder: Path, patients: int, recipients: int, seed: int) -> int:
    """One NDJSON file: recipients with daily laboratories among many irrelevant patients."""
    study = generate(StudyShape(max(recipients, 1), recipients, seed))
    size = 0
    with (folder / "all.ndjson").open("wb") as out:
        for _, made in study:
            size += out.write(as_line(made))
        for _, made in background(patients - recipients, 50):
            size += out.write(as_line(made))
    return size


def bare_decode(file: Path) -> int:
    """Read every line and decode it to plain objects; the rival of every stage."""
    decode = msgspec.json.Decoder().decode
    with file.open("rb") as lines:
        return sum(1 for line in lines if decode(line) is not None)


def stages(folder: Path, clock: Clock) -> int:
    """Every stage once, on the hospital in `folder`; gives the number of resources."""
    file, settings = folder / "all.ndjson", Settings(store=folder / "bench.db")
    with clock.stage("read + decode (msgspec), the baseline"):
        count = bare_decode(file)
    settings.store.unlink(missing_ok=True)
    codes = load_codes()
    with Store(settings.store) as store:
        with clock.stage("load into a new store"):
            load(store, [file])
        with clock.stage("load again, all known"):
            load(store, [file])
        with clock.stage("classify"):
            study = run_study(store, settings, codes)
    names = pseudonyms_beside(settings.store)
    with clock.stage("export cohort.csv"):
        export_cohort(study, folder / "cohort.csv", Release(names))
    with clock.stage("report"):
        write_report(study, folder / "report.html", names)
    return count


def estimator(clock: Clock) -> float:
    """Incidence at n = 10^6 with ties by day, over one numpy sort of the same times."""
    dice = np.random.default_rng(7)
    times = dice.integers(0, 2_000, N).astype(float)
    events = dice.integers(0, 3, N)
    with clock.stage("one numpy sort, n = 10^6"):
        np.sort(times)
    with clock.stage("incidence, n = 10^6"):
        incidence_of_table(follow_up(times, events), Options())
    return clock.seconds["incidence, n = 10^6"] / clock.seconds["one numpy sort, n = 10^6"]


def main(say: Callable[[str], None] = print) -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--recipients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        size = write_hospital(Path(name), options.patients, options.recipients, options.seed)
        for _ in range(ROUNDS):
            count = stages(Path(name), clock)
    base = next(iter(clock.seconds.values()))
    say(f"Synthetic data: {options.patients:,} patients, {options.recipients:,} recipients, ")
    say(f"{count:,} resources, {size / 1e6:.0f} MB; best of {ROUNDS} rounds, CPU seconds.\n")
    rows = [
        (what, f"{spent:.2f}", f"{spent / base:.2f}", f"{1e6 * spent / count:.1f}")
        for what, spent in clock.seconds.items()
    ]
    say(table(("stage", "seconds", "x baseline", "µs a resource"), rows))
    both = clock.seconds["load into a new store"] + clock.seconds["classify"]
    say(f"\nload + classify: {base / both:.2f} of the bare decoding rate")
    say(f"incidence at n = 10^6: {estimator(clock):.1f} times one numpy sort")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory of everything: {peak:.0f} MB")


if __name__ == "__main__":
    main()
