"""Whose resources are worth keeping? Two looks at an export in which most people are not ours.

The first look finds everybody with any trace of cell therapy: given, ordered, collected for,
billed, mentioned as history, or one of its look-alikes. The second takes their resources and passes
over the rest, which is never stored: the law asks for no more data than are needed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapter.codes import Codes
from adapter.envelope import Envelope, Reject, patient_named
from adapter.files import DAMAGE, Portion, entries, lines, opened, portions
from adapter.pool import spread

Entry = Envelope | Reject
Tell = Callable[[str, int], None]


def is_trace(concept: str) -> bool:
    """Does this concept make somebody worth a look?"""
    return concept.startswith(("cart_", "leukapheresis", "hct_EXCLUDE"))


class _Shape(msgspec.Struct, gc=False):
    """Every field may be missing; one of another type is for the patient reader to judge."""


class _Coding(_Shape):
    system: str | None = None
    code: str | None = None
    version: str | None = None


class _Concept(_Shape):
    coding: tuple[_Coding, ...] = ()


class _Part(_Shape):
    code: _Concept | None = None


class _Reference(_Shape):
    reference: str | None = None


class _Row(_Shape):
    """Where the readers of facts look for codes that may be traces."""

    resourceType: str | None = None
    id: str | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None
    code: _Concept | None = None
    medicationCodeableConcept: _Concept | None = None
    component: tuple[_Part, ...] = ()
    contained: tuple[_Part, ...] = ()
    conclusionCode: tuple[_Concept, ...] = ()


class _Owned(_Shape):
    resourceType: str | None = None
    id: str | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None


_row, _owned = msgspec.json.Decoder(_Row).decode, msgspec.json.Decoder(_Owned).decode


def _owner(row: _Row | _Owned) -> str | None:
    """The patient a row is about; None when only a closer look can tell."""
    if row.resourceType == "Patient":
        return row.id
    for one in (row.subject, row.patient):
        if one is not None and one.reference:
            return patient_named(one.reference) or None
    return None


class Sieve:
    """Asks of one line whom it is about, and whether it is a trace; may go to other processes."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._traces: dict[_Key, bool] = {}

    def __call__(self, raw: bytes) -> tuple[str | None, bool]:
        """(patient, trace?); (None, True) when only a closer look can tell."""
        try:
            row = _row(raw)
        except (ValueError, RecursionError):
            return None, True
        concepts = [row.code, row.medicationCodeableConcept, *row.conclusionCode]
        if row.component or row.contained:
            concepts += [part.code for part in (*row.component, *row.contained)]
        traces = self._traces
        for concept in concepts:
            if concept is not None:
                for coding in concept.coding:
                    key = (coding.system, coding.code, coding.version)
                    found = traces.get(key)
                    if found if found is not None else self._ask(key):
                        return _owner(row), True
        return _owner(row), False

    def _ask(self, key: "_Key") -> bool:
        found = any(is_trace(meaning.concept) for meaning in self.codes.lookup(*key))
        if len(self._traces) < 200_000:  # more than any hospital's codes
            self._traces[key] = found
        return found


_Key = tuple[str | None, str | None, str | None]


class _Seen(NamedTuple):
    """What the first look found in one portion."""

    everybody: set[str]
    traced: set[str]
    lines: int


class _First:
    """The first look: everybody in a portion, and those with a trace."""

    def __init__(self, codes: Codes) -> None:
        self.sieve = Sieve(codes)

    def __call__(self, portion: Portion) -> _Seen:
        everybody, traced, sieve, number = set[str](), set[str](), self.sieve, 0
        with suppress(*DAMAGE, OSError):  # the second look tells of it
            for number, raw in lines(portion):  # noqa: B007
                patient, trace = sieve(raw)
                if patient is None:
                    self._closer(raw, everybody, traced)
                    continue
                everybody.add(patient)
                if trace:
                    traced.add(patient)
        return _Seen(everybody, traced, number)

    def _closer(self, raw: bytes, everybody: set[str], traced: set[str]) -> None:
        """A Bundle, or something of an odd shape: whose it is the envelope knows."""
        for one in opened(raw, ""):
            if isinstance(one, Envelope) and one.patient:
                everybody.add(one.patient)
                if self.sieve(one.body)[1]:
                    traced.add(one.patient)


class _Second:
    """The second look: the entries of some patients, and how many were passed over."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.kept = kept

    def __call__(self, portion: Portion) -> tuple[list[Entry], int]:
        taken, passed_over = list[Entry](), 0
        for one in entries(portion, self._wanted):
            if one is None or (isinstance(one, Envelope) and one.patient not in self.kept):
                passed_over += 1
            else:
                taken.append(one)
        return taken, passed_over

    def _wanted(self, raw: bytes) -> bool:
        try:
            owner = _owner(_owned(raw))
        except (ValueError, RecursionError):
            return True
        return owner is None or owner in self.kept


class Sifted:
    """An export sifted: whom it keeps, how many others there were, and what it holds of whom."""

    def __init__(
        self, files: Iterable[Path], codes: Codes, known: Iterable[str], workers: int, tell: Tell
    ) -> None:
        pieces = list(portions(files))
        self._workers = min(workers, len(pieces))
        everybody, traced = set[str](), set[str]()
        self._pieces: list[Portion] = []
        before = 0
        looks = spread(_First(codes), pieces, self._workers)
        for piece, seen in zip(pieces, looks, strict=True):
            everybody |= seen.everybody
            traced |= seen.traced
            before = before if piece.start else 0
            self._pieces.append(piece._replace(before=before))
            before += seen.lines
            tell("patients looked at", len(everybody))
        self.kept = frozenset(traced.union(known))
        self.others = len(everybody - self.kept)

    def takings(self) -> Iterator[tuple[str, list[Entry], int]]:
        """(file, entries kept, entries passed over) portion by portion."""
        looks = spread(_Second(self.kept), self._pieces, self._workers)
        for piece, (taken, passed_over) in zip(self._pieces, looks, strict=True):
            yield piece.file.name, taken, passed_over
