"""ICAHT and its platelet version from daily blood counts.

Grades: EHA/EBMT consensus, Rejeski et al. 2023 (doi 10.1182/blood.2023020578). How they are applied
to gappy series, and the platelet grades: docs/decisions/0010-icaht.md. Counts are neutrophils per
µL and platelets in 10*3/µL; days count from infusion.
"""

from collections.abc import Callable
from itertools import pairwise

from adapter.config import Policy
from adapter.grades.score import Score
from adapter.model import Episode
from adapter.outcomes import outcome_of
from adapter.timelines import evidence

Series = dict[int, float]  # day: lowest value of that day

_SCALE = {"ANC": 1000, "platelets": 1}  # from 10*3/µL to the unit of the grades
_EARLY_END = 30
_LATE_END = 100
_LONGEST_GAP = 7  # missing days that may be bridged by a straight line
_RECOVERED = 3  # days in a row above the limit end a run (CIBMTR); two do not
_FROM_THE_START = 3  # neutropenia that began by this day and never ended is grade 4
#: Late grades end at progression, next therapy, transplant or last contact, whichever is first.
_UNTIL_NEXT = Policy(next_therapy="censor", later_hct="censor")


def cytopenia_grades(episode: Episode) -> dict[str, Score]:
    """Early and late ICAHT and platelet grades, 0 to 4, or why they cannot be told."""
    end = _observed_until(episode)
    counts = _counts(episode, end)
    neutrophils, platelets = counts["ANC"], counts["platelets"]
    return {
        "icaht_early": _early(neutrophils, "neutrophil", min(_EARLY_END, end), _neutrophil_grade),
        "icaht_late": _late_icaht(_after(neutrophils, _EARLY_END)),
        "t_icaht_early": _early(platelets, "platelet", min(_EARLY_END, end), _platelet_grade),
        "t_icaht_late": _late_t_icaht(_after(platelets, _EARLY_END)),
    }


def _early(counts: Series, what: str, end: int, grade: Callable[[Series], int]) -> Score:
    """By the longest runs on the daily grid of days 0 to 30."""
    early = {day: value for day, value in counts.items() if day <= end}
    if not early:
        return Score(None, f"no {what} count between day 0 and day {end}")
    grid = daily(early, 0, end, -1 if what == "neutrophil" else 1)
    unknown = end + 1 - len(grid)
    return Score(grade(grid), f"{unknown} day(s) without values" if unknown else "")


def _late_icaht(counts: Series) -> Score:
    """By the nadir, which a second value <= 1500/µL must support; a single value stands alone."""
    if not counts:
        return Score(None, "no neutrophil count after day 30")
    low = [value for value in counts.values() if value <= 1500]
    if not low or (len(low) == 1 and len(counts) > 1):
        return Score(0)
    return Score(sum(min(low) <= limit for limit in (1500, 1000, 500, 100)))


def _late_t_icaht(counts: Series) -> Score:
    """By the nadir; below 20 by the length of the run; at least two tests."""
    if len(counts) < 2:
        return Score(None, "fewer than two platelet counts after day 30")
    nadir = min(counts.values())
    if nadir < 20:
        grid = daily(counts, min(counts), max(counts), 1)
        return Score(4 if longest_run(grid, lambda v: v < 20) >= 14 else 3)
    return Score(2 if nadir < 50 else 1 if nadir < 100 else 0)


def _neutrophil_grade(grid: Series) -> int:
    severe = longest_run(grid, lambda value: value <= 500)
    profound = longest_run(grid, lambda value: value <= 100)
    began = next((day for day in sorted(grid) if grid[day] <= 500), _EARLY_END)
    never_ended = began <= _FROM_THE_START and severe == max(grid) - began + 1
    by_severe = sum(severe >= days for days in (1, 7, 14))
    by_profound = 4 if profound >= 14 else 3 if profound >= 7 else 0
    return max(by_severe, by_profound, 4 if never_ended else 0)


def _platelet_grade(grid: Series) -> int:
    low = longest_run(grid, lambda value: value < 50)
    very_low = longest_run(grid, lambda value: value < 20)
    return max(sum(low >= days for days in (1, 7)), 3 * (very_low >= 1) + (very_low >= 14))


def _counts(episode: Episode, end: int) -> dict[str, Series]:
    """The lowest value of each day from day 0 to `end`; nothing when day 0 is not known."""
    found: dict[str, Series] = {analyte: {} for analyte in _SCALE}
    if not episode.infusion.exact:
        return found
    for fact in evidence(episode.timeline.of("lab")):
        if fact.group not in _SCALE or fact.value is None or not (fact.when and fact.when.exact):
            continue
        day = fact.when.first - episode.infusion.first
        if 0 <= day <= end:
            value, series = fact.value * _SCALE[fact.group], found[fact.group]
            series[day] = min(value, series.get(day, value))
    return found


def _after(counts: Series, day: int) -> Series:
    return {d: value for d, value in counts.items() if d > day}


def _observed_until(episode: Episode) -> int:
    time = outcome_of(episode, _UNTIL_NEXT).time
    return _LATE_END if time is None else min(_LATE_END, time.high)


def daily(counts: Series, first: int, last: int, digits: int = -1) -> Series:
    """One value a day: gaps of at most 7 days bridged and edges carried.

    Longer gaps stay missing: nobody knows what happened in them. Interpolated neutrophils are
    rounded to tens (`digits` -1).
    """
    days = sorted(counts)
    grid = dict(counts)
    for a, b in pairwise(days):
        if b - a - 1 <= _LONGEST_GAP:
            slope = (counts[b] - counts[a]) / (b - a)
            grid |= {d: round(counts[a] + slope * (d - a), digits) for d in range(a + 1, b)}
    if days[0] - first <= _LONGEST_GAP:
        grid |= dict.fromkeys(range(first, days[0]), counts[days[0]])
    if last - days[-1] <= _LONGEST_GAP:
        grid |= dict.fromkeys(range(days[-1] + 1, last + 1), counts[days[-1]])
    return grid


def longest_run(grid: Series, low: Callable[[float], bool]) -> int:
    """Days of the longest run; two days above the limit in between do not end it, three do."""
    best, start, last_low = 0, None, None
    for day in sorted(grid):
        if last_low is not None and (
            day - last_low > _RECOVERED or any(d not in grid for d in range(last_low, day))
        ):
            start = last_low = None
        if low(grid[day]):
            start = day if start is None else start
            last_low = day
            best = max(best, day - start + 1)
    return best
