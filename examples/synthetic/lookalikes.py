"""People who never got CAR T here: ordinary haematology patients, and those who look infused."""

import random

from .story import Death, Story

# What makes a patient look like a recipient: (disease, [(kind, day, what, how)]).
KINDS: dict[str, tuple[str, list[tuple[str, int, str, str]]]] = {
    "TIL (lifileucel)": ("melanoma", [("infusion", 0, "lifileucel", "pcs+drug")]),
    "TCR-T (afami-cel)": ("synovial_sarcoma", [("infusion", 0, "afami-cel", "pcs")]),
    "leukapheresis only": ("", [("procedure", 0, "leukapheresis", "")]),
    "history of CAR T only": ("", [("diagnosis", 0, "history_of_cart", "")]),
    "ordered, never infused": ("", [("request", 0, "axi-cel", "cancelled")]),
    "infusion not done": ("", [("infusion", 0, "axi-cel", "not-done")]),
    "infusion entered in error": ("", [("infusion", 0, "tisa-cel", "error")]),
    "infusion planned": ("", [("infusion", 20, "liso-cel", "preparation")]),
    "sipuleucel-T": ("prostate_cancer", [("drug", 0, "sipuleucel-T", "")]),
    "talimogene": ("melanoma", [("drug", 0, "talimogene", "")]),
    "donor lymphocytes after allograft": (
        "AML",
        [("procedure", -60, "allo_hct", ""), ("procedure", 0, "donor_lymphocytes", "")],
    ),
    "tocilizumab for arthritis": ("rheumatoid_arthritis", [("drug", 0, "tocilizumab", "")]),
    "other XW0 product": ("lung_cancer", [("infusion", 0, "amivantamab", "pcs")]),
    "cells processed, not infused": (
        "",
        [("procedure", -30, "leukapheresis", ""), ("procedure", -2, "cell_processing", "")],
    ),
    "died before infusion": (
        "",
        [("procedure", 0, "leukapheresis", ""), ("request", 5, "axi-cel", "active")],
    ),
}


def other_patient(story: Story, kind: str) -> Story:
    """One patient who is not a recipient; `kind` empty for an ordinary one."""
    dice = story.dice("other")
    disease, events = KINDS.get(kind, ("", [("drug", 0, "cyclophosphamide", "")]))
    story.lookalike = kind
    story.disease = disease or dice.choice(["DLBCL", "multiple_myeloma", "AML", "FL", "MCL"])
    story.last_day = dice.randrange(60, 500)
    story.add("diagnosis", -dice.randrange(30, 900), story.disease, place="problem-list")
    story.add("visit", -4, "inpatient", end=3)
    for what, day, word, how in events:
        story.add(what, day, word, how=how)
    for day in [*range(30, story.last_day, 60), story.last_day]:
        story.add("visit", day, "outpatient")
    _end(story, kind, dice)
    return story


def _end(story: Story, kind: str, dice: random.Random) -> None:
    """One in five dies, with an infection at the end that belongs to nobody's NRM."""
    if dice.random() < 0.2 or kind == "died before infusion":
        story.death = Death(story.last_day, "index_disease")
        story.add("diagnosis", story.last_day - 2, dice.choice(["sepsis", "pneumonia"]))
