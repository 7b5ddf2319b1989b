"""The aggregate that sites share for pooling: counts and curves, never a patient row."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from adapter.export.columns import answer_of
from adapter.export.documents import dump
from adapter.export.released import Released
from adapter.model import EVENT_CODE, Judged, OutcomeKind
from adapter.study import Study, follow_up_of

RELAPSE, NRM = EVENT_CODE[OutcomeKind.RELAPSE] or 1, EVENT_CODE[OutcomeKind.NRM] or 2


def evaluable(judged: Iterable[Judged]) -> list[Judged]:
    """Episodes with an outcome and a time, as every curve counts them."""
    return [j for j in judged if j.outcome.event is not None and j.outcome.time is not None]


def write_summary(cohort: Released) -> bytes:
    """The aggregate as JSON; `pool` reads it, the keys study, n and events are its core."""
    return dump(summary_of(cohort.study, cohort.release.small_cells), indent=1).encode("utf-8")


def summary_of(study: Study, small_cells: int) -> dict[str, Any]:
    """Counts, crude NRM, curves at the horizons; in subgroups and causes small cells are null.

    The totals n and events are always given: without them nothing can be pooled, and the number of
    deaths of a whole centre points to nobody.
    """
    from adapter.incidence import Options, count, crude, incidence_of_table

    judged = evaluable(study.judged)
    data = follow_up_of(judged)
    options = Options(at=tuple(float(day) for day in study.plan.policy.horizons))
    return {
        "kind": "cart-nrm summary",
        "version": 1,
        "study": study.name,
        "synthetic": study.synthetic,
        "data_cut": study.cut,
        "codes_digest": study.codes_digest,
        "policy": study.plan.policy.model_dump(mode="json"),
        "n": data.n,
        "events": int((data.event == NRM).sum()),
        "relapses": int((data.event == RELAPSE).sum()),
        "crude": crude(count(data), NRM),
        "small_cells_below": small_cells,
        "curves": _curves(incidence_of_table(data, options), small_cells) if data.n else [],
        "causes": suppressed(causes_of(judged), small_cells),
        "groups": {by: _groups(judged, by, small_cells) for by in ("product", "indication")},
    }


def hidden_in(content: bytes) -> dict[str, int]:
    """How many small counts of each part of a written summary were hidden."""
    found = json.loads(content)
    cells = {
        "causes": [*found["causes"].values()],
        "groups": [n for by in found["groups"].values() for one in by for n in one.values()],
        "curves": [point["at_risk"] for curve in found["curves"] for point in curve["at"]],
    }
    return {f"{part} (small)": n for part, seen in cells.items() if (n := seen.count(None))}


def _curves(incidence: dict[str, Any], small_cells: int) -> list[dict[str, Any]]:
    """The curves, without the number at risk where few are left."""
    curves: list[dict[str, Any]] = incidence["curves"]
    for point in (point for curve in curves for point in curve["at"]):
        if 0 < point["at_risk"] < small_cells:
            point["at_risk"] = None
    return curves


def causes_of(judged: Iterable[Judged]) -> dict[str, int]:
    """Non-relapse deaths by cause as it counts."""
    return dict(Counter(answer.cause.value for j in judged if (answer := answer_of(j))))


def suppressed(counts: dict[str, int], small_cells: int) -> dict[str, int | None]:
    """Counts with those from 1 to small_cells-1 hidden; one hidden cell hides the next smallest.

    Otherwise the total would give the only hidden one away.
    """
    hidden = {name for name, count in counts.items() if 0 < count < small_cells}
    open_cells = sorted((count, name) for name, count in counts.items() if name not in hidden)
    if len(hidden) == 1 and open_cells:
        hidden.add(open_cells[0][1])
    return {name: None if name in hidden else count for name, count in sorted(counts.items())}


def _groups(judged: Sequence[Judged], field: str, small_cells: int) -> list[dict[str, Any]]:
    """n and events of each product or indication; both hidden where either is small."""
    n, deaths = Counter[str](), Counter[str]()
    for one in judged:
        name = getattr(one.episode, field) or "not recorded"
        n[name] += 1
        deaths[name] += one.outcome.kind is OutcomeKind.NRM
    shown = suppressed({name: min(n[name], deaths[name] or n[name]) for name in n}, small_cells)
    cells = {
        name: (n[name], deaths[name]) if shown[name] is not None else (None, None) for name in n
    }
    return [{"group": name, "n": cells[name][0], "events": cells[name][1]} for name in sorted(n)]
