"""CRS and ICANS: the highest grade anybody coded (ASTCT grades, Lee et al. 2019).

ICD-10-CM D89.831-.835 and G92.01-.05 carry the grade; a local finding may carry it as its value.
The grade cannot be derived from vital signs alone: pressors, oxygen and the ICE score have no
codes that could be confirmed (docs/decisions/0009-toxicity-grades.md).
"""

import re

from adapter.grades.score import Score
from adapter.model import Episode, Fact
from adapter.timelines import evidence

#: Days after infusion in which a coded CRS or ICANS belongs to this course. Both begin within weeks
#: (no new CRS after 2 weeks in 475 patients, US nine-centre series); 60 is a convention.
_WINDOW = 60


def coded_grade(episode: Episode, group: str) -> Score:
    """The highest coded grade of `crs` or `icans`, 1 to 5; None when none is coded."""
    if not episode.infusion.exact:
        return Score(None, "the day of infusion is not known")
    found = [fact for fact in evidence(episode.timeline.of("toxicity"))
             if fact.group == group and _in_window(fact, episode)]  # fmt: skip
    if not found:
        return Score(None, "no code; absence of a code is not grade 0")
    grades = [grade for fact in found if (grade := _grade(fact)) is not None]
    return Score(max(grades)) if grades else Score(None, "coded without a grade")


def _in_window(fact: Fact, episode: Episode) -> bool:
    if fact.when is None:
        return False
    days = episode.days(fact.when)
    return days.high >= 0 and days.low <= _WINDOW


def _grade(fact: Fact) -> int | None:
    named = re.search(r"grade_([1-5])$", fact.subconcept)
    if named:
        return int(named[1])
    if fact.value is not None and fact.value in (1, 2, 3, 4, 5):
        return int(fact.value)
    return None
