"""A night by Bulk Data: one export instead of many searches, under the same promises.

The export is saved before it is waited for, and each file is ticked off when its rows are kept, so
that a killed night goes on where it stood. A full export is compared with what we hold; an export
of changes is not, because it says nothing about what did not change.
"""

from collections.abc import Iterator

import msgspec

from adapter.dates import instant_of
from adapter.errors import ServerError
from adapter.fhir.bulk import (
    Exporter,
    File,
    Job,
    JobGone,
    Manifest,
    NotOurs,
    deleted_in,
    errors_in,
)
from adapter.fhir.pages import Page
from adapter.ledger import WHOLE, Slice
from adapter.sync.intake import Task
from adapter.sync.night import Night

_SAVED = "bulk_job"
_TICK_ALL = 200
_KEEPS = 24 * 3600.0  # seconds after which a saved export is not worth going back to


class ExportNight(Night):
    """Finds patients like any night, but pulls by $export."""

    _since: float | None = None

    def go(self) -> None:
        """All phases in order."""
        self._lost_types()
        patients = self._everyone()
        self.try_instants(patients)
        slices = [Slice(patient, kind) for patient in patients for kind in self.types]
        slices = self._without_newcomers(slices)
        self.begin(slices)
        try:
            if slices:
                self._export(slices)
        except ServerError as problem:  # the saved export is asked for again next night
            self.intake.fail(slices, str(problem))
        self._pull_survivors(set(patients))
        if self._searches:
            self.comparison.run()  # an export of changes does not say what is gone
        self.comparison.bury()
        self._finish()

    @property
    def _searches(self) -> bool:
        """Does the server search what it exports?"""
        return all(self.searchable(kind) for kind in self.types)

    def _without_newcomers(self, slices: list[Slice]) -> list[Slice]:
        """New patients' histories come by search: an export of changes does not hold them."""
        known = {one.patient for one in slices if self.state(one).watermark is not None}
        new = {one for one in slices if one.patient not in known}
        if not new or not known or not self._searches:
            return slices
        self._pull(sorted(new))
        return [one for one in slices if one not in new]

    def _export(self, slices: list[Slice]) -> None:
        exporter = Exporter(self.client)
        job = self._saved_job() or self._kick_off(exporter, slices)
        resumed = bool(job.done)
        try:
            manifest = exporter.wait(job)
        except JobGone:
            job, resumed = self._kick_off(exporter, slices), False
            manifest = exporter.wait(job)
        except NotOurs:
            self._forget_job()
            raise
        self._since = job.since
        self._take_files(exporter, job, manifest, slices)
        if job.since is None and not resumed:
            self._note_missing_rows(slices)
        self.comparison.look_again()
        self._apply_deleted(exporter, manifest)
        self._forget_job()
        exporter.finish(job)
        self.pulled(slices)

    # -- the job ---------------------------------------------------------------------------

    def _kick_off(self, exporter: Exporter, slices: list[Slice]) -> Job:
        marks = [self.state(one).watermark for one in slices]
        due = any(self.state(one).due or self.compare_is_due(one) for one in slices)
        known = [mark for mark in marks if mark is not None]
        since = None
        if known and len(known) == len(marks) and not due:
            since = min(known) - self.settings.overlap_seconds
        job = exporter.kick_off(self._path(), self.types, since)
        self._save(job)
        return job

    def _path(self) -> str:
        level = self.settings.export
        if level == "auto":
            level = "group" if self.settings.group else "patient"
        return {
            "system": "$export",
            "patient": "Patient/$export",
            "group": f"Group/{self.settings.group}/$export",
        }[level]

    def _saved_job(self) -> Job | None:
        """The export of a night that was killed, if it asked for the same and is not too old."""
        saved = self.store.meta(_SAVED)
        if not saved:
            return None
        job = msgspec.json.decode(saved, type=Job)
        fits = job.types == self.types and job.kicked > self.start - _KEEPS
        return job if fits else None

    def _save(self, job: Job) -> None:
        self.store.set_meta(_SAVED, msgspec.json.encode(job).decode())

    def _forget_job(self) -> None:
        self.store.set_meta(_SAVED, "")

    # -- its files -------------------------------------------------------------------------

    def _take_files(
        self, exporter: Exporter, job: Job, manifest: Manifest, slices: list[Slice]
    ) -> None:
        whole = slices[0].patient == WHOLE
        patients = None if whole else tuple(sorted({one.patient for one in slices}))
        files: dict[Task, File] = {}
        for file in manifest.output:
            if file.type not in self.types:
                self.report.note("export: a file of a type that was not asked for was left alone")
            elif file.key not in job.done:
                of_type = tuple(one for one in slices if one.type == file.type)
                files[Task("export", file.type, (), of_type, patients, file.key)] = file

        def read(task: Task) -> Iterator[Page]:
            return exporter.rows(manifest, files[task])

        def tick(task: Task) -> None:
            job.done.append(files[task].key)
            if len(files) <= _TICK_ALL or len(job.done) % _TICK_ALL == 0:  # 20 000 files occur
                self._save(job)

        self.intake.run(list(files), read, tick)
        self._check_types(manifest, slices)
        self._read_errors(exporter, manifest, slices)

    def _check_types(self, manifest: Manifest, slices: list[Slice]) -> None:
        """A type without a file has no rows, or the server lost it: count it where we can."""
        delivered = {file.type for file in manifest.output}
        lost = [one for one in slices if one.type in set(self.types) - delivered]
        since = () if self._since is None else (("_lastUpdated", f"ge{instant_of(self._since)}"),)
        for kind, batch, part in self.batches(lost, by_watermark=False):
            query = self.query(kind, batch).also(*since)
            if self.searchable(kind) and self.server.searcher.count(query):
                self.intake.fail(part, "the export leaves out a type that the server has")

    def _read_errors(self, exporter: Exporter, manifest: Manifest, slices: list[Slice]) -> None:
        codes = [
            code
            for file in manifest.error
            for body in _bodies(exporter, manifest, file)
            for code in errors_in(body)
        ]
        if codes:
            listed = ", ".join(sorted(set(codes)))
            self.intake.fail(slices, f"the export reports {len(codes)} errors ({listed})")

    def _note_missing_rows(self, slices: list[Slice]) -> None:
        """After a full export: what we hold and it did not bring."""
        good = [one for one in slices if one not in self.intake.failed]
        for kind in {one.type for one in good}:
            patients = {one.patient for one in good if one.type == kind}
            held = self.ledger.held(kind, None if WHOLE in patients else patients)
            self.comparison.vanished(kind, held.keys() - self.intake.seen.get(kind, set()))
        self.comparison.done.update(good)

    def _apply_deleted(self, exporter: Exporter, manifest: Manifest) -> None:
        for file in manifest.deleted:
            for body in _bodies(exporter, manifest, file):
                for kind, id_ in deleted_in(body):
                    back = id_ in self.intake.seen.get(kind, ())
                    if kind in self.types and not back and self.ledger.known(kind, [id_]):
                        self.comparison.vanished(kind, {id_})


def _bodies(exporter: Exporter, manifest: Manifest, file: File) -> Iterator[bytes]:
    """Each line of a file that holds no patient data of ours."""
    for page in exporter.rows(manifest, file):
        yield from (row.body for row in page.rows)
        yield from (reject.body for reject in page.rejects)
