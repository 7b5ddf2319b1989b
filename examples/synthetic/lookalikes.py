"""People who never got CAR T here: ordinary haematology patients, and those who look infused."""

import random

from .story import Death, Story

KINDS = [
    "TIL (lifileucel)",
    "TCR-T (afami-cel)",
    "leukapheresis only",
    "history of CAR T only",
    "ordered, never infused",
    "infusion not done",
    "infusion entered in error",
    "infusion planned",
    "sipuleucel-T",
    "talimogene",
    "donor lymphocytes after allograft",
    "tocilizumab for arthritis",
    "other XW0 product",
    "cells processed, not infused",
    "died before infusion",
]


def other_patient(story: Story, kind: str) -> Story:
    """One patient who is not a recipient; `kind` empty for an ordinary one."""
    dice = story.dice("other")
    story.lookalike = kind
    story.disease = _disease(kind, dice)
    story.last_day = dice.randrange(60, 500)
    story.add("diagnosis", -dice.randrange(30, 900), story.disease, place="problem-list")
    story.add("visit", -4, "inpatient", end=3)
    for day in range(30, story.last_day, 60):
        story.add("visit", day, "outpatient")
    story.add("visit", story.last_day, "outpatient")
    if kind:
        _dress(story, kind)
    else:
        story.add("drug", 0, dice.choice(["rituximab", "cyclophosphamide", "dexamethasone"]))
    if dice.random() < 0.2 or kind == "died before infusion":
        story.death = Death(story.last_day, "index_disease")
        story.add("diagnosis", story.last_day - 2, dice.choice(["sepsis", "pneumonia"]))
    return story


def _disease(kind: str, dice: random.Random) -> str:
    special = {
        "TIL (lifileucel)": "melanoma",
        "talimogene": "melanoma",
        "TCR-T (afami-cel)": "synovial_sarcoma",
        "sipuleucel-T": "prostate_cancer",
        "tocilizumab for arthritis": "rheumatoid_arthritis",
        "donor lymphocytes after allograft": "AML",
        "other XW0 product": "lung_cancer",
    }
    return special.get(kind) or dice.choice(["DLBCL", "multiple_myeloma", "AML", "FL", "MCL"])


def _dress(story: Story, kind: str) -> None:
    """The one thing that makes this patient look like a recipient."""
    match kind:
        case "TIL (lifileucel)":
            story.add("infusion", 0, "lifileucel", how="pcs")
        case "TCR-T (afami-cel)":
            story.add("infusion", 0, "afami-cel", how="pcs")
        case "leukapheresis only" | "died before infusion":
            story.add("procedure", 0, "leukapheresis")
            story.add("request", 5, "axi-cel", how="active")
        case "history of CAR T only":
            story.add("diagnosis", 0, "history_of_cart", place="problem-list")
        case "ordered, never infused":
            story.add("request", 0, "axi-cel", how="cancelled")
        case "infusion not done":
            story.add("infusion", 0, "axi-cel", how="not-done")
        case "infusion entered in error":
            story.add("infusion", 0, "tisa-cel", how="error")
        case "infusion planned":
            story.add("infusion", 20, "liso-cel", how="planned")
        case "sipuleucel-T" | "talimogene":
            story.add("drug", 0, kind)
        case "donor lymphocytes after allograft":
            story.add("procedure", -60, "allo_hct")
            story.add("procedure", 0, "donor_lymphocytes")
        case "tocilizumab for arthritis":
            story.add("drug", 0, "tocilizumab")
        case "other XW0 product":
            story.add("infusion", 0, "amivantamab", how="pcs")
        case "cells processed, not infused":
            story.add("procedure", -30, "leukapheresis")
            story.add("procedure", -2, "cell_processing")
