"""How a case of the campaign is tried: what its nights may end with, and what must hold.

Each case has a site and a server of its own. For each of its faults the server's data change, a
night meets the fault, the server's data change again, and the next night must be right.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.nightly import faults
from tests.nightly.faults import Fault
from tests.nightly.site import Ended, Site, Wrong, finds, whole
from tests.nightly.ward import Ward, ward


class Case(NamedTuple):
    """`faults` gives (about) so many faults as asked for; `codes`: how a night may end."""

    name: str
    done: str
    codes: set[int]
    faults: Callable[[Site, Ward, int], list[Fault]]
    still: bool = False  # the server's data stay as they are, so that a backup is never old
    patience: float = 60.0
    disk: bool = False  # on a small disk of its own
    slow: bool = False  # each night is a process of its own


class Verdict:
    """What came of one case."""

    def __init__(self, name: str, done: str) -> None:
        self.name, self.done = name, done
        self.nights: Counter[int] = Counter()
        self.said: dict[int, str] = {}
        self.lost, self.silent, self.after = list[str](), list[str](), list[str]()
        self.seconds = 0.0

    @property
    def good(self) -> bool:
        """Nothing lost, nothing silent, every next night right."""
        return bool(self.nights) and not (self.lost or self.silent or self.after)


def try_out(case: Case, tries: int, seed: int = 1) -> Verdict:
    """A case from its first good night to its comparison with a fresh pull."""
    verdict, began = Verdict(case.name, case.done), time.monotonic()
    random.seed(seed)
    with (
        tempfile.TemporaryDirectory() as name,
        ward() as hospital,
        _disk(case, Path(name)) as place,
    ):
        site = Site(place, hospital.base, case.patience)
        for _ in range(9):
            site.change()
        must(site.night(), "the first night")
        site.decide()
        site.look_after_recovery()
        for fault in case.faults(site, hospital, tries):
            _suffer(site, case, fault, verdict)
        fresh = Path(name) / "fresh"
        if not site.agrees_with_a_fresh_pull(fresh):
            verdict.lost.append("the cohort is not that of a fresh pull")
    verdict.seconds = time.monotonic() - began
    return verdict


@contextmanager
def _disk(case: Case, folder: Path) -> Iterator[Path]:
    place = folder / "site"
    place.mkdir(mode=0o700)
    if case.disk:
        with faults.small_disk(place):
            yield place
    else:
        folder.chmod(0o711)  # another account may reach the site, when it is given to it
        yield place


def must(ended: Ended, what: str) -> None:
    """Wrong, when a night that has no reason to fail does."""
    if ended.code:
        raise Wrong(f"{what} ended with {ended.code}: {ended.text}")


def _suffer(site: Site, case: Case, fault: Fault, verdict: Verdict) -> None:
    if not case.still:
        site.change()
    before = site.published()
    try:
        ended = fault(site)
    except Wrong as problem:
        verdict.silent.append(str(problem))
        return
    verdict.nights[ended.code] += 1
    verdict.said.setdefault(ended.code, ended.text)
    if wrong := finds(lambda: told(site, case, ended, before)):
        verdict.silent.append(wrong)
    if not case.still:
        site.change()
        site.correct()
    if wrong := finds(lambda: must(site.night(), "the next night")):
        verdict.after.append(wrong)
    if wrong := finds(site.look_at_the_time):
        verdict.after.append(wrong)
    if wrong := finds(site.look_after_recovery):
        verdict.lost.append(wrong)


def told(site: Site, case: Case, ended: Ended, before: tuple[str, dict[str, bytes]]) -> None:
    """Never a silent partial: exit code, message, `latest` and `status` say how the night was."""
    if ended.code not in case.codes:
        raise Wrong(f"ended with {ended.code}: {ended.text}")
    if "Traceback" in ended.text or len(ended.text.splitlines()) < 2:
        raise Wrong(f"no message for people: {ended.text}")
    latest = site.chosen.nightly.folder / "latest"
    if ended.code in (0, 20):
        whole(latest.resolve())
    elif ended.code != 15 and site.published() != before:
        raise Wrong("outputs changed though the night failed")
    if ended.code == 0:
        site.equals_server()
        if case.still and site.published()[1]["cohort.csv"] != before[1]["cohort.csv"]:
            raise Wrong("the cohort changed though no data did")
    if ended.code == 20 and "due: " not in ended.text:
        raise Wrong("a partial night does not say what is due")
    _status_tells(site, ended, before[0])


def _status_tells(site: Site, ended: Ended, before: str) -> None:
    """Not that a night went well which did not; on a full disk the night before is the last."""
    last = site.last_night()
    newer = int(last["number"]) > int(before.rpartition("_")[2])
    if newer and ended.code != 15 and last["exit_code"] != ended.code:
        raise Wrong(f"status says {last['exit_code']} of a night that ended with {ended.code}")
