"""Who is treated with what, and what happens first: the plan of the whole hospital."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import repeat

from . import deaths, followup, infections, lookalikes, toxicity
from .rates import (
    CAUSES,
    DEATH_RECORDS,
    DIALECTS,
    DISEASES,
    EARLY,
    GROUPS,
    RELAPSE_RECORDS,
    STYLES,
    SUBCAUSES,
    deal,
)
from .shape import END_OF_DATA, StudyShape
from .story import Course, Death, Story

APPROVED = {
    "axi-cel": date(2018, 1, 1),
    "tisa-cel": date(2018, 1, 1),
    "brexu-cel": date(2020, 10, 1),
    "liso-cel": date(2021, 3, 1),
    "ide-cel": date(2021, 5, 1),
    "cilta-cel": date(2022, 4, 1),
    "obe-cel": date(2024, 12, 1),
}
# Some causes have no code, or did not exist, before these days.
NOT_BEFORE = {
    "covid19": date(2020, 3, 15),
    "crs": date(2020, 10, 1),
    "neurotoxicity": date(2021, 10, 1),
}
# Causes that come early when they come: (first, last) day of death.
ACUTE = {"crs": (3, 20), "neurotoxicity": (5, 75), "iec_hs": (11, 60)}


def stories(shape: StudyShape) -> Iterator[Story]:
    """Every patient of the hospital, recipients first, then the others."""
    dice = random.Random(f"{shape.seed}/hospital")
    for number, (group, fate, style) in enumerate(_recipients(shape, dice), start=1):
        yield _recipient(shape, number, group, fate, style)
    for number, lookalike in enumerate(_others(shape, dice), start=shape.recipients + 1):
        yield lookalikes.other_patient(_blank(shape, number, dice), lookalike)


def _recipients(
    shape: StudyShape, dice: random.Random
) -> list[tuple[tuple[str, str], tuple[str, ...], str]]:
    """One hand of cards per recipient: treatment group, fate, way of recording."""
    n = shape.recipients
    names = deal({"/".join(group): share for group, (share, _, _) in GROUPS.items()}, n, dice)
    groups = [(entity, product) for entity, _, product in (name.partition("/") for name in names)]
    outcomes = _outcomes(groups, shape, dice)
    fates = {
        "nrm": iter(_causes(outcomes.count("nrm"), dice)),
        "relapse": iter([(how,) for how in deal(RELAPSE_RECORDS, outcomes.count("relapse"), dice)]),
        "alive": repeat(()),
    }
    hands = [(outcome, *next(fates[outcome])) for outcome in outcomes]
    return list(zip(groups, hands, deal(STYLES, n, dice), strict=True))


def _outcomes(groups: list[tuple[str, str]], shape: StudyShape, dice: random.Random) -> list[str]:
    """Alive, relapse or nrm for each recipient, by the rates of the group or the wanted deaths."""
    outcomes = [""] * len(groups)
    scale = 1.0
    if shape.deaths is not None:
        scale = shape.deaths / max(1e-9, sum(GROUPS[group][1] for group in groups))
    for group in GROUPS:
        members = [i for i, other in enumerate(groups) if other == group]
        _, nrm, relapse = GROUPS[group]
        nrm = min(1.0, nrm * scale)
        weights = {
            "nrm": nrm,
            "relapse": min(relapse, 1 - nrm),
            "alive": max(0.0, 1 - nrm - relapse),
        }
        for i, outcome in zip(members, deal(weights, len(members), dice), strict=True):
            outcomes[i] = outcome
    if shape.deaths is not None:
        _adjust(outcomes, shape.deaths, dice)
    return outcomes


def _adjust(outcomes: list[str], deaths_wanted: int, dice: random.Random) -> None:
    """Turn a few outcomes so that exactly the wanted number died without relapse."""
    order = list(range(len(outcomes)))
    dice.shuffle(order)
    excess = outcomes.count("nrm") - deaths_wanted
    for i in order:
        if excess > 0 and outcomes[i] == "nrm":
            outcomes[i], excess = "alive", excess - 1
        elif excess < 0 and outcomes[i] != "nrm":
            outcomes[i], excess = "nrm", excess + 1


def _causes(n: int, dice: random.Random) -> list[tuple[str, str, str]]:
    """(cause, subcause, how death was recorded) of each non-relapse death."""
    causes = deal(CAUSES, n, dice)
    decks = {
        cause: iter(deal(SUBCAUSES[cause], causes.count(cause), dice))
        for cause in sorted(set(causes))
    }
    return [
        (cause, next(decks[cause]), recorded)
        for cause, recorded in zip(causes, deal(DEATH_RECORDS, n, dice), strict=True)
    ]


def _others(shape: StudyShape, dice: random.Random) -> list[str]:
    """Which of the people never infused look as if they had been."""
    n = shape.patients - shape.recipients
    kinds = [*lookalikes.KINDS]
    dressed = [kinds[i % len(kinds)] for i in range(max(min(n, len(kinds)), n * 12 // 100))]
    deck = (dressed + [""] * n)[:n]
    dice.shuffle(deck)
    return deck


def _blank(shape: StudyShape, number: int, dice: random.Random) -> Story:
    """A person about whom nothing is known yet."""
    dialect = shape.dialect
    if dialect == "mixed":
        dialect = dice.choices([*DIALECTS], [*DIALECTS.values()])[0]
    years = dice.gauss(62, 11)
    return Story(
        number=number,
        seed=shape.seed,
        dialect=dialect,
        sex=dice.choice(["female", "male"]),
        birth=date(2021, 6, 15) - timedelta(days=int(365.25 * min(85, max(19, years)))),
        day0=date(2021, 1, 1) + timedelta(days=dice.randrange(1400)),
        disease="DLBCL",
    )


def _recipient(
    shape: StudyShape, number: int, group: tuple[str, str], fate: tuple[str, ...], style: str
) -> Story:
    """One recipient's whole story."""
    story = _blank(shape, number, random.Random(f"{shape.seed}/{number}/person"))
    dice = story.dice("course")
    diseases = DISEASES[group[0]]
    story.disease = dice.choices([*diseases], [*diseases.values()])[0]
    first = Course(0, group[1], story.disease, style, outcome=fate[0])
    story.courses.append(first)
    {"alive": _live, "relapse": _relapse, "nrm": _die}[first.outcome](story, dice, fate[1:])
    _place_in_time(story, dice)
    followup.tell(story)
    toxicity.tell(story)
    infections.tell(story)
    deaths.tell(story, shape.missing)
    story.tidy()
    return story


def _live(story: Story, dice: random.Random, fate: tuple[str, ...]) -> None:
    """Alive when last seen; one in seven is lost early."""
    lost = dice.random() < 0.14
    last = dice.randrange(20, 200) if lost else dice.randrange(200, 1500)
    story.last_day = story.courses[0].outcome_day = last
    if lost:
        story.traps.append("lost to follow-up")


def _relapse(story: Story, dice: random.Random, fate: tuple[str, ...]) -> None:
    """Relapse first; then perhaps another infusion, perhaps death."""
    course = story.courses[0]
    median = {"multiple_myeloma": 260, "B_ALL": 150, "FL": 240}.get(course.disease, 95)
    day = int(min(1200, max(21, dice.lognormvariate(0, 0.8) * median)))
    course.outcome_day, course.relapse_how = day, fate[0]
    roll = dice.random()
    story.last_day = day + dice.randrange(30, 500)
    if course.relapse_how == "status" and roll < 0.08 and course.style != "generic":
        _infuse_again(story, dice, day)
    elif roll < 0.60:
        story.last_day = day if roll > 0.59 else day + dice.randrange(3, 320)
        septic = dice.random() < 0.25
        story.death = Death(
            story.last_day,
            "infection" if septic else "index_disease",
            "organism_not_identified" if septic else "",
        )
        if septic:
            story.traps.append("sepsis after relapse")
        if story.last_day == day:
            story.traps.append("relapse on the day of death")


def _infuse_again(story: Story, dice: random.Random, relapse_day: int) -> None:
    """A second course after relapse, with an outcome of its own."""
    first = story.courses[0]
    day = relapse_day + dice.randrange(40, 120)
    second = Course(day, first.product, first.disease, "pcs+drug")
    second.outcome = dice.choice(["alive", "relapse", "nrm"])
    second.outcome_day = day + dice.randrange(60, 300)
    story.last_day = second.outcome_day + (0 if second.outcome == "nrm" else 40)
    if second.outcome == "alive":
        second.outcome_day = story.last_day
    if second.outcome == "nrm":
        story.death = Death(second.outcome_day, "infection", "organism_not_identified")
    story.courses.append(second)
    story.traps.append("second course")


def _die(story: Story, dice: random.Random, fate: tuple[str, ...]) -> None:
    """Death without relapse, of the cause that was dealt."""
    cause, subcause, recorded = fate
    day = _day_of_death(cause, subcause, dice)
    story.last_day = story.courses[0].outcome_day = day
    story.death = Death(day, cause, subcause, recorded=recorded)
    # Where the record has no date of death, no hospital saw it either.
    story.death.at_home = cause == "unknown" or recorded == "boolean"
    if story.death.at_home and recorded == "boolean+discharge":
        story.death.recorded = "datetime"


def _day_of_death(cause: str, subcause: str, dice: random.Random) -> int:
    """Days from infusion to death: early for the acute toxicities, late for most others."""
    early = dice.random() < EARLY[cause]
    first, last = ACUTE.get(cause, (6, 1100))
    if subcause == "gvhd":
        first = 190
    if early:
        return dice.randrange(first, min(28, last + 1))
    if cause in ACUTE:
        return dice.randrange(28, last + 1)
    median = 420 if cause == "second_malignancy" else 170
    floor = {"second_malignancy": 120, "other": 60}.get(cause, 28)
    return int(min(last, max(floor, first, dice.lognormvariate(0, 0.85) * median)))


def _place_in_time(story: Story, dice: random.Random) -> None:
    """A calendar day of infusion that lets everything in the story happen before the data end."""
    causes = [story.death.cause, story.death.subcause] if story.death else []
    starts = [APPROVED[course.product] for course in story.courses]
    earliest = max([*starts, *(NOT_BEFORE[cause] for cause in causes if cause in NOT_BEFORE)])
    latest = END_OF_DATA - timedelta(days=story.last_day + 20)
    if latest <= earliest:
        _shorten(story, (END_OF_DATA - earliest).days - 60)
        latest = END_OF_DATA - timedelta(days=story.last_day + 20)
    story.day0 = earliest + timedelta(days=dice.randrange(max(1, (latest - earliest).days)))


def _shorten(story: Story, longest: int) -> None:
    """Bring a long story forward when the product is too young for it."""

    def sooner(day: int) -> int:
        return min(day, int(day * longest / before))

    before = story.last_day
    story.last_day = sooner(before)
    for course in story.courses:
        course.day, course.outcome_day = sooner(course.day), sooner(course.outcome_day)
    if story.death:
        story.death.day = sooner(story.death.day)
