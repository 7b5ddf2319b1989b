"""Whose resources are worth keeping? Two looks at lines of which most are about people not ours.

The first look finds everybody with any trace of cell therapy: given, ordered, collected for,
billed, mentioned as history, or one of its look-alikes. The second takes their resources and passes
over the rest, which is never stored: the law asks for no more data than are needed.
"""

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain, count, islice, repeat
from typing import Any, NamedTuple

import msgspec

from adapter.codes import Codes
from adapter.envelope import Envelope, Reject, patient_named
from adapter.files import DAMAGE, Portion, blocks, entries, opened, stripped

Entry = Envelope | Reject


def is_trace(concept: str) -> bool:
    """Does this concept make somebody worth a look?"""
    return concept.startswith(("cart_", "leukapheresis", "hct_EXCLUDE"))


_NOTHING = msgspec.Raw(b"")
_NONE_OF_THEM = (_NOTHING,) * 3


class _Owned(msgspec.Struct, gc=False):
    """Whom a row is about. Pieces stay as written: most were met, and understood, before."""

    resourceType: str | None = None
    id: str | None = None
    subject: msgspec.Raw = _NOTHING
    patient: msgspec.Raw = _NOTHING


class _Row(_Owned, gc=False):
    """And where the readers of facts look for codes."""

    code: msgspec.Raw = _NOTHING
    medicationCodeableConcept: msgspec.Raw = _NOTHING
    component: msgspec.Raw = _NOTHING
    contained: msgspec.Raw = _NOTHING
    conclusionCode: msgspec.Raw = _NOTHING


class _Reference(msgspec.Struct):
    reference: str


_owned, _row = msgspec.json.Decoder(_Owned).decode, msgspec.json.Decoder(_Row).decode
_reference = msgspec.json.Decoder(_Reference).decode


def _owner(row: _Owned) -> str | None:
    """The patient a row is about; None when only a closer look can tell."""
    if row.resourceType == "Patient":
        return row.id
    named = row.patient if row.subject is _NOTHING else row.subject
    return None if named is _NOTHING else _named(bytes(named))


def is_observation(line: bytes) -> bool:
    """Is this line one? A damaged line is nothing."""
    with suppress(ValueError, RecursionError):
        return _owned(line).resourceType == "Observation"
    return False


@lru_cache(4096)  # rows of one patient mostly stand together
def _named(reference: bytes) -> str | None:
    try:
        return patient_named(_reference(reference).reference) or None
    except (ValueError, RecursionError):
        return None


class Sieve:
    """Asks of one line whom it is about, and whether it is a trace; may go to other processes."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._known = lru_cache(50_000)(self._tells)

    def __reduce__(self) -> tuple[type["Sieve"], tuple[Codes]]:
        return Sieve, (self.codes,)

    def __call__(self, line: bytes) -> tuple[str | None, bool]:
        """(patient, trace?); the patient is None when only a closer look can tell."""
        try:
            row = _row(line)
            trace = row.code is not _NOTHING and self._known(bytes(row.code))
            if row.medicationCodeableConcept is not _NOTHING:
                trace = trace or self._known(bytes(row.medicationCodeableConcept))
            if (row.component, row.contained, row.conclusionCode) != _NONE_OF_THEM:
                # hardly one is like another, so that there is nothing to remember
                pieces = (row.component, row.contained, row.conclusionCode)
                trace = trace or any(self._tells(bytes(piece)) for piece in pieces)
        except (ValueError, RecursionError):
            return None, True
        return _owner(row), trace

    def _tells(self, piece: bytes) -> bool:
        """Is there a trace among the codings in a piece of JSON, whatever its shape?"""
        return any(
            is_trace(meaning.concept)
            for coding in _codings(msgspec.json.decode(piece or b"null"))
            for meaning in self.codes.lookup(*coding)
        )


def _codings(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, list):
        for one in value:
            yield from _codings(one)
    elif isinstance(value, dict):
        if isinstance(value.get("code"), str):
            yield str(value.get("system", "")), value["code"], str(value.get("version", ""))
        for one in value.values():
            if isinstance(one, (dict, list)):
                yield from _codings(one)


class Seen(NamedTuple):
    """What one look at a portion found."""

    everybody: set[str]
    traced: set[str]
    marks: bytes  # whose each line is, in four bytes; 0 when only a closer look can tell
    taken: tuple[list[Entry], int] = ([], 0)


class First:
    """The first look: everybody, those with a trace, and whose each line is."""

    def __init__(self, codes: Codes) -> None:
        self.sieve = Sieve(codes)

    def __call__(self, portion: Portion) -> Seen:
        """What is in one portion."""
        everybody, traced, marks = set[str](), set[str](), array("I")
        with suppress(*DAMAGE, OSError):  # the second look tells of it
            for _, block in blocks(portion):
                self.look(block, everybody, traced, marks)
        return Seen(everybody, traced, marks.tobytes())

    def look(
        self, lines: Iterable[bytes], everybody: set[str], traced: set[str], marks: "array[int]"
    ) -> None:
        """Add whom these lines are about, and those with a trace among them; mark each line."""
        for line in lines:
            patient, trace = self.sieve(line)
            if patient is None:
                marks.append(0)
                self._closer(stripped(line), everybody, traced)
                continue
            marks.append(_mark(patient))
            everybody.add(patient)
            if trace:
                traced.add(patient)

    def _closer(self, raw: bytes, everybody: set[str], traced: set[str]) -> None:
        """A Bundle, or something of an odd shape: whose it is the envelope knows."""
        for one in opened(raw, ""):
            if isinstance(one, Envelope) and one.patient:
                everybody.add(one.patient)
                if self.sieve(one.body)[1]:
                    traced.add(one.patient)


@lru_cache(4096)
def _mark(patient: str) -> int:
    """Four bytes that are 0 for nobody; two people may share them, which only costs a look."""
    return zlib.crc32(patient.encode()) or 1


Finish = Callable[[list[Entry]], list[Entry]]
Taken = tuple[list[Entry], int]


class Second:
    """The second look: the entries of some patients, and how many were passed over.

    `finish` is done to what was found, still in the process that found it.
    """

    def __init__(self, kept: frozenset[str], finish: Finish = list) -> None:
        self.kept, self._finish = kept, finish
        self.marks = {0, *map(_mark, kept)}

    def __call__(self, piece: tuple[Portion, bytes]) -> Taken:
        """Their entries in one portion with its marks, and how many others there are."""
        portion, marks = piece
        # lines that came since, to a file that is still written to, have no mark
        left = chain(array("I", marks), repeat(0))
        return self.take(portion, lambda block: islice(left, len(block)))

    def take(self, portion: Portion, marks_of: Callable[[list[bytes]], Iterable[int]]) -> Taken:
        """The same, where the marks of a block of lines can only be asked for as it is read."""
        taken, passed_over = list[Entry](), 0

        def mine(first: int, block: list[bytes]) -> list[tuple[int, bytes]]:
            nonlocal passed_over
            marked = zip(count(first), block, marks_of(block), strict=False)
            chosen = [(number, line) for number, line, mark in marked if mark in self.marks]
            passed_over += len(block) - len(chosen)
            return chosen

        for one in entries(portion, mine):
            if isinstance(one, Envelope) and one.patient not in self.kept:
                passed_over += 1
            else:
                taken.append(one)
        return self._finish(taken), passed_over

    def wanted(self, raw: bytes) -> bool:
        """Is this line about one of them, or can only a closer look tell?"""
        try:
            owner = _owner(_owned(raw))
        except (ValueError, RecursionError):
            return True
        return owner is None or owner in self.kept
