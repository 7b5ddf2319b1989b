"""Why people die, and how much of it the record tells."""

import random

from .rates import CERTIFICATES, LOST_SIGNS
from .story import Death, Story

Sign = tuple[str, str, int]  # kind, word, days before death

# Each cause may look like any of its scenarios. The first diagnosis is what a certificate says.
SCENARIOS: dict[str, list[list[Sign]]] = {
    "organism_not_identified": [
        [("diagnosis", "sepsis", 3), ("diagnosis", "septic_shock", 1), ("culture", "negative", 3)],
        [("diagnosis", "pneumonia", 8), ("diagnosis", "respiratory_failure", 2)],
        [("diagnosis", "sepsis", 5), ("diagnosis", "kidney_failure", 1)],
    ],
    "bacterial": [
        [("diagnosis", "gram_negative_sepsis", 3), ("culture", "klebsiella", 3)],
        [("diagnosis", "gram_negative_sepsis", 4), ("culture", "pseudomonas", 4)],
        [("diagnosis", "e_coli_sepsis", 2), ("culture", "e_coli", 3)],
        [("diagnosis", "staph_sepsis", 4), ("culture", "staph_aureus", 5)],
        [("diagnosis", "bacterial_pneumonia", 7), ("diagnosis", "septic_shock", 1)],
    ],
    "covid19": [
        [("diagnosis", "covid", 14), ("pcr", "sars2", 14), ("diagnosis", "covid_pneumonia", 9)],
        [("diagnosis", "covid", 20), ("pcr", "sars2", 21), ("diagnosis", "ards", 4)],
    ],
    "fungal": [
        [("diagnosis", "aspergillosis", 14), ("lab", "galactomannan", 15)],
        [("diagnosis", "candidemia", 5), ("culture", "candida_auris", 6)],
        [("diagnosis", "mucormycosis", 10), ("drug", "isavuconazole", 9)],
        [("diagnosis", "pneumocystis", 9), ("diagnosis", "respiratory_failure", 3)],
    ],
    "viral": [
        [("diagnosis", "cmv_pneumonia", 12), ("lab", "cmv_dna", 13), ("drug", "ganciclovir", 11)],
        [("diagnosis", "pml", 40)],
        [("diagnosis", "rsv_pneumonia", 8), ("diagnosis", "respiratory_failure", 2)],
    ],
    "parasitic": [[("diagnosis", "toxoplasmosis", 12)]],
    "mixed": [
        [
            ("diagnosis", "gram_negative_sepsis", 4),
            ("culture", "klebsiella", 4),
            ("diagnosis", "aspergillosis", 11),
        ]
    ],
    "mds_aml": [
        [("diagnosis", "mds", 110), ("diagnosis", "sepsis", 3)],
        [("diagnosis", "AML", 60), ("diagnosis", "septic_shock", 1)],
        [("diagnosis", "mds", 90)],
    ],
    "t_cell": [[("diagnosis", "t_cell_lymphoma", 80)]],
    "solid": [
        [("diagnosis", "lung_cancer", 95)],
        [("diagnosis", "pancreatic_cancer", 70)],
        [("diagnosis", "colon_cancer", 100)],
    ],
    "cardiovascular_respiratory": [
        [("diagnosis", "myocardial_infarction", 1), ("diagnosis", "cardiac_arrest", 0)],
        [("diagnosis", "cardiomyopathy", 12), ("diagnosis", "heart_failure", 6)],
        [("diagnosis", "stroke", 4)],
        [("diagnosis", "pulmonary_embolism", 2)],
        [("diagnosis", "arrhythmia", 0)],
        [("diagnosis", "ards", 5), ("diagnosis", "respiratory_failure", 5)],
    ],
    "neurotoxicity": [
        [("diagnosis", "icans_5", 0), ("diagnosis", "cerebral_edema", 1)],
        [("diagnosis", "icans_4", 2), ("drug", "dexamethasone", 3)],
    ],
    "crs": [
        [("diagnosis", "crs_5", 0), ("drug", "tocilizumab", 1)],
        [("diagnosis", "crs_4", 1), ("diagnosis", "shock", 1), ("drug", "tocilizumab", 1)],
    ],
    "iec_hs": [
        [("diagnosis", "hlh", 7), ("drug", "anakinra", 6), ("drug", "ruxolitinib", 5)],
        [("drug", "anakinra", 6), ("drug", "emapalumab", 4)],  # and the laboratory values
    ],
    "hemorrhage": [
        [("diagnosis", "brain_bleed", 2)],
        [("diagnosis", "gi_bleed", 1), ("diagnosis", "shock", 0)],
        [("diagnosis", "subdural_bleed", 5)],
    ],
    "organ_failure": [
        [("diagnosis", "liver_failure", 6)],
        [("diagnosis", "kidney_failure", 9)],
        [("diagnosis", "multiorgan_failure", 2), ("diagnosis", "kidney_failure", 3)],
        [("diagnosis", "vod", 12), ("diagnosis", "liver_failure", 4)],
    ],
    "gvhd": [[("diagnosis", "gvhd", 25), ("procedure", "allo_hct", 100)]],
    "accident": [[("diagnosis", "accident", 0)]],
    "suicide": [[("diagnosis", "suicide", 0)]],
    "unknown": [[]],
    "index_disease": [[]],
}
TERMINAL = {"cardiac_arrest", "respiratory_failure", "shock", "kidney_failure", "septic_shock"}


def tell(story: Story, missing: str) -> None:
    """Write the way to death and the paper it leaves behind."""
    death = story.death
    if not death:
        return
    dice = story.dice("death")
    scenario = dice.choice(SCENARIOS.get(death.subcause) or SCENARIOS[death.cause])
    _contribute(story, death, dice)
    specific = _signs(story, death, scenario, LOST_SIGNS[missing], dice)
    _certificate(death, scenario, CERTIFICATES[missing], dice)
    named = death.certificate in ("coded", "condition") and death.certified not in TERMINAL
    death.shown = specific or named or death.cause in ("unknown", "index_disease")
    if not death.at_home:
        story.traps.extend(["certificate text only"] * (death.certificate == "text"))


def _signs(
    story: Story, death: Death, scenario: list[Sign], lost: float, dice: random.Random
) -> bool:
    """Write the signs that were recorded; True when one of them names the cause."""
    earliest = story.courses[-1].day + 1 if story.courses else -400
    specific = death.cause == "iec_hs"  # the laboratory always tells
    for kind, what, before in scenario:
        if dice.random() >= lost:
            story.add(kind, max(earliest, death.day - before), what)
            specific |= _names(death, kind, what, story.dialect)
    if any(what == "sepsis" or "pneumonia" in what for _, what, _ in scenario):
        story.add("drug", max(earliest, death.day - 4), "antibiotic", end=death.day)
    return specific


def _names(death: Death, kind: str, what: str, dialect: str) -> bool:
    """Does this sign alone name the cause (in the codes of this dialect)?"""
    if what.startswith("crs_"):
        return dialect != "german"  # no ICD-10-GM code was confirmed for CRS
    if kind == "diagnosis":
        infectious = what in ("sepsis", "septic_shock", "pneumonia")
        deeper = death.cause == "second_malignancy" and infectious
        return not deeper and (what not in TERMINAL or death.cause == "organ_failure")
    return kind == "pcr" or (kind == "culture" and what != "negative") or what == "cmv_dna"


def _contribute(story: Story, death: Death, dice: random.Random) -> None:
    """An infection caught under the treatment of CRS or ICANS goes along to the end."""
    if death.cause in ("crs", "neurotoxicity") and dice.random() < 0.2:
        death.contributing = "infection"
        day = max(story.courses[-1].day + 1, death.day - 2)
        story.add("diagnosis", day, "sepsis")
        story.add("culture", day, "klebsiella")


def _certificate(death: Death, scenario: list[Sign], chance: float, dice: random.Random) -> None:
    """What the certificate says, if the hospital ever got one."""
    words = [what for kind, what, _ in scenario if kind == "diagnosis"]
    if dice.random() >= chance:
        return
    death.certificate = dice.choices(["coded", "condition", "text"], [5, 3, 1])[0]
    if death.cause == "unknown":
        death.certified = dice.choice(["ill_defined", "cardiac_arrest"])
    elif death.cause == "index_disease":
        death.certified = "index_disease"
    elif dice.random() < 0.08:
        death.certified = dice.choice(["respiratory_failure", "cardiac_arrest"])
    elif words:
        death.certified = words[0]
    else:
        death.certificate = ""
