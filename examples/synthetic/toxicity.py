"""CRS, ICANS, IEC-HS and slow marrow: what the first month does to a recipient."""

import random

from .story import Course, Story

# Grade 0..4 weights (assumption): CRS is common everywhere, ICANS mostly after axi- and brexu-cel.
CRS = [15, 38, 35, 9, 3]
ICANS = {"axi-cel": [45, 17, 15, 17, 6], "brexu-cel": [45, 17, 15, 17, 6]}
ICANS_ELSE = [78, 10, 7, 4, 1]


def tell(story: Story) -> None:
    """Grades, drugs and diagnoses of every course."""
    for course in story.courses:
        dice = story.dice(f"toxicity {course.day}")
        course.crs = dice.choices(range(5), CRS)[0]
        course.icans = dice.choices(range(5), ICANS.get(course.product, ICANS_ELSE))[0]
        course.slow_marrow = dice.random() < 0.3
        _bound_by_death(story, course, dice)
        _preparation(story, course, dice)
        _crs(story, course, dice)
        _icans(story, course, dice)
        _support(story, course, dice)


def _bound_by_death(story: Story, course: Course, dice: random.Random) -> None:
    """People who die of a toxicity had it badly; others survive theirs."""
    cause = story.death.cause if story.death and course is story.courses[-1] else ""
    if cause == "crs":
        course.crs = 5
    elif cause == "neurotoxicity":
        course.icans, course.crs = 5, max(course.crs, 2)
    elif cause == "iec_hs":
        course.crs = max(course.crs, 2)
    elif story.death and story.death.day - course.day < 28:
        course.crs, course.icans = min(course.crs, 2), min(course.icans, 1)


def _preparation(story: Story, course: Course, dice: random.Random) -> None:
    """Leukapheresis, order, bridging, lymphodepletion, infusion (split or in two bags)."""
    day = course.day
    story.add("procedure", day - dice.randrange(30, 45), "leukapheresis")
    if course.style != "generic":  # an order would give the product away
        story.add("request", day - 28, course.product, how="completed")
    if dice.random() < 0.4:
        story.add("drug", day - dice.randrange(14, 26), "rituximab")
    for before in (5, 4, 3):
        story.add("drug", day - before, "fludarabine")
        story.add("drug", day - before, "cyclophosphamide")
    vague = course.style == "pcs+drug" and dice.random() < 0.02
    exact = "month" if vague else "day"  # of the Procedure; the drug record has the day
    story.add("infusion", day, course.product, how=course.style, exact=exact)
    story.traps.extend(["procedure known to the month"] * vague)
    if course.product == "obe-cel":
        story.add("infusion", day + 9, course.product, how=course.style)
        story.traps.append("split dose")
    elif course.product == "liso-cel" or dice.random() < 0.03:
        story.add("infusion", day, course.product, how=course.style, value=2)
        story.traps.append("two bags")


def _crs(story: Story, course: Course, dice: random.Random) -> None:
    if not course.crs:
        return
    day = course.day + dice.randrange(1, 4)
    last = day + 2 + course.crs
    if course.crs == 5 and story.death:
        last = story.death.day
        story.add("diagnosis", day, "crs_2", end=day + 1)
        story.add("diagnosis", max(day, last - 3), "crs_4", end=last)
    else:
        story.add("diagnosis", day, f"crs_{course.crs}", end=last, how=_closed(story))
    if course.crs >= 2:
        for n in range(min(3, course.crs - 1)):
            story.add("drug", day + 1 + n, "tocilizumab")
    if course.crs >= 3:
        story.add("drug", day + 2, "dexamethasone", end=last)


def _icans(story: Story, course: Course, dice: random.Random) -> None:
    if not course.icans:
        return
    day = course.day + dice.randrange(4, 8)
    last = day + 2 + 2 * course.icans
    grade, how = course.icans, _closed(story)
    if grade == 5 and story.death:
        day = min(day, max(course.day + 2, story.death.day - 2))
        last, grade, how = story.death.day, 3, ""
    story.add("diagnosis", day, f"icans_{grade}", end=last, how=how)
    if course.icans >= 2:
        story.add("drug", day, "dexamethasone", end=min(last, day + 20))
        story.add("drug", day, "levetiracetam", end=last)


def _closed(story: Story) -> str:
    """One hospital in four never closes a diagnosis that is over."""
    return "over" if story.number % 4 else ""


def _support(story: Story, course: Course, dice: random.Random) -> None:
    """Prophylaxis for most, growth factor where the marrow is slow."""
    for drug, share in (("valacyclovir", 0.85), ("cotrimoxazole", 0.7)):
        if dice.random() < share:
            story.add("drug", course.day - 5, drug, end=course.day + dice.randrange(90, 400))
    if course.slow_marrow:
        story.add("drug", course.day + 14, "filgrastim", end=course.day + 20)
