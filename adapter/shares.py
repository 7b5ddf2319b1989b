"""The share of every patient: remembered where nothing changed, judged anew where something did.

A share is forgotten in the transaction that brings anything new of its patient, and is only
believed under the settings, codes and program that it was made with.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from operator import attrgetter

import msgspec
import zstandard
from msgspec.structs import replace

from adapter.errors import StoreError
from adapter.patient import Classifier, Share
from adapter.pool import Pool, this_or_new
from adapter.store import DAMAGED, Store

_TOGETHER = 10  # patients: one task of a process, and one transaction of remembering
_WORTH_A_POOL = 200  # patients: below this, starting processes takes longer than the work

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Share)
_pack = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
_unpack = zstandard.ZstdDecompressor().decompress


def _decode(packed: bytes, patient: str = "") -> Share:
    with suppress(zstandard.ZstdError):
        share = _decoder.decode(_unpack(packed))
        if patient in ("", share.patient):  # else it would count as one recipient more
            return share
    raise StoreError("A remembered answer of the store is changed.", DAMAGED)


def shares_of(
    store: Store,
    classify: Classifier,
    as_of: int | None,
    only: list[str],
    workers: int,
    pool: Pool | None = None,
) -> Iterator[Share]:
    """One share for each patient who has any resource, in order of patient id.

    Judged by the processes of `pool`; without one by so many `workers`, where it is worth it.
    """
    if as_of is not None or only:
        yield from map(classify, store.records(as_of, only))
        return
    memory = _Memory(store, classify)
    fresh = memory.missing()
    with this_or_new(pool, workers if len(fresh) >= _WORTH_A_POOL else 1) as pool:
        new = _judged(_Work(store, classify), memory, fresh, pool)
        yield from heapq.merge(memory.shares(), new, key=attrgetter("patient"))


def _judged(work: "_Work", memory: "_Memory", patients: list[str], pool: Pool) -> Iterator[Share]:
    left = iter(patients)
    tasks = iter(lambda: list(islice(left, _TOGETHER)), [])
    for answers in pool.spread(work, tasks):
        memory.keep(answers)
        yield from (_decode(packed) for _, packed, _ in answers)


class _Work:
    """Judges some patients of a store; opens the store for itself in another process."""

    def __init__(self, store: Store, classify: Classifier) -> None:
        self.path, self.classify = store.path, classify
        self.opened: Store | None = store

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "opened": None}

    def __call__(self, patients: list[str]) -> list[tuple[str, bytes, bool]]:
        """(patient, packed share, may it be remembered?) of those who have any resource."""
        self.opened = self.opened or Store(self.path, create=False)
        return [
            (share.patient, _pack(_encode(share)), not share.after_cut)
            for share in map(self.classify, self.opened.records(None, patients))
        ]

    def close(self) -> None:
        """In another process: the last who has a store open empties its log, if it says goodbye."""
        if self.opened is not None:
            self.opened.db.close()


class _Memory:
    """The shares kept in the store; one made with validation serves who does not ask for it."""

    #: Every patient by one step in the index each; ids alone would mean reading it all.
    _PATIENTS = (
        "WITH RECURSIVE one (patient) AS (SELECT min(patient) FROM newest WHERE patient > ''"
        " UNION ALL SELECT (SELECT min(patient) FROM newest WHERE patient > one.patient)"
        " FROM one WHERE patient IS NOT NULL)"
        " SELECT patient FROM one WHERE patient IS NOT NULL"
    )

    def __init__(self, store: Store, classify: Classifier) -> None:
        self._db, self._transaction = store.db, store.transaction
        self._validate = classify.validate
        self._basis = classify.basis + "+" * classify.validate
        self._good = (self._basis, classify.basis + "+")
        self._state = self._data_version()

    def _data_version(self) -> int:
        """Changes when another connection writes: then what was judged may already be old."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def missing(self) -> list[str]:
        """Patients of whom nothing is remembered, in order."""
        rows = self._db.execute(
            f"{self._PATIENTS} AND patient NOT IN (SELECT patient FROM judged"
            " WHERE basis IN (?, ?)) ORDER BY patient",
            self._good,
        )
        return [str(row[0]) for row in rows]

    def shares(self) -> Iterator[Share]:
        """What is remembered, in order of patient; read one by one while others are written."""
        known = self._db.execute(
            "SELECT patient FROM judged WHERE basis IN (?, ?) ORDER BY patient", self._good
        ).fetchall()
        for key in known:
            row = self._db.execute("SELECT share FROM judged WHERE patient = ?", key).fetchone()
            share = _decode(row[0], *key)
            yield share if self._validate else replace(share, invalid=())

    def keep(self, answers: list[tuple[str, bytes, bool]]) -> None:
        """Remember some; a store that cannot be written now, or has moved on, does next time."""
        with suppress(sqlite3.OperationalError), self._transaction():
            if self._data_version() == self._state:
                self._db.executemany(
                    "INSERT OR REPLACE INTO judged (patient, basis, share) VALUES (?, ?, ?)",
                    [(patient, self._basis, packed) for patient, packed, good in answers if good],
                )
