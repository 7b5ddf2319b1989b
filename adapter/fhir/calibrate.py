"""Does the server understand how we name patients? Asked once, before anything rests on it.

`patient=7,8` is plain FHIR, and there are servers that answer it with nothing at all, or with the
rows of the first patient only. Zero rows would then look like a patient without a history.
"""

from collections.abc import Sequence

import msgspec

from adapter.fhir.plan import Planner
from adapter.fhir.search import Searcher

_LOOK_AT = 5  # patients to try before giving up


class Style(msgspec.Struct, frozen=True):
    """How to name patients in a search: with their type or bare, and how many at once."""

    typed: bool
    batch: int


def calibrate(planner: Planner, searcher: Searcher, patients: Sequence[str]) -> Style | None:
    """The style that brings rows; None when none of these patients has any row in any style."""
    for typed in (False, True):
        for kind in planner.types():
            if kind == "Patient":
                continue
            rows: dict[str, int] = {}
            for patient in patients[:_LOOK_AT]:
                if number := _rows(planner, searcher, kind, [patient], typed):
                    rows[patient] = number
                if len(rows) == 2:
                    break
            if rows:
                together = _rows(planner, searcher, kind, list(rows), typed)
                whole = together == sum(rows.values())
                return Style(typed, planner.quirks.batch_patients if whole else 1)
    return None


def _rows(planner: Planner, searcher: Searcher, kind: str, patients: list[str], typed: bool) -> int:
    query = planner.of_patients(kind, patients, typed=typed)
    counted = searcher.count(query)
    return len(searcher.peek(planner.light(query)).rows) if counted is None else counted
