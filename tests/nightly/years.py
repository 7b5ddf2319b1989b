"""Three years of nights in minutes: the store at the end equals a fresh full pull.

python -m tests.nightly.years --nights 1095

The cohort grows; data come late, are corrected and deleted; records are merged; the site changes
its mappings; now and then the server fails for a night. Printed are what a quiet night costs at the
beginning and at the end, how the store grows, and whether the survivor equals a new store.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from adapter.config import Settings
from adapter.nightly import run_night
from adapter.store import Store
from tests.builders import SYSTEMS, condition, encounter, lab, patient
from tests.nightly.site import cohort
from tests.nightly.ward import Resource, Ward, about, recipient, relapse, sepsis, settings, ward

OVERLAY = "action,concept,subconcept,system,code,match,display,signed,dated\n"


class Years:
    """One hospital, one store, and what happens from day to day."""

    def __init__(self, folder: Path, served: Ward, seed: int) -> None:
        self.served, self.chance = served, random.Random(seed)
        (folder / "site").mkdir()
        chosen = settings(folder, served.base, keep=7)
        self.chosen: Settings = chosen.model_copy(update={"site_mappings": folder / "site"})
        self.people: list[str] = []
        self.happened: Counter[str] = Counter()
        self.serial = 0

    def day(self, number: int) -> bool:
        """What happened at the hospital today; False when nothing did."""
        before = sum(self.happened.values())
        if number % 12 == 0:
            self._admit()
        chance = self.chance.random()
        if chance < 0.35 and self.people:
            self._add(self.chance.choice(self.people))
        elif chance < 0.42 and self.people:
            self._correct(self.chance.choice(self.people))
        elif chance < 0.45 and self.people:
            self._delete(self.chance.choice(self.people))
        elif chance < 0.455 and len(self.people) > 6:
            self._merge()
        if number % 180 == 90:
            self._map(number)
        self.served.refused = {"Observation"} if number % 97 == 50 else set()
        self.happened["server failures"] += number % 97 == 50
        return sum(self.happened.values()) > before

    def _admit(self) -> None:
        self.happened["new recipients"] += 1
        name = f"synthetic-{len(self.people) + 1000:04d}"
        self.people.append(name)
        more = [sepsis()] if self.chance.random() < 0.2 else []
        died = "2025-06-21" if more else None
        labs = [lab("2276-4", 300 + n, "ng/mL", on=f"2025-06-{n + 2:02d}") for n in range(20)]
        self.served.put(*recipient(name, *more, *labs, died=died))

    def _add(self, name: str) -> None:
        self.happened["late data"] += 1
        self.serial += 1
        made: list[Resource] = [relapse(), condition("cm|I10", on="2025-07-01"),
                                lab("2276-4", 500, "ng/mL"), encounter("2025-11-01")]  # fmt: skip
        one = {**self.chance.choice(made), "id": f"late-{self.serial}"}
        self.served.put(*about(name, one))

    def _correct(self, name: str) -> None:
        self.happened["corrections"] += 1
        one = patient(birthDate=f"19{self.chance.randint(40, 90)}-02-03")
        self.served.put(*about(name, one))

    def _delete(self, name: str) -> None:
        self.happened["deletions"] += 1
        self.served.delete("Observation", f"{name}-obse{self.chance.randint(4, 20)}")

    def _merge(self) -> None:
        """The second of two records of one person is replaced by the first."""
        self.happened["merges"] += 1
        self.served.refused = set()
        keeps, goes = self.chance.sample(self.people, 2)
        self.people.remove(goes)
        shelf = self.served.shelf
        for kind in ("Condition", "Observation", "Encounter", "Procedure"):
            for entry in shelf.search(kind, [("patient", goes)]):
                if kind == "Procedure":
                    shelf.delete(entry.key)
                    continue
                body = bytes(entry.body).replace(goes.encode(), keeps.encode())
                shelf.delete(entry.key)
                moved = {**json.loads(body), "id": entry.key[1]}
                self.served.put(moved)
        link = {"other": {"reference": f"Patient/{keeps}"}, "type": "replaced-by"}
        self.served.put(*about(goes, patient(active=False, link=[link])))

    def _map(self, number: int) -> None:
        self.happened["mapping changes"] += 1
        rows = [f"add,infection,influenza,{SYSTEMS['local']},C{n},exact,,Synthetic,2026-01-01\n"
                for n in range(number)]  # fmt: skip
        path = self.chosen.site_mappings
        assert path is not None
        (path / "site.csv").write_text(OVERLAY + "".join(rows[:3]) + rows[-1])


def main() -> None:
    """Run the years and print what they cost."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.years", description=__doc__)
    parser.add_argument("--nights", type=int, default=1_095)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ward() as served:
        folder, fresh = Path(name) / "site", Path(name) / "fresh"
        folder.mkdir()
        fresh.mkdir()
        years = Years(folder, served, options.seed)
        states, quiet, requests = Counter[str](), list[float](), list[int]()
        for number in range(options.nights):
            busy = years.day(number)
            night = run_night(years.chosen)
            states[night.state] += 1
            if not busy and night.state == "complete":
                quiet.append(night.seconds)
                requests.append(night.sync["requests"])
            if number % 100 == 99:
                size = years.chosen.store.stat().st_size / 2**20
                last, asked = statistics.median(quiet[-20:]), statistics.median(requests[-20:])
                print(
                    f"{number + 1:5} nights, {night.recipients:3} recipients: a quiet night"
                    f" {last:.2f} s and {asked:g} requests, store {size:.1f} MB",
                    flush=True,
                )
        served.refused = set()
        run_night(years.chosen)
        afresh = settings(fresh, served.base).model_copy(
            update={"site_mappings": years.chosen.site_mappings}
        )
        run_night(afresh)
        agrees = cohort(years.chosen) == cohort(afresh)
        with Store(years.chosen.store) as old, Store(afresh.store) as new:
            held = [{(one.type, one.id): one.body for r in store.records() for one in r.resources}
                    for store in (old, new)]  # fmt: skip
        missing = new_only(held[0], held[1])
    for what, count in sorted((years.happened + Counter(states)).items()):
        print(f"{count:6,}  {what}")
    print(f"cohort equal to a fresh full pull: {'yes' if agrees else 'NO'}; resources of a fresh"
          f" pull that differ or are missing here: {missing:,} of {len(held[1]):,}")  # fmt: skip
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(not agrees or missing > 0)


def new_only(old: dict[tuple[str, str], bytes], new: dict[tuple[str, str], bytes]) -> int:
    """How many resources of a fresh pull the old store lacks or has otherwise."""
    return sum(old.get(key) != body for key, body in new.items())


if __name__ == "__main__":
    main()
