"""Infections and findings that were not the cause of any death, and other confounders."""

import random

from .story import Story

# Chance that a recipient has it (assumption); each is a trap for a careless cause rule.
TRAPS = {
    "treated sepsis": 0.08,
    "treated pneumonia": 0.10,
    "negative cultures": 0.45,
    "one commensal culture": 0.06,
    "colonisation": 0.06,
    "suspected then refuted": 0.06,
    "entered in error": 0.03,
    "mild infection": 0.15,
    "another condition worsened": 0.02,
    "partial onset": 0.05,
    "skin cancer": 0.02,
    "nodal spread": 0.03,
    "relapse code carried forward": 0.10,
    "unit missing": 0.01,
}


def tell(story: Story) -> None:
    """Deal this patient's confounders and write them into the story."""
    dice = story.dice("confounders")
    for trap, chance in TRAPS.items():
        if dice.random() < chance and _write(story, trap, dice):
            story.traps.append(trap)


def _write(story: Story, trap: str, dice: random.Random) -> bool:
    """Write one confounder; False when there is no room for it in this life."""
    last = story.last_day
    spare = last - 75  # an old infection must be resolved well before a death
    match trap:
        case "treated sepsis" | "treated pneumonia" if spare > 15:
            _treated(story, trap.removeprefix("treated "), dice.randrange(8, spare), dice)
        case "negative cultures":
            for _ in range(dice.randrange(1, 4)):
                story.add("culture", dice.randrange(1, max(2, min(30, last))), "negative")
        case "one commensal culture" if last > 6:
            story.add("culture", dice.randrange(3, min(40, last - 1)), "commensal")
        case "colonisation":
            story.add("diagnosis", dice.randrange(-20, 1), "colonisation", place="problem-list")
        case "suspected then refuted" if last > 10:
            day = last - 4 if story.death else dice.randrange(4, last)
            story.add("diagnosis", day, dice.choice(["aspergillosis", "sepsis"]), how="refuted")
            story.add("culture", day, "negative")
        case "entered in error" if last > 10:
            story.add("diagnosis", max(1, last - 6), "pneumonia", how="error")
        case "mild infection" if spare > 5:
            what = dice.choice(["uti", "zoster", "c_difficile"])
            story.add("diagnosis", dice.randrange(3, spare), what, how="resolved")
        case "another condition worsened" if last > 30:
            story.add("status", last - 20, "worsened", how="other-focus")
        case "partial onset" if last > 120:
            story.add("diagnosis", 40, "uti", how="resolved", exact=dice.choice(["month", "year"]))
        case "skin cancer" if spare > 60:
            story.add("diagnosis", dice.randrange(50, spare), "skin_cancer")
        case "nodal spread":
            story.add("diagnosis", dice.randrange(-90, -40), "nodal_spread", place="problem-list")
        case "relapse code carried forward" if story.disease in ("multiple_myeloma", "B_ALL"):
            story.add("diagnosis", -60, f"{story.disease}_relapse", how="carried", end=2)
        case "unit missing" if last > 12:
            story.add("lab", 10, "anc", value=1.2, how="no-unit")
        case _:
            return False
    return True


def _treated(story: Story, what: str, day: int, dice: random.Random) -> None:
    """A real infection that was treated and went away."""
    story.add("diagnosis", day, what, end=day + 12, how="resolved")
    story.add("culture", day, "negative" if dice.random() < 0.5 else "e_coli")
    story.add("drug", day, "antibiotic", end=day + 9)
    story.add("drug", day, "levofloxacin", end=day + 9)
    story.add("culture", day + 4, "negative")
