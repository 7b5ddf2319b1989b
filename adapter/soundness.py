"""Is the store what was written into it? Damage is looked for, not met by chance.

A page that no night reads, or one bit inside a packed body, would else be noticed when the last
good backup is long overwritten.
"""

import hashlib
import sqlite3

from adapter.errors import StoreError
from adapter.schema import RECOUNT
from adapter.store import DAMAGED, Store, store_reason

_SMALL_BYTES = 2**25  # so small a store is checked every night: it takes less than half a second
_EVERY_SECONDS = 7 * 86_400.0  # convention; 130 MB with 350,000 versions take 1.6 s
_LOST = "SELECT 1 FROM newest n LEFT JOIN version v ON v.id = n.version WHERE v.hash IS NOT n.hash"
_BODIES = "SELECT dictionary, body, hash FROM version WHERE body IS NOT NULL"


def check_soundness(store: Store, at: float) -> None:
    """StoreError when pages, indexes or bodies are not as written; weekly once the store is large.

    `at`: seconds since 1970. A clock that went back does not put the check off.
    """
    large = store.path.stat().st_size > _SMALL_BYTES
    if large and 0 <= at - float(store.meta("checked") or "-inf") < _EVERY_SECONDS:
        return
    try:
        found = str(store.db.execute("PRAGMA integrity_check(1)").fetchone()[0]).splitlines()[-1]
        if store.db.execute(_LOST).fetchone():
            found = "newest versions are not where they were"
        for dictionary, body, digest in store.db.execute(_BODIES):
            raw = store.packing.unpack(dictionary, body)
            if hashlib.blake2b(raw, digest_size=16).digest() != digest:
                found = "a resource is not as it came"
    except sqlite3.DatabaseError as problem:
        found = store_reason(problem)
    if found != "ok":
        raise StoreError(f"The check of the store found: {found}.", DAMAGED)
    store.db.execute(RECOUNT)
    store.set_meta("checked", str(at))
