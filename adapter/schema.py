"""The tables of the store, and how an older store becomes a newer one.

A store lives for years and outlives the program that wrote it: every change of its tables is one
entry of MIGRATIONS, taken in one transaction after a copy of the whole store was put beside it.
"""

import os
import sqlite3
import tempfile
from pathlib import Path

from adapter.atomic import MEGABYTE, need_room
from adapter.errors import StoreError

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, source TEXT NOT NULL,
    started TEXT NOT NULL, ended TEXT, state TEXT NOT NULL, summary TEXT NOT NULL DEFAULT '{}');
CREATE TABLE dictionary (id INTEGER PRIMARY KEY, type TEXT NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE version (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES run(id),
    type TEXT NOT NULL, fhir_id TEXT NOT NULL, patient TEXT NOT NULL, last_updated TEXT NOT NULL,
    hash BLOB NOT NULL, gone TEXT, dictionary INTEGER, body BLOB);
CREATE TABLE newest (
    type TEXT NOT NULL, fhir_id TEXT NOT NULL, patient TEXT NOT NULL, version INTEGER NOT NULL,
    hash BLOB NOT NULL, gone INTEGER NOT NULL, updated REAL, version_id TEXT NOT NULL,
    PRIMARY KEY (type, fhir_id)) WITHOUT ROWID;
CREATE INDEX newest_by_patient ON newest (patient, type, fhir_id);
CREATE INDEX version_by_resource ON version (type, fhir_id, run);
CREATE TABLE reject (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, place TEXT NOT NULL, reason TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE slice (
    patient TEXT NOT NULL, type TEXT NOT NULL, watermark REAL, completed_run INTEGER,
    compared REAL, due TEXT, PRIMARY KEY (patient, type)) WITHOUT ROWID;
CREATE TABLE decision (
    id INTEGER PRIMARY KEY AUTOINCREMENT, imported TEXT NOT NULL, body TEXT NOT NULL);
"""

#: How many resources of each type are held: counting a large store takes longer than a night.
RECOUNT = "INSERT OR REPLACE INTO live SELECT type, sum(gone = 0) FROM newest GROUP BY type"

#: What turns schema n into n + 1. A new store takes the same way, so that there is only one.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (  # what each night said, for `diff`; whom nobody may bring back; who changed in a night
        "CREATE TABLE night (run INTEGER PRIMARY KEY, said TEXT NOT NULL, rows BLOB NOT NULL)",
        "CREATE TABLE erased (mark TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE INDEX version_by_run ON version (run, patient)",
    ),
    2: (  # what was said of each patient whose resources did not change since; a running count
        "CREATE TABLE judged (patient TEXT PRIMARY KEY, basis TEXT NOT NULL, share BLOB NOT NULL)"
        " WITHOUT ROWID",
        "CREATE TABLE live (type TEXT PRIMARY KEY, held INTEGER NOT NULL) WITHOUT ROWID",
        RECOUNT,
    ),
    3: (  # the first run that can see a decision: a clock that jumps must not move it to another
        "ALTER TABLE decision ADD COLUMN run INTEGER NOT NULL DEFAULT 0",
        "UPDATE decision SET run = coalesce("
        "(SELECT min(id) FROM run WHERE coalesce(ended, started) >= decision.imported),"
        " (SELECT max(id) + 1 FROM run), 1)",
    ),
}
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring them up to date; StoreError when a newer program wrote them."""
    found = _schema_of(db)
    if 0 < found < SCHEMA_VERSION:
        need_room(path.parent, path.stat().st_size / MEGABYTE)
        _back_up(db, path.with_name(f"{path.name}.schema{found}.backup"))
    if found < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        _migrate(db)
        db.execute("COMMIT")
    if _schema_of(db) != SCHEMA_VERSION:
        raise StoreError(
            f"The store {path} has schema {found}, this version reads {SCHEMA_VERSION}.",
            "Use the cart-nrm version that wrote it, or load the data into a new store.",
        )


def is_ours(db: sqlite3.Connection, *, empty: bool) -> bool:
    """Is this a store, or (`empty`) nothing yet? Somebody else's tables are not added to."""
    names = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master")}
    return {"meta", "run", "version", "newest"} <= names or (empty and not names)


def _schema_of(db: sqlite3.Connection) -> int:
    """0 for a new file."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return 0
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return int(row[0]) if row else 1


def _migrate(db: sqlite3.Connection) -> None:
    """Statement by statement (executescript would commit), looking again: another may be first."""
    found = _schema_of(db)
    if found == 0:
        for statement in _SCHEMA.split(";\n"):
            db.execute(statement)
        found = 1
    for step in range(found, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            db.execute(statement)
    if found < SCHEMA_VERSION:
        db.execute("DELETE FROM meta WHERE key LIKE 'seal %'")  # other columns, another seal
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))


def half_copies(path: Path) -> list[Path]:
    """Copies of an older store whose making was killed."""
    return list(path.parent.glob(f".{path.name}.schema*.backup.*"))


def _back_up(db: sqlite3.Connection, copy: Path) -> None:
    """A consistent copy while others may read, whole or not at all, readable by its owner only."""
    handle, name = tempfile.mkstemp(prefix=f".{copy.name}.", dir=copy.parent)
    os.close(handle)
    try:
        target = sqlite3.connect(name)
        try:
            db.backup(target)
        finally:
            target.close()
        os.replace(name, copy)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
