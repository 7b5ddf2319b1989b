"""Ask in parallel, take in one thread: file the rows, and remember what failed or looked odd."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Literal

import msgspec

from adapter.codes import Codes
from adapter.dates import seconds_of
from adapter.envelope import Envelope, split_reference
from adapter.errors import UNREADABLE, CartNrmError
from adapter.fhir.pages import Page, Query
from adapter.fhir.plan import is_recipient_row
from adapter.fhir.search import Searcher
from adapter.fhir.workers import Answer, Pool
from adapter.ledger import Held, Ledger, Slice
from adapter.store import Kept, Store
from adapter.sync.report import SyncReport

Tell = Callable[[str, int, int], None]
Purpose = Literal["find", "pull", "fetch", "count", "compare", "missing", "export"]
_TOGETHER_BYTES = 4 * 2**20
_TOGETHER_SECONDS = 1.0


class Task(msgspec.Struct, frozen=True):
    """A question or a few that belong together, and the slices they stand for."""

    purpose: Purpose
    type: str
    queries: tuple[Query, ...]
    slices: tuple[Slice, ...] = ()
    patients: tuple[str, ...] | None = None  # None: whoever comes
    name: str = ""
    whole: bool = False  # nothing narrows the question, so its rows are all there are


class Intake:
    """Runs tasks; holds what the phases of a night tell each other."""

    def __init__(
        self, store: Store, searcher: Searcher, codes: Codes, report: SyncReport, parallel: int
    ) -> None:
        self.store, self.codes, self.report = store, codes, report
        self.ledger = Ledger(store)
        self.tell: Tell = lambda what, done, of: None
        self.failed: dict[Slice, str] = {}
        self.too_much: set[Slice] = set()  # failed, and a smaller question may not
        self.left_out: Counter[str] = Counter()
        self.nobody = 0  # rows that name no patient of this source
        self.moved: set[Slice] = set()  # rows moved while these were walked
        self.wanted: dict[tuple[Purpose, str], set[str]] = {}
        self.totals: dict[Task, int | None] = {}
        self.listed: dict[Task, set[str]] = {}
        self.returned: dict[str, dict[str, str]] = {}  # by type and id: the patient after all
        self.seen: dict[str, set[str]] = {}  # ids by type that an export brought
        self.found: set[str] = set()
        self.walked: dict[Slice, set[str]] = {}  # ids of slices that were pulled whole
        self.fetched: dict[str, set[str]] = {}  # ids by type that came when asked for by id
        self.among: set[str] | None = None  # the patients of this study; None: everyone
        self.latest: dict[str, float] = {}  # newest row seen by type while finding
        self.survivors: set[str] = set()  # patients into whom others were merged
        self._searcher, self._parallel = searcher, parallel

    def run(
        self,
        tasks: list[Task],
        ask: Callable[[Task], Iterator[Page]] | None = None,
        tick: Callable[[Task], None] = lambda task: None,
    ) -> None:
        """Ask all tasks; a failed one marks its slices, a good one is ticked off."""
        done = 0
        pool: Pool[Task, Page] = Pool(ask or self._ask, self._parallel)
        with closing(pool.run(tasks)) as answers:
            for several in _together(answers):
                with self.store.transaction():
                    for answer in several:
                        self._note(answer, tick)
                done += sum(answer.ended for answer in several)
                self.tell(f"{several[-1].task.purpose} {several[-1].task.type}", done, len(tasks))

    def _note(self, answer: Answer[Task, Page], tick: Callable[[Task], None]) -> None:
        if answer.item is not None:
            self._take(answer.task, answer.item)
        if answer.problem is not None:
            self.fail(answer.task.slices, str(answer.problem))
            if getattr(answer.problem, "smaller_may_help", False):
                self.too_much.update(answer.task.slices)
        elif answer.ended:
            tick(answer.task)

    def fail(self, slices: Iterable[Slice], reason: str) -> None:
        """These slices are not complete tonight; the first reason is kept."""
        for one in slices:
            self.failed.setdefault(one, reason)

    def _ask(self, task: Task) -> Iterator[Page]:
        for query in task.queries:
            if task.purpose == "count":
                yield Page(query, total=self._searcher.count(query))
            else:
                yield from self._searcher.walk(query)

    def _take(self, task: Task, page: Page) -> None:
        if page.moved:
            self.moved.update(task.slices)
        if page.shortened:
            self.fail(task.slices, "the server sends only parts of its resources")
        for code in page.messages:
            self.report.note(f"{task.type}: the server says {code}")
        if task.purpose == "find":
            instants = (seconds_of(row.last_updated) or 0.0 for row in page.rows)
            self.latest[task.type] = max(self.latest.get(task.type, 0.0), *instants, 0.0)
        if task.purpose == "count":
            known = self.totals.get(task, 0)
            self.totals[task] = None if None in (known, page.total) else known + page.total  # type: ignore[operator]
        elif page.query.light:
            self._list(task, page)
        else:
            self.report.received += len(page.rows)
            self._file(task, page)

    def _list(self, task: Task, page: Page) -> None:
        """Ids and meta: want the rows that differ from what we hold."""
        self.report.listed += len(page.rows)
        held = self.ledger.known(task.type, [row.id for row in page.rows])
        differing = {row.id for row in page.rows if _differs(row, held.get(row.id))}
        purpose: Purpose = "find" if task.purpose == "find" else "fetch"
        self.wanted.setdefault((purpose, task.type), set()).update(differing)
        self.listed.setdefault(task, set()).update(row.id for row in page.rows)

    def _file(self, task: Task, page: Page) -> None:
        if task.purpose == "find":
            self.found |= {
                row.patient
                for row in page.rows
                if row.patient and is_recipient_row(task.type, row.body, self.codes)
            }
            self.left_out["looked at only to find patients"] += len(page.rows)
            return
        if task.purpose == "missing":
            found = self.returned.setdefault(task.type, {})
            found.update((row.id, row.patient) for row in page.rows)
        rows = page.rows
        for one in task.slices if task.whole else ():
            self.walked.setdefault(one, set()).update(row.id for row in rows)
        if task.purpose == "fetch":
            self.fetched.setdefault(task.type, set()).update(row.id for row in rows)
        if task.purpose == "export":
            self.seen.setdefault(task.type, set()).update(row.id for row in rows)
        asked = self.among if task.patients is None else set(task.patients)
        if asked is not None:  # servers ignore parameters: keep whom we asked for
            rows = [row for row in rows if row.patient in asked]
            self.left_out["of patients not asked for"] += len(page.rows) - len(rows)
            if page.rows and not rows and task.purpose == "pull":
                self.fail(task.slices, "the server sends other patients than those asked for")
        self._keep(rows, page)

    def _keep(self, rows: list[Envelope], page: Page) -> None:
        run = self.report.run
        self.nobody += sum(not row.patient for row in rows)
        if page.query.type == "Patient":
            linked = [row for row in rows if b'"link"' in row.body]
            rows = [row for row in rows if b'"link"' not in row.body]
            for row in linked:
                kept = self.store.add(run, [row])
                self._count(kept)
                self.survivors |= _survivors(row) if kept.stored else set()
        self._count(self.store.add(run, rows))
        self.report.rejected += self.store.reject(run, page.rejects)

    def _count(self, kept: Kept) -> None:
        self.report.stored += kept.stored
        self.report.unchanged += kept.unchanged
        self.left_out["erased on request"] += kept.erased


def _together(answers: Iterable[Answer[Task, Page]]) -> Iterator[list[Answer[Task, Page]]]:
    """What is worth one transaction: each writes the pages of the indexes it touched anew.

    By bytes, so that memory stays flat, and by time, so that a killed night loses little.
    """
    several: list[Answer[Task, Page]] = []
    size, since = 0, time.monotonic()
    try:
        for answer in answers:
            several.append(answer)
            size += sum(len(row.body) for row in answer.item.rows) if answer.item else 0
            if size > _TOGETHER_BYTES or time.monotonic() - since > _TOGETHER_SECONDS:
                yield several
                several, size, since = [], 0, time.monotonic()
    except CartNrmError:  # what came before it is kept
        if several:
            yield several
        raise
    if several:
        yield several


def _differs(row: Envelope, held: Held | None) -> bool:
    """Is the server's version another than ours? Without any mark of a version we must look."""
    if held is None:
        return True
    if row.version and held.version_id:
        return row.version != held.version_id or seconds_of(row.last_updated) != held.updated
    return not row.last_updated or seconds_of(row.last_updated) != held.updated


class _Link(msgspec.Struct):
    type: Any = None
    other: dict[str, Any] = {}


class _Linked(msgspec.Struct):
    link: list[_Link] = []


def _survivors(patient: Envelope) -> set[str]:
    """Whose history grows by this merge: this patient's, or that of who replaces it."""
    try:
        links = msgspec.json.decode(patient.body, type=_Linked).link
    except UNREADABLE:
        return set()
    found = set[str]()
    for link in links:
        if link.type == "replaces":
            found.add(patient.id)
        elif link.type == "replaced-by":
            kind, other = split_reference(str(link.other.get("reference", "")))
            found |= {other} if kind == "Patient" else set()
    return found
