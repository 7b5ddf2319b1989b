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
_DIGITS = {"ANC": -1, "platelets": 1}
_EARLY_END = 30
_LATE_END = 100
_LONGEST_GAP = 7  # missing days that may be bridged by a straight line
_RECOVERED = 3  # days in a row above the limit end a run (CIBMTR); two do not
_FROM_THE_START = 3  # neutropenia that began by this day and never ended is grade 4
#: Late grades end at progression, next therapy, transplant or last contact, whichever is first.
_UNTIL_NEXT = Policy(next_therapy="censor", later_hct="censor")


def early_icaht(episode: Episode) -> Score:
    """Early ICAHT, days 0 to 30: grade 0 to 4 by the longest run of neutrophils <= 500/µL."""
    return _early(episode, "ANC", _neutrophil_grade)


def early_t_icaht(episode: Episode) -> Score:
    """Early platelet version, days 0 to 30: < 50 and < 20 x 10*3/µL."""
    return _early(episode, "platelets", _platelet_grade)


def late_icaht(episode: Episode) -> Score:
    """Late ICAHT, after day 30: by the nadir, which a second value <= 1500/µL must support."""
    counts = _counts(episode, "ANC", _EARLY_END + 1, _end(episode, _LATE_END))
    if not counts:
        return Score(None, "no neutrophil count after day 30")
    low = [value for value in counts.values() if value <= 1500]
    if not low or (len(low) == 1 and len(counts) > 1):
        return Score(0)
    return Score(sum(min(low) <= limit for limit in (1500, 1000, 500, 100)))


def late_t_icaht(episode: Episode) -> Score:
    """Late platelet version, days 31 to 100; at least two tests."""
    counts = _counts(episode, "platelets", _EARLY_END + 1, _end(episode, _LATE_END))
    if len(counts) < 2:
        return Score(None, "fewer than two platelet counts after day 30")
    nadir = min(counts.values())
    if nadir < 20:
        grid = daily(counts, min(counts), max(counts), 1)
        return Score(4 if longest_run(grid, lambda v: v < 20) >= 14 else 3)
    return Score(2 if nadir < 50 else 1 if nadir < 100 else 0)


def _early(episode: Episode, analyte: str, grade: Callable[[Series], int]) -> Score:
    end = _end(episode, _EARLY_END)
    counts = _counts(episode, analyte, 0, end)
    if not counts:
        return Score(None, f"no {analyte} between day 0 and day {end}")
    grid = daily(counts, 0, end, _DIGITS[analyte])
    unknown = end + 1 - len(grid)
    return Score(grade(grid), f"{unknown} day(s) without values" if unknown else "")


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


def _counts(episode: Episode, analyte: str, first: int, last: int) -> Series:
    """The lowest value of each day from `first` to `last`; {} when day 0 is not known."""
    counts: Series = {}
    for fact in evidence(episode.timeline.of("lab")):
        if fact.group != analyte or fact.value is None or fact.when is None:
            continue
        days = episode.days(fact.when)
        if days.exact and first <= days.low <= last:
            value = fact.value * _SCALE[analyte]
            counts[days.low] = min(value, counts.get(days.low, value))
    return counts


def _end(episode: Episode, latest: int) -> int:
    time = outcome_of(episode, _UNTIL_NEXT).time
    return latest if time is None else max(0, min(latest, time.high))


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
