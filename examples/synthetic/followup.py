"""Admissions, visits and how the disease answered: what makes a patient observed."""

import random

from .story import Course, Event, Story

LONG_STAY = 17  # who dies within so many days of infusion never left the hospital


def tell(story: Story) -> None:
    """Diagnosis, admissions, visits, response assessments and relapse of a recipient."""
    dice = story.dice("follow-up")
    story.events.insert(0, _first_diagnosis(story, dice))
    if dice.random() < 0.4:
        what = dice.choice(["hypertension", "diabetes"])
        story.add("diagnosis", -400, what, place="problem-list")
    for course in story.courses:
        _stay(story, course)
        _baseline(story, course, dice)
    _visits(story, dice)
    for course in story.courses:
        _responses(story, course, dice)
        if course.outcome == "relapse":
            _relapse(story, course, dice)
    _last_stay(story)
    _plans(story, dice)


def _first_diagnosis(story: Story, dice: random.Random) -> Event:
    return Event("diagnosis", -dice.randrange(200, 1500), story.disease, place="problem-list")


def _stay(story: Story, course: Course) -> None:
    """The infusion admission, from lymphodepletion to two weeks (or death, or last contact)."""
    death, day = story.death, course.day
    if death and death.at_home:
        story.add("visit", day - 6, "inpatient", end=min(day + 14, story.last_day - 1))
    elif death and death.day - day <= LONG_STAY:
        story.add("visit", day - 6, "inpatient", end=death.day, how="died")
    else:
        end = min(day + 12 + 3 * (story.number % 2), story.last_day)
        story.add("visit", day - 6, "inpatient", end=end)


def _baseline(story: Story, course: Course, dice: random.Random) -> None:
    story.add("vital", course.day - 6, "weight", value=round(dice.gauss(78, 14), 1))
    story.add("vital", course.day - 6, "height", value=round(dice.gauss(171, 9)))
    story.add("vital", course.day - 6, "ecog", value=dice.choice([0, 1, 1, 1, 2]))


def _visits(story: Story, dice: random.Random) -> None:
    """Outpatient visits: weekly, monthly, then quarterly, and one on the last day alive."""
    end = story.last_day - (40 if story.death and story.death.at_home else 0)
    day = 21
    while day < end:
        story.add("visit", day, "outpatient")
        day += 7 if day < 60 else 30 if day < 200 else 90
        day += dice.randrange(-1, 2)
    if not story.death and story.last_day > 14:
        story.add("visit", story.last_day, "outpatient")


def _responses(story: Story, course: Course, dice: random.Random) -> None:
    """Response assessed around days 30, 90, 180 and yearly while no relapse is known."""
    end = min(course.outcome_day - 5, story.last_day)
    for due in (30, 90, 180, 365, 730):
        day = course.day + due + dice.randrange(-2, 3)
        if day < end:
            partial = due == 30 and dice.random() < 0.3
            story.add("status", day, "partial_remission" if partial else "complete_remission")


def _relapse(story: Story, course: Course, dice: random.Random) -> None:
    """Relapse or progression, as this hospital happens to write it down."""
    what = "relapse" if course.outcome_day - course.day > 45 else "progression"
    more = {"exact": "month"} if _month_is_enough(story, course, dice) else {}
    course.exact = more.get("exact", "day")
    story.add("status", course.outcome_day, what, how=course.relapse_how, **more)
    plain = course.relapse_how in ("status", "diagnosis") and course.exact == "day"
    if plain and dice.random() < 0.4:  # confirmed again later, which must not move the date
        later = course.outcome_day + dice.randrange(5, 38)  # the next course starts 40 days on
        story.add("status", min(story.last_day, later), what)
    if dice.random() < 0.5 and story.last_day - course.outcome_day > 20 and len(story.courses) == 1:
        drug = "teclistamab" if story.disease == "multiple_myeloma" else "glofitamab"
        story.add("drug", course.outcome_day + 15, drug)


def _month_is_enough(story: Story, course: Course, dice: random.Random) -> bool:
    """A relapse known to the month only, where the order of events stays clear."""
    clear = course.outcome_day - course.day > 70 and story.last_day - course.outcome_day > 70
    return clear and course.relapse_how == "status" and dice.random() < 0.03


def _last_stay(story: Story) -> None:
    """The admission in which a patient dies, unless death came at home or in a hospice."""
    death = story.death
    if not death or death.at_home:
        return
    infused = story.courses[-1].day
    if death.day - infused <= LONG_STAY:
        return  # still in the infusion admission
    if death.cause == "index_disease" and death.day - infused > 60 and story.number % 4 == 0:
        story.add("visit", death.day - 25, "inpatient", end=death.day - 20, how="hospice")
        return
    story.add(
        "visit",
        max(infused + LONG_STAY + 1, death.day - 10),
        "inpatient",
        end=death.day,
        how="died",
    )


def _plans(story: Story, dice: random.Random) -> None:
    """Visits that were planned or cancelled are no contact."""
    if dice.random() < 0.3:
        story.add("visit", story.last_day + 30, "outpatient", how="planned")
    if dice.random() < 0.1:
        story.add("visit", story.last_day + 7, "outpatient", how="cancelled")
