"""Odd bytes of every kind: no crash, no traceback, no lost valid neighbour, no planted text told.

python -m tests.nightly.fuzz --inputs 1000000 [KIND ...]        (atheris: requirements/nightly.txt)

Some inputs are drawn by hypothesis from odd documents; the others are made by atheris, which
starts from such documents and keeps what reaches new code. Where atheris is not installed
hypothesis draws them all. Every kind runs in a process of its own with bounded memory; an input
that takes longer than a minute is a finding, too.
"""

import argparse
import importlib
import importlib.util
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import nullcontext
from math import ceil
from pathlib import Path
from typing import Any

MEMORY = 6 * 2**30
GUIDED = 0.97


def campaign(inputs: int, first: int, only: list[str]) -> list[dict[str, Any]]:
    """Every kind by every means; prints a line each and gives what was told."""
    from tests.nightly.fuzz.trial import KINDS

    guided = GUIDED if importlib.util.find_spec("atheris") else 0.0
    kinds = {name: KINDS[name] for name in only or KINDS}
    part = inputs / sum(kind.share for kind in kinds.values())
    return [
        _one(name, by, ceil(part * kind.share * how), first)
        for name, kind in kinds.items()
        for by, how in (("hypothesis", 1 - guided), ("atheris", guided))
        if how
    ]


def _one(name: str, by: str, inputs: int, first: int) -> dict[str, Any]:
    """One kind by one means in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.nightly.fuzz", "--child", folder, "--by", by]
        command += ["--inputs", str(inputs), "--seed", str(first), name]
        began = time.monotonic()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        told = Path(folder) / "told.json"
        answer: dict[str, Any] = {
            "done": 0,
            "found": {f"died: {ended.stderr[-600:]}": ""},
            "said": [],
        }
        if told.exists():
            answer = json.loads(told.read_text())
    found, took = dict(answer["found"]), time.monotonic() - began
    counts = f"{answer['done']:10,}  {name:12} {by:10} {took:6.0f} s  {len(found)} findings"
    print(counts, flush=True)
    for what, data in found.items():
        print(f"            FOUND {what}  {bytes.fromhex(data)[:300]!r}", flush=True)
    return {"name": name, "by": by, **answer}


def child(name: str, by: str, inputs: int, first: int, folder: Path) -> None:
    """What runs in that process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    watched: Any = nullcontext()
    if by == "atheris":
        watched = importlib.import_module("atheris").instrument_imports(include=["adapter", "cli"])
    with watched:
        from tests.nightly.fuzz.trial import Trial
    trial = Trial(name, folder)
    if by == "atheris":
        trial.guide(inputs, first)
    trial.draw(inputs, first)
    trial.tell()


def main() -> None:
    """Read so many odd inputs and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--told", type=Path, help="also write everything as JSON")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--by", help=argparse.SUPPRESS)
    parser.add_argument("kinds", nargs="*")
    o = parser.parse_args()
    if o.child:
        child(o.kinds[0], o.by, o.inputs, o.seed, o.child)
        return
    answers = campaign(o.inputs, o.seed, o.kinds)
    if o.told:
        o.told.write_text(json.dumps(answers))
    found = sum(len(answer["found"]) for answer in answers)
    print(f"{sum(answer['done'] for answer in answers):10,}  inputs, {found} findings")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
