"""Reproducible inputs: a hospital's export on disk, and a night in which little changed.

As in a bulk export there is one kind of resource to a file, in parts, so the lines of a patient
are far apart. Recipients are spread among patients who never heard of CAR T.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from examples.synthetic import StudyShape, background, generate, retell
from examples.synthetic.record import Made
from examples.synthetic.writer import as_line

PART = 64 * 2**20  # bytes after which a file is continued in the next one
ROWS = 50  # Observations of a patient who is no recipient, 1 to 2 kB each
SEED = 7


class Hospital(NamedTuple):
    """Where an export lies and what is in it."""

    folder: Path
    patients: int
    recipients: int
    resources: int
    bytes: int

    @property
    def in_words(self) -> str:
        """Its size in a line."""
        return (
            f"{self.patients:,} patients, {self.recipients:,} of them recipients, "
            f"{self.resources:,} resources, {self.bytes / 1e6:,.0f} MB"
        )

    @property
    def files(self) -> list[Path]:
        """All parts, in the order of their names."""
        return sorted(self.folder.glob("*.ndjson"))


def mixed(folder: Path, patients: int) -> Hospital:
    """A system-level export: one patient in a hundred is a recipient with daily laboratories."""
    recipients = max(patients // 100, 1)
    return _written(folder, patients, recipients, _interleaved(patients, recipients))


def recipients_only(folder: Path, recipients: int) -> Hospital:
    """A registry: all are recipients, with daily laboratories in the first month."""
    study = generate(StudyShape(recipients, recipients, SEED))
    return _written(folder, recipients, recipients, study)


def night(hospital: Hospital, number: int, changed: int) -> Path:
    """One new result for each of `changed` patients, spread over the hospital; a file of its own.

    The result is the first Observation of that patient again, under a new id.
    """
    every = hospital.recipients // changed
    wanted = {f"Patient/{patient}" for patient in _patients(hospital)[number::every][:changed]}
    file = hospital.folder.with_name(f"{hospital.folder.name}-night-{number}.ndjson")
    with file.open("wb") as out:
        for made in _lines(hospital, "Observation"):
            if made["subject"]["reference"] in wanted:
                wanted.remove(made["subject"]["reference"])
                out.write(as_line(made | {"id": f"{made['id']}-n{number}"}))
            if not wanted:
                break
    return file


def _patients(hospital: Hospital) -> list[str]:
    return [made["id"] for made in _lines(hospital, "Patient")]


def _lines(hospital: Hospital, kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(hospital.folder.glob(f"{kind}.*.ndjson")):
        with file.open("rb") as lines:
            yield from map(msgspec.json.decode, lines)


def _interleaved(patients: int, recipients: int) -> Iterator[Made]:
    others = background(patients - recipients, ROWS, SEED)
    between = (ROWS + 1) * ((patients - recipients) // recipients)
    for story in generate(StudyShape(recipients, recipients, SEED)).stories:
        yield from retell(story)
        yield from islice(others, between)
    yield from others


def _written(folder: Path, patients: int, recipients: int, made: Iterable[Made]) -> Hospital:
    """The export in `folder`; one that is there already is used again, since equal is equal."""
    note = folder / "done"  # written last: a folder without it is written again
    if note.exists():
        return Hospital(folder, *msgspec.json.decode(note.read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, _Parts] = {}
    for kind, resource in made:
        if kind not in parts:
            parts[kind] = _Parts(folder, kind)
        parts[kind].write(as_line(resource))
    count, size = (sum(x) for x in zip(*(part.close() for part in parts.values()), strict=True))
    done = Hospital(folder, patients, recipients, count, size)
    note.write_bytes(msgspec.json.encode(done[1:]))
    return done


class _Parts:
    """The files of one resource type."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self._parts = self._in_part = 0
        self._out = self._next()
        self._count = self._size = 0

    def write(self, line: bytes) -> None:
        if self._in_part >= PART:
            self._out.close()
            self._out = self._next()
        self._in_part += self._out.write(line)
        self._size += len(line)
        self._count += 1

    def close(self) -> tuple[int, int]:
        """Resources and bytes in all parts."""
        self._out.close()
        return self._count, self._size

    def _next(self) -> Any:
        self._parts += 1
        self._in_part = 0
        return (self._folder / f"{self._kind}.{self._parts:03d}.ndjson").open("wb")
