"""One sync, phase by phase: find, pull, compare, bury, and only then call a slice done."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from adapter.codes import Codes
from adapter.config import Settings
from adapter.envelope import split_reference
from adapter.errors import ConfigError, ServerError
from adapter.fhir.calibrate import Style, calibrate
from adapter.fhir.client import Client, Request
from adapter.fhir.connect import Server
from adapter.fhir.search import Query
from adapter.fhir.transport import Broken, Reply
from adapter.ledger import WHOLE, Ledger, Slice, State
from adapter.store import Store
from adapter.sync.intake import Intake, Purpose, Task
from adapter.sync.report import Due, SyncReport

_FEW = 5  # so few rows may vanish in one night without a brake, unless they were all there was
_FIND = "find "
_STYLE = "patient_style"
_DAY = 86_400.0
_LATE = 100  # rows asked for one by one, before we call it a fault of the server
_ROUNDS = 3  # how often ids are listed again when they move while being listed

Batch = tuple[str, tuple[str, ...] | None, list[Slice]]


class Night:
    """One sync of one store with one server."""

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
        self.accept_vanished = False
        self.before = self.ledger.states()
        self.tonight: list[Slice] = []
        self.compared: set[Slice] = set()
        self.missing: dict[str, set[str]] = {}
        self.style = Style(typed=False, batch=self.client.quirks.batch_patients)

    def go(self) -> None:
        """All phases in order."""
        for kind in self.planner.missing_types():
            self.report.note(f"{kind}: the server does not offer it")
        patients = self._everyone()
        self._pull([Slice(patient, kind) for patient in patients for kind in self.types])
        self._pull_survivors(set(patients))
        self._compare()
        self._bury()
        self._finish()

    def _state(self, one: Slice) -> State:
        return self.before.get(one, State())

    def _begin(self, slices: list[Slice]) -> None:
        """Due before anything is asked: a night killed here leaves them due."""
        self.tonight += slices
        with self.store.transaction():
            self.ledger.begin(slices)

    # -- who -------------------------------------------------------------------------------

    def _everyone(self) -> list[str]:
        """The patients to ask about; "*" for the whole server."""
        if self.settings.find == "all":
            return [WHOLE]
        known = self.ledger.patients()
        if self.settings.find == "patients":
            patients = _listed_patients(self.settings.patients)
        elif self.settings.find == "group":
            patients = group_members(self.client, self.settings.group)
        else:
            patients = self._found() | known
        patients = {patient for patient in patients if not self.store.is_erased(patient)}
        patients = {patient for patient in patients if not self.store.is_erased(patient)}
        self._learn_style(sorted(self.intake.found & patients) or sorted(patients))
        self._let_go(known - patients)
        self.report.recipients = len(patients)
        self.intake.among = patients
        return sorted(patients)

    def _learn_style(self, patients: list[str]) -> None:
        """How this server wants patients to be named: tried once, then remembered."""
        known = self.store.meta(_STYLE)
        if known:
            self.style = msgspec.json.decode(known, type=Style)
        elif patients:
            found = calibrate(self.planner, self.server.searcher, patients)
            if found is not None:
                self._remember(found)
            elif self.intake.found:
                raise ServerError(
                    "The server finds recipients by code, and shows no row of them by patient.",
                    "Ask its administrator about searches with `patient`; see docs/connect/.",
                )

    def _remember(self, style: Style) -> None:
        self.style = style
        self.store.set_meta(_STYLE, msgspec.json.encode(style).decode())

    def _found(self) -> set[str]:
        """Recipients by their codes; a changed code list is a new search of the whole past."""
        tasks = []
        for kind, queries in self.planner.finders(self.codes).items():
            one = Slice(f"{_FIND}{_digest(queries)}", kind)
            self._begin([one])
            changed = tuple(q for query in queries for q in self._changes(query, [one], None))
            tasks.append(Task("find", kind, changed, (one,)))
        self.intake.run(tasks)
        self._fetch("find")
        # whom we found is written down before the search may be called up to date
        with self.store.transaction():
            found = [one for one in self.intake.found if not self.store.is_erased(one)]
            self.ledger.begin(Slice(patient, kind) for patient in found for kind in self.types)
            self._mark([one for task in tasks for one in task.slices], self.intake.latest)
        return self.intake.found

    def _let_go(self, gone: set[str]) -> None:
        """Patients who left the group or the list: their rows are buried, with that reason."""
        if not gone:
            return
        known = len(self.ledger.patients())
        if self._brake("patients of the list or group", len(gone), known):
            return
        with self.store.transaction():
            for kind in self.types:
                for id_ in self.ledger.held(kind, gone):
                    self.report.deleted += self.store.remove(
                        self.report.run, kind, id_, "left the cohort"
                    )
            self.ledger.forget(gone)

    # -- pulling ---------------------------------------------------------------------------

    def _pull(self, slices: list[Slice]) -> None:
        """What changed of every slice; slices with the same watermark share a question."""
        self._begin(slices)
        tasks = []
        for kind, batch, part in self._batches(slices, by_watermark=True):
            queries = tuple(self._changes(self._query(kind, batch), part, batch))
            tasks.append(Task("pull", kind, queries, tuple(part), batch))
        self.intake.run(tasks)
        self._fetch("fetch")
        self._ask_for_absent_patients(slices)
        self._pulled(slices)

    def _ask_for_absent_patients(self, slices: list[Slice]) -> None:
        """Each patient has a Patient: where it did not come, it is asked for alone."""
        asked = {one.patient for one in slices if one.type == "Patient"} - {WHOLE}
        absent = asked - self.ledger.known("Patient", asked).keys()
        late = sorted(absent)[:_LATE]
        if late and Slice(late[0], "Patient") not in self.intake.failed:
            before = self.report.stored
            of_late = tuple(Slice(patient, "Patient") for patient in late)
            queries = [query for id_ in late for query in self.planner.by_ids("Patient", [id_])]
            self.intake.run([Task("fetch", "Patient", (query,), of_late) for query in queries])
            if self.report.stored > before:  # alone it came: lists of patients lose some
                self._list_is_lossy("Patient", set(late))
            else:
                self.report.note(f"{len(absent)} patients have no Patient resource")

    def _pull_survivors(self, known: set[str]) -> None:
        """Merged records: rows move to the survivor, often without a new lastUpdated."""
        survivors = {one for one in self.intake.survivors if not self.store.is_erased(one)}
        if not survivors or WHOLE in known:
            return
        self.report.note(f"{len(survivors)} merged patients: their history was asked for again")
        slices = [Slice(patient, kind) for patient in sorted(survivors) for kind in self.types]
        self.tonight = [one for one in self.tonight if one.patient not in survivors]
        for one in slices:
            self.before[one] = State()
        self.intake.among = known | survivors
        self._pull(slices)
        self.report.recipients = len(known | survivors)

    def _query(self, kind: str, batch: tuple[str, ...] | None) -> Query:
        if batch is None:
            return self.planner.query(kind)
        return self.planner.of_patients(kind, batch, typed=self.style.typed)

    def _changes(
        self, query: Query, slices: list[Slice], batch: tuple[str, ...] | None
    ) -> Iterator[Query]:
        """The whole question when a slice was never walked to its end, else what changed."""
        states = [self._state(one) for one in slices]
        marks = [state.watermark for state in states if state.watermark is not None]
        if len(marks) < len(states):
            return iter([query])
        since = min(marks) - self.settings.overlap_seconds
        boundary = self.ledger.newest(query.type, batch, self.start)
        full = any(self._compare_is_due(one) for one in slices)
        return self.planner.changes(query, since, boundary, full)

    def _batches(self, slices: Iterable[Slice], *, by_watermark: bool) -> Iterator[Batch]:
        """(type, patients, slices) that go into one question."""
        groups: dict[tuple[str, float | None], list[str]] = {}
        for one in slices:
            mark = self._state(one).watermark if by_watermark else None
            if one not in self.intake.failed:
                groups.setdefault((one.type, mark), []).append(one.patient)
        for (kind, _), patients in groups.items():
            if patients == [WHOLE]:
                yield kind, None, [Slice(WHOLE, kind)]
                continue
            for batch in self.planner.batches(patients, self.style.batch):
                yield kind, batch, [Slice(patient, kind) for patient in batch]

    def _fetch(self, purpose: Purpose) -> None:
        """The rows whose id or meta differed from ours, whole."""
        for (what, kind), ids in list(self.intake.wanted.items()):
            if what != purpose:
                continue
            del self.intake.wanted[what, kind]
            slices = tuple(one for one in self.tonight if one.type == kind)
            self._ask_by_id(purpose, kind, ids, slices)
            late = ids - self.intake.fetched.get(kind, set()) if purpose == "fetch" else set()
            if len(late) > _LATE:
                self.intake.fail(slices, "the server lists rows that it does not give by id")
            elif late:  # deleted meanwhile, or the server takes no list of ids: ask one by one
                one_by_one = [query for id_ in late for query in self.planner.by_ids(kind, [id_])]
                self.intake.run([Task(purpose, kind, (query,), slices) for query in one_by_one])

    def _ask_by_id(
        self, purpose: Purpose, kind: str, ids: set[str], slices: tuple[Slice, ...]
    ) -> None:
        queries = self.planner.by_ids(kind, ids)
        self.intake.run([Task(purpose, kind, (query,), slices) for query in queries])

    def _pulled(self, slices: Iterable[Slice]) -> None:
        """Watermark: our start, or the newest row seen where that is earlier."""
        kinds = {one.type for one in slices}
        newest = {kind: self.ledger.newest(kind, None, self.start) for kind in kinds}
        with self.store.transaction():
            self._mark(slices, newest)

    def _mark(self, slices: Iterable[Slice], newest: dict[str, float]) -> None:
        for one in slices:
            if one not in self.intake.failed:
                seen = max(newest.get(one.type, 0.0), self._state(one).watermark or 0.0)
                self.ledger.pulled([one], min(seen, self.start) if seen > 0 else self.start)

    # -- comparing -------------------------------------------------------------------------

    def _compare(self) -> None:
        """Counts for all; ids where the counts differ or something was odd."""
        slices = [one for one in self.tonight if not one.patient.startswith(_FIND)]
        tasks = [
            Task("count", kind, (self._query(kind, batch),), tuple(part), batch)
            for kind, batch, part in self._batches(slices, by_watermark=False)
        ]
        self.intake.run(tasks)
        self._compare_ids([task for task in tasks if self._must_compare(task)])
        self._fetch("fetch")
        self._look_again()

    def _must_compare(self, task: Task) -> bool:
        if self.intake.failed.keys() & set(task.slices):
            return False
        total = self.intake.totals.get(task)
        if total is not None and total != self.ledger.count(task.type, task.patients):
            return True
        return any(
            one in self.intake.moved
            or self._state(one).due is not None
            or (self._compare_is_due(one) and self._state(one).watermark is not None)
            for one in task.slices
        )

    def _compare_is_due(self, one: Slice) -> bool:
        compared = self._state(one).compared
        return compared is None or compared < self.start - self.settings.full_compare_days * _DAY

    def _compare_ids(self, counted: list[Task]) -> None:
        """List ids until a listing was not disturbed by changes on the server."""
        left = [
            Task(
                "compare",
                task.type,
                tuple(self.planner.ids(query) for query in task.queries),
                task.slices,
                task.patients,
            )
            for task in counted
        ]
        for _ in range(_ROUNDS):
            self.intake.moved.difference_update(one for task in left for one in task.slices)
            self.intake.run(left)
            for task in left:
                self._note_missing(task)
            left = [task for task in left if self.intake.moved & set(task.slices)]
            if not left:
                return
        for task in left:
            self.intake.fail(task.slices, "rows kept changing while they were listed")

    def _note_missing(self, task: Task) -> None:
        if self.intake.failed.keys() & set(task.slices):
            return
        listed = self.intake.listed.get(task, set())
        held = self.ledger.held(task.type, task.patients)
        self.missing.setdefault(task.type, set()).update(held.keys() - listed)
        self.compared.update(task.slices)

    def _look_again(self) -> None:
        """Ask for each missing row by its id: is it gone, moved, or did the list leave it out?"""
        for kind, ids in self.missing.items():
            if not self.server.offers.params.get(kind):
                continue  # an export-only server: its list is all there is
            held = self.ledger.known(kind, ids)
            slices = tuple(one for one in self.tonight if one.type == kind)
            self._ask_by_id("missing", kind, ids, slices)
            back = self.intake.returned.get(kind, {})
            left_out = {i for i, patient in back.items() if held[i].patient == patient}
            if left_out:
                self._list_is_lossy(kind, {held[id_].patient for id_ in left_out})
            among = self.intake.among
            self.missing[kind] = {
                id_ for id_ in ids if among is not None and back.get(id_, "") not in among
            } | (ids - back.keys())

    def _list_is_lossy(self, kind: str, patients: set[str]) -> None:
        """Some servers read only the first of several patients: ask one at a time from now on."""
        self.intake.fail(
            [one for one in self.tonight if one.type == kind and one.patient in {*patients, WHOLE}],
            "the server's list leaves out rows that it has",
        )
        self._remember(Style(self.style.typed, 1))

    # -- burying ---------------------------------------------------------------------------

    def _bury(self) -> None:
        """Tombstones for what is gone, unless so much is gone that a person must look."""
        for kind, ids in self.missing.items():
            slices = [one for one in self.tonight if one.type == kind]
            if not ids or any(one in self.intake.failed for one in slices if one.patient == WHOLE):
                continue
            if self._brake(kind, len(ids), self.ledger.count(kind)):
                self.intake.fail(slices, "a brake was pulled: too much vanished")
                continue
            with self.store.transaction():
                for id_ in sorted(ids):
                    self.report.deleted += self.store.remove(
                        self.report.run, kind, id_, "deleted on the server"
                    )

    def _brake(self, what: str, gone: int, held: int) -> bool:
        """More than the agreed share, or all there was: stop and ask."""
        share = self.settings.vanish_brake_percent / 100 * held
        if self.accept_vanished or not ((gone > _FEW and gone > share) or (gone == held > 1)):
            return False
        self.report.alarms.append(f"{what}: {gone} of {held} vanished since the last sync.")
        return True

    # -- the account -----------------------------------------------------------------------

    def _finish(self) -> None:
        """Done is what was walked and compared; the rest is due, with its reason."""
        failed = self.intake.failed
        good = [one for one in self.tonight if one not in failed]
        fresh = [one for one in good if self._state(one).watermark is None]
        with self.store.transaction():
            self.ledger.done(self.report.run, good, None)
            self.ledger.done(
                self.report.run, self.compared.union(fresh) - failed.keys(), self.start
            )
            for one, reason in failed.items():
                self.ledger.failed([one], reason)
        groups = Counter((one.type, reason) for one, reason in failed.items())
        self.report.due = [Due(kind, reason, n) for (kind, reason), n in sorted(groups.items())]
        self.report.slices, self.report.slices_due = len(self.tonight), len(failed)
        clean: Any = "partial" if failed else "complete"
        self.report.state = "alarm" if self.report.alarms else clean


class _Member(msgspec.Struct):
    entity: dict[str, Any] = {}
    inactive: Any = False


class _Group(msgspec.Struct):
    resourceType: str
    member: list[_Member] = []


def group_members(client: Client, group: str) -> set[str]:
    """The patients of a Group, those marked inactive left out."""
    if not group:
        raise ConfigError("No group is named.", "Set connection.group to the Group's id.")
    found = client.ask(Request("Group", client.url(f"Group/{group}")), _read_group)
    members = set[str]()
    for member in found.member:
        kind, id_ = split_reference(str(member.entity.get("reference", "")))
        if kind == "Patient" and member.inactive is not True:
            members.add(id_)
    if not members:
        raise ServerError("The group has no patients.", "Check connection.group and the scopes.")
    return members


def _read_group(reply: Reply) -> _Group:
    try:
        return msgspec.json.decode(reply.body, type=_Group)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Broken("The group cannot be read.") from None


def _listed_patients(path: Any) -> set[str]:
    if path is None:
        raise ConfigError("No patient list is named.", "Set connection.patients to a file.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read: {problem.strerror}.") from None
    return {line.strip() for line in lines if line.strip()}


def _digest(queries: Iterable[Query]) -> str:
    text = "&".join(value for query in queries for _, value in query.params)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
