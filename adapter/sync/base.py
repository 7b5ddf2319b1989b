"""What the phases of one sync share: the slices of tonight, and how questions are put together."""

from collections.abc import Iterable, Iterator

import msgspec

from adapter.codes import Codes
from adapter.config import Settings
from adapter.dates import instant_of
from adapter.errors import SliceFailed
from adapter.fhir.calibrate import Style, calibrate
from adapter.fhir.connect import Server
from adapter.fhir.pages import Query
from adapter.ledger import WHOLE, Ledger, Slice, State
from adapter.store import Store
from adapter.sync.intake import Intake, Purpose, Task
from adapter.sync.report import SyncReport

FIND = "find "  # slices of this kind are searches for patients
_STYLE = "patient_style"
_DAY = 86_400.0
_NEVER = float("-inf")
_UNKNOWN = State()
_LATE = 100  # rows asked for one by one, before we call it a fault of the server

Batch = tuple[str, tuple[str, ...] | None, list[Slice]]


class Round:
    """One store, one server, one night."""

    def __init__(
        self, store: Store, settings: Settings, codes: Codes, server: Server, report: SyncReport
    ) -> None:
        self.store, self.codes, self.report = store, codes, report
        self.settings = settings.connection
        self.server, self.planner, self.client = server, server.planner, server.client
        self.ledger = Ledger(store)
        self.intake = Intake(store, server.searcher, codes, report, self.settings.parallel)
        self.start = self.client.now()
        self.types = self.planner.types()
        self.before = self.ledger.states()
        overlap = float(self.settings.overlap_seconds)
        for one, state in self.before.items():
            # the server's clock was ahead then or is behind now: a mark in the future marks nothing
            if (state.watermark or 0.0) > self.start + overlap:
                self.before[one] = state._replace(watermark=overlap, compared=None)
        self.tonight: list[Slice] = []
        self._newest: dict[str, dict[str, float]] = {}  # by type and patient: the latest update
        self.style = Style(typed=False, batch=self.client.quirks.batch_patients)

    def state(self, one: Slice) -> State:
        """How far a slice was known when the night began."""
        return self.before.get(one, _UNKNOWN)

    def begin(self, slices: list[Slice]) -> None:
        """Due before anything is asked: a night killed here leaves them due."""
        self.tonight += slices
        kinds = {one.type for one in slices}
        self._newest = {kind: self.ledger.newest(kind, self.start) for kind in kinds}
        with self.store.transaction():
            self.ledger.begin(slices)

    def of_type(self, kind: str) -> tuple[Slice, ...]:
        """Tonight's slices of one type."""
        return tuple(one for one in self.tonight if one.type == kind)

    def slice_of(self, kind: str, patient: str) -> Slice:
        """The slice that a row of this patient belongs to."""
        return Slice(WHOLE if self.intake.among is None else patient, kind)

    def searchable(self, kind: str) -> bool:
        """False on servers that only export."""
        return self.settings.mode == "search" or bool(self.server.offers.params.get(kind))

    def compare_is_due(self, one: Slice) -> bool:
        """Every so many days ids are compared, whatever the counts say."""
        compared = self.state(one).compared
        return compared is None or compared < self.start - self.settings.full_compare_days * _DAY

    # -- how patients are named ------------------------------------------------------------

    def learn_style(self, patients: list[str]) -> bool:
        """How this server wants patients to be named: tried once, then remembered.

        False when not one row of these patients is shown, however they are named.
        """
        if known := known_style(self.store):
            self.style = known
        elif patients:
            found = calibrate(self.planner, self.server.searcher, patients)
            if found is None:
                return False
            self.remember(found)
        return True

    def remember(self, style: Style) -> None:
        """Use this style from now on."""
        self.style = style
        self.store.set_meta(_STYLE, msgspec.json.encode(style).decode())

    def list_is_lossy(self, slices: Iterable[Slice]) -> None:
        """Some servers read only the first of several patients: one at a time from now on."""
        self.intake.fail(slices, "the server's list leaves out rows that it has")
        self.remember(Style(self.style.typed, 1))

    def try_instants(self, patients: list[str]) -> None:
        """Where the server does not say that it searches by _lastUpdated, see whether it does."""
        if not patients:
            return
        recent = ("_lastUpdated", f"ge{instant_of(self.start)}")
        for kind in filter(self.searchable, self.planner.doubtful()):
            query = self.query(kind, None if patients == [WHOLE] else tuple(patients[:1]))
            try:
                self.server.searcher.peek(query.also(recent))
            except SliceFailed:
                self.planner.without_instants.add(kind)
                self.report.note(f"{kind}: not searched by _lastUpdated, so asked for in full")

    # -- questions -------------------------------------------------------------------------

    def query(self, kind: str, batch: tuple[str, ...] | None) -> Query:
        """Everything of one type, of all or some patients."""
        if batch is None:
            return self.planner.query(kind)
        return self.planner.of_patients(kind, batch, typed=self.style.typed)

    def changes(
        self, query: Query, slices: list[Slice], batch: tuple[str, ...] | None
    ) -> tuple[Query, ...]:
        """The whole question when a slice was never walked to its end, else what changed."""
        states = [self.state(one) for one in slices]
        marks = [state.watermark for state in states if state.watermark is not None]
        if len(marks) < len(states):
            return (query,)
        since = min(marks) - self.settings.overlap_seconds
        held = self._newest[query.type]
        boundary = max((held.get(one, _NEVER) for one in batch or held), default=_NEVER)
        full = any(self.compare_is_due(one) for one in slices)
        return tuple(self.planner.changes(query, since, boundary, full))

    def batches(self, slices: Iterable[Slice], *, by_watermark: bool) -> Iterator[Batch]:
        """(type, patients, slices) that go into one question; failed slices are left out."""
        groups: dict[tuple[str, float | None], list[str]] = {}
        for one in slices:
            mark = self.state(one).watermark if by_watermark else None
            if one not in self.intake.failed:
                groups.setdefault((one.type, mark), []).append(one.patient)
        for (kind, mark), patients in groups.items():
            if patients == [WHOLE]:
                yield kind, None, [Slice(WHOLE, kind)]
                continue
            size = self.style.batch
            if by_watermark and mark is None:  # whole histories: something for each connection
                size = min(size, -(-len(patients) // self.settings.parallel))
            for batch in self.planner.batches(patients, size):
                yield kind, batch, [Slice(patient, kind) for patient in batch]

    def fetch(self, purpose: Purpose) -> None:
        """The rows whose id or meta differed from ours, whole."""
        for (what, kind), ids in list(self.intake.wanted.items()):
            if what != purpose:
                continue
            del self.intake.wanted[what, kind]
            slices = self.of_type(kind)
            self.ask_by_id(purpose, kind, ids, slices)
            late = ids - self.intake.fetched.get(kind, set()) if purpose == "fetch" else set()
            if len(late) > _LATE:
                self.intake.fail(slices, "the server lists rows that it does not give by id")
            else:  # deleted meanwhile, or the server takes no list of ids
                self.ask_one_by_one(kind, late, slices)

    def ask_by_id(
        self, purpose: Purpose, kind: str, ids: Iterable[str], slices: tuple[Slice, ...]
    ) -> None:
        """Rows by their ids, as many at once as a question takes."""
        queries = self.planner.by_ids(kind, ids)
        self.intake.run([Task(purpose, kind, (query,), slices) for query in queries])

    def ask_one_by_one(self, kind: str, ids: Iterable[str], slices: tuple[Slice, ...]) -> None:
        """Rows by their ids, each alone; no more than a server can be asked to bear."""
        some = sorted(ids)[:_LATE]
        queries = [query for id_ in some for query in self.planner.by_ids(kind, [id_])]
        self.intake.run([Task("fetch", kind, (query,), slices) for query in queries])

    # -- watermarks ------------------------------------------------------------------------

    def pulled(self, slices: Iterable[Slice]) -> None:
        """Watermark: our start, or the newest row held where that is earlier."""
        kinds = {one.type for one in slices}
        newest = {
            kind: max(self.ledger.newest(kind, self.start).values(), default=_NEVER)
            for kind in kinds
        }
        with self.store.transaction():
            self.mark(slices, newest)

    def mark(self, slices: Iterable[Slice], newest: dict[str, float]) -> None:
        """Set the watermarks of slices that did not fail; call in a transaction.

        One mark for all of a type, or each admission would ask its own question for ever where
        the type has no rows.
        """
        good = [one for one in slices if one not in self.intake.failed]
        seen = dict(newest)
        for one in good:
            seen[one.type] = max(seen.get(one.type, 0.0), self.state(one).watermark or 0.0)
        for one in good:
            mark = seen[one.type]
            self.ledger.pulled([one], min(mark, self.start) if mark > 0 else self.start)


def known_style(store: Store) -> Style | None:
    """How the server of this store wants patients to be named, once that was found out."""
    known = store.meta(_STYLE)
    return msgspec.json.decode(known, type=Style) if known else None
