"""Infections and findings that were not the cause of any death, and other confounders.

Each row of traps.csv is a trap for a careless rule, with its chance (an assumption): it happens
between two days, at least `spare` days before the last one (75: resolved well before a death), or
exactly so many days before it where no earliest day is given.
"""

from .codes import rows
from .story import Story, script

TRAPS = {row["trap"]: row for row in rows("traps.csv")}


def tell(story: Story) -> None:
    """Deal this patient's confounders and write them into the story."""
    dice = story.dice("confounders")
    for name, trap in TRAPS.items():
        latest = min(int(trap["latest"] or 9999), story.last_day - int(trap["spare"]))
        earliest = int(trap["earliest"] or latest)
        before_infusion = int(trap["latest"] or 1) <= 0
        room = earliest <= latest and (latest > 0 or before_infusion)
        if dice.random() < float(trap["chance"]) and room:
            story.events += script(trap["events"], dice.randrange(earliest, latest + 1))
            story.traps.append(name)
    if story.disease in ("multiple_myeloma", "B_ALL") and dice.random() < 0.1:
        story.add("diagnosis", -60, f"{story.disease}_relapse", how="carried", end=2)
        story.traps.append("relapse code carried forward")
