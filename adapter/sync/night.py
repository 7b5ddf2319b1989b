"""One sync, phase by phase: find, pull, compare, bury, and only then call a slice done."""

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from adapter.codes import Codes
from adapter.config import Settings
from adapter.errors import ServerError
from adapter.fhir.connect import Server
from adapter.fhir.group import group_members, listed_patients
from adapter.fhir.pages import Query
from adapter.ledger import WHOLE, Slice, State
from adapter.store import Store
from adapter.sync.base import FIND, Round
from adapter.sync.compare import Comparison
from adapter.sync.intake import Task
from adapter.sync.report import Due, SyncReport


class Night(Round):
    """One sync of one store with one server."""

    def __init__(
        self, store: Store, settings: Settings, codes: Codes, server: Server, report: SyncReport
    ) -> None:
        super().__init__(store, settings, codes, server, report)
        self.comparison = Comparison(self)

    def go(self) -> None:
        """All phases in order."""
        self._lost_types()
        patients = self._everyone()
        self.try_instants(patients)
        self._pull([Slice(patient, kind) for patient in patients for kind in self.types])
        self._pull_survivors(set(patients))
        self.comparison.run()
        self.comparison.bury()
        self._finish()

    def _lost_types(self) -> None:
        """A type that was never there is a note; one that we hold rows of is due."""
        for kind in self.planner.missing_types():
            self.report.note(f"{kind}: the server does not offer it")
            if self.ledger.counts(kind):
                self.begin([Slice(WHOLE, kind)])
                self.intake.fail(self.of_type(kind), "the server no longer offers it")

    # -- who -------------------------------------------------------------------------------

    def _everyone(self) -> list[str]:
        """The patients to ask about; "*" for the whole server."""
        if self.settings.find == "all":
            return [WHOLE]
        known = self.ledger.patients()
        if self.settings.find == "patients":
            patients = listed_patients(self.settings.patients)
        elif self.settings.find == "group":
            patients = group_members(self.client, self.settings.group)
        else:
            patients = self._found() | known
        patients = {patient for patient in patients if not self.store.is_erased(patient)}
        self._let_go(known - patients)
        self.report.recipients = len(patients)
        self.intake.among = patients
        shown = self.learn_style(sorted(self.intake.found & patients) or sorted(patients))
        if self.intake.found and not shown:
            raise ServerError(
                "The server finds recipients by code, and shows no row of them by patient.",
                "Ask its administrator about searches with `patient`; see docs/connect/.",
            )
        return sorted(patients)

    def _found(self) -> set[str]:
        """Recipients by their codes; a changed code list is a new search of the whole past."""
        tasks = []
        for kind, queries in self.planner.finders(self.codes).items():
            one = Slice(f"{FIND}{_digest(queries)}", kind)
            self.begin([one])
            changed = tuple(q for query in queries for q in self.changes(query, [one], None))
            tasks.append(Task("find", kind, changed, (one,)))
        self.intake.run(tasks)
        self.fetch("find")
        # whom we found is written down before the search may be called up to date
        with self.store.transaction():
            found = [one for one in self.intake.found if not self.store.is_erased(one)]
            self.ledger.begin(Slice(patient, kind) for patient in found for kind in self.types)
            self.mark([one for task in tasks for one in task.slices], self.intake.latest)
        return self.intake.found

    def _let_go(self, gone: set[str]) -> None:
        """Patients who left the group or the list: their rows are buried, with that reason."""
        known = len(self.ledger.patients())
        if not gone or self.comparison.brake("patients of the list or group", len(gone), known):
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
        self.begin(slices)
        tasks = []
        for kind, batch, part in self.batches(slices, by_watermark=True):
            query = self.query(kind, batch)
            changes = self.changes(query, part, batch)
            whole = changes == (query,) and not self.planner.by_instant(kind)
            tasks.append(Task("pull", kind, changes, tuple(part), batch, whole=whole))
        self.intake.run(tasks)
        self._one_at_a_time(tasks)
        self.fetch("fetch")
        self._ask_for_absent_patients(slices)
        self.pulled(slices)

    def _one_at_a_time(self, tasks: list[Task]) -> None:
        """A question about many patients that was too much is asked again for each of them."""
        too_much = [task for task in tasks if task.slices[0] in self.intake.too_much]
        single = [
            msgspec.structs.replace(
                task,
                queries=self.changes(self.query(task.type, (one.patient,)), [one], (one.patient,)),
                slices=(one,),
                patients=(one.patient,),
            )
            for task in too_much
            if len(task.slices) > 1
            for one in task.slices
        ]
        for task in single:
            self.intake.failed.pop(task.slices[0], None)
        self.intake.run(single)

    def _ask_for_absent_patients(self, slices: list[Slice]) -> None:
        """Each patient has a Patient: where it did not come, it is asked for alone."""
        asked = {one.patient for one in slices if one.type == "Patient"} - {WHOLE}
        absent = asked - self.ledger.known("Patient", asked).keys()
        late = tuple(Slice(patient, "Patient") for patient in sorted(absent))
        if not late or self.intake.failed.keys() & set(late):
            return
        self.ask_one_by_one("Patient", absent, late)
        if self.ledger.known("Patient", absent):  # alone it came: lists of patients lose some
            self.list_is_lossy(late)
        else:
            self.report.note(f"{len(absent)} patients have no Patient resource")

    def _pull_survivors(self, known: set[str]) -> None:
        """Merged records: rows move to the survivor, often without a new lastUpdated."""
        survivors = {one for one in self.intake.survivors if not self.store.is_erased(one)}
        if not survivors or WHOLE in known:
            return
        if not all(self.searchable(kind) for kind in self.types):
            self.ledger.reset(survivors)  # an export-only server
            history = [one for one in self.tonight if one.patient in survivors]
            self.intake.fail(history, "merged patients: the next export is a full one")
            return
        self.report.note(f"{len(survivors)} merged patients: their history was asked for again")
        slices = [Slice(patient, kind) for patient in sorted(survivors) for kind in self.types]
        self.tonight = [one for one in self.tonight if one.patient not in survivors]
        for one in slices:
            self.before[one] = State()
        self.intake.among = known | survivors
        self._pull(slices)
        self.report.recipients = len(known | survivors)

    # -- the account -----------------------------------------------------------------------

    def _finish(self) -> None:
        """Done is what was walked and compared; the rest is due, with its reason."""
        failed, run = self.intake.failed, self.report.run
        self.report.left_out = {why: n for why, n in self.intake.left_out.items() if n}
        if not self.report.account_holds:
            self.report.alarms.append("The count of what came is not that of what was kept.")
            self.intake.fail(self.tonight, "rows came that nothing accounts for")
        good = [one for one in self.tonight if one not in failed]
        fresh = {one for one in good if self.state(one).watermark is None}
        with self.store.transaction():
            self.ledger.done(run, good, None)
            self.ledger.done(run, (self.comparison.done | fresh) - failed.keys(), self.start)
            self.ledger.retire(self.before.keys() - set(self.tonight))
            for one, reason in failed.items():
                self.ledger.failed([one], reason)
        if self.intake.nobody:
            self.report.note(f"{self.intake.nobody} rows name no patient of this server")
        groups = Counter((one.type, reason) for one, reason in failed.items())
        self.report.due = [Due(kind, reason, n) for (kind, reason), n in sorted(groups.items())]
        self.report.slices, self.report.slices_due = len(self.tonight), len(failed)
        self.report.state = "partial" if failed else "complete"
        if self.report.alarms:
            self.report.state = "alarm"


def _digest(queries: Iterable[Query]) -> str:
    text = "&".join(value for query in queries for _, value in query.params)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
