"""An export of a whole hospital, sifted: what it holds of recipients, who are one in a hundred.

Observations are nine lines in ten and hardly ever somebody's only trace. So the other files are
looked at first, and then everything is read once, in the order given. Of whoever turns up only
then, what was passed over is fetched at the end.
"""

import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from msgspec.structs import replace

from adapter.codes import Codes
from adapter.envelope import Envelope, Reject
from adapter.errors import StoreError
from adapter.files import DAMAGE, Portion, blocks, filed, is_document, portions, readable
from adapter.pool import Pool
from adapter.sieve import Entry, Finish, First, Second, Seen, is_observation

Tell = Callable[[str, int], None]


class _Again:
    """A look for some who were not known before; `told` are the marks of lines opened then."""

    def __init__(self, late: frozenset[str], told: set[int], finish: Finish) -> None:
        self._second, self._told, self._finish = Second(late), told, finish

    def __call__(self, piece: tuple[Portion, bytes]) -> list[Entry]:
        """Their entries in one portion, and what cannot be read, unless that was told before."""
        portion, marks = piece[0], array("I", piece[1])
        taken = list[Entry]()
        if self._second.marks.isdisjoint(marks):
            return taken
        left = iter(marks)  # lines that came since are nobody's
        with suppress(*DAMAGE), readable(portion.file):
            for first, block in blocks(portion):
                for number, line, mark in zip(count(first), block, left, strict=False):
                    if mark in self._second.marks:
                        taken += self._theirs(number, line, portion.file.name, mark)
        return self._finish(taken)

    def _theirs(self, number: int, line: bytes, name: str, mark: int) -> Iterator[Entry]:
        for one in filed([(number, line)], name):
            if isinstance(one, Envelope):
                if one.patient in self._second.kept:
                    yield one
            elif mark not in self._told:
                yield one


class _Both:
    """The second look where the first is over, and both at once where nobody has looked yet."""

    def __init__(self, first: First, second: Second) -> None:
        self._first, self._second = first, second

    def __call__(self, piece: tuple[Portion, bytes | None]) -> Seen:
        """A portion, with its marks where there are some."""
        portion, known = piece
        if known is not None:
            return Seen(set(), set(), b"", self._second((portion, known)))
        everybody, traced, marks = set[str](), set[str](), array("I")

        def marks_of(block: list[bytes]) -> "array[int]":
            new = array("I")
            self._first.look(block, everybody, traced, new)
            marks.extend(new)
            return new

        taken = self._second.take(portion, marks_of)
        return Seen(everybody, traced, marks.tobytes(), taken)


class _Place(NamedTuple):
    start: int
    size: int
    before: int  # lines of the file


class _Marks:
    """The marks of portion after portion, in a file: of a whole hospital they are much."""

    def __init__(self) -> None:
        with self._told():
            self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._at: dict[Portion, _Place] = {}
        self._lines = Counter[Path]()

    def __enter__(self) -> "_Marks":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written was told
            self._file.close()

    def keep(self, portion: Portion, marks: bytes) -> None:
        """Keep them, unless they are kept; the portions of a file come in order."""
        if portion in self._at:
            return
        with self._told():
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(marks)
        self._at[portion] = _Place(start, len(marks), self._lines[portion.file])
        self._lines[portion.file] += len(marks) // array("I").itemsize

    def of(self, portion: Portion) -> bytes | None:
        """The marks of a portion; None where nobody has looked at it."""
        place = self._at.get(portion)
        if place is None:
            return None
        with self._told():
            self._file.seek(place.start)
            return self._file.read(place.size)

    def placed(self, taken: list[Entry], portion: Portion) -> list[Entry]:
        """With the lines counted through the file: who looks at a portion counts from 1."""
        before = self._at[portion].before
        return [_moved(one, before) if isinstance(one, Reject) else one for one in taken]

    @staticmethod
    @contextmanager
    def _told() -> Iterator[None]:
        """A full or missing temporary folder is the user's to mend."""
        try:
            yield
        except OSError as problem:
            raise StoreError(
                f"The temporary folder cannot be written: {problem.strerror or problem}.",
                "Make room there, or name another one with TMPDIR.",
            ) from None


class Sifted:
    """Whom an export keeps and how many others there are, while its takings are walked through.

    `known` are kept anyway; see Second for `finish`.
    """

    def __init__(self, pool: Pool, known: Iterable[str], finish: Finish, tell: Tell) -> None:
        self._pool, self._finish, self._tell = pool, finish, tell
        self.kept, self._everybody = set(known), set[str]()

    @property
    def others(self) -> int:
        """Patients without a trace."""
        return len(self._everybody - self.kept)

    def takings(
        self, files: Iterable[Path], codes: Codes
    ) -> Iterator[tuple[str, list[Entry], int]]:
        """(file, entries kept, entries passed over) portion by portion.

        At the end the number is negative: so many that were passed over are kept after all.
        """
        files = list(files)
        pieces, first, late = list(portions(files)), First(codes), set[str]()
        later = {file for file in files if _of_observations(file)}
        sooner = [piece for piece in pieces if piece.file not in later]
        with _Marks() as marks:
            for piece, seen in zip(sooner, self._pool.spread(first, sooner), strict=True):
                marks.keep(piece, seen.marks)
                self._note(seen, self.kept)
                self._tell("patients looked at", len(self._everybody))
            second = Second(frozenset(self.kept), self._finish)
            tasks = ((piece, marks.of(piece)) for piece in pieces)
            looks = self._pool.spread(_Both(first, second), tasks)
            for piece, seen in zip(pieces, looks, strict=True):
                marks.keep(piece, seen.marks)
                self._note(seen, late)
                taken, passed_over = seen.taken
                yield piece.file.name, marks.placed(taken, piece), passed_over
            late -= self.kept
            self.kept |= late
            passed = pieces if late else []
            again = _Again(frozenset(late), second.marks, self._finish)
            marked = ((piece, marks.of(piece) or b"") for piece in passed)
            for piece, taken in zip(passed, self._pool.spread(again, marked), strict=True):
                yield piece.file.name, marks.placed(taken, piece), -len(taken)

    def _note(self, seen: Seen, traced: set[str]) -> None:
        self._everybody |= seen.everybody
        traced |= seen.traced


def _of_observations(file: Path) -> bool:
    """Does the file begin with one? Then the others, most likely, are Observations too."""
    if is_document(file):
        return False
    with suppress(*DAMAGE, OSError):
        for _, block in blocks(Portion(file, 0, 1)):
            return any(map(is_observation, block[:1]))
    return False


_LINE = re.compile(r":(\d+)(?=(\[\d+\])*$)")


def _moved(reject: Reject, lines: int) -> Reject:
    where = _LINE.sub(lambda at: f":{int(at[1]) + lines}", reject.where)
    return replace(reject, where=where)
