"""One SQLite file: every version of every resource, what is complete up to when, runs, decisions.

Versions are only ever added. The newest version of a resource at a given run is what that night
saw, so any past night can be replayed bit for bit.
"""

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard

from adapter.envelope import Envelope, Reject
from adapter.errors import StoreError
from adapter.model import Decision
from adapter.packing import Packing
from adapter.pseudonyms import Pseudonyms, pseudonyms_beside
from adapter.schema import is_ours, prepare
from adapter.versions import Versions

_PRAGMAS = (
    "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON",
    "cache_size=-16384",  # 16 MB; four times that is no faster, with ten thousand recipients either
)  # fmt: skip
_TOGETHER = 1_000  # rows
#: Small tables whose rows carry no hash of their own; of `night` its packed rows do.
SEALED = {
    "decision": "SELECT * FROM decision ORDER BY id",
    "erased": "SELECT * FROM erased ORDER BY mark",
    "night": "SELECT run, said, length(rows) FROM night ORDER BY run",
    "run": "SELECT * FROM run ORDER BY id",
    "slice": "SELECT * FROM slice ORDER BY patient, type",
}


class Stored(NamedTuple):
    """One current resource as it comes out of the store."""

    type: str
    id: str
    body: bytes


class PatientRecord(NamedTuple):
    """Everything the store holds about one patient, ordered by type and id."""

    patient: str
    resources: list[Stored]


class Kept(NamedTuple):
    """What became of a batch: new or changed versions, and those already known."""

    stored: int
    unchanged: int
    erased: int = 0  # about a patient whose erasure was asked for: not kept


#: What SQLite says of a file whose bytes were changed by something else than SQLite.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_QUOTES = " with text "
DAMAGED = (
    "The store is damaged: keep the file, restore the last backup, and the next night catches up;"
    " see docs/nightly.md."
)


def store_hint(problem: Exception) -> str:
    """What to do about a store that SQLite or the disk refused."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED or _QUOTES in str(problem) or isinstance(problem, UnicodeDecodeError):
        return DAMAGED
    return "Check the path, the permissions and the free space; nothing is lost."


def store_reason(problem: Exception) -> str:
    """What SQLite or the disk says, without the row that is quoted when its text is damaged."""
    return str(getattr(problem, "strerror", None) or problem).split(_QUOTES)[0]


class Store:
    """An open store; use as a context manager. `run` must be begun before anything is added."""

    def __init__(self, path: Path | str, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.exists():
            raise StoreError(
                f"There is no store at {self.path}.", "Run `cart-nrm sync` or `load` first."
            )
        self._open(create)
        self.packing = Packing(self.db)
        self._versions = Versions(self.db, self.packing)
        self._erased: frozenset[str] | None = None
        self._names: Pseudonyms | None = None

    def _open(self, create: bool) -> None:
        try:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            if not self._is_ours(create):
                raise StoreError(
                    f"{self.path} is no store of cart-nrm.", "Name another file with --store."
                )
            if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                os.chmod(self.path, 0o600)
            for pragma in _PRAGMAS:
                self.db.execute(f"PRAGMA {pragma}")
            prepare(self.db, self.path)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as problem:
            raise StoreError(
                f"The store {self.path} cannot be opened: {store_reason(problem)}.",
                store_hint(problem),
            ) from problem

    def _is_ours(self, create: bool) -> bool:
        """A folder, a device or another program's file stays as it is, its mode included."""
        if not self.path.is_file():
            return False
        self.db = sqlite3.connect(self.path, isolation_level=None)
        if is_ours(self.db, empty=create):
            return True
        self.db.close()
        return False

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    # -- runs ------------------------------------------------------------------------------

    def begin(self, kind: str, source: str) -> int:
        """Open a run (`sync`, `load`) and return its number; one that was killed is closed."""
        with self.transaction("run"):
            self.db.execute("UPDATE run SET state = 'interrupted' WHERE state = 'running'")
            cursor = self.db.execute(
                "INSERT INTO run (kind, source, started, state) VALUES (?, ?, ?, 'running')",
                (kind, source, now()),
            )
            self.db.execute("DELETE FROM meta WHERE key = 'seal slice'")  # sealed again by `end`
        return int(cursor.lastrowid or 0)

    def end(self, run: int, state: str, summary: dict[str, Any]) -> None:
        """Close a run as `complete`, `partial` or `failed`, with its counts."""
        with self.transaction("run", "slice"):
            self.db.execute(
                "UPDATE run SET ended = ?, state = ?, summary = ? WHERE id = ?",
                (now(), state, json.dumps(summary, sort_keys=True), run),
            )

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        rows = self.db.execute(
            "SELECT id, kind, source, started, ended, state, summary FROM run ORDER BY id"
        )
        names = ("run", "kind", "source", "started", "ended", "state", "summary")
        return [dict(zip(names, (*row[:6], json.loads(row[6])), strict=True)) for row in rows]

    @contextmanager
    def transaction(self, *seal: str) -> Iterator[None]:
        """All or nothing: a page or file and its checkpoint are kept together.

        Tables to `seal` are told of as soon as this ends: they and all that was kept before are on
        the disk then, whatever happens to the power, and damage to them will be found.
        """
        self.db.execute(f"PRAGMA synchronous={'FULL' if seal else 'NORMAL'}")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            for table in seal:
                self.set_meta(f"seal {table}", self._seal_of(table))
        except BaseException:
            self.db.execute("ROLLBACK")
            self.packing.forget()  # a dictionary trained in this transaction is gone with it
            raise
        self.db.execute("COMMIT")

    def broken_seals(self) -> list[str]:
        """Small tables that are not as they were written."""
        return [t for t in SEALED if self.meta(f"seal {t}") not in (None, self._seal_of(t))]

    def _seal_of(self, table: str) -> str:
        seal = hashlib.blake2b(digest_size=16)
        self.db.text_factory = bytes  # damaged text may be no text at all
        try:
            for row in self.db.execute(SEALED[table]):
                seal.update(repr(row).encode())
        finally:
            self.db.text_factory = str
        return seal.hexdigest()

    # -- resources in ----------------------------------------------------------------------

    def add(self, run: int, envelopes: Iterable[Envelope]) -> Kept:
        """Keep each resource whose bytes differ from the newest version; call in a transaction."""
        stored = unchanged = erased = 0
        arriving = iter(envelopes)
        while batch := list(islice(arriving, _TOGETHER)):
            wanted = [one for one in batch if not self.is_erased(one.patient)]
            new = self._versions.add(run, wanted)
            stored += new
            unchanged += len(wanted) - new
            erased += len(batch) - len(wanted)
        return Kept(stored, unchanged, erased)

    def remove(self, run: int, type_: str, id_: str, reason: str) -> bool:
        """Record that a resource is gone (deleted, merged, access lost); False if not held."""
        return self._versions.bury(run, type_, id_, reason)

    def reject(self, run: int, rejects: Iterable[Reject]) -> int:
        """Keep what could not be filed, with the reason."""
        rows = [(run, r.where, r.reason, zstandard.compress(r.body)) for r in rejects]
        self.db.executemany("INSERT INTO reject (run, place, reason, body) VALUES (?,?,?,?)", rows)
        return len(rows)

    def rejects(self, as_of: int | None = None) -> list[tuple[str, str, int]]:
        """(place, reason, newest run) of every reject (until run `as_of`); again counts once."""
        return self.db.execute(
            "SELECT place, reason, max(run) FROM reject WHERE ? IS NULL OR run <= ?"
            " GROUP BY place, body ORDER BY max(id)",
            (as_of, as_of),
        ).fetchall()

    def reject_reasons(self, run: int) -> dict[str, int]:
        """Why a run's rejects could not be filed, most frequent first."""
        return dict(
            self.db.execute(
                "SELECT reason, count(*) AS n FROM reject WHERE run = ?"
                " GROUP BY reason ORDER BY n DESC, reason",
                (run,),
            )
        )

    # -- resources out ---------------------------------------------------------------------

    def records(
        self, as_of: int | None = None, only: Iterable[str] = ()
    ) -> Iterator[PatientRecord]:
        """Every patient with all current resources (at run `as_of`), in order of patient id."""
        wanted = list(only)
        patient, resources = "", list[Stored]()
        for found, kind, id_, dictionary, body in self._current(as_of, wanted):
            if found != patient and resources:
                yield PatientRecord(patient, resources)
                resources = []
            patient = found
            resources.append(Stored(kind, id_, self.packing.unpack(dictionary, body)))
        if resources:
            yield PatientRecord(patient, resources)

    def _current(self, as_of: int | None, wanted: list[str]) -> Iterator[tuple[Any, ...]]:
        among, values = "", list[object]()
        if wanted:
            among, values = f" AND n.patient IN ({','.join('?' * len(wanted))})", [*wanted]
        if as_of is None:
            source = "newest n CROSS JOIN version v ON v.id = n.version"
        else:
            source = (
                "(SELECT max(id) AS id, patient, type, fhir_id FROM version WHERE run <= ?"
                " GROUP BY type, fhir_id) n JOIN version v ON v.id = n.id"
            )
            values = [as_of, *values]
        yield from self.db.execute(
            "SELECT n.patient, n.type, n.fhir_id, v.dictionary, v.body"
            f" FROM {source} WHERE v.gone IS NULL AND n.patient > ''{among}"
            " ORDER BY n.patient, n.type, n.fhir_id",
            values,
        )

    def bodies(self) -> Iterator[tuple[str, str, str, bytes]]:
        """(type, id, patient, body) of every version ever kept; tombstones are empty."""
        rows = self.db.execute("SELECT type, fhir_id, patient, dictionary, body FROM version")
        for kind, id_, patient, dictionary, body in rows:
            yield kind, id_, patient, self.packing.unpack(dictionary, body) if body else b""

    def counts(self, as_of: int | None = None) -> dict[str, int]:
        """Current resources (at run `as_of`) by type."""
        if as_of is None:
            return dict(self.db.execute("SELECT type, held FROM live WHERE held > 0"))
        return dict(
            self.db.execute(
                "SELECT type, count(*) FROM (SELECT type, gone, max(id) FROM version"
                " WHERE run <= ? GROUP BY type, fhir_id) WHERE gone IS NULL GROUP BY type",
                (as_of,),
            )
        )

    def unresolved(self, as_of: int | None = None) -> dict[str, int]:
        """Current resources by type that name no patient we can find: kept, and never read."""
        source = "newest WHERE gone = 0"
        if as_of is not None:
            source = (
                "(SELECT type, patient, gone, max(id) FROM version WHERE run <= ?"
                " GROUP BY type, fhir_id) WHERE gone IS NULL"
            )
        return dict(
            self.db.execute(
                f"SELECT type, count(*) FROM {source} AND patient = '' AND type <> 'Patient'"
                " GROUP BY type",
                () if as_of is None else (as_of,),
            )
        )

    def ids(self, type_: str, patient: str | None = None) -> set[str]:
        """Ids held of one type (of one patient): the ground for finding deletions."""
        where, values = ("", [type_]) if patient is None else (" AND patient = ?", [type_, patient])
        rows = self.db.execute(
            f"SELECT fhir_id FROM newest WHERE type = ? AND gone = 0{where}", values
        )
        return {row[0] for row in rows}

    def slices_due(self) -> int:
        """Parts of the plan that are not complete."""
        return int(
            self.db.execute("SELECT count(*) FROM slice WHERE due IS NOT NULL").fetchone()[0]
        )

    def last_complete(self) -> str | None:
        """When the last sync ended that left nothing due."""
        row = self.db.execute(
            "SELECT ended FROM run WHERE kind = 'sync' AND state = 'complete'"
            " ORDER BY id DESC LIMIT 1"  # not the latest: a clock may have been wrong for a night
        ).fetchone()
        return None if row is None else str(row[0])

    # -- small state -----------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        """A stored setting of this store (server, key id, schema)."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Remember a setting of this store."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def is_erased(self, patient: str) -> bool:
        """Was this patient's erasure asked for? Only a keyed hash of the id is kept to know it."""
        if self._erased is None:
            rows = self.db.execute("SELECT mark FROM erased")
            self._erased = frozenset(str(row[0]) for row in rows)
        return bool(self._erased) and self.erasure_mark(patient) in self._erased

    def erasure_mark(self, patient: str) -> str:
        """The keyed hash by which an erased patient is known; the key lies beside the store."""
        return self.pseudonyms().erasure_mark(patient)

    def pseudonyms(self) -> Pseudonyms:
        """What patients are called outside; ConfigError when the key is not that of this store."""
        if self._names is None:
            self._names = pseudonyms_beside(self.path, self.meta("key_id") or "")
            self.set_meta("key_id", self._names.key_id)
        return self._names

    # -- decisions -------------------------------------------------------------------------

    def add_decisions(self, decisions: Iterable[Decision]) -> int:
        """Append what reviewers said; nothing is ever changed or removed."""
        rows = [(now(), msgspec.json.encode(decision).decode()) for decision in decisions]
        with self.transaction("decision"):
            self.db.executemany(
                "INSERT INTO decision (imported, body, run) SELECT ?, ?,"
                " 1 + coalesce(max(id), 0) FROM run WHERE state <> 'running'",
                rows,
            )
        return len(rows)

    def decisions(self, as_of: int | None = None) -> list[Decision]:
        """What reviewers ever said (until the end of run `as_of`), oldest first."""
        rows = self.db.execute(
            "SELECT body FROM decision WHERE ? IS NULL OR run <= ? ORDER BY id", (as_of, as_of)
        )
        try:
            return [msgspec.json.decode(row[0], type=Decision) for row in rows]
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise StoreError("A decision in the store is damaged.", DAMAGED) from None


def now() -> str:
    """This instant in UTC, as FHIR writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
