"""Every kind of fault as a case: what is done to a site, and how its nights may end."""

import random
import time
from collections.abc import Callable

from tests.nightly import faults
from tests.nightly.faults import Fault
from tests.nightly.site import Ended, Site
from tests.nightly.trials import Case, must
from tests.nightly.ward import Ward, recipient

_DAY = 86_400.0
TYPES = ("Patient", "Condition", "Procedure", "Observation", "Encounter",
         "MedicationAdministration")  # fmt: skip


def _sizes(tries: int, most: int) -> list[int]:
    """From nothing to most, evenly."""
    return [most * n // max(1, tries - 1) for n in range(tries)]


def _full(site: Site, _: Ward, tries: int) -> list[Fault]:
    most = 1_000_000 if faults.can_mount() else 150_000
    return [faults.full_disk(left) for left in _sizes(tries, most)]


def _clocks(_: Site, __: Ward, tries: int) -> list[Fault]:
    jumps = (3_650 * _DAY, -7_300 * _DAY, -3_600.0, 3_600.0, 3 * _DAY, -3 * _DAY)
    return [faults.wrong_clock(jump) for jump in jumps[:tries]]


def _jumps(_: Site, __: Ward, tries: int) -> list[Fault]:
    jumps = (7_200.0, -7_200.0, 400 * _DAY, -400 * _DAY)
    return [faults.wrong_clock(jumps[n % 4], random.randrange(5, 60)) for n in range(tries)]


def _summer_time(_: Site, __: Ward, tries: int) -> list[Fault]:
    """Around both changes of 2027 in Berlin: before, in the hour that is missing or double, after.

    The spring change is at 2027-03-28T01:00Z, the autumn change at 2027-10-31T01:00Z.
    """
    changes = (1_806_195_600.0, 1_824_944_400.0)
    moments = [change + minutes * 60 for change in changes for minutes in (-30, 30, 90)]
    return [
        faults.wrong_clock(moment - time.time(), zone="Europe/Berlin") for moment in moments[:tries]
    ]


def _server_clock(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    def ahead(seconds: float) -> Fault:
        def fault(site: Site) -> Ended:
            with hospital.mood(ahead=seconds):
                site.change()
                ended = site.night()
            site.newcomer_by_drug()
            return ended

        return fault

    return [ahead(one) for one in (-3_600.0, -365 * _DAY, 3_600.0, 365 * _DAY)[-tries:]]


def _off(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    def fault(site: Site) -> Ended:
        with hospital.off():
            return site.night()

    return [fault] * tries


def _moods(hospital: Ward, moods: list[dict[str, object]]) -> list[Fault]:
    def of(mood: dict[str, object]) -> Fault:
        def fault(site: Site) -> Ended:
            with hospital.mood(**mood):
                return site.night()

        return fault

    return [of(mood) for mood in moods]


def _hangs_up(site: Site, hospital: Ward, tries: int) -> list[Fault]:
    hospital.asked = 0
    must(site.night(), "a night")
    asked = hospital.asked
    return _moods(hospital, [{"hangs_up_after": n} for n in _sizes(tries, asked - 1)])


def _no_fhir(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    pages = (b"<html>Please log in</html>", b"{}", b"[1, 2", b'{"resourceType": "Bundle"}',
             b"\x00\xff\x00")  # fmt: skip
    return _moods(hospital, [{"instead": page} for page in pages[:tries]])


def _refusing(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    groups = [{kind} for kind in TYPES] + [set(TYPES)]
    return _moods(hospital, [{"refused": one} for one in groups[:tries]])


def _slow(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    groups = [{kind} for kind in TYPES] + [set(TYPES)]
    return _moods(hospital, [{"slow": one} for one in groups[:tries]])


def _emptied(_: Site, hospital: Ward, tries: int) -> list[Fault]:
    groups = [{"Condition"}, {"Procedure"}, {"Patient"}, set(TYPES)]
    return _moods(hospital, [{"empty": one} for one in groups[:tries]])


def _damaged_page(page: int, change: Callable[[bytes, int], bytes]) -> Fault:
    return faults.cut("cart.db", lambda whole: change(whole, page), mend=True)


def _pages(site: Site, hospital: Ward, tries: int) -> list[Fault]:
    """Pages of every kind, of a store with long texts; all of them, or the first of each kind."""
    _grow(site, hospital)
    kinds = faults.kinds_of_pages(site.chosen.store)
    first = {kind: page for page, kind in sorted(kinds.items(), reverse=True)}
    pages = sorted(kinds) if tries > len(first) else sorted(first.values())[:tries]
    return [
        _damaged_page(page, lambda whole, n: faults.overwrite(whole, n * faults.PAGE, faults.PAGE))
        for page in pages
    ]


def _bits(site: Site, hospital: Ward, tries: int) -> list[Fault]:
    """A few bytes somewhere in a page are others, as a failing disk or memory leaves them."""
    _grow(site, hospital)
    chance, many = random.Random(7), site.chosen.store.stat().st_size // faults.PAGE
    return [
        _damaged_page(chance.randrange(many), lambda whole, n: faults.turned(whole, n, chance))
        for _ in range(tries)
    ]


def _grow(site: Site, hospital: Ward) -> None:
    """Enough rows for interior pages, and texts that do not fit into one page."""
    chance = random.Random(11)
    for n in range(40):
        hospital.put(*recipient(f"synthetic-page-{n:03d}"))
    for n in range(4):
        long = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12_000))
        hospital.put(*recipient(f"synthetic-long-{n}", {
            "resourceType": "Condition", "code": {"text": "Synthetic"}, "note": [{"text": long}],
        }))  # fmt: skip
    must(site.night(), "a night")
    site.look_after_recovery()


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _nothing(_: bytes) -> bytes:
    return b""


def _journals(_: Site, __: Ward, tries: int) -> list[Fault]:
    keeps: list[Callable[[bytes], bytes]] = [
        lambda whole: whole[:-7], _half, _nothing, lambda whole: whole + b"\0" * 4096,
        lambda whole: whole[:-40] + b"\0" * 40,
    ]  # fmt: skip
    found = [faults.cut("nights/journal.jsonl", keep) for keep in keeps]
    return [*found, faults.gone("nights/journal.jsonl")][:tries]


def _outputs(_: Site, __: Ward, tries: int) -> list[Fault]:
    names = ("report.html", "cohort.csv", "night.json", "changes.json", "cohort.csv.manifest.json")
    return [faults.cut_output(name) for name in names[:tries]]


def _logs(_: Site, __: Ward, tries: int) -> list[Fault]:
    keeps: list[Callable[[bytes], bytes]] = [
        lambda log: log, _half, lambda log: log[:-9], lambda log: faults.overwrite(log, 9_000, 500),
        _nothing,
    ]  # fmt: skip
    return [faults.left_by_a_kill(keep) for keep in keeps[:tries]]


def _cut_stores(_: Site, __: Ward, tries: int) -> list[Fault]:
    def pages(whole: bytes) -> bytes:
        return whole[: len(whole) // 2 // faults.PAGE * faults.PAGE]

    found = [faults.cut("cart.db", keep, mend=True) for keep in (_half, pages, _nothing)]
    return [*found, faults.gone("cart.db")][:tries]


def _keys(_: Site, __: Ward, tries: int) -> list[Fault]:
    found = [faults.cut("cart.db.key", keep, mend=True) for keep in (_half, _nothing)]
    return [*found, faults.gone("cart.db.key")][:tries]


def _settings(_: Site, __: Ward, tries: int) -> list[Fault]:
    found = [
        faults.cut("study.toml", keep, mend=True)
        for keep in (lambda whole: whole[:-20], lambda whole: whole + b"stoer = 1\n")
    ]
    return [*found, faults.gone("study.toml")][:tries]  # fmt: skip


CASES = (
    Case("full disk", "a disk with 0 bytes to 1 MB left", {0, 14}, _full, disk=True),
    Case("read-only file", "store 0400, another account", {14},
         lambda s, w, n: [faults.forbidden("cart.db", 0o400)]),
    Case("read-only folder", "folder 0500, another account", {14},
         lambda s, w, n: [faults.forbidden(".", 0o500)]),
    Case("read-only outputs", "nights/ 0500, another account", {14},
         lambda s, w, n: [faults.forbidden("nights", 0o500)]),
    Case("wrong clock", "20 years back, 10 ahead, 1 h and 3 days both ways", {0}, _clocks,
         slow=True),
    Case("jumping clock", "jumps of 2 h and 400 days within a night", {0, 20}, _jumps, slow=True),
    Case("summer time", "nights around both changes, Europe/Berlin", {0}, _summer_time,
         slow=True),
    Case("server's clock", "an hour and a year ahead and behind", {0, 20}, _server_clock),
    Case("nights at once", "three nights begin together", {0, 15},
         lambda s, w, n: [faults.at_once] * n, slow=True),
    Case("server off", "nobody listens", {13}, _off),
    Case("server hangs up", "after 0, 1, 2 ... requests", {13, 20}, _hangs_up),
    Case("no FHIR", "a login page, {}, cut JSON, bytes", {13}, _no_fhir),
    Case("half a server", "500 for each type in turn, for all", {13, 20}, _refusing),
    Case("slow server", "no answer for each type in turn, for all", {13, 20}, _slow, patience=0.3),
    Case("emptied server", "all rows of a type gone", {13, 20, 21}, _emptied),
    Case("damaged pages", "each page of the store overwritten", {14}, _pages, still=True),
    Case("damaged bytes", "16 bytes of a random page turned", {0, 14}, _bits, still=True),
    Case("cut store", "half of it, nothing, no file", {14}, _cut_stores, still=True),
    Case("damaged log", "the write-ahead log of a kill, cut or turned", {0, 14}, _logs),
    Case("damaged journal", "cut lines, zeros, no file", {0}, _journals),
    Case("damaged outputs", "report, cohort and accounts cut", {0}, _outputs),
    Case("damaged key", "half, empty, missing", {10}, _keys),
    Case("damaged settings", "cut, unknown key, missing", {10}, _settings),
)  # fmt: skip
READ_ONLY_DISK = Case("read-only disk", "remounted", {14},
                      lambda s, w, n: [faults.read_only_disk], disk=True)  # fmt: skip


def cases() -> list[Case]:
    """Those that can be tried on this machine."""
    return [*CASES, *([READ_ONLY_DISK] if faults.can_mount() else [])]
