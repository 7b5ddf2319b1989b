"""Whose resources are worth keeping? Two looks at an export in which most people are not ours.

The first look finds everybody with any trace of cell therapy: given, ordered, collected for,
billed, mentioned as history, or one of its look-alikes. The second takes their resources and passes
over the rest, which is never stored: the law asks for no more data than are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapter.codes import Codes
from adapter.envelope import Envelope, Reject, patient_named
from adapter.files import DAMAGE, Portion, blocks, entries, opened, portions, stripped
from adapter.pool import Pool

Entry = Envelope | Reject
Tell = Callable[[str, int], None]


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


class _Seen(NamedTuple):
    """What the first look found in one portion."""

    traced: set[str]
    lines: int


class First:
    """The first look: who shows a trace."""

    def __init__(self, codes: Codes) -> None:
        self.sieve = Sieve(codes)

    def __call__(self, portion: Portion) -> _Seen:
        """What is in one portion."""
        traced, read = set[str](), 0
        with suppress(*DAMAGE, OSError):  # the second look tells of it
            for _, block in blocks(portion):
                read += len(block)
                self.look(block, set(), traced)
        return _Seen(traced, read)

    def look(self, lines: Iterable[bytes], everybody: set[str], traced: set[str]) -> None:
        """Add whom these lines are about, and those with a trace among them."""
        for line in lines:
            patient, trace = self.sieve(line)
            if patient is None:
                self._closer(stripped(line), everybody, traced)
                continue
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


class Taking(NamedTuple):
    """What the second look took from one portion, and what it passed over."""

    entries: list[Entry]
    passed_over: int
    others: int  # Patients among them: of a whole hospital not even the ids are held


class Second:
    """The second look: the entries of some patients, and how many were passed over."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.kept, self._others = kept, 0

    def __call__(self, portion: Portion) -> Taking:
        """Their entries in one portion, and how many others there are."""
        taken, passed_over, self._others = list[Entry](), 0, 0
        for one in entries(portion, self.wanted):
            if one is None or (isinstance(one, Envelope) and one.patient not in self.kept):
                passed_over += 1
                self._others += one is not None and one.type == "Patient"
            else:
                taken.append(one)
        return Taking(taken, passed_over, self._others)

    def wanted(self, raw: bytes) -> bool:
        """Is this line about one of them, or can only a closer look tell?"""
        try:
            row = _owned(raw)
        except (ValueError, RecursionError):
            return True
        owner = _owner(row)
        if owner is None or owner in self.kept:
            return True
        self._others += row.resourceType == "Patient"
        return False


class Sifted:
    """An export sifted: whom it keeps, and what it holds of them."""

    def __init__(
        self, files: Iterable[Path], codes: Codes, known: Iterable[str], pool: Pool, tell: Tell
    ) -> None:
        pieces, self._pool = list(portions(files)), pool
        traced = set[str]()
        self._pieces: list[Portion] = []
        before = read = 0
        looks = pool.spread(First(codes), pieces)
        for piece, seen in zip(pieces, looks, strict=True):
            traced |= seen.traced
            before = before if piece.start else 0
            self._pieces.append(piece._replace(before=before))
            before += seen.lines
            read += seen.lines
            tell("looking for recipients", read)
        self.kept = frozenset(traced.union(known))

    def takings(self) -> Iterator[tuple[str, Taking]]:
        """What is taken of each portion, with the name of its file."""
        looks = self._pool.spread(Second(self.kept), self._pieces)
        for piece, taking in zip(self._pieces, looks, strict=True):
            yield piece.file.name, taking
