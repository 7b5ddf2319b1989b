"""The right to erasure: every byte about one patient leaves the store, and a search proves it.

What stays is a keyed hash of the id, so that the next sync does not bring the patient back. Shared
compression dictionaries were trained on records and may hold pieces of them: they are made anew.
"""

import json
import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import zstandard

from adapter.changes import Row, pack
from adapter.errors import UsageError
from adapter.nightly import nights as dated
from adapter.nightly import point_latest
from adapter.schema import RECOUNT, half_copies
from adapter.store import SEALED, Store

_RAW_SEARCH_FROM = 6  # a shorter id is found by chance in any large file


class Purged(msgspec.Struct):
    """What was removed and what a search still finds; counts and file names, no patient."""

    removed: dict[str, int] = {}
    mentioned_elsewhere: dict[str, int] = {}
    in_the_file: int | None = None
    open_elsewhere: bool = False  # then freed pages stay in the log of the store
    files: list[str] = []
    deleted_files: list[str] = []

    @property
    def clean(self) -> bool:
        """True when the search found nothing any more."""
        still = self.mentioned_elsewhere or self.in_the_file or self.files
        return not (still or self.open_elsewhere)


def purge(store: Store, patient: str, nights: Path, *, outputs: bool = False) -> Purged:
    """Erase a patient from the store; `outputs` also deletes older files that mention them.

    UsageError when the store knows nothing about the patient.
    """
    purged = Purged()
    word = _pattern(patient)
    mark = store.erasure_mark(patient)
    with store.transaction(*SEALED):
        purged.removed = {name: n for name, n in _remove(store, patient, word).items() if n}
        if not purged.removed and not store.is_erased(patient):
            raise UsageError("The store knows nothing about this patient.", "Check the id.")
        store.db.execute("INSERT OR IGNORE INTO erased VALUES (?)", (mark,))
        store.db.execute("DELETE FROM meta WHERE key = 'study_counts'")
    store.db.execute("VACUUM")
    purged.open_elsewhere = bool(store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    purged.mentioned_elsewhere = dict(Counter(_mentions(store, patient, word)))
    purged.in_the_file = _in_the_file(store.path, patient.encode())
    for file in _leftovers(store, patient, nights):
        if outputs:
            _delete(file, nights)
        (purged.files if file.exists() else purged.deleted_files).append(str(file))
    latest = nights / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
        for night in dated(nights)[-1:]:
            point_latest(night)
    return purged


def _pattern(patient: str) -> "re.Pattern[bytes]":
    """The id as a word; a short one, which is also a number, only where it names a patient."""
    before = rb"(?<![\w\-.])" if len(patient) >= _RAW_SEARCH_FROM else rb'(?:Patient/|"id"\s*:\s*")'
    return re.compile(before + re.escape(patient.encode()) + rb"(?![\w\-.])")


def _remove(store: Store, patient: str, word: "re.Pattern[bytes]") -> dict[str, int]:
    db = store.db
    types = [row[0] for row in db.execute(
        "SELECT DISTINCT type FROM version WHERE patient = ?", (patient,))]  # fmt: skip
    rejects = [
        row[0] for row in db.execute("SELECT id, place, body FROM reject")
        if word.search(row[1].encode()) or word.search(zstandard.decompress(row[2]))
    ]  # fmt: skip
    decisions = [
        row[0] for row in db.execute("SELECT id, body FROM decision")
        if json.loads(row[1])["episode"].rpartition("#")[0] == patient
    ]  # fmt: skip
    removed = {
        "versions": db.execute("DELETE FROM version WHERE patient = ?", (patient,)).rowcount,
        "resources": db.execute("DELETE FROM newest WHERE patient = ?", (patient,)).rowcount,
        "judgements": db.execute("DELETE FROM judged WHERE patient = ?", (patient,)).rowcount,
        "ledger": db.execute("DELETE FROM slice WHERE patient = ?", (patient,)).rowcount,
        "rejects": len(rejects),
        "decisions": len(decisions),
        "nights": _forget_said(store, patient),
    }
    db.executemany("DELETE FROM reject WHERE id = ?", [(one,) for one in rejects])
    db.executemany("DELETE FROM decision WHERE id = ?", [(one,) for one in decisions])
    db.execute("UPDATE live SET held = 0")
    db.execute(RECOUNT)
    for kind in types:
        store.packing.again(kind)
    return removed


def _forget_said(store: Store, patient: str) -> int:
    """What the nights said of this patient."""
    forgotten = 0
    for run, blob in store.db.execute("SELECT run, rows FROM night WHERE rows <> x''").fetchall():
        rows = msgspec.json.decode(zstandard.decompress(blob), type=dict[str, Row])
        kept = {name: row for name, row in rows.items() if row.patient != patient}
        if len(kept) < len(rows):
            forgotten += 1
            body = pack(msgspec.json.encode(kept, order="deterministic"))
            store.db.execute("UPDATE night SET rows = ? WHERE run = ?", (body, run))
    return forgotten


# -- proof ---------------------------------------------------------------------------------


#: Columns of text, and columns of packed bytes, in which an id might stand.
_TEXTS = {"reject": "place", "decision": "body", "run": "source || summary", "meta": "value"}
_PACKED = {"reject": "body", "night": "rows", "judged": "share"}


def _mentions(store: Store, patient: str, word: "re.Pattern[bytes]") -> Iterator[str]:
    """Where the id still stands, with everything unpacked."""
    for kind, id_, owner, body in store.bodies():
        if owner == patient or (kind, id_) == ("Patient", patient) or word.search(body):
            yield f"{kind} of another patient"
    for table in ("slice", "newest", "judged"):
        yield from (table for _ in store.db.execute(
            f"SELECT 1 FROM {table} WHERE patient = ?", (patient,)))  # fmt: skip
    for table, blob in _blobs(store):
        if word.search(blob):
            yield table


def _blobs(store: Store) -> Iterator[tuple[str, bytes]]:
    for table, columns in _TEXTS.items():
        for (text,) in store.db.execute(f"SELECT {columns} FROM {table}"):
            yield table, str(text).encode()
    for table, column in _PACKED.items():
        for (blob,) in store.db.execute(f"SELECT {column} FROM {table} WHERE {column} <> x''"):
            yield table, zstandard.decompress(blob)
    yield from (("dictionary", row[0]) for row in store.db.execute("SELECT bytes FROM dictionary"))


def _in_the_file(path: Path, wanted: bytes) -> int | None:
    """How often the id stands in the raw bytes of the store; None when it is too short to tell."""
    if len(wanted) < _RAW_SEARCH_FROM:
        return None
    files = [path, path.with_name(f"{path.name}-wal")]
    return sum(_count(file, wanted) for file in files if file.exists())


def _count(file: Path, wanted: bytes) -> int:
    found, tail = 0, b""
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            found += (tail + block).count(wanted)
            tail = (tail + block)[-(len(wanted) - 1) :]
    return found


def _leftovers(store: Store, patient: str, nights: Path) -> list[Path]:
    """Older copies of the store, and outputs that name the patient or the pseudonym."""
    shortest = (name[:8] for name in store.pseudonyms().ever(patient))  # reports print 6 digits
    word = re.compile("|".join(shortest).encode())
    found = list(store.path.parent.glob(f"{store.path.name}.schema*.backup"))
    found += half_copies(store.path)
    files = nights.rglob("*") if nights.exists() else iter(())
    found += [
        file for file in files
        if file.is_file() and not file.is_symlink() and _may_name(file, word)
    ]  # fmt: skip
    return found


def _may_name(file: Path, word: "re.Pattern[bytes]") -> bool:
    """Does a file name the patient? One that cannot be unpacked here may."""
    with suppress(ImportError, OSError, ValueError, zipfile.BadZipFile, zlib.error):
        if zipfile.is_zipfile(file):  # a workbook
            with zipfile.ZipFile(file) as book:
                return any(word.search(book.read(name)) for name in book.namelist())
        if file.suffix == ".parquet":
            from pyarrow import parquet

            return bool(word.search(str(parquet.read_table(file).to_pylist()).encode()))
        return file.suffix == ".pdf" or bool(word.search(file.read_bytes()))
    return True


def _delete(file: Path, nights: Path) -> None:
    """A night without one of its files is no night: its folder goes as a whole."""
    folder = file.parent
    if folder != nights and folder.is_relative_to(nights):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        file.unlink(missing_ok=True)


def purged_in_words(purged: Purged) -> str:
    """What is gone, and what is not."""
    rows = [f"removed: {n:,} {name}" for name, n in purged.removed.items()]
    if purged.in_the_file is None:
        rows.append("The id is too short to search the raw file; every table was searched.")
    else:
        rows.append(f"The id stands {purged.in_the_file:,} times in the raw bytes of the store.")
    rows += [f"still named in: {n:,} {where}" for where, n in purged.mentioned_elsewhere.items()]
    if purged.open_elsewhere:
        rows.append("Another program has the store open: end it and run this again.")
    rows += [f"deleted: {name}" for name in purged.deleted_files]
    rows += [f"names the patient, or may: {name} (--outputs deletes it)" for name in purged.files]
    rows.append("A later sync or load does not bring the patient back.")
    return "\n".join(rows)
