"""How the last runs went, what is due, and what waits for a person."""

import json
from typing import Any

from adapter.codes import Codes
from adapter.config import Settings
from adapter.journal import last_event
from adapter.ledger import Ledger
from adapter.store import Store
from adapter.study import Study, run_study

_RUNS = 20
_KEY = "study_counts"


def status_of(store: Store, settings: Settings, codes: Codes) -> dict[str, Any]:
    """The answer of `cart-nrm status --json`; counts only, no patient.

    `recipients` and `deaths_to_review` are those of the last classification; it is only done again
    when data or decisions came in since.
    """
    counts = _remembered(store)
    if counts is None:
        counts = remember_counts(store, run_study(store, settings, codes))
    runs = store.runs()
    return {
        "runs": runs[-_RUNS:],
        "last_complete": store.last_complete(),
        "complete_by_type": _complete_by_type(store),
        "slices_due": store.slices_due(),
        "due": [
            {"type": part.type, "reason": state.due}
            for part, state in Ledger(store).states().items()
            if state.due
        ],
        "resources": store.counts(),
        "unresolved": store.unresolved(),
        "rejects": len(store.rejects()),
        "alarms": _alarms(runs),
        "last_night": last_event(settings.nightly.folder / "journal.jsonl", "ended"),
        "recipients": counts["recipients"],
        "deaths_to_review": counts["deaths_to_review"],
    }


def remember_counts(store: Store, study: Study) -> dict[str, int]:
    """Keep what `status` needs of a whole classification, and give it."""
    counts = {
        "recipients": study.attrition.recipients,
        "deaths_to_review": sum(
            one.needs_review for one in study.judged if one.episode.death is not None
        ),
    }
    store.set_meta(_KEY, json.dumps({**counts, "of": _input(store)}))
    return counts


def _remembered(store: Store) -> dict[str, Any] | None:
    found = json.loads(store.meta(_KEY) or "{}")
    return found if found.get("of") == _input(store) else None


def _input(store: Store) -> list[int]:
    """What a classification reads: the newest finished run and the newest decision."""
    row = store.db.execute(
        "SELECT (SELECT max(id) FROM run WHERE state <> 'running'), (SELECT max(id) FROM decision)"
    ).fetchone()
    return [row[0] or 0, row[1] or 0]


def _alarms(runs: list[dict[str, Any]]) -> list[str]:
    """Those of the last sync that spoke with the server to the end: no `load` answers an alarm."""
    said = [
        run["summary"].get("alarms", []) for run in runs
        if run["kind"] == "sync" and run["state"] in ("complete", "partial", "alarm")
    ]  # fmt: skip
    return said[-1] if said else []


def _complete_by_type(store: Store) -> dict[str, str | None]:
    """For each type the start of the run up to which every part of it was read to its end."""
    rows = store.db.execute(
        "SELECT s.type, r.started FROM (SELECT type, min(coalesce(completed_run, 0)) AS run"
        " FROM slice GROUP BY type) s LEFT JOIN run r ON r.id = s.run ORDER BY s.type"
    )
    return {str(kind): started for kind, started in rows}
