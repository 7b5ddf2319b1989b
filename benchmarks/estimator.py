"""Time the statistics against one numpy sort of the same times, and against other packages.

    python -m benchmarks.estimator [--rounds 9] [--peers .venv-peers/bin/python]

The sort is the rival because exact times cannot be counted without one; whole days can. Three kinds
of synthetic follow-up: a cohort in whole days, days drawn evenly, and the cohort without ties. CPU
seconds, in turn, on one core. The peers are another process in their own environment and leave only
numbers here (scikit-survival is GPL-3); without that environment they are left out.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapter.incidence import (
    Options,
    count,
    cumulative_incidence,
    follow_up,
    incidence_of_table,
    survival,
)
from adapter.intervals import limits
from adapter.words import table

ROOT = Path(__file__).resolve().parent.parent
SIZES, PEERS_AT, PEER_ROUNDS = (1_000, 10_000, 100_000, 1_000_000), 100_000, 3
CAUSE = 2
AT = (30.5, 100.5, 365.5, 1000.5)  # between days, where a tool that moves ties can be read fairly
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]
Act = Callable[[Any, Any], Any]


def cohort(n: int, dice: np.random.Generator) -> Arrays:
    """Exponential relapse and non-relapse death, seen for up to 8 years, in whole days from 1."""
    latent = dice.exponential([[900.0, 6_000.0]], (n, 2))
    end = dice.uniform(30, 8 * 365, n)
    days = np.ceil(np.minimum(latent.min(axis=1), end))
    return days, np.where(latent.min(axis=1) <= end, latent.argmin(axis=1) + 1, 0)


def even(n: int, dice: np.random.Generator) -> Arrays:
    """Days 1 to 2,000 and codes 0 to 2, all as likely."""
    return dice.integers(1, 2_001, n).astype(float), dice.integers(0, 3, n)


def no_ties(n: int, dice: np.random.Generator) -> Arrays:
    """The cohort with times as fractions of days."""
    days, events = cohort(n, dice)
    return days - dice.random(n), events


KINDS = {"cohort, days": cohort, "even days": even, "no ties": no_ties}


def everything(times: Any, events: Any) -> Any:
    """The public path: checked, both causes, survival, medians, rates, risk table, a dictionary."""
    return incidence_of_table(follow_up(times, events), Options(at=AT))


def counts(times: Any, events: Any) -> Any:
    """The part of it that looks at every patient: checked and counted."""
    return count(follow_up(times, events))


def one_cause(times: Any, events: Any) -> Any:
    """Checked; curve, Greenwood SE and log-log limits of one cause at all of its times."""
    curve = cumulative_incidence(counts(times, events), CAUSE)
    return curve.times, curve.estimate, *limits(curve.estimate, curve.se)


def event_free(times: Any, events: Any) -> Any:
    """Checked; Kaplan-Meier with log-log limits at all times."""
    curve = survival(counts(times, events))
    return curve.times, curve.estimate, *limits(curve.estimate, curve.se)


# What of ours does the same as each peer.
SAME: dict[str, Act] = {
    "lifelines AalenJohansenFitter": one_cause,
    "lifelines KaplanMeierFitter": event_free,
    "scikit-survival cumulative_incidence": one_cause,
    "scikit-survival kaplan_meier_estimator": event_free,
}


class Pair(NamedTuple):
    """Best CPU seconds of an act and of the sort beside it; the median of their ratios."""

    act: float
    sort: float
    middle: float

    @property
    def ratios(self) -> tuple[str, str]:
        """Ratio of the best times, median ratio."""
        return f"{self.act / self.sort:.2f}", f"{self.middle:.2f}"


def cpu(act: Callable[[], object], often: int = 1) -> float:
    """CPU seconds of one call, from several in a row."""
    start = time.process_time()
    for _ in range(often):
        act()
    return (time.process_time() - start) / often


def against_sort(act: Act, data: Arrays, rounds: int) -> Pair:
    """The act and the sort in turn, after one round that does not count."""
    often = max(1, 200_000 // len(data[0]))
    both = (lambda: act(*data), lambda: np.sort(data[0]))
    acts, sorts = np.array([[cpu(one, often) for one in both] for _ in range(rounds + 1)])[1:].T
    return Pair(acts.min(), sorts.min(), median(acts / sorts))


def sort_rows(rounds: int) -> list[tuple[str, ...]]:
    """Every kind at every size."""
    rows: list[tuple[str, ...]] = []
    for kind, make in KINDS.items():
        for n in SIZES:
            data = make(n, np.random.default_rng(7))
            whole, part = (against_sort(act, data, rounds) for act in (everything, counts))
            spent = (f"{1e3 * whole.sort:.2f}", f"{1e3 * whole.act:.2f}")
            rows.append((kind, f"{n:,}", *spent, *whole.ratios, *part.ratios))
    return rows


def ask_peers(python: Path, data: Arrays) -> dict[str, Any]:
    """One round of all peers, in their own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.npz"
        np.savez(file, time=data[0], event=data[1], at=AT)
        command = [str(python), "-m", "benchmarks.peers.statistics", str(file)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | ONE_CORE, stdout=subprocess.PIPE, check=True
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def peer_rows(python: Path) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Each peer on every kind; and what it does more or less."""
    rows: list[tuple[str, ...]] = []
    said: dict[str, str] = {}
    for kind, make in KINDS.items():
        data = make(PEERS_AT, np.random.default_rng(7))
        acts = (*SAME.values(), everything)
        ours, theirs = dict.fromkeys(acts, np.inf), list[dict[str, Any]]()
        for _ in range(PEER_ROUNDS):
            ours = {act: min(best, *_thrice(act, data)) for act, best in ours.items()}
            theirs.append(ask_peers(python, data))
        for name, first in theirs[0].items():
            said.setdefault(name, f"{name} {first['version']}: {first['what']}.")
            if why := first.get("failed"):
                rows.append((kind, name, "not run", "", "", "", ""))
                said[name] += f" Not run for '{kind}': {why}."
                continue
            best, same = min(answer[name]["seconds"] for answer in theirs), SAME[name]
            spent = (f"{1e3 * best:.1f}", f"{1e3 * ours[same]:.2f}")
            times_ours = (f"{best / ours[same]:,.0f}", f"{best / ours[everything]:,.0f}")
            rows.append((kind, name, *spent, *times_ours, off(same(*data), first["result"])))
    return rows, said


def _thrice(act: Act, data: Arrays) -> list[float]:
    return [cpu(lambda: act(*data)) for _ in range(3)]


def off(ours: Any, theirs: list[list[float]]) -> str:
    """Largest difference of the estimates and of the limits at the times asked for."""
    steps, *curves = ours
    rows = np.searchsorted(steps, AT, "right") - 1
    apart = np.abs(np.column_stack([curve[rows] for curve in curves]) - np.array(theirs))
    return f"{apart[:, 0].max():.0e}, {np.nanmax(apart[:, 1:]):.0e}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    wanted = parser.parse_args()
    print(f"CPU milliseconds, best of {wanted.rounds} rounds in turn; numpy {np.__version__}.")
    print("all = follow_up + incidence_of_table; counts = follow_up + count; both over np.sort:")
    print("ratio of the best times, then the median ratio.\n")
    head = ("follow-up", "n", "sort", "all", "all/sort", "median", "counts/sort", "median")
    print(table(head, sort_rows(wanted.rounds)))
    if not wanted.peers.exists():
        print(f"\nWithout peers: {wanted.peers} is missing (make peers).")
        return
    rows, said = peer_rows(wanted.peers)
    print(f"\nPeers at n = {PEERS_AT:,}: milliseconds of theirs, of ours for the same curve with")
    print("limits; how many times that, and how many times all; by how much estimates and limits")
    print("differ at four times.\n")
    print(table(("follow-up", "peer", "theirs", "ours", "x same", "x all", "differ"), rows))
    print("", *said.values(), sep="\n")


if __name__ == "__main__":
    main()
