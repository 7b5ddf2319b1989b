"""Every night, by itself: sync, classify, export, report and diff as one run that can be killed.

Outputs are written into a hidden folder, which gets its dated name when it is whole; only then does
`latest` point to it. Whatever a killed night left behind, the next one removes or finishes. Nights
are numbered, so that neither a clock that jumps nor a restored store confuses their order; times
are UTC, so that nothing happens when summer time begins.
"""

import os
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from adapter.atomic import need_room, sync_folder, write_atomically
from adapter.changes import changes_between, recall, remember, replaying, said_of
from adapter.codes import load_codes
from adapter.config import Settings
from adapter.errors import Alarm, CartNrmError, LockedError, StoreError
from adapter.export import export_cohort
from adapter.export.released import allowed
from adapter.journal import Journal, in_words, last_event, make_folder
from adapter.lock import held
from adapter.pseudonyms import Release
from adapter.report import Changes, write_report
from adapter.schema import half_copies
from adapter.soundness import check_soundness
from adapter.status import remember_counts
from adapter.store import Store, now, store_hint, store_reason
from adapter.study import Study, run_study
from adapter.sync import SyncReport, Tell, sync
from adapter.tell import Night, tell

_NUMBER = re.compile(r"\d{5,}")
_NAME = re.compile(rf"\d{{4}}-\d\d-\d\d_{_NUMBER.pattern}")


def run_night(
    settings: Settings,
    say: Callable[[str], None] = lambda line: None,
    *,
    progress: Tell | None = None,
    accept_vanished: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Night:
    """One night, told to everybody who wants to know. Raises nothing: see `exit_code`."""
    began, stuck = time.monotonic(), False
    longest = settings.connection.deadline_hours + 2  # the rest takes less (convention)
    journal = Journal(settings.nightly.folder / "journal.jsonl", say)
    night = _known_before(settings.nightly.folder)
    try:
        make_folder(settings.nightly.folder)
        with held(settings.store, "nightly") as died:
            night.number = journal.night = _recover(settings.nightly.folder, journal, died) + 1
            journal("started", pid=os.getpid())
            _NightWork(settings, journal, night).run(progress, accept_vanished, sleep)
    except Exception as problem:
        _failed(night, problem)
        stuck = isinstance(problem, LockedError) and problem.hours > longest
    night.ended, night.seconds = now(), round(time.monotonic() - began, 3)
    if night.exit_code == LockedError.exit_code:  # whoever holds the lock tells its own night
        journal("locked", why=night.problem, stuck=stuck)
        if stuck:
            night.todo = f"It hangs: no run takes {longest:g} h. Stop it; the next night goes on."
            tell(night, settings.nightly, journal)
        return night
    tell(night, settings.nightly, journal)
    journal("ended", **msgspec.to_builtins(night))
    return night


def _known_before(folder: Path) -> Night:
    """The counts of the last night, so that a failed one does not say that there is nobody.

    A journal may have been rotated away; the folder behind `latest` still knows.
    """
    try:
        last = last_event(folder / "journal.jsonl", "ended")
        if last is None:
            last = msgspec.json.decode((folder / "latest" / "night.json").read_bytes())
        night = msgspec.convert(last, Night)
    except (OSError, msgspec.DecodeError):
        night = Night()
    return msgspec.structs.replace(
        night, number=0, run=0, last_good=night.last_good_night, state="failed", exit_code=1,
        started=now(), folder="", problem="", todo="", due=[], sync={}, changes={},
    )  # fmt: skip


def _failed(night: Night, problem: Exception) -> None:
    night.state, night.problem, night.folder = "failed", in_words(problem), ""
    night.changes = {}
    night.todo, night.exit_code = "Please report it.", 1
    if isinstance(problem, CartNrmError):
        night.todo, night.exit_code = problem.hint, problem.exit_code
    elif isinstance(problem, (sqlite3.Error, OSError)):
        night.exit_code = StoreError.exit_code
        night.problem = f"The store or an output cannot be used: {store_reason(problem)}."
        night.todo = store_hint(problem)
    if isinstance(problem, Alarm):
        night.state = "alarm"


class _NightWork:
    """The steps of one night, in order; each leaves its counts in `night`."""

    def __init__(self, settings: Settings, journal: Journal, night: Night) -> None:
        self.settings, self.journal, self.night = settings, journal, night
        self.folder = settings.nightly.folder

    def run(self, progress: Tell | None, accept_vanished: bool, sleep: Any) -> None:
        for place in (self.settings.store.parent, self.folder):
            need_room(place, self.settings.nightly.free_mb)
        _need_store(self.settings.store, self.night)
        for copy in half_copies(self.settings.store):
            copy.unlink(missing_ok=True)
        with Store(self.settings.store) as store:
            if check_soundness(store, time.time()):
                self.journal("asked_again", why="what is complete up to when was damaged")
            self.night.last_complete = store.last_complete()
            store.pseudonyms()  # a wrong key or column is told before hours of asking
            allowed(self.settings.nightly.columns)
            codes = load_codes(
                self.settings.site_mappings,
                include_unverified=self.settings.include_unverified,
                who_is_gm=self.settings.who_is_gm,
            )
            pulled = sync(
                store, self.settings, codes,
                progress=progress, accept_vanished=accept_vanished, sleep=sleep,
            )  # fmt: skip
            self._synced(store, pulled)
            if pulled.state == "alarm":
                pulled.raise_if_incomplete()
            study = run_study(store, self.settings, codes, validate=True)
            self._classified(store, study)
            before, said = recall(store), said_of(study, pulled.run)
            changes = None
            if before is not None:
                replay = replaying(store, self.settings, codes, before.run)
                changes = changes_between(store, before, said, replay)
                self.night.changes = dict(Counter(one.kind for one in changes.changes))
            self.night.state = "complete" if pulled.state == "complete" else "partial"
            self.night.exit_code = pulled.exit_code
            self.night.todo = "The next night asks for what is due." if pulled.due else ""
            self._publish(self._write(store, study, changes))
            remember(store, said)
        prune(self.folder, self.settings.nightly.keep, self.night.last_good_night, self.journal)

    def _synced(self, store: Store, pulled: SyncReport) -> None:
        night = self.night
        fields = ("received", "stored", "unchanged", "deleted", "rejected", "requests")
        night.run, night.slices_due = pulled.run, pulled.slices_due
        night.sync = {name: getattr(pulled, name) for name in fields}
        reasons: dict[str, list[str]] = {}
        for due in pulled.due:
            reason = due.reason.removeprefix(f"{due.type} search: ")
            reasons.setdefault(reason, []).append(f"{due.type} ({due.patients})")
        night.due = [f"{', '.join(parts)}: {reason}" for reason, parts in reasons.items()]
        night.last_complete, night.resources = store.last_complete(), store.counts()
        night.store_bytes = self.settings.store.stat().st_size
        self.journal(
            "synced", run=pulled.run, state=pulled.state, due=night.due, alarms=pulled.alarms,
            **night.sync,
        )  # fmt: skip

    def _classified(self, store: Store, study: Study) -> None:
        night, account = self.night, study.attrition
        night.recipients, night.episodes = account.recipients, account.episodes
        night.outcomes = dict(account.outcomes)
        night.deaths_to_review = remember_counts(store, study)["deaths_to_review"]
        self.journal("classified", recipients=night.recipients, outcomes=night.outcomes,
                     deaths_to_review=night.deaths_to_review)  # fmt: skip

    def _write(self, store: Store, study: Study, changes: Changes | None) -> Path:
        """Everything a night gives, in a folder that nobody looks into yet."""
        chosen, night = self.settings.nightly, self.night
        part = make_folder(self.folder / f".night-{night.number:05d}.part")
        names = store.pseudonyms()
        release = Release(
            names, chosen.dates, small_cells=chosen.small_cells, columns=chosen.columns
        )
        for ending in chosen.formats:
            export_cohort(study, part / f"cohort.{ending}", release)
        write_report(study, part / "report.html", names, changes)
        told = [
            {"kind": one.kind, "patient": names.of(one.patient), "text": one.text}
            for one in (changes.changes if changes else ())
        ]
        _json(part / "changes.json", {"since": changes.since if changes else None, "what": told})
        night.folder = f"{night.started[:10]}_{night.number:05d}"
        _json(part / "night.json", msgspec.to_builtins(night))
        self.journal("written", files=sorted(file.name for file in part.iterdir()))
        return part

    def _publish(self, part: Path) -> None:
        final = self.folder / self.night.folder
        os.rename(part, final)
        point_latest(final)
        sync_folder(self.folder)
        self.journal("published", folder=final.name, changes=self.night.changes)


def _json(path: Path, value: Any) -> None:
    write_atomically(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def _need_store(store: Path, last: Night) -> None:
    """StoreError when the store of the last night is gone: a new one would lose all decisions."""
    if last.store_bytes and not (store.exists() and store.stat().st_size):
        raise StoreError(
            f"The store {store} is gone or empty; the last night had {last.store_bytes:,} bytes.",
            "Is its disk mounted? Restore the backup, or begin anew by hand with `cart-nrm sync`.",
        )


def nights(folder: Path) -> list[Path]:
    """The dated folders, oldest first."""
    return sorted(
        (path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()),
        key=_number,
    )


def _number(path: Path) -> int:
    match = _NUMBER.search(path.name)
    return int(match[0]) if match else 0


def point_latest(target: Path) -> None:
    """Switch `latest` in one step: a reader finds the old night or the new one, whole."""
    waiting = target.parent / ".latest.new"
    waiting.unlink(missing_ok=True)
    waiting.symlink_to(target.name)
    os.replace(waiting, target.parent / "latest")


def _recover(folder: Path, journal: Journal, died: dict[str, Any] | None) -> int:
    """Roll back what was half written, finish what was whole; gives the last night's number."""
    left = [path for path in folder.glob(".*") if path.name.endswith((".part", ".new"))]
    left += folder.glob(".night-*.old")
    begun = max(map(_number, left), default=0)  # its number is taken, should it stay
    left = [path for path in left if _removed(path, journal)]
    done = nights(folder)
    latest = folder / "latest"
    behind = bool(done) and (not latest.exists() or latest.resolve().name != done[-1].name)
    if behind:
        point_latest(done[-1])
    last = last_event(journal.path, "started") or {}
    number = max([begun, int(last.get("night", 0)), *map(_number, done)])
    if died is not None or left or behind:
        journal("recovered", owner=died, rolled_back=[path.name for path in left], finished=behind)
    return number


def prune(folder: Path, keep: int, good: str, journal: Journal) -> None:
    """Remove the oldest nights, never the one behind `latest` nor the last complete one."""
    spared = {(folder / "latest").resolve().name, good}
    old = [path for path in nights(folder)[:-keep] if path.name not in spared]
    if gone := [path.name for path in old if _removed(path, journal)]:
        journal("pruned", folders=gone)


def _removed(path: Path, journal: Journal) -> bool:
    """Remove a file or folder; a dated one vanishes in one step.

    What somebody still reads may stay on a network disk: no failure, the next night tries again.
    """
    try:
        if _NAME.fullmatch(path.name):
            path = path.rename(path.with_name(f".night-{_number(path):05d}.old"))
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as problem:
        journal("could_not_remove", path=path.name, why=store_reason(problem))
        return False
    return True
