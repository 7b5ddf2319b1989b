"""Files appear whole or not at all, and only their owner can read them."""

import os
import shutil
import tempfile
from pathlib import Path

from adapter.errors import StoreError

MEGABYTE = 2**20


def need_room(folder: Path, megabytes: float) -> None:
    """StoreError when a disk is too full to begin: half a job is worse than none."""
    free = shutil.disk_usage(folder).free / MEGABYTE
    if free < megabytes:
        raise StoreError(
            f"Only {free:,.0f} MB are free at {folder}, {megabytes:,.0f} MB are asked for;"
            " nothing was begun.",
            "Make room; what a night, sync or load asks for is nightly.free-mb.",
        )


def write_atomically(path: Path, content: bytes, *, fresh: bool = False, mode: int = 0o600) -> Path:
    """Write to a temporary neighbour, fsync, rename: a reader sees the old file or the new one.

    Mode 0600 from the first byte on (mkstemp), `mode` at the end. With `fresh` an existing file is
    never replaced (FileExistsError). OSError when the disk is full or the folder cannot be written;
    nothing stays.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(file.fileno())
        if fresh:
            os.link(name, path)
            os.unlink(name)
        else:
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """The rename itself must survive a power cut too (fsync(2): the directory entry)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
