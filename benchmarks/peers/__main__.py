"""Other tools on the same bytes, in the same run, in turn.

    make peers        # once: their environment
    python -m benchmarks.peers [--patients 1000] [--rounds 5]

Each runs as a fresh process on one core and times itself after its imports. The quick ones run in
every round, the slow ones once.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapter.words import table
from benchmarks.hospital import mixed
from benchmarks.measure import ROOT, Failed, cost_of, machine

THEIRS = ROOT / ".venv-peers" / "bin" / "python"
RESULT = ROOT / "benchmarks" / "results" / "peers.json"
_ONE_CORE = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"}


class Peer(NamedTuple):
    """One way to run one tool, and how its work differs from ours."""

    name: str
    script: str
    way: str
    work: str
    quick: bool = False
    own: bool = False  # runs in our environment


PEERS = (
    Peer("msgspec, plain objects", "bare", "decode",
         "the baseline: every line to dicts and lists, nothing picked out", quick=True, own=True),
    Peer("cart-nrm, five columns", "ours", "columns",
         "type, id, patient, first code, date of every line", quick=True, own=True),
    Peer("cart-nrm, all a night reads", "ours", "facts",
         "envelope, and every field that a fact can come from", quick=True, own=True),
    Peer("DuckDB read_json", "duckdb_json", "columns",
         "the five columns into a table; can query and join them afterwards", quick=True),
    Peer("Polars scan_ndjson", "polars_ndjson", "columns",
         "the five columns into a frame; can query and join them afterwards", quick=True),
    Peer("fhirpy", "fhirpy_client", "columns",
         "each line as the client's object, the five columns by path; it also pulls and saves"),
    Peer("FHIR-PYrate, all columns", "fhir_pyrate", "flatten",
         "every field as a column of a pandas frame: more than the five"),
    Peer("FHIR-PYrate, FHIRPath", "fhir_pyrate", "columns",
         "the five columns, asked for as it documents; dates of Observations only"),
    Peer("fhir.resources (R4B)", "fhir_resources", "parse",
         "every field, validated against the standard; picks nothing out"),
    Peer("Pathling", "pathling_spark", "columns",
         "the columns of Observations through Spark; scales over machines"),
)  # fmt: skip


class Measured(msgspec.Struct):
    """A row of the comparison: the best of the rounds; `failed` says why there is none."""

    name: str
    work: str
    version: str = ""
    cpu: float = 0.0
    wall: float = 0.0
    peak_mb: float = 0.0
    rows: int = 0
    failed: str = ""
    found: tuple[int | None, int | None, int | None] = (None, None, None)


class _Said(msgspec.Struct):
    """The line of JSON that a peer's script prints."""

    version: str
    cpu: float
    wall: float
    rows: int
    patients: int | None
    codes: int | None
    dates: int | None


class Comparison(msgspec.Struct):
    """Everything that the page about performance says of peers."""

    machine: dict[str, object]
    resources: int
    bytes: int
    rounds: int
    peers: list[Measured]


def measured(peer: Peer, file: Path, before: Measured | None) -> Measured:
    """Run a peer once more; keeps what was better."""
    python = sys.executable if peer.own else str(THEIRS)
    command = [python, "-m", f"benchmarks.peers.{peer.script}", peer.way, str(file)]
    try:
        cost, printed = cost_of(["timeout", "300", *command], _ONE_CORE)
    except Failed as problem:
        return Measured(peer.name, peer.work, failed=str(problem).strip().splitlines()[-1][:200])
    said = msgspec.json.decode(printed.splitlines()[-1], type=_Said)
    row = Measured(
        peer.name, peer.work, said.version, said.cpu, said.wall, cost.peak / 2**20, said.rows,
        found=(said.patients, said.codes, said.dates),
    )  # fmt: skip
    if before is not None:
        row.cpu, row.wall = min(row.cpu, before.cpu), min(row.wall, before.wall)
    return row


def compare(file: Path, rounds: int) -> list[Measured]:
    """All peers on one file, in turn."""
    rows: dict[str, Measured] = {}
    for number in range(rounds):
        for peer in PEERS:
            if number == 0 or (peer.quick and not rows[peer.name].failed):
                rows[peer.name] = measured(peer, file, rows.get(peer.name))
    return list(rows.values())


def main() -> None:
    """Compare, print the table and keep it for the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--keep", type=Path, default=RESULT, help="where the figures go")
    wanted = parser.parse_args()
    if not THEIRS.exists():
        sys.exit("The peers are not installed: make peers")
    hospital = mixed(wanted.work / f"mixed-{wanted.patients}", wanted.patients)
    file = wanted.work / f"peers-{wanted.patients}.jsonl"
    file.write_bytes(b"".join(part.read_bytes() for part in hospital.files))
    rows = compare(file, wanted.rounds)
    done = Comparison(machine(), hospital.resources, hospital.bytes, wanted.rounds, rows)
    wanted.keep.parent.mkdir(exist_ok=True)
    wanted.keep.write_bytes(msgspec.json.format(msgspec.json.encode(done)) + b"\n")
    print(in_words(done))


def in_words(done: Comparison) -> str:
    """The comparison as a table for the terminal."""
    ours = next(row for row in done.peers if row.name == "cart-nrm, five columns")
    return table(
        ("tool", "version", "µs a resource", "x ours", "MB at most"),
        [
            (row.name, row.version, f"{1e6 * row.cpu / row.rows:.1f}",
             f"{row.cpu / ours.cpu:.1f}", f"{row.peak_mb:.0f}")
            if not row.failed else (row.name, "", "did not run", "", "")
            for row in done.peers
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
