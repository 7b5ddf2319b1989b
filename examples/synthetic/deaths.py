"""Why people die, and how much of it the record tells."""

import random
from functools import cache

from .codes import words
from .rates import CERTIFICATES, LOST_SIGNS
from .story import Death, Story

Sign = tuple[str, str, int]  # kind, word, days before death

# Each cause may look like any of its scenarios. The first diagnosis is what a certificate says.
# "word 3" is a diagnosis three days before death; other kinds of events are named with a colon.
SCENARIOS = """
organism_not_identified: sepsis 3, septic_shock 1, culture:negative 3
organism_not_identified: pneumonia 8, respiratory_failure 2
organism_not_identified: sepsis 5, kidney_failure 1
bacterial: gram_negative_sepsis 3, culture:klebsiella 3, culture:klebsiella 2
bacterial: gram_negative_sepsis 4, culture:pseudomonas 4
bacterial: e_coli_sepsis 2, culture:e_coli 3
bacterial: staph_sepsis 4, culture:staph_aureus 5, culture:staph_aureus 4
bacterial: bacterial_pneumonia 7, septic_shock 1
covid19: covid 14, pcr:sars2 14, covid_pneumonia 9
covid19: covid 20, pcr:sars2 21, ards 4
fungal: aspergillosis 14, lab:galactomannan 15, drug:isavuconazole 13
fungal: candidemia 5, culture:candida_auris 6
fungal: mucormycosis 10, drug:isavuconazole 9
fungal: pneumocystis 9, respiratory_failure 3
viral: cmv_pneumonia 12, lab:cmv_dna 13, drug:ganciclovir 11
viral: pml 40
viral: rsv_pneumonia 8, respiratory_failure 2
parasitic: toxoplasmosis 12
mixed: gram_negative_sepsis 4, culture:klebsiella 4, aspergillosis 11
mds_aml: mds 110, sepsis 3
mds_aml: AML 60, septic_shock 1
mds_aml: mds 90
t_cell: t_cell_lymphoma 80
solid: lung_cancer 95
solid: pancreatic_cancer 70
solid: colon_cancer 100
cardiovascular_respiratory: myocardial_infarction 1, cardiac_arrest 0
cardiovascular_respiratory: cardiomyopathy 12, heart_failure 6
cardiovascular_respiratory: stroke 4
cardiovascular_respiratory: pulmonary_embolism 2
cardiovascular_respiratory: arrhythmia 0
cardiovascular_respiratory: ards 5, respiratory_failure 5
neurotoxicity: icans_5 0, cerebral_edema 1
neurotoxicity: icans_4 2, drug:dexamethasone 3
crs: crs_5 0, drug:tocilizumab 1
crs: crs_4 1, shock 1, drug:tocilizumab 1
iec_hs: hlh 7, drug:anakinra 6, drug:ruxolitinib 5
iec_hs: drug:anakinra 6, drug:emapalumab 4
hemorrhage: brain_bleed 2
hemorrhage: gi_bleed 1, shock 0
hemorrhage: subdural_bleed 5
organ_failure: liver_failure 6
organ_failure: kidney_failure 9
organ_failure: multiorgan_failure 2, kidney_failure 3
organ_failure: vod 12, liver_failure 4
gvhd: gvhd 25, procedure:allo_hct 100
accident: accident 0
suicide: suicide 0
"""
TERMINAL = {"cardiac_arrest", "respiratory_failure", "shock", "kidney_failure", "septic_shock"}

VAGUE = {"index_disease", "respiratory_failure", "cardiac_arrest"}  # on a certificate


@cache
def scenarios() -> dict[str, list[list[Sign]]]:
    """Each cause (subcause where there is one) may look like any of its scenarios."""
    found: dict[str, list[list[Sign]]] = {}
    for line in SCENARIOS.strip().splitlines():
        cause, _, signs = line.partition(": ")
        found.setdefault(cause, []).append([_sign(text) for text in signs.split(", ")])
    return found


def _sign(text: str) -> Sign:
    name, _, days = text.rpartition(" ")
    kind, _, word = name.rpartition(":")
    return kind or "diagnosis", word, int(days)


def tell(story: Story, missing: str) -> None:
    """Write the way to death and the paper it leaves behind."""
    death = story.death
    if not death:
        return
    dice = story.dice("death")
    scenario = dice.choice(scenarios().get(death.subcause or death.cause, [[]]))
    _contribute(story, death, dice)
    specific = _signs(story, death, scenario, LOST_SIGNS[missing], dice)
    _certificate(death, scenario, CERTIFICATES[missing], dice)
    named = (
        death.certificate in ("coded", "condition")
        and death.certified not in VAGUE
        and _coded(death.certified, story.dialect)
    )
    death.shown = specific or named or death.cause in ("unknown", "index_disease")
    if death.certificate == "text":
        story.traps.append("certificate text only")
    if death.certified == "index_disease" != death.cause:
        story.traps.append("certificate blames the treated disease")


def _signs(
    story: Story, death: Death, scenario: list[Sign], lost: float, dice: random.Random
) -> bool:
    """Write the signs that were recorded; True when one of them names the cause."""
    earliest = story.courses[-1].day + 1 if story.courses else -400
    # Grades and laboratory values of the last days tell anyway, where the dialect has a code.
    specific = death.cause in ("iec_hs", "neurotoxicity") or (
        death.cause == "crs" and story.dialect != "german"
    )
    for kind, what, before in scenario:
        if dice.random() >= lost:
            late = {"how": "late", "end": death.day + 20} if dice.random() < 0.03 else {}
            late = late if kind == "diagnosis" else {}
            story.add(kind, max(earliest, death.day - before), what, **late)
            specific |= _names(death, kind, what, story.dialect)
    if any(what == "sepsis" or "pneumonia" in what for _, what, _ in scenario):
        story.add("drug", max(earliest, death.day - 4), "antibiotic", end=death.day)
    return specific


def _names(death: Death, kind: str, what: str, dialect: str) -> bool:
    """Does this sign alone name the cause (in the codes of this dialect)?"""
    if kind == "diagnosis" and not _coded(what, dialect):
        return False
    if kind == "diagnosis":
        infectious = what in ("sepsis", "septic_shock", "pneumonia")
        deeper = death.cause == "second_malignancy" and infectious
        return not deeper and (what not in TERMINAL or death.cause == "organ_failure")
    return kind == "pcr" or (kind == "culture" and what != "negative") or what == "cmv_dna"


def _coded(word: str, dialect: str) -> bool:
    """Has this dialect a code that means the word?"""
    row = words().get(word, {})
    if dialect == "german":  # no ICD-10-GM code was confirmed for CRS
        return bool(row.get("gm")) and not word.startswith("crs_")
    return bool(row.get("cm") or row.get("sct"))


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
    if dice.random() >= chance or death.recorded == "boolean":
        return
    death.certificate = dice.choices(["coded", "condition", "text"], [5, 3, 1])[0]
    if death.cause == "unknown":
        death.certified = dice.choice(["ill_defined", "cardiac_arrest"])
    elif death.cause == "index_disease" or dice.random() < 0.04:
        death.certified = "index_disease"  # 4 % of certificates blame the treated lymphoma
    elif dice.random() < 0.08:
        death.certified = dice.choice(["respiratory_failure", "cardiac_arrest"])
    elif words:
        death.certified = words[0]
    else:
        death.certificate = ""
