"""An export of a whole hospital, sifted: what it holds of recipients, who are one in a hundred.

Observations are nine lines in ten and hardly ever somebody's only trace. So the other files are
looked at first, and then everything is read once, in the order given. Of whoever turns up only
then, what was passed over is fetched at the end.
"""

import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from msgspec.structs import replace

from adapter.codes import Codes
from adapter.envelope import Envelope
from adapter.errors import StoreError
from adapter.files import DAMAGE, Portion, blocks, portions
from adapter.pool import Pool
from adapter.sieve import Entry, Finish, First, Second, Seen, Taken, is_observation

Tell = Callable[[str, int], None]


class _Again(Second):
    """A second look for some who were not known at the first; how many of theirs there are."""

    def __call__(self, piece: tuple[Portion, bytes]) -> Taken:
        """What cannot be read was told at the first."""
        if self.marks.isdisjoint(array("I", piece[1])):
            return [], 0
        taken, _ = super().__call__(piece)
        theirs: list[Entry] = [one for one in taken if isinstance(one, Envelope)]
        return theirs, len(theirs)


class _Both:
    """The second look where the first is over, and both at once where nobody has looked yet."""

    def __init__(self, first: First, second: Second) -> None:
        self._first, self._second = first, second

    def __call__(self, piece: tuple[Portion, bytes | None]) -> Seen:
        """A portion, with its marks where there are some."""
        portion, known = piece
        if known is not None:
            return Seen(set(), set(), known, self._second((portion, known)))
        everybody, traced, marks = set[str](), set[str](), array("I")

        def marks_of(block: list[bytes]) -> "array[int]":
            new = array("I")
            self._first.look(block, everybody, traced, new)
            marks.extend(new)
            return new

        taken = self._second.take(portion, marks_of)
        return Seen(everybody, traced, marks.tobytes(), taken)


class _Marks:
    """The marks of portion after portion, in a file: of a whole hospital they are much."""

    def __init__(self) -> None:
        with self._told():
            self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._at: dict[Portion, tuple[int, int]] = {}

    def __enter__(self) -> "_Marks":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written was told
            self._file.close()

    def of(self, portion: Portion) -> bytes | None:
        """The marks of a portion; None where nobody has looked at it."""
        if portion not in self._at:
            return None
        start, size = self._at[portion]
        with self._told():
            self._file.seek(start)
            return self._file.read(size)

    def keep(self, portion: Portion, marks: bytes) -> None:
        """Keep them, unless they are kept."""
        if portion in self._at:
            return
        with self._told():
            self._at[portion] = self._file.seek(0, os.SEEK_END), len(marks)
            self._file.write(marks)

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
        pieces, first, late = list(portions(files)), First(codes), set[str]()
        early = [piece for piece in pieces if not _of_observations(piece.file)]
        with _Marks() as marks:
            for piece, seen in zip(early, self._pool.spread(first, early), strict=True):
                marks.keep(piece, seen.marks)
                self._note(seen, self.kept)
                self._tell("patients looked at", len(self._everybody))
            both = _Both(first, Second(frozenset(self.kept), self._finish))
            tasks = ((piece, marks.of(piece)) for piece in pieces)
            before = 0
            for piece, seen in zip(pieces, self._pool.spread(both, tasks), strict=True):
                marks.keep(piece, seen.marks)
                self._note(seen, late)
                before = before if piece.start else 0
                taken, passed_over = seen.taken
                yield piece.file.name, [_moved(one, before) for one in taken], passed_over
                before += len(seen.marks) // array("I").itemsize
            late -= self.kept
            self.kept |= late
            passed = pieces if late else []
            again = _Again(frozenset(late), self._finish)
            looks = self._pool.spread(again, ((piece, marks.of(piece) or b"") for piece in passed))
            for piece, (taken, found) in zip(passed, looks, strict=True):
                yield piece.file.name, taken, -found

    def _note(self, seen: Seen, traced: set[str]) -> None:
        self._everybody |= seen.everybody
        traced |= seen.traced


def _of_observations(file: Path) -> bool:
    """Does the file begin with one? Then the others, most likely, are Observations too."""
    with suppress(*DAMAGE, OSError):
        for _, (line, *_) in blocks(Portion(file, 0, 1)):
            return is_observation(line)
    return False


_LINE = re.compile(r":(\d+)(?=(\[\d+\])*$)")


def _moved(one: Entry, lines: int) -> Entry:
    """Whoever looks at a portion alone cannot know how many lines of the file come before."""
    if not lines or isinstance(one, Envelope):
        return one
    return replace(one, where=_LINE.sub(lambda at: f":{int(at[1]) + lines}", one.where))
