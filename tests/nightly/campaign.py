"""The fault campaign: nothing lost, never a silent partial, the next night right.

python -m tests.nightly.campaign [--kills 200] [--tries 12] [--only "full disk"]

Kills nights at random points, then takes every case of `cases`. At the end a table says for each
case how its nights ended, above it what was done and what their users read. Ends with 1 if anything
is wrong.
"""

import argparse
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

from tests.nightly import faults
from tests.nightly.cases import cases
from tests.nightly.kills import Kills, hospital
from tests.nightly.site import Wrong
from tests.nightly.trials import Verdict, try_out

_ROW = "{:<18} {:>6}  {:<24} {:<8} {:<8} {:<6} {:>6}"


def kill(kills: int, seed: int) -> Verdict:
    """So many nights killed, each followed by a night that must be right."""
    verdict, began = Verdict("kill -9", "at random points of a night"), time.monotonic()
    with tempfile.TemporaryDirectory() as name, hospital(Path(name)) as base:
        folder = Path(name) / "site"
        folder.mkdir()
        site = Kills(folder, base, seed)
        try:
            site.go(kills, lambda line: print(f"  {line}", flush=True))
            if not site.agrees_with_a_fresh_pull(Path(name) / "fresh"):
                verdict.lost.append("the cohort is not that of a fresh pull")
        except Wrong as problem:
            verdict.lost.append(str(problem))
        killed = site.figures["killed"]
        verdict.nights = Counter({-signal.SIGKILL: killed, 0: site.figures["over before the kill"]})
        if site.figures["next nights complete"] != kills:
            verdict.after.append("not every next night was complete")
        verdict.said[-signal.SIGKILL] = "\n".join(
            f"{count:,} {what}" for what, count in sorted(site.figures.items()) if "step" in what
        )
    verdict.seconds = time.monotonic() - began
    return verdict


def row_of(verdict: Verdict) -> str:
    """One line of the table."""
    codes = ", ".join(f"{code} ({n})" for code, n in sorted(verdict.nights.items()) if n)
    return _ROW.format(
        verdict.name, sum(verdict.nights.values()), codes,
        "LOST" if verdict.lost else "nothing", "SILENT" if verdict.silent else "never",
        "WRONG" if verdict.after else "right", f"{verdict.seconds:.0f}",
    ).rstrip()  # fmt: skip


def story_of(verdict: Verdict) -> str:
    """What was done, what its users read, and what was wrong."""
    lines = [f"{verdict.name}: {verdict.done}"]
    for code, text in sorted(verdict.said.items()):
        if code:
            lines += [f"  {code}:", textwrap.indent(text, "    ")]
    for wrong in (*verdict.lost, *verdict.silent, *verdict.after):
        lines.append(f"  WRONG: {wrong}")
    return "\n".join(lines)


def main() -> None:
    """Everything, then the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.campaign")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--tries", type=int, default=12, help="nights of a case, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases with this in their name")
    asked = parser.parse_args()
    found = [case for case in cases() if asked.only in case.name]
    verdicts = []
    if asked.only in "kill -9" and asked.kills:
        verdicts.append(kill(asked.kills, asked.seed))
    for case in found:
        print(f"  {case.name}", flush=True)
        # damage is cheap to try, and each page counts
        tries = 16 * asked.tries if case.name in ("damaged pages", "damaged bytes") else asked.tries
        verdicts.append(try_out(case, tries, asked.seed))
    print("\n" + "\n\n".join(story_of(verdict) for verdict in verdicts))
    print("\n" + _ROW.format("case", "nights", "exit (nights)", "lost", "silent", "next", "s"))
    print("\n".join(row_of(verdict) for verdict in verdicts))
    disk = "memory disks" if faults.can_mount() else "no mounts here: RLIMIT_FSIZE and permissions"
    bad = [verdict.name for verdict in verdicts if not verdict.good]
    right = len(verdicts) - len(bad)
    print(f"\nFull and read-only disks: {disk}. {right} of {len(verdicts)} cases right.")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
