"""Is what we hold what the server has? Counts first, ids where they differ, then the graves."""

from adapter.ledger import Slice
from adapter.sync.base import FIND, Round
from adapter.sync.intake import Task

_FEW = 5  # so few rows may vanish in one night without a brake, unless they were all there was
_ROUNDS = 3  # how often ids are listed again when they move while being listed
_DELETED = "deleted on the server"
_MOVED = "moved to a patient outside the study"


class Comparison:
    """Finds rows that are missing on either side; buries what is gone."""

    def __init__(self, night: Round) -> None:
        self.night, self.intake, self.ledger = night, night.intake, night.ledger
        self.report, self.store = night.report, night.store
        self.accept_vanished = False
        self.done: set[Slice] = set()
        self.missing: dict[str, dict[str, str]] = {}  # by type, by id: why it goes

    def run(self) -> None:
        """Counts for all; ids where the counts differ or something was odd."""
        slices = [
            one
            for one in self.night.tonight
            if not one.patient.startswith(FIND) and self.night.searchable(one.type)
        ]
        tasks = [
            Task("count", kind, (self.night.query(kind, batch),), tuple(part), batch)
            for kind, batch, part in self.night.batches(slices, by_watermark=False)
        ]
        self.intake.run(tasks)
        held = {kind: self.ledger.counts(kind) for kind in {task.type for task in tasks}}
        self._compare_ids([task for task in tasks if self._must_compare(task, held[task.type])])
        self.night.fetch("fetch")
        self.look_again()

    def _must_compare(self, task: Task, held: dict[str, int]) -> bool:
        if self.intake.failed.keys() & set(task.slices):
            return False
        total = self.intake.totals.get(task)
        if total is not None and total != sum(held.get(one, 0) for one in task.patients or held):
            return True
        return any(
            one in self.intake.moved
            or self.night.state(one).due is not None
            or (self.night.compare_is_due(one) and self.night.state(one).watermark is not None)
            for one in task.slices
        )

    def _compare_ids(self, counted: list[Task]) -> None:
        """List ids until a listing was not disturbed by changes on the server."""
        left = [
            Task(
                "compare",
                task.type,
                tuple(self.night.planner.ids(query) for query in task.queries),
                task.slices,
                task.patients,
            )
            for task in counted
            if not self._walked_whole(task)
        ]
        for _ in range(_ROUNDS):
            self.intake.moved.difference_update(one for task in left for one in task.slices)
            self.intake.run(left)
            for task in left:
                self._note_missing(task, self.intake.listed.get(task, set()))
            left = [task for task in left if self.intake.moved & set(task.slices)]
            if not left:
                return
        for task in left:
            self.intake.fail(task.slices, "rows kept changing while they were listed")

    def _walked_whole(self, task: Task) -> bool:
        """A type without instants that was pulled whole tonight need not be listed again."""
        walked = self.intake.walked
        if self.intake.moved & set(task.slices) or not walked.keys() >= set(task.slices):
            return False
        self._note_missing(task, set().union(*(walked[one] for one in task.slices)))
        return True

    def _note_missing(self, task: Task, listed: set[str]) -> None:
        if not self.intake.failed.keys() & set(task.slices):
            held = self.ledger.held(task.type, task.patients)
            self.vanished(task.type, held.keys() - listed)
            self.done.update(task.slices)

    def vanished(self, kind: str, ids: set[str]) -> None:
        """The server no longer lists these."""
        self.missing.setdefault(kind, {}).update(dict.fromkeys(ids, _DELETED))

    def look_again(self) -> None:
        """Ask for each missing row by its id: is it gone, moved, or did the list leave it out?"""
        for kind, ids in self.missing.items():
            if not self.night.searchable(kind):
                continue  # an export-only server: its list is all there is
            held = self.ledger.known(kind, ids)
            slices = {self.night.slice_of(kind, held[id_].patient) for id_ in held}
            self.night.ask_by_id("missing", kind, ids, tuple(slices))
            for id_, patient in self.intake.returned.get(kind, {}).items():
                among = self.intake.among
                if id_ in held and held[id_].patient == patient:
                    self.night.list_is_lossy([self.night.slice_of(kind, patient)])
                if among is None or patient in among:
                    ids.pop(id_, None)
                elif id_ in ids:
                    ids[id_] = _MOVED

    # -- burying ---------------------------------------------------------------------------

    def bury(self) -> None:
        """Tombstones for what is gone, unless so much is gone that a person must look."""
        for kind, ids in self.missing.items():
            held = self.ledger.known(kind, ids)
            sure = {
                id_: ids[id_]
                for id_, row in held.items()
                if self.night.slice_of(kind, row.patient) not in self.intake.failed
            }
            if not sure:
                continue
            if self.brake(kind, len(sure), sum(self.ledger.counts(kind).values())):
                self.intake.fail(self.night.of_type(kind), "a brake was pulled: too much vanished")
                continue
            with self.store.transaction():
                for id_, reason in sorted(sure.items()):
                    self.report.deleted += self.store.remove(self.report.run, kind, id_, reason)

    def brake(self, what: str, gone: int, held: int) -> bool:
        """More than the agreed share, or all there was: stop and ask."""
        share = self.night.settings.vanish_brake_percent / 100 * held
        if self.accept_vanished or not ((gone > _FEW and gone > share) or (gone == held > 1)):
            return False
        self.report.alarms.append(f"{what}: {gone} of {held} vanished since the last sync.")
        return True
