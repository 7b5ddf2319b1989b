"""New versions on their way into the store: for many rows one question and two long insertions.

Asking and writing row by row cost more than reading, decoding and packing together.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

from adapter.dates import seconds_of
from adapter.envelope import Envelope
from adapter.packing import Packing, Parcel, hash_of

Key = tuple[str, str]  # type and id


class _Held(NamedTuple):
    """The newest version of one resource; `run` is None until somebody needs it."""

    hash: bytes
    gone: int
    updated: float | None
    version: int
    patient: str
    run: int | None = None


class Versions:
    """Appends to one open store; call inside a transaction."""

    def __init__(self, db: sqlite3.Connection, packing: Packing) -> None:
        self._db, self._packing = db, packing

    def add(self, run: int, batch: list[Envelope]) -> int:
        """Keep those whose bytes differ from the newest version; give how many."""
        known, added = self._known(batch), _Rows(self._next(), run)
        for one in batch:
            digest = one.hash if isinstance(one, Parcel) else hash_of(one.body)
            held = known.get((one.type, one.id))
            if held is not None and not held.gone:
                if held.hash == digest or self._older_twin(run, one, held):
                    continue
                added.touched.add(held.patient)  # it may have moved to another patient
                added.live[one.type] -= 1
            packed = (
                (one.dictionary, one.body) if isinstance(one, Parcel)
                else self._packing.pack(one.type, one.body)
            )  # fmt: skip
            known[one.type, one.id] = added.take(one, digest, None, *packed)
        self._write(added)
        return len(added.versions)

    def bury(self, run: int, type_: str, id_: str, reason: str) -> bool:
        """Record that a resource is gone; False if it is not held."""
        envelope = Envelope(type_, id_, "", "", b"")
        held = self._known([envelope]).get((type_, id_))
        if held is None or held.gone:
            return False
        added = _Rows(self._next(), run)
        added.take(Envelope(type_, id_, held.patient, "", b""), b"", reason, None, None)
        added.live[type_] = -1
        self._write(added)
        return True

    def _known(self, batch: Iterable[Envelope]) -> dict[Key, _Held]:
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for one in batch:
            ids[one.type].append(one.id)
        return {
            (kind, row[0]): _Held(*row[1:])
            for kind, wanted in ids.items()
            for row in self._db.execute(
                "SELECT fhir_id, hash, gone, updated, version, patient FROM newest"
                " WHERE type = ? AND fhir_id IN (SELECT value FROM json_each(?))",
                (kind, json.dumps(wanted)),
            )
        }

    def _older_twin(self, run: int, one: Envelope, held: _Held) -> bool:
        """Some servers send one resource twice in a night; the older version loses.

        Across nights the server's word wins, even if it went back in time (a restored backup).
        """
        when = seconds_of(one.last_updated)
        if when is None or held.updated is None or when >= held.updated:
            return False
        if held.run is not None:
            return held.run == run
        row = self._db.execute("SELECT run FROM version WHERE id = ?", (held.version,)).fetchone()
        return bool(row[0] == run)

    def _next(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'version'").fetchone()
        return 1 + (row[0] if row else 0)

    def _write(self, added: "_Rows") -> None:
        self._db.executemany(
            "INSERT INTO version (id, run, type, fhir_id, patient, last_updated, hash, gone,"
            " dictionary, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            added.versions,
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO newest (type, fhir_id, patient, version, hash, gone, updated,"
            " version_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            added.newest,
        )
        self._db.executemany(
            "INSERT INTO live VALUES (?, ?)"
            " ON CONFLICT (type) DO UPDATE SET held = held + excluded.held",
            added.live.items(),
        )
        # what was said of these patients is no longer the last word
        self._db.executemany(
            "DELETE FROM judged WHERE patient = ?", [(one,) for one in added.touched]
        )


class _Rows:
    """The rows of one batch, in the order they came."""

    def __init__(self, first: int, run: int) -> None:
        self._ids, self._run = count(first), run
        self.versions: list[tuple[Any, ...]] = []
        self.newest: list[tuple[Any, ...]] = []
        self.touched: set[str] = set()
        self.live: Counter[str] = Counter()  # how many more are held of each type

    def take(
        self, one: Envelope, digest: bytes, gone: str | None,
        dictionary: int | None, body: bytes | None,
    ) -> _Held:  # fmt: skip
        """Note one version; it is the newest from now on."""
        kind, id_, patient, updated = one.type, one.id, one.patient, seconds_of(one.last_updated)
        version = next(self._ids)
        self.versions.append((version, self._run, kind, id_, patient, one.last_updated, digest,
                              gone, dictionary, body))  # fmt: skip
        self.newest.append((kind, id_, patient, version, digest, int(gone is not None), updated,
                            one.version))  # fmt: skip
        self.touched.add(patient)
        self.live[kind] += gone is None
        return _Held(digest, int(gone is not None), updated, version, patient, self._run)
