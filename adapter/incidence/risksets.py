"""Who was under observation when: the counts that every curve and test is made of."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapter.errors import TableError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = NDArray[np.str_]

# Times closer than this (relative) are one time: 1e-14 of rounding once moved an SE by 1 %.
TIE = 1e-9
# Days are counted in a table as long as the last day (fast) up to this length; convention.
DAY_TABLE = 100_000
# Patients whose days are counted at a time: a quarter of a megabyte.
SLICE = 1 << 15
CODES = "Write 0 = censored, 1 = relapse, 2 = non-relapse death, 3.. = further causes."
# Above this code the gaps between event codes are not filled with empty causes; convention.
MANY_CAUSES = 20


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Patients: time to the first event or last contact, event code (0 = censored), late entry.

    All arrays have one element per patient. `entry` is -inf for patients seen from the origin.
    """

    time: Floats
    event: Ints
    entry: Floats | None = None
    group: Labels | None = None
    strata: Labels | None = None
    covariates: dict[str, Floats] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.time)

    @property
    def groups(self) -> Labels:
        """The names of the groups in order; empty where there is no group column."""
        return np.unique(np.empty(0, str) if self.group is None else self.group)

    def where(self, mask: NDArray[np.bool_]) -> "FollowUp":
        """The patients for which `mask` is true."""
        columns = {
            name: getattr(self, name) for name in ("time", "event", "entry", "group", "strata")
        }
        picked = {name: one[mask] for name, one in columns.items() if one is not None}
        covariates = {name: one[mask] for name, one in self.covariates.items()}
        return replace(self, covariates=covariates, **picked)

    def by_group(self) -> list[tuple[str | None, "FollowUp"]]:
        """Each group's name and patients; one nameless group where there is no group column."""
        if self.group is None:
            return [(None, self)]
        return [(str(name), self.where(self.group == name)) for name in self.groups]


def follow_up(
    time: ArrayLike,
    event: ArrayLike,
    entry: ArrayLike | None = None,
    group: ArrayLike | None = None,
    strata: ArrayLike | None = None,
) -> FollowUp:
    """Check one table of patients and make it ready; raises TableError naming the first bad row.

    `entry` is the day observation began; NaN or anything up to 0 means from the origin.
    """
    times = np.asarray(time, float)
    codes = _column(event, times, "events")
    if codes.dtype.kind not in "iufb":
        raise TableError("The events are not numbers.", CODES)
    with np.errstate(invalid="ignore"):  # NaN and infinity become a code that they do not equal
        whole = codes.astype(np.int64, copy=False)
    # The extremes are cheap; a mask of a million rows is made only where it has a row to name.
    if not 0 <= times.min(initial=0) <= times.max(initial=0) < np.inf:
        _refuse(~np.isfinite(times), "No time", "Fill it, or leave the patient out and say so.")
        _refuse(times < 0, "A negative time", "Count from day 0; see why the date is before it.")
    if codes.dtype.kind == "f" or whole.min(initial=0) < 0:
        _refuse(whole != codes, "An event that is no whole number", "Use 0, 1, 2, ...")
        _refuse(whole < 0, "A negative event code", "Use 0 for censored, 1, 2, ... for events.")
    groups, parts = (None if one is None else _labels(one, times) for one in (group, strata))
    entries = None if entry is None else _entries(entry, times)
    return FollowUp(times, whole, entries, groups, parts)


def _column(values: ArrayLike, times: Floats, what: str, kind: type | None = None) -> NDArray[Any]:
    column = np.asarray(values, kind)
    if len(column) != len(times):
        raise TableError(f"{len(times)} times but {len(column)} {what}.", "Give one of each a row.")
    return column


def _labels(values: ArrayLike, times: Floats) -> Labels:
    labels = _column(values, times, "labels", str)
    _refuse(np.char.strip(labels) == "", "No group", "Fill it, or write 'not recorded'.")
    return labels


def _entries(values: ArrayLike, times: Floats) -> Floats | None:
    entries = _column(values, times, "entries", float)
    entries = np.where(np.isnan(entries) | (entries <= 0), -np.inf, entries)
    hint = "Such a patient was never under observation: correct the entry or leave the row out."
    _refuse(entries >= times, "Entry at or after the end of follow-up", hint)
    return None if np.isneginf(entries).all() else entries


def _refuse(bad: NDArray[np.bool_], what: str, hint: str) -> None:
    if bad.any():
        first, such = int(np.argmax(bad)) + 1, int(bad.sum())
        raise TableError(f"{what} in data row {first} ({such} such rows).", hint)


def time_grid(times: Floats) -> tuple[Floats, Ints]:
    """Ascending grid of times and each value's place in it, near ties merged.

    Whole days get a grid of every day (some with nobody), which needs no sorting.
    """
    last = float(times.max(initial=0.0))
    if last <= DAY_TABLE:
        days = times.astype(np.int64)
        if np.array_equal(days, times):
            return np.arange(int(last) + 1, dtype=float), days
    order = np.argsort(times)
    ordered = times[order]
    fresh = np.ones(len(times), bool)
    fresh[1:] = np.diff(ordered) > TIE * ordered[1:]
    place = np.empty(len(times), np.int64)
    place[order] = np.cumsum(fresh) - 1
    return ordered[fresh], place


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Counts at each of the m distinct times somebody left observation.

    `times`, `at_risk`, `censored`: (m,); `events`: (m, causes). At risk at t means time >= t and
    entry < t, so who is censored at t is still at risk at t. `late` holds the late entries, sorted;
    `left`, (m + 1,), how many had left observation before each time, and in the end.
    """

    times: Floats
    at_risk: Ints
    events: Ints
    causes: tuple[int, ...]
    censored: Ints
    late: Floats
    left: Ints

    @property
    def n(self) -> int:
        """Number of patients."""
        return int(self.left[-1])

    def column(self, cause: int) -> Ints:
        """Events of one cause at each time; zeros when nobody had it."""
        if cause not in self.causes:
            return np.zeros(len(self.times), np.int64)
        return np.asarray(self.events[:, self.causes.index(cause)])

    def before(self, t: float) -> int:
        """How many of `times` lie before t."""
        return int(np.searchsorted(self.times, t * (1 - TIE), "left"))

    def at_risk_at(self, t: float) -> int:
        """Patients under observation just before t."""
        return self.n - int(self.left[self.before(t)]) - self.not_entered(t)

    def not_entered(self, t: float) -> int:
        """Patients whose observation begins at t or later."""
        return len(self.late) - int(np.searchsorted(self.late, t * (1 - TIE), "left"))


def count(data: FollowUp, causes: Iterable[int] = ()) -> RiskSets:
    """The risk sets of one group; `causes` names event codes to carry even when nobody had them."""
    late = np.empty(0) if data.entry is None else np.sort(data.entry[np.isfinite(data.entry)])
    codes, column = _event_columns(data.event, np.array([0, *causes]))
    days = None if len(late) else _by_day(data.time, column, len(codes))
    grid, table, waiting = days or _by_time(data.time, late, column, len(codes))
    table = table.reshape(-1, len(codes)).T.copy()
    leaving = table.sum(axis=0)
    seen = leaving > 0
    table = table.compress(seen, axis=1)
    left = np.append(0, leaving[seen].cumsum())
    at_risk = data.n - left[:-1] - waiting[seen]
    return RiskSets(grid[seen], at_risk, table[1:].T, codes[1:], table[0], late, left)


def _by_day(times: Floats, column: Ints, width: int) -> tuple[Floats, Ints, Ints] | None:
    """As `_by_time` for whole days without late entries, nothing sorted; None for other times.

    A slice at a time, because what stays in the processor's cache is counted in half the time.
    """
    last = int(times.max(initial=0.0))
    if last > DAY_TABLE:
        return None
    table = np.zeros((last + 1) * width, np.int64)
    step = max(SLICE, len(table))
    for start in range(0, len(times), step):
        part = slice(start, start + step)
        place = times[part].astype(np.int64)
        if not np.array_equal(place, times[part]):
            return None
        place *= width
        place += column[part]
        table += np.bincount(place, minlength=len(table))
    return np.arange(last + 1, dtype=float), table, np.zeros(last + 1, np.int64)


def _by_time(times: Floats, late: Floats, column: Ints, width: int) -> tuple[Floats, Ints, Ints]:
    """Times, patients by time and column in one row, and who has yet to enter at each time."""
    grid, place = time_grid(np.concatenate([times, late]))
    here = place[: len(times)] * width + column
    waiting = np.bincount(place[len(times) :], minlength=len(grid))[::-1].cumsum()[::-1]
    return grid, np.bincount(here, minlength=len(grid) * width), waiting


def _event_columns(event: Ints, wanted: Ints) -> tuple[tuple[int, ...], Ints]:
    """Event codes, 0 first, and each patient's column among them; small codes are columns."""
    highest = int(max(event.max(initial=0), wanted.max()))
    if highest <= MANY_CAUSES:
        return tuple(range(highest + 1)), event
    codes, column = np.unique(np.concatenate([wanted, event]), return_inverse=True)
    return tuple(codes.tolist()), column[len(wanted) :]


def risk_table(sets: RiskSets, ticks: Iterable[float]) -> list[dict[str, Any]]:
    """The extended risk table: at risk at t, events by cause and censored before t; adds to n.

    Columns count what happened *before* t (time < t); R's cumulative tables count up to t.
    """
    rows = []
    for t in ticks:
        row, at_risk, late = sets.before(t), sets.at_risk_at(t), sets.not_entered(t)
        events = {c: int(sets.events[:row, i].sum()) for i, c in enumerate(sets.causes)}
        censored = int(sets.censored[:row].sum())
        if at_risk + sum(events.values()) + censored + late != sets.n:
            raise AssertionError(f"the risk table at {t} does not add up to {sets.n}")
        counts = {"events": events, "censored": censored, "not_entered": late}
        rows.append({"time": t, "at_risk": at_risk, **counts})
    return rows
