"""Time a first sync against the server's own pace and a plain loop, in turn, in the same run.

    python -m benchmarks.pull [--recipients 1000] [--rounds 3] [--latency 20] [--parallel 4]
    python -m benchmarks.pull --large 1000

The servers are processes of their own on this machine, so they share its cores with the client:
`examples.endpoint`, which answers from memory, at once or after a pause that costs no core (a
server elsewhere), and the PyPI package sekmet-fhir, a real server on a database, with fewer
recipients because it takes long to fill. The plain loop and the server's pace ask for the same
pages as the sync, know the patients beforehand and keep nothing; the sync finds the patients, files
every resource in a new store and compares the counts. CPU is user and system time of all threads.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypedDict

import msgspec
import requests

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.envelope import TYPES
from adapter.fhir.quirks import Quirks
from adapter.store import Store
from adapter.sync import SyncReport, sync
from adapter.words import table
from benchmarks.measure import ROOT
from examples.synthetic import StudyShape, generate
from examples.synthetic.writer import write
from tests.servers import put_all, sekmet_server

PAGE, TOGETHER, SEED = 200, Quirks().batch_patients, 7
CODES = load_codes()
PLAIN = "plain loop, json.loads, nothing kept"
PACE = "server's pace, nothing decoded"
FIRST = "first sync"
BOUND = 0.3  # a client that needs less of the wall than this waits for the server


class Spent(NamedTuple):
    """Seconds of the wall, of the client's and of the servers' cores; rows and requests."""

    wall: float
    cpu: float
    server: float
    rows: int
    requests: int


class Question(NamedTuple):
    """The first page of a search as the sync asks for it."""

    url: str
    form: dict[str, str]


def questions(base: str, patients: list[str]) -> list[Question]:
    """Everything about all patients, as many at once as the sync names in one search."""
    return [
        Question(
            f"{base}/{kind}/_search",
            {
                "_id" if kind == "Patient" else "patient": ",".join(patients[at : at + TOGETHER]),
                "_count": str(PAGE),
                "_sort": "_lastUpdated",
            },
        )
        for kind in TYPES
        for at in range(0, len(patients), TOGETHER)
    ]


class _Links(TypedDict):
    link: list[dict[str, str]]


def pages(
    session: requests.Session, asked: Question, decode: Callable[[bytes], Any]
) -> Iterator[Any]:
    """Each page as `decode` gives it, to the end of the next links."""
    reply = session.post(asked.url, data=asked.form, timeout=600)
    while True:
        reply.raise_for_status()
        page = decode(reply.content)
        yield page
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            return
        reply = session.get(following[0], timeout=600)


def plain_loop(base: str, patients: list[str]) -> tuple[int, int]:
    """What a script does: one page after another on one connection; rows and requests."""
    rows = asked = 0
    with requests.Session() as session:
        for question in questions(base, patients):
            for page in pages(session, question, json.loads):
                rows += len(page.get("entry", ()))
                asked += 1
    return rows, asked


def pace(base: str, patients: list[str], threads: int) -> int:
    """The server's own pace: as many questions at once as the sync asks, only links decoded."""
    decode = msgspec.json.Decoder(_Links).decode

    def ask(question: Question) -> int:
        with requests.Session() as session:
            return sum(1 for _ in pages(session, question, decode))

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(ask, questions(base, patients)))


def synced(base: str, file: Path, parallel: int) -> SyncReport:
    """One night by the public API; one that is not complete is no measurement."""
    settings = Settings(server=base, connection={"parallel": parallel})  # type: ignore[arg-type]
    with Store(file) as store:
        report = sync(store, settings, CODES)
    report.raise_if_incomplete()
    return report


# -- servers -------------------------------------------------------------------------------


@contextmanager
def endpoint(folder: Path, latency_ms: float) -> Iterator[str]:
    """The demo's server as a process of its own, serving a folder of NDJSON."""
    command = [sys.executable, "-m", "examples.endpoint", str(folder)]
    command += ["--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def servers_cpu() -> float:
    """CPU seconds of all children of this process until now; 0 where the kernel does not say."""
    children = Path("/proc/self/task").glob("*/children")
    pids = [pid for task in children for pid in task.read_text().split()]
    parts = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(part[11]) + int(part[12]) for part in parts) / os.sysconf("SC_CLK_TCK")


# -- measuring -----------------------------------------------------------------------------


class Bench:
    """One server, asked in several ways; keeps what each round cost."""

    def __init__(self, name: str, base: str, patients: list[str], folder: Path) -> None:
        self.name, self.base, self.patients, self.folder = name, base, patients, folder
        self.spent: dict[str, list[Spent]] = defaultdict(list)

    def time(self, what: str, act: Callable[[], tuple[int, int]]) -> None:
        """Run once and keep the cost."""
        server, cpu, wall = servers_cpu(), time.process_time(), time.perf_counter()
        rows, asked = act()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.spent[what].append(Spent(wall, cpu, servers_cpu() - server, rows, asked))

    def round(self, parallel: int) -> None:
        """Every way once, so that a slow minute of the machine hits them all."""
        file = Path(tempfile.mkdtemp(dir=self.folder)) / "pull.db"

        def night() -> tuple[int, int]:
            report = synced(self.base, file, parallel)
            return report.stored, report.requests

        self.time(PLAIN, lambda: plain_loop(self.base, self.patients))
        rows = self.spent[PLAIN][0].rows
        self.time(PACE, lambda: (rows, pace(self.base, self.patients, parallel)))
        self.time(FIRST, night)
        self.time("quiet night", night)

    @property
    def in_words(self) -> str:
        """What the first sync costs a row, and behind which servers that is little."""
        rows = self.spent[PLAIN][0].rows
        cost = median(one.cpu for one in self.spent[FIRST]) / rows
        given = rows / median(one.wall for one in self.spent[PACE])
        return (
            f"The first sync took {1e6 * cost:.0f} µs of a core a row: under {BOUND:.0%} of the "
            f"wall behind a server that gives fewer than {BOUND / cost:,.0f} rows/s; this one "
            f"gives {given:,.0f}."
        )

    def lines(self) -> Iterator[tuple[str, ...]]:
        """A line of the table for each way: medians, and the least wall and CPU seconds."""
        plain = median(one.wall for one in self.spent[PLAIN])
        for what, every in self.spent.items():
            wall, cpu = (median(one[i] for one in every) for i in (0, 1))
            rows = every[0].rows
            yield (
                what,
                f"{wall:.2f} ({min(one.wall for one in every):.2f})",
                f"{cpu:.2f} ({min(one.cpu for one in every):.2f})",
                f"{median(one.cpu / one.wall for one in every):.0%}",
                f"{median(one.server for one in every):.2f}",
                f"{rows / wall:,.0f}" if rows else "",
                f"{1e6 * cpu / rows:.1f}" if rows else "",
                f"{every[0].requests / len(self.patients):.2f}",
                f"{plain / wall:.1f}",
            )  # fmt: skip


def large(recipients: int, folder: Path, parallel: int) -> str:
    """One first sync of many from the real server, which nobody else has the patience to ask."""
    with sekmet_server(folder) as base:
        every = (resource for _, resource in generate(StudyShape(recipients, recipients, SEED)))
        rows = put_all(base, every)
        bench = Bench("", base, [], folder)
        bench.time(FIRST, lambda: (rows, synced(base, folder / "large.db", parallel).requests))
        spent = bench.spent[FIRST][0]
    return (
        f"sekmet-fhir, {recipients:,} recipients, {rows:,} resources: a first sync took "
        f"{spent.wall:.0f} s, of which the client worked {spent.cpu:.1f} s "
        f"({spent.cpu / spent.wall:.1%}) and the server {spent.server:.0f} s."
    )


HEAD = (
    "wall s (least)", "CPU s (least)", "CPU/wall", "server CPU s", "rows/s", "CPU µs/row",
    "requests/patient", "x plain",
)  # fmt: skip


def main() -> None:
    """Serve, pull in every way so many times, and print a table for each server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipients", type=int, default=1_000)
    parser.add_argument("--real", type=int, default=50, help="recipients on the real server")
    parser.add_argument(
        "--large", type=int, default=0, metavar="RECIPIENTS",
        help="only one first sync of so many from the real server: 1,000 take half an hour",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=20, help="milliseconds")
    parser.add_argument("--parallel", type=int, default=Settings().connection.parallel)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if wanted.large:
            print(large(wanted.large, folder, wanted.parallel))
            return
        study = generate(StudyShape(wanted.recipients, wanted.recipients, SEED))
        rows = write(study, folder).total()
        served = folder / "fhir"
        patients = [json.loads(line)["id"] for line in (served / "Patient.ndjson").open()]
        size = sum(file.stat().st_size for file in served.glob("*.ndjson"))
        print(f"{len(patients):,} recipients, {rows:,} resources, {size / 1e6:,.0f} MB; ", end="")
        print(f"medians of {wanted.rounds} rounds; pages of {PAGE}, {TOGETHER} patients together, ")
        print(f"sync and server's pace {wanted.parallel} at once.")
        benches = []
        for latency in (0.0, wanted.latency):
            base = stack.enter_context(endpoint(served, latency))
            name = f"endpoint, answers after {latency:g} ms"
            benches.append(Bench(name, base, patients, folder))
        if wanted.real:
            base = stack.enter_context(sekmet_server(folder))
            few = StudyShape(wanted.real, wanted.real, SEED)
            put_all(base, (resource for _, resource in generate(few)))
            name = f"sekmet-fhir, {wanted.real} recipients"
            benches.append(Bench(name, base, patients[: wanted.real], folder))
        for _ in range(wanted.rounds):
            for bench in benches:
                bench.round(wanted.parallel)
    for bench in benches:
        print(f"\n{table((bench.name, *HEAD), bench.lines())}\n{bench.in_words}", flush=True)


if __name__ == "__main__":
    main()
