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
from benchmarks.figures import OURS, Comparison, Peer
from benchmarks.hospital import mixed
from benchmarks.measure import ROOT, Failed, cost_of, keep, machine

THEIRS = ROOT / ".venv-peers" / "bin" / "python"
_ONE_CORE = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"}


class Tool(NamedTuple):
    """One way to run one tool, and how its work differs from ours."""

    name: str
    script: str
    way: str
    work: str
    quick: bool = False
    own: bool = False  # runs in our environment


PEERS = (
    Tool("msgspec, plain objects", "bare", "decode",
         "the baseline: every line to dicts and lists, nothing picked out", quick=True, own=True),
    Tool("cart-nrm, five columns", "ours", "columns",
         "type, id, patient, first code, date of every line", quick=True, own=True),
    Tool("cart-nrm, all a night reads", "ours", "facts",
         "envelope, and every field that a fact can come from", quick=True, own=True),
    Tool("DuckDB read_json", "duckdb_json", "columns",
         "the five columns into a table; can query and join them afterwards", quick=True),
    Tool("Polars scan_ndjson", "polars_ndjson", "columns",
         "the five columns into a frame; can query and join them afterwards", quick=True),
    Tool("fhirpy", "fhirpy_client", "columns",
         "each line as the client's object, the five columns by path; it also pulls and saves"),
    Tool("FHIR-PYrate, all columns", "fhir_pyrate", "flatten",
         "every field as a column of a pandas frame: more than the five"),
    Tool("FHIR-PYrate, FHIRPath", "fhir_pyrate", "columns",
         "the five columns, asked for as it documents; dates of Observations only"),
    Tool("fhir.resources (R4B)", "fhir_resources", "parse",
         "every field, validated against the standard; picks nothing out"),
    Tool("Pathling", "pathling_spark", "columns",
         "the columns of Observations through Spark; scales over machines"),
)  # fmt: skip


class _Said(msgspec.Struct):
    """The line of JSON that a peer's script prints."""

    version: str
    cpu: float
    wall: float
    rows: int
    patients: int | None
    codes: int | None
    dates: int | None


def measured(peer: Tool, file: Path, before: Peer | None) -> Peer:
    """Run a peer once more; keeps what was better."""
    python = sys.executable if peer.own else str(THEIRS)
    command = [python, "-m", f"benchmarks.peers.{peer.script}", peer.way, str(file)]
    try:
        cost, printed = cost_of(["timeout", "300", *command], _ONE_CORE)
    except Failed as problem:
        return Peer(peer.name, peer.work, failed=str(problem).strip().splitlines()[-1][:200])
    said = msgspec.json.decode(printed.splitlines()[-1], type=_Said)
    row = Peer(
        peer.name, peer.work, said.version, said.cpu, said.wall, cost.peak, said.rows,
        found=(said.patients, said.codes, said.dates),
    )  # fmt: skip
    if before is not None:
        row.cpu, row.wall = min(row.cpu, before.cpu), min(row.wall, before.wall)
    return row


def compare(file: Path, rounds: int) -> list[Peer]:
    """All peers on one file, in turn."""
    rows: dict[str, Peer] = {}
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
    parser.add_argument("--keep", type=Path, help="a JSON file for the figures")
    wanted = parser.parse_args()
    if not THEIRS.exists():
        sys.exit("The peers are not installed: make peers")
    hospital = mixed(wanted.work / f"export-{wanted.patients}", wanted.patients)
    file = wanted.work / f"peers-{wanted.patients}.jsonl"
    file.write_bytes(b"".join(part.read_bytes() for part in hospital.files))
    rows = compare(file, wanted.rounds)
    done = Comparison(machine(), hospital.resources, hospital.bytes, wanted.rounds, rows)
    print(in_words(done))
    keep(done, wanted.keep)


def in_words(done: Comparison) -> str:
    """The comparison as a table for the terminal."""
    ours = done.cpu(OURS)
    return table(
        ("tool", "version", "µs a resource", "x ours", "MB at most"),
        [
            (row.name, row.version, f"{row.micros:.1f}",
             f"{row.cpu / ours:.1f}", f"{row.peak >> 20}")
            if not row.failed else (row.name, "", "did not run", "", "")
            for row in done.peers
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
