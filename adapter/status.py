"""How the last runs went, what is due, and what waits for a person."""

from typing import Any

from adapter.codes import Codes
from adapter.config import Settings
from adapter.ledger import Ledger
from adapter.store import Store
from adapter.study import run_study

_RUNS = 20


def status_of(store: Store, settings: Settings, codes: Codes) -> dict[str, Any]:
    """The answer of `cart-nrm status --json`; counts only, no patient."""
    study = run_study(store, settings, codes)
    return {
        "runs": store.runs()[-_RUNS:],
        "last_complete": store.last_complete(),
        "slices_due": store.slices_due(),
        "due": [
            {"type": part.type, "reason": state.due}
            for part, state in Ledger(store).states().items()
            if state.due
        ],
        "resources": store.counts(),
        "rejects": len(store.rejects()),
        "recipients": study.attrition.recipients,
        "deaths_to_review": sum(
            one.needs_review for one in study.judged if one.episode.death is not None
        ),
    }
