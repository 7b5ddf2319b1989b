"""Bodies of resources, packed small: zstd with a dictionary trained on the first of each type.

1-2 kB of JSON hardly compress alone: the synthetic study becomes 1.6 times smaller without a
dictionary, 6 times with one. A dictionary holds pieces of the records it was trained on, so that
erasing a patient means training it again.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import zstandard

from adapter.envelope import TYPES, Envelope, Reject
from adapter.errors import StoreError

_TRAIN_ON = 400  # resources of one type before a dictionary is worth training
_DICTIONARY_BYTES = 32_768
_LEVEL = 3


def hash_of(body: bytes) -> bytes:
    """By which two versions of a resource are known to be the same."""
    return hashlib.blake2b(body, digest_size=16).digest()


class Parcel(Envelope, frozen=True, gc=False):
    """An envelope as the store keeps it: the body is packed."""

    hash: bytes = b""
    dictionary: int = 0  # by which it is packed; there always is one


class Packing:
    """Packs and unpacks for one open store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._compressors: dict[str, tuple[int | None, zstandard.ZstdCompressor]] = {}
        self._decompressors: dict[int | None, zstandard.ZstdDecompressor] = {}
        self._samples: dict[str, list[bytes | bytearray | memoryview]] = {}

    def again(self, type_: str) -> None:
        """Forget the dictionaries of a type, which hold pieces of records; call in a transaction.

        The bodies that stay train the next one.
        """
        old = self._db.execute("SELECT id FROM dictionary WHERE type = ?", (type_,)).fetchall()
        self._compressors[type_] = (None, zstandard.ZstdCompressor(level=_LEVEL))
        self._samples.pop(type_, None)
        last = 0
        while rows := self._db.execute(
            "SELECT id, dictionary, body FROM version WHERE type = ? AND body IS NOT NULL"
            " AND id > ? ORDER BY id LIMIT 1000",
            (type_, last),
        ).fetchall():
            for last, dictionary, body in rows:
                self._db.execute(
                    "UPDATE version SET dictionary = ?, body = ? WHERE id = ?",
                    (*self.pack(type_, self.unpack(dictionary, body)), last),
                )
        self._db.executemany("DELETE FROM dictionary WHERE id = ?", old)
        self._compressors.pop(type_, None)
        self._decompressors.clear()

    def forget(self) -> None:
        """Read the dictionaries again: those of a transaction that was rolled back are gone."""
        self._compressors.clear()
        self._decompressors.clear()

    def pack(self, type_: str, body: bytes) -> tuple[int | None, bytes]:
        """The dictionary used (None: none yet) and the packed body; call in a transaction."""
        if type_ not in self._compressors:
            self._compressors[type_] = self._compressor_for(type_)
        dictionary, compressor = self._compressors[type_]
        if dictionary is None:
            self._maybe_train(type_, body)
        return dictionary, compressor.compress(body)

    def _compressor_for(self, type_: str) -> tuple[int | None, zstandard.ZstdCompressor]:
        trained = _trained(self._db, type_)
        return trained or (None, zstandard.ZstdCompressor(level=_LEVEL))

    def _maybe_train(self, type_: str, body: bytes) -> None:
        samples = self._samples.setdefault(type_, [])
        samples.append(body)
        if len(samples) < _TRAIN_ON:
            return
        self._samples[type_] = []
        try:
            trained = zstandard.train_dictionary(_DICTIONARY_BYTES, samples)
        except zstandard.ZstdError:
            return  # too uniform to train on: plain compression is good enough
        self._db.execute(
            "INSERT INTO dictionary (type, bytes) VALUES (?, ?)", (type_, trained.as_bytes())
        )
        self._compressors.pop(type_)

    def unpack(self, dictionary: int | None, body: bytes) -> bytes:
        """The body as received; StoreError when it is damaged."""
        if dictionary not in self._decompressors:
            self._decompressors[dictionary] = self._decompressor_for(dictionary)
        try:
            return self._decompressors[dictionary].decompress(body)
        except zstandard.ZstdError as problem:
            raise StoreError(
                "A resource of the store is damaged.",
                "Restore the store from its backup, or start a new one with `cart-nrm sync`.",
            ) from problem

    def _decompressor_for(self, dictionary: int | None) -> zstandard.ZstdDecompressor:
        if dictionary is None:
            return zstandard.ZstdDecompressor()
        rows = self._db.execute("SELECT bytes FROM dictionary WHERE id = ?", (dictionary,))
        row = rows.fetchone() or (b"",)  # lost: what needs it cannot be unpacked
        return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(row[0]))


def _trained(db: sqlite3.Connection, type_: str) -> tuple[int, zstandard.ZstdCompressor] | None:
    """The newest dictionary of a type, and what packs with it."""
    row = db.execute(
        "SELECT id, bytes FROM dictionary WHERE type = ? ORDER BY id DESC", (type_,)
    ).fetchone()
    if row is None:
        return None
    dictionary = zstandard.ZstdCompressionDict(row[1])
    return row[0], zstandard.ZstdCompressor(level=_LEVEL, dict_data=dictionary)


class Parcels:
    """Packs in processes beside the one that writes the store, which has enough to do.

    Of a type without a dictionary nothing is packed: the writer needs the bodies to train one.
    """

    def __init__(self, store: Path) -> None:
        self._store = store.absolute()
        self._known: dict[str, tuple[int, zstandard.ZstdCompressor]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_known": {}}  # a compressor stays in its process

    def __call__(self, entries: list[Envelope | Reject]) -> list[Envelope | Reject]:
        """The same entries, packed where they can be."""
        here = {one.type for one in entries if isinstance(one, Envelope)}
        if news := here.intersection(TYPES).difference(self._known):
            self._learn(news)
        return [
            self._parcel(one) if isinstance(one, Envelope) and one.type in self._known else one
            for one in entries
        ]

    def _learn(self, types: Iterable[str]) -> None:
        """Read what was trained by now; who keeps a store open keeps its log from being emptied."""
        with (
            suppress(sqlite3.OperationalError),  # written just now, without a log: next time
            closing(sqlite3.connect(f"{self._store.as_uri()}?mode=ro", timeout=0, uri=True)) as db,
        ):
            for kind in types:
                if trained := _trained(db, kind):
                    self._known[kind] = trained

    def _parcel(self, one: Envelope) -> Parcel:
        dictionary, compressor = self._known[one.type]
        return Parcel(
            one.type, one.id, one.patient, one.last_updated, compressor.compress(one.body),
            one.version, hash_of(one.body), dictionary,
        )  # fmt: skip
