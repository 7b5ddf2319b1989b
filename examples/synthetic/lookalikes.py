"""People who never got CAR T here: ordinary haematology patients, and those who look infused."""

import random

from .codes import rows
from .story import Death, Story, script

# What makes a patient look like a recipient.
KINDS = {row["lookalike"]: (row["disease"], row["events"]) for row in rows("lookalikes.csv")}


def other_patient(story: Story, kind: str) -> Story:
    """One patient who is not a recipient; `kind` empty for an ordinary one."""
    dice = story.dice("other")
    disease, events = KINDS.get(kind, ("", "0 drug cyclophosphamide"))
    story.lookalike = kind
    story.disease = disease or dice.choice(["DLBCL", "multiple_myeloma", "AML", "FL", "MCL"])
    story.last_day = dice.randrange(60, 500)
    story.add("diagnosis", -dice.randrange(30, 900), story.disease, place="problem-list")
    story.add("visit", -4, "inpatient", end=3)
    story.events += script(events, 0)
    for day in [*range(30, story.last_day, 60), story.last_day]:
        story.add("visit", day, "outpatient")
    _end(story, kind, dice)
    return story


def _end(story: Story, kind: str, dice: random.Random) -> None:
    """One in five dies, with an infection at the end that belongs to nobody's NRM."""
    if dice.random() < 0.2 or kind == "died before infusion":
        story.death = Death(story.last_day, "index_disease")
        story.add("diagnosis", story.last_day - 2, dice.choice(["sepsis", "pneumonia"]))
