"""What is complete up to when, patient by patient and type by type, and what is due.

A slice is one patient's resources of one type ("*": the whole type). It is marked due before it is
asked for and done only when its rows were walked to the end and compared, so that a night that is
killed anywhere leaves exactly the unfinished slices due. A failed slice keeps its old watermark.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from adapter.store import Store

WHOLE = "*"
_MANY = 500  # SQLite takes no more than some hundred bound values comfortably


class Slice(NamedTuple):
    """One patient (or `*`, or the name of a search for patients) and one resource type."""

    patient: str
    type: str


class State(NamedTuple):
    """How far a slice is known: seconds since 1970, or None for never."""

    watermark: float | None = None
    compared: float | None = None
    due: str | None = None


class Held(NamedTuple):
    """What the store holds of one resource, for comparing with the server's id and meta."""

    updated: float | None
    version_id: str
    patient: str


class Ledger:
    """The slices of one store; call the writing methods inside a transaction."""

    def __init__(self, store: Store) -> None:
        self._db = store.db
        loaded = self._db.execute("SELECT id FROM run WHERE kind <> 'sync'").fetchall()
        # what came by `load` was never the server's: it is no deletion when the server lacks it
        self._pulled = ""
        if loaded:
            runs = ",".join(str(row[0]) for row in loaded)
            self._pulled = (
                f" AND (SELECT run FROM version WHERE id = newest.version) NOT IN ({runs})"
            )

    def states(self) -> dict[Slice, State]:
        """Every known slice."""
        rows = self._db.execute("SELECT patient, type, watermark, compared, due FROM slice")
        return {Slice(row[0], row[1]): State(*row[2:]) for row in rows}

    def patients(self) -> set[str]:
        """Patients we have slices of."""
        rows = self._db.execute(
            "SELECT DISTINCT patient FROM slice WHERE type = 'Patient' AND patient <> ?", (WHOLE,)
        )
        return {row[0] for row in rows}

    def begin(self, slices: Iterable[Slice]) -> None:
        """Mark slices due before anything is asked."""
        self._db.executemany(
            "INSERT INTO slice (patient, type, due) VALUES (?, ?, 'not finished')"
            " ON CONFLICT (patient, type) DO UPDATE SET due = coalesce(due, 'not finished')",
            slices,
        )

    def pulled(self, slices: Iterable[Slice], watermark: float) -> None:
        """The walk reached the end; still due until compared."""
        self._db.executemany(
            "UPDATE slice SET watermark = ? WHERE patient = ? AND type = ?",
            [(watermark, *one) for one in slices],
        )

    def done(self, run: int, slices: Iterable[Slice], compared: float | None) -> None:
        """Walked and compared; `compared` is set when the ids themselves were compared."""
        self._db.executemany(
            "UPDATE slice SET completed_run = ?, due = NULL, compared = coalesce(?, compared)"
            " WHERE patient = ? AND type = ?",
            [(run, compared, *one) for one in slices],
        )

    def failed(self, slices: Iterable[Slice], reason: str) -> None:
        """Stays due, with the reason; the watermark is kept."""
        self._db.executemany(
            "UPDATE slice SET due = ? WHERE patient = ? AND type = ?",
            [(reason, *one) for one in slices],
        )

    def reset(self, patients: Iterable[str]) -> None:
        """Ask for these patients' whole history again (merged records, a changed group)."""
        self._db.executemany(
            "UPDATE slice SET watermark = NULL, due = 'history is due' WHERE patient = ?",
            [(patient,) for patient in patients],
        )

    def forget(self, patients: Iterable[str]) -> None:
        """These patients are no longer asked for."""
        self._db.executemany(
            "DELETE FROM slice WHERE patient = ?", [(patient,) for patient in patients]
        )

    def retire(self, slices: Iterable[Slice]) -> None:
        """These are no longer in the plan (another strategy, other types, another code list)."""
        self._db.executemany("DELETE FROM slice WHERE patient = ? AND type = ?", slices)

    # -- what the store holds --------------------------------------------------------------

    def held(self, kind: str, patients: Iterable[str] | None = None) -> dict[str, Held]:
        """What syncs brought and is current, of one type, of all or some patients, by id."""
        found: dict[str, Held] = {}
        for where, values in _among(patients):
            rows = self._db.execute(
                "SELECT fhir_id, updated, version_id, patient FROM newest"
                f" WHERE type = ? AND gone = 0{where}{self._pulled}",
                (kind, *values),
            )
            found.update((row[0], Held(row[1], row[2], row[3])) for row in rows)
        return found

    def known(self, kind: str, ids: Iterable[str]) -> dict[str, Held]:
        """What is held of these ids."""
        found: dict[str, Held] = {}
        for where, values in _among(ids, "fhir_id"):
            rows = self._db.execute(
                "SELECT fhir_id, updated, version_id, patient FROM newest"
                f" WHERE type = ? AND gone = 0{where}",
                (kind, *values),
            )
            found.update((row[0], Held(row[1], row[2], row[3])) for row in rows)
        return found

    def counts(self, kind: str) -> dict[str, int]:
        """How many current resources of one type syncs brought, by patient.

        One walk over the type: to look up each batch of patients costs ten times as much.
        """
        rows = self._db.execute(
            "SELECT patient, count(*) FROM newest"
            f" WHERE type = ? AND gone = 0{self._pulled} GROUP BY patient",
            (kind,),
        )
        return dict(rows.fetchall())

    def newest(self, kind: str, no_later_than: float) -> dict[str, float]:
        """The latest update held of one type, by patient; none from the server's future."""
        rows = self._db.execute(
            "SELECT patient, max(updated) FROM newest"
            " WHERE type = ? AND gone = 0 AND updated <= ? GROUP BY patient",
            (kind, no_later_than),
        )
        return dict(rows.fetchall())


def _among(
    values: Iterable[str] | None, column: str = "patient"
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """SQL conditions for a list of values in parts, or one for all."""
    if values is None:
        yield "", ()
        return
    every = list(values)
    for start in range(0, len(every), _MANY):
        part = tuple(every[start : start + _MANY])
        yield f" AND {column} IN ({','.join('?' * len(part))})", part
