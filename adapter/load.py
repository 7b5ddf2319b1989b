"""Take in an export that is already on disk, all of it or what is about recipients.

What can be filed is stored; what cannot is kept as a reject with its place and reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from adapter.codes import Codes
from adapter.envelope import TYPES, Envelope, Reject
from adapter.files import Portion, entries, find_files
from adapter.packing import Parcels
from adapter.pool import Pool
from adapter.sifting import Sifted
from adapter.store import Store

_BATCH = 2_000
PASSED_OVER = "of patients without a trace of cell therapy"
Tell = Callable[[str, int], None]
Batch = tuple[str, list[Envelope | Reject], int]  # file, entries, how many more were passed over


class LoadReport(msgspec.Struct):
    """What became of everything that was read; the counts add up to `read`."""

    run: int = 0
    files: int = 0
    read: int = 0
    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    not_used: dict[str, int] = {}
    unresolved: dict[str, int] = {}  # by type, in the whole store: of no patient that can be found
    others: int = 0  # patients without a trace of cell therapy, where only recipients were wanted

    @property
    def complete(self) -> bool:
        """True when nothing had to be rejected."""
        return self.rejected == 0


def load(
    store: Store,
    paths: Iterable[Path],
    tell: Tell = lambda what, count: None,
    *,
    recipients: Codes | None = None,
    pool: Pool | None = None,
) -> LoadReport:
    """Load files and folders into the store as one run; `tell(file name, resources read)`.

    With `recipients` only patients with a trace of cell therapy in these codes are stored, and
    those whom the store already knows; the processes of `pool` share the reading, where one is
    given.
    """
    files = list(find_files(paths))
    run = store.begin("load", "files")
    report = LoadReport(run=run, files=len(files))
    not_used: Counter[str] = Counter()
    if recipients is None:
        sifted, batches = None, _everything(files)
    else:
        pool = pool or Pool(1)
        finish = list if pool.alone else Parcels(store.path)
        sifted = Sifted(pool, _known(store), finish, tell)
        batches = sifted.takings(files, recipients)
    for name, batch, passed_over in batches:
        if batch:
            _keep(store, report, batch, not_used)
        report.read += passed_over
        not_used[PASSED_OVER] += passed_over
        tell(name, report.read)
    report.others = sifted.others if sifted else 0
    report.not_used = {what: count for what, count in sorted(not_used.items()) if count}
    report.unresolved = store.unresolved()
    store.end(run, "complete" if report.complete else "partial", msgspec.to_builtins(report))
    return report


def _everything(files: Iterable[Path]) -> Iterator[Batch]:
    for file in files:
        every = entries(Portion(file))
        while batch := list(islice(every, _BATCH)):
            yield file.name, batch, 0


def _known(store: Store) -> set[str]:
    return {str(row[0]) for row in store.db.execute("SELECT DISTINCT patient FROM newest")} - {""}


def _keep(
    store: Store, report: LoadReport, batch: list[Envelope | Reject], not_used: Counter[str]
) -> None:
    usable = [e for e in batch if isinstance(e, Envelope) and e.type in TYPES]
    rejects = [r for r in batch if isinstance(r, Reject)]
    for entry in batch:
        if isinstance(entry, Envelope) and entry.type not in TYPES:
            if is_fhir_type(entry.type):
                not_used[entry.type] += 1
            else:
                rejects.append(unknown_type(entry))
    with store.transaction():
        kept = store.add(report.run, usable)
        store.reject(report.run, rejects)
    report.read += len(batch)
    report.stored += kept.stored
    report.unchanged += kept.unchanged
    report.rejected += len(rejects)
    if kept.erased:
        not_used["of a patient erased on request"] += kept.erased


def unknown_type(entry: Envelope) -> Reject:
    """What becomes of something whose type FHIR does not know."""
    return Reject(f"{entry.type}/{entry.id}", "not a FHIR R4 type", entry.body)


def is_fhir_type(name: str) -> bool:
    """Is this the name of an R4 resource type (one we do not use), or something unknown?"""
    from fhir.resources.R4B import get_fhir_model_class

    try:
        get_fhir_model_class(name)
    except (KeyError, LookupError, ValueError):
        return False
    return True
