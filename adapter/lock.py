"""One writer at a time: a lock that names its owner and cannot outlive it.

The kernel's file lock goes with its process, however that ends. The text in the file says who holds
it; text without a lock means that the owner died. A shared disk may not carry locks between
machines, so an owner on another machine counts as alive while it still touches the file.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from threading import Event, Thread
from typing import Any

from adapter.dates import seconds_of
from adapter.errors import LockedError, StoreError
from adapter.store import now

_TOUCHED_EVERY_SECONDS = 60.0
_DEAD_AFTER_SECONDS = 900.0  # convention: fifteen missed touches


@contextmanager
def held(store: Path, command: str) -> Iterator[dict[str, Any] | None]:
    """Hold the store's lock; gives the record of an owner that died while holding it, or None.

    LockedError when somebody else holds it, StoreError when the file cannot be written.
    """
    path = store.with_name(f"{store.name}.lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise StoreError(
            f"The lock {path} cannot be written: {problem.strerror}.",
            "The folder of the store must exist and be writable.",
        ) from None
    try:
        died = _take(handle, path)
        _write(handle, {"command": command, "pid": os.getpid(), "host": gethostname(),
                        "since": now()})  # fmt: skip
        stop = Event()
        touching = Thread(target=_touch, args=(handle, stop), daemon=True)
        touching.start()
        try:
            yield died
        finally:
            stop.set()
            touching.join()
            _write(handle, None)
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> dict[str, Any] | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = False
    except BlockingIOError:
        taken = True
    owner = _read(handle)
    away = owner is not None and owner.get("host") != gethostname()
    fresh = time.time() - os.fstat(handle).st_mtime < _DEAD_AFTER_SECONDS
    if taken or (away and fresh):
        problem = LockedError(
            f"Another run holds the store: {_named(owner)}.",
            "Wait for its end, or stop it." if taken else f"If it is dead, delete {path}.",
        )
        since = seconds_of(str((owner or {}).get("since")))
        problem.hours = (time.time() - since) / 3600 if since is not None else 0.0
        raise problem
    return owner


def _named(owner: dict[str, Any] | None) -> str:
    if owner is None:
        return "it has just begun"
    return "{command}, process {pid} on {host}, since {since}".format(
        **{"command": "?", "pid": "?", "host": "?", "since": "?"} | owner
    )


def _read(handle: int) -> dict[str, Any] | None:
    """The owner written in the file; {} when its text was cut off."""
    text = os.pread(handle, 4096, 0)
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(handle: int, owner: dict[str, Any] | None) -> None:
    os.ftruncate(handle, 0)
    if owner is not None:
        os.pwrite(handle, json.dumps(owner).encode(), 0)


def _touch(handle: int, stop: Event) -> None:
    """Our file, whatever lies at its path by now; a disk that is away may come back."""
    while not stop.wait(_TOUCHED_EVERY_SECONDS):
        with suppress(OSError):
            os.utime(handle)
