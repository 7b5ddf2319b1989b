"""What each night did, one JSON object a line: counts, states and reasons, never a patient."""

import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter.errors import CartNrmError, StoreError
from adapter.store import now


class Journal:
    """Appends events to a file, each with one write, and says them to whoever listens.

    A line that a power cut tore is ended before the next one is written.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.night = 0

    def __call__(self, event: str, **what: Any) -> bool:
        """Write one event; a full disk does not hide it from the listener. Was it written?"""
        line = json.dumps({"at": now(), "night": self.night, "event": event, **what}, default=str)
        self.say(line)
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return False
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, b"\n" * torn + line.encode() + b"\n")
            os.fsync(handle)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True


def last_event(path: Path, event: str) -> dict[str, Any] | None:
    """The newest such event of a journal, None when there is none; torn lines are passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("event") == event:
            return found
    return None


def note_identified(folder: Path, rows: int, ending: str) -> None:
    """Who takes real names out, and when; StoreError when it cannot be written: then none leave.

    Not the file's name: it may name a patient.
    """
    journal = Journal(make_folder(folder) / "journal.jsonl", lambda line: None)
    if not journal("identified_export", uid=os.getuid(), rows=rows, format=ending):
        raise StoreError(
            f"The export cannot be noted in {journal.path}; nothing was exported.",
            "Identified exports are noted: make that file writable.",
        )


def in_words(problem: BaseException) -> str:
    """What went wrong. A fault of ours is told by type and place: its text may quote a patient."""
    if isinstance(problem, CartNrmError):
        return problem.message
    frames = traceback.extract_tb(problem.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"A fault of the program: {type(problem).__name__} at {places}."


def make_folder(folder: Path) -> Path:
    """A folder only its owner can enter."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as problem:
        raise StoreError(
            f"The folder {folder} cannot be made: {problem.strerror}.",
            "Name another with nightly.folder, or make it writable.",
        ) from None
    return folder
