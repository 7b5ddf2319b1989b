"""Time the pull against the server's own ceiling and a plain `requests` loop, in the same run.

    python -m benchmarks.pull [--patients 200] [--rows 20]

The server is the PyPI package sekmet-fhir in its own process on this machine, so both share the
processors: the ceiling is what the same pages cost when nothing is decoded or stored.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from adapter.codes import load_codes
from adapter.config import Settings
from adapter.store import Store
from adapter.sync import sync
from tests.servers import put_all, sekmet_server

PAGE = 200
KINDS = ("Patient", "Procedure", "Condition", "Observation")
CART = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "XW033H7"}]}


def hospital(patients: int, rows: int) -> list[dict[str, Any]]:
    """Synthetic patients with conditions and observations; every tenth had an infusion."""
    made: list[dict[str, Any]] = []
    for number in range(patients):
        subject = {"reference": f"Patient/synthetic-{number}"}
        made.append({"resourceType": "Patient", "id": f"synthetic-{number}"})
        if number % 10 == 0:
            made.append(
                {
                    "resourceType": "Procedure",
                    "id": f"cart-{number}",
                    "subject": subject,
                    "code": CART,
                }
            )
        for i in range(rows):
            for kind in ("Condition", "Observation"):
                made.append(
                    {
                        "resourceType": kind, "id": f"{kind.lower()}-{number}-{i}",
                        "subject": subject, "note": [{"text": "synthetic " * 20}],
                    }
                )  # fmt: skip
    return made


def timed(name: str, rows: int, act: Callable[[], object]) -> float:
    """Wall seconds and rows a second; what is timed is another process, too."""
    start = time.perf_counter()
    act()
    spent = time.perf_counter() - start
    print(f"{name:<52}{spent:>8.2f} s {rows / spent:>9,.0f} rows/s")
    return spent


def plain_loop(base: str) -> int:
    """What a script does: one thread, follow next, decode."""
    found = 0
    for kind in KINDS:
        url: str | None = f"{base}/{kind}?_count={PAGE}"
        while url:
            bundle = requests.get(url, timeout=60).json()
            found += len(bundle.get("entry", []))
            url = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), None)
    return found


def ceiling(base: str, counts: dict[str, int], threads: int) -> None:
    """The same pages by offset, all known beforehand, nothing decoded."""
    urls = [
        f"{base}/{kind}?_count={PAGE}&_sort=_lastUpdated&_offset={offset}"
        for kind, count in counts.items()
        for offset in range(0, max(count, 1), PAGE)
    ]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda url: requests.get(url, timeout=60).content, urls))


def main() -> None:
    """Run every way to pull the same server once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--rows", type=int, default=20)
    wanted = parser.parse_args()
    codes = load_codes()
    with tempfile.TemporaryDirectory() as name, sekmet_server(Path(name)) as base:
        made = hospital(wanted.patients, wanted.rows)
        put_all(base, made)
        counts = {kind: sum(r["resourceType"] == kind for r in made) for kind in KINDS}
        for threads in (1, 4):
            label = f"server's ceiling, {threads} at once, nothing decoded"
            timed(label, len(made), lambda: ceiling(base, counts, threads))  # noqa: B023
        timed("plain requests loop, one thread, not stored", len(made), lambda: plain_loop(base))
        for parallel in (1, 4):
            connection = {"find": "all", "types": KINDS, "parallel": parallel}
            settings = Settings(server=base, connection=connection)  # type: ignore[arg-type]
            with Store(Path(name) / f"all{parallel}.db") as store:
                label = f"sync of everything, {parallel} at once, compared and stored"
                timed(label, len(made), lambda: sync(store, settings, codes))  # noqa: B023
                quiet = sync(store, settings, codes)
                print(f"    quiet night: {quiet.requests} requests, {quiet.received} rows sent")
        settings = Settings(server=base, connection={"types": KINDS})  # type: ignore[arg-type]
        with Store(Path(name) / "found.db") as store:
            first, quiet = sync(store, settings, codes), sync(store, settings, codes)
        for label, report in (("first night", first), ("quiet night", quiet)):
            each = report.requests / max(report.recipients, 1)
            print(
                f"recipients only, {label}: {report.recipients} patients, {report.received} rows, "
                f"{report.requests} requests ({each:.1f} a patient)"
            )


if __name__ == "__main__":
    main()
