"""Is the store what was written into it? Damage is looked for, not met by chance.

A page that no night reads, or one bit inside a packed body, would else be noticed when the last
good backup is long overwritten.
"""

import sqlite3

import zstandard

from adapter.errors import StoreError
from adapter.packing import hash_of
from adapter.schema import RECOUNT
from adapter.store import DAMAGED, SEALED, Store, store_reason

_SMALL_BYTES = 2**25  # so small a store is checked every night: it takes less than half a second
_EVERY_SECONDS = 7 * 86_400.0  # convention; 130 MB with 350,000 versions take 1.6 s
_LOST = "SELECT 1 FROM newest n LEFT JOIN version v ON v.id = n.version WHERE v.hash IS NOT n.hash"
_BODIES = "SELECT dictionary, body, hash FROM version WHERE body IS NOT NULL"


def check_soundness(store: Store, at: float) -> bool:
    """StoreError when pages, indexes, bodies or seals are not as written; pages and bodies weekly
    once the store is large. True when only the marks of what is complete were damaged: they are
    gone, so that everything is asked again.

    `at`: seconds since 1970. A clock that went back does not put the check off.
    """
    large = store.path.stat().st_size > _SMALL_BYTES
    recent = large and 0 <= at - float(store.meta("checked") or "-inf") < _EVERY_SECONDS
    try:
        broken = store.broken_seals()
        if again := "slice" in broken:
            store.db.execute("DELETE FROM slice")
            broken.remove("slice")
        found = f"the table {broken[0]} is not as written" if broken else "ok"
        if not broken and not recent:
            found = _pages_and_bodies(store)
    except (sqlite3.DatabaseError, zstandard.ZstdError) as problem:
        found = store_reason(problem)
    if found != "ok":
        raise StoreError(f"The check of the store found: {found}.", DAMAGED)
    if not recent:
        with store.transaction(*SEALED):  # also what an older program left without a seal
            store.db.execute(RECOUNT)
            store.set_meta("checked", str(at))
    return again


def _pages_and_bodies(store: Store) -> str:
    found = str(store.db.execute("PRAGMA integrity_check(1)").fetchone()[0]).splitlines()[-1]
    if store.db.execute(_LOST).fetchone():
        found = "newest versions are not where they were"
    for dictionary, body, digest in store.db.execute(_BODIES):
        raw = store.packing.unpack(dictionary, body)
        if hash_of(raw) != digest:
            found = "a resource is not as it came"
    for (rows,) in store.db.execute("SELECT rows FROM night WHERE rows <> x''"):
        zstandard.decompress(rows)
    return found
