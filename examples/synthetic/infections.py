"""Infections and findings that were not the cause of any death, and other confounders.

Each is a trap for a careless rule; how often it occurs is an assumption.
"""

from dataclasses import dataclass
from typing import Any

from .story import Story

Part = tuple[int, str, str, dict[str, Any]]  # days after the trap's day, kind, word, more


@dataclass(frozen=True)
class Trap:
    """Happens with this chance, between two days, and ends `spare` days before the last one."""

    chance: float
    earliest: int | None  # None: exactly `spare` days before the last day
    latest: int
    spare: int
    parts: list[Part]


def _treated(what: str, organism: str) -> list[Part]:
    """A real infection that was treated and went away."""
    return [
        (0, "diagnosis", what, {"end": 12, "how": "over"}),
        (0, "culture", organism, {}),
        (0, "drug", "antibiotic", {"end": 9}),
        (0, "drug", "levofloxacin", {"end": 9}),
        (4, "culture", "negative", {}),
    ]


RESOLVED = {"how": "resolved"}
LISTED = {"place": "problem-list"}
ALWAYS = 9999
TRAPS = {
    # 75 days: resolved well before a death
    "treated sepsis": Trap(0.08, 8, ALWAYS, 75, _treated("sepsis", "e_coli")),
    "treated pneumonia": Trap(0.10, 8, ALWAYS, 75, _treated("pneumonia", "negative")),
    "negative cultures": Trap(
        0.45, 1, 30, 0, [(0, "culture", "negative", {}), (2, "culture", "negative", {})]
    ),
    "one commensal culture": Trap(0.06, 3, 40, 1, [(0, "culture", "commensal", {})]),
    "colonisation": Trap(0.06, -20, 0, 0, [(0, "diagnosis", "colonisation", LISTED)]),
    "suspected then refuted": Trap(
        0.06,
        None,
        ALWAYS,
        4,
        [(0, "diagnosis", "aspergillosis", {"how": "refuted"}), (0, "culture", "negative", {})],
    ),
    "suspected, never confirmed": Trap(
        0.03, None, ALWAYS, 3, [(0, "diagnosis", "sepsis", {"how": "suspected"})]
    ),
    "entered in error": Trap(
        0.03, None, ALWAYS, 6, [(0, "diagnosis", "pneumonia", {"how": "error"})]
    ),
    "text only": Trap(0.03, None, ALWAYS, 8, [(0, "diagnosis", "sepsis", {"how": "text-only"})]),
    "urinary infection": Trap(0.06, 3, ALWAYS, 75, [(0, "diagnosis", "uti", RESOLVED)]),
    "zoster": Trap(0.06, 3, ALWAYS, 75, [(0, "diagnosis", "zoster", RESOLVED)]),
    "colitis": Trap(0.04, 3, ALWAYS, 75, [(0, "diagnosis", "c_difficile", RESOLVED)]),
    "onset known to the month": Trap(
        0.03, 5, 40, 100, [(0, "diagnosis", "uti", {"how": "resolved", "exact": "month"})]
    ),
    "onset known to the year": Trap(
        0.02, 5, 40, 400, [(0, "diagnosis", "zoster", {"how": "resolved", "exact": "year"})]
    ),
    "another condition worsened": Trap(
        0.02,
        None,
        ALWAYS,
        19,
        [
            (-40, "diagnosis", "hypertension", LISTED),
            (0, "status", "worsened", {"how": "other-focus"}),
        ],
    ),
    "skin cancer": Trap(0.02, 50, ALWAYS, 60, [(0, "diagnosis", "skin_cancer", {})]),
    "nodal spread": Trap(0.03, -90, -40, 0, [(0, "diagnosis", "nodal_spread", LISTED)]),
    "history-of code": Trap(0.05, 40, ALWAYS, 0, [(0, "diagnosis", "history_of_cart", LISTED)]),
    "unit missing": Trap(0.01, 10, 10, 1, [(0, "lab", "anc", {"value": 1.2, "how": "no-unit"})]),
    "immunoglobulins": Trap(0.15, 45, ALWAYS, 5, [(0, "drug", "immunoglobulin", {})]),
}


def tell(story: Story) -> None:
    """Deal this patient's confounders and write them into the story."""
    dice = story.dice("confounders")
    for name, trap in TRAPS.items():
        latest = min(trap.latest, story.last_day - trap.spare)
        earliest = latest if trap.earliest is None else trap.earliest
        room = earliest <= latest and (latest > 0 or trap.latest <= 0)
        if dice.random() < trap.chance and room:
            day = dice.randrange(earliest, latest + 1)
            for after, kind, word, more in trap.parts:
                ends = {"end": day + more["end"]} if "end" in more else {}
                story.add(kind, day + after, word, **{**more, **ends})
            story.traps.append(name)
    if story.disease in ("multiple_myeloma", "B_ALL") and dice.random() < 0.1:
        story.add("diagnosis", -60, f"{story.disease}_relapse", how="carried", end=2)
        story.traps.append("relapse code carried forward")
