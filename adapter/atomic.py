"""Files appear whole or not at all, and only their owner can read them."""

import os
import tempfile
from pathlib import Path


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
