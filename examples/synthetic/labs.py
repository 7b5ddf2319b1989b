"""Laboratory and vital sign series: daily in the first month, thinner afterwards.

Values are in one unit each (cells 10*3/uL, Hb g/dL, CRP mg/L, ferritin ng/mL, LDH and AST U/L,
creatinine and bilirubin mg/dL, fibrinogen and IgG mg/dL, CD4 /uL, Cel); dialects convert.
Shapes are plausible, not fitted to anything.
"""

import math
import random
from collections.abc import Iterator

from .story import Course, Event, Story

DAILY = ("anc", "platelets", "hemoglobin")
ALTERNATE = ("crp", "ferritin", "ldh", "creatinine")
WEEKLY = ("ast", "bilirubin", "fibrinogen", "wbc")
LATER = ("anc", "platelets", "hemoglobin", "crp", "creatinine")
LATE = ("anc", "platelets", "hemoglobin", "igg", "cd4")
CELLS = {"anc", "wbc", "platelets", "cd4"}


def series(story: Story, density: str) -> Iterator[Event]:
    """All laboratory and vital sign events of one patient."""
    dice = story.dice("labs")
    if not story.courses:
        for day in (-3, -1, 1, 3, 30, 90):
            yield from _draw(story, None, day, (*DAILY, "creatinine"), dice)
        return
    for course, following in zip(story.courses, [*story.courses[1:], None], strict=True):
        end = following.day - 6 if following else _last_seen(story)
        for day, analytes in _schedule(density):
            if course.day + day <= end:
                yield from _draw(story, course, course.day + day, analytes, dice)
        yield from _vitals(story, course, end, dice)


def _last_seen(story: Story) -> int:
    """Nobody draws blood at home."""
    at_home = story.death is not None and story.death.at_home
    return story.last_day - 41 if at_home and story.last_day > 60 else story.last_day - at_home


def _schedule(density: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(day of the course, analytes drawn that day)."""
    yield -6, (*DAILY, *ALTERNATE, *WEEKLY, "igg")
    step = 1 if density == "daily" else 7
    for day in range(0, 31, step):
        extra = ALTERNATE if day % 2 == 0 or step == 7 else ()
        yield day, DAILY + extra + (WEEKLY if day % 7 == 0 else ())
    for day in range(37, 101, 7 if density == "daily" else 31):
        yield day, LATER
    for day in range(180, 1500, 90 if density == "daily" else 180):
        yield day, LATE


def _draw(
    story: Story, course: Course | None, day: int, analytes: tuple[str, ...], dice: random.Random
) -> Iterator[Event]:
    """One blood draw."""
    if day > story.last_day:
        return
    for analyte in analytes:
        value = _level(story, course, day, analyte) * dice.lognormvariate(0, 0.12)
        yield Event("lab", day, analyte, value=value)


def _level(story: Story, course: Course | None, day: int, analyte: str) -> float:
    """The expected value of an analyte on a day of the story."""
    t = day - course.day if course else 99
    grade = course.crs if course else 0
    left = story.death.day - day if story.death else 9999
    cause = story.death.cause if story.death else ""
    storm = grade * math.exp(-(((t - 4) / 3) ** 2))
    hlh = cause == "iec_hs" and left < 14
    septic = cause == "infection" and left < 6
    match analyte:
        case "anc" | "wbc":
            return _cells(t, course, 0.12, 3.0) * (1.6 if analyte == "wbc" else 1)
        case "platelets":
            return (_cells(t, course, 28, 170)) * (0.25 if hlh else 1)
        case "hemoglobin":
            return 8.6 if 0 <= t < 30 else 11.2
        case "crp":
            return 7 + 55 * storm + 190 * septic
        case "ferritin":
            return 420 + 900 * storm + (26000 * (15 - left) / 15 if hlh else 0)
        case "ldh":
            return 230 + 60 * storm + 900 * hlh
        case "ast":
            return 28 + 20 * storm + 420 * hlh
        case "creatinine":
            return 0.9 + (2.6 if cause == "organ_failure" and left < 6 else 0)
        case "bilirubin":
            return 0.6 + (7.0 if cause == "organ_failure" and left < 6 else 0)
        case "fibrinogen":
            return 95 if hlh else 360
        case "igg":
            return 720 if t < 0 else 380
        case _:
            return 140  # CD4


def _cells(t: int, course: Course | None, nadir: float, normal: float) -> float:
    """A count that falls after lymphodepletion and comes back, early or late."""
    if course is None or t < -4:
        return normal
    back = 24 if course.slow_marrow else 10
    if t < 2:
        return normal * 0.4
    if t < back:
        return nadir
    return min(normal, nadir + (normal - nadir) * (t - back + 1) / 30)


def _vitals(story: Story, course: Course, end: int, dice: random.Random) -> Iterator[Event]:
    """Temperature daily in the first two weeks, fever with CRS; blood pressure now and then."""
    for t in range(0, 15):
        day = course.day + t
        if day > end:
            return
        fever = course.crs > 0 and 1 <= t <= 2 + course.crs
        yield Event("vital", day, "temperature", value=dice.gauss(38.9 if fever else 36.8, 0.25))
        if t % 3 == 0:
            low = course.crs >= 2 and fever
            yield Event("vital", day, "pressure", value=dice.gauss(84 if low else 122, 6))
