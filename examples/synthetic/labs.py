"""Laboratory and vital sign series: daily in the first month, thinner afterwards.

Values are in one unit each (cells 10*3/uL, Hb g/dL, CRP mg/L, ferritin ng/mL, LDH and AST U/L,
creatinine and bilirubin mg/dL, fibrinogen and IgG mg/dL, CD4 /uL, Cel); dialects convert.
Shapes are plausible, not fitted to anything.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .story import Course, Event, Story

DAILY = ("anc", "platelets", "hemoglobin")
ALTERNATE = ("crp", "ferritin", "ldh", "creatinine")
WEEKLY = ("ast", "bilirubin", "fibrinogen", "wbc")
LATER = ("anc", "platelets", "hemoglobin", "crp", "creatinine")
LATE = ("anc", "platelets", "hemoglobin", "igg", "cd4")


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
    yield from _work_up(story, dice)


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
    state = _state(story, course, day)
    for analyte in analytes:
        value = LEVELS[analyte](state) * dice.lognormvariate(0, 0.12)
        yield Event("lab", day, analyte, value=value)


@dataclass(frozen=True)
class State:
    """How ill the patient is on one day."""

    t: int  # day of the course
    course: Course | None
    storm: float  # 0 to 5: the CRS grade on its worst day
    hlh: float  # 0 to 1, rising towards a death of IEC-HS
    septic: bool
    failing: bool


LEVELS: dict[str, Callable[[State], float]] = {
    "anc": lambda s: _cells(s, 0.12, 3.0),
    "wbc": lambda s: _cells(s, 0.3, 5.0),
    "platelets": lambda s: _cells(s, 28, 170) * (0.25 if s.hlh else 1),
    "hemoglobin": lambda s: 8.6 if 0 <= s.t < 30 else 11.2,
    "crp": lambda s: 7 + 55 * s.storm + 190 * s.septic,
    "ferritin": lambda s: 420 + 900 * s.storm + 26000 * s.hlh,
    "ldh": lambda s: 230 + 60 * s.storm + 900 * (s.hlh > 0),
    "ast": lambda s: 28 + 20 * s.storm + 420 * (s.hlh > 0),
    "creatinine": lambda s: 0.9 + 2.6 * s.failing,
    "bilirubin": lambda s: 0.6 + 7.0 * s.failing,
    "fibrinogen": lambda s: 95 if s.hlh else 360,
    "igg": lambda s: 720 if s.t < 0 else 380,
    "cd4": lambda s: 140,
}


def _state(story: Story, course: Course | None, day: int) -> State:
    t = day - course.day if course else 99
    storm = course.crs * math.exp(-(((t - 4) / 3) ** 2)) if course else 0
    left = story.death.day - day if story.death else 9999
    cause = story.death.cause if story.death else ""
    hlh = (15 - left) / 15 if cause == "iec_hs" and left < 14 else 0
    septic, failing = (cause == what and left < 6 for what in ("infection", "organ_failure"))
    return State(t, course, storm, hlh, septic, failing)


def _cells(state: State, nadir: float, normal: float) -> float:
    """A count that falls after lymphodepletion and comes back, early or late."""
    if state.course is None or state.t < -4:
        return normal
    back = 24 if state.course.slow_marrow else 10
    if state.t < 2:
        return normal * 0.4
    if state.t < back:
        return nadir
    return min(normal, nadir + (normal - nadir) * (state.t - back + 1) / 30)


def _work_up(story: Story, dice: random.Random) -> Iterator[Event]:
    """Where IEC-HS is suspected, its markers are drawn every other day."""
    if story.death and story.death.cause == "iec_hs":
        for day in range(story.death.day - 10, story.death.day + 1, 2):
            analytes = ("ferritin", "fibrinogen", "ast", "platelets")
            yield from _draw(story, story.courses[-1], day, analytes, dice)


def _vitals(story: Story, course: Course, end: int, dice: random.Random) -> Iterator[Event]:
    """Temperature daily in the first two weeks, fever with CRS; blood pressure now and then."""
    for t in range(15):
        day = course.day + t
        if day > end:
            return
        fever = course.crs > 0 and 1 <= t <= 2 + course.crs
        yield Event("vital", day, "temperature", value=dice.gauss(38.9 if fever else 36.8, 0.25))
        if t % 3 == 0:
            low = course.crs >= 2 and fever
            yield Event("vital", day, "pressure", value=dice.gauss(84 if low else 122, 6))
