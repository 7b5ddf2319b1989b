"""Why people die, and how much of it the record tells."""

import random
from functools import cache

from .codes import ORGANISMS, rows, words
from .rates import CERTIFICATES, LOST_SIGNS
from .story import Death, Event, Story, script

TERMINAL = {"cardiac_arrest", "respiratory_failure", "shock", "kidney_failure"}
VAGUE = {"index_disease", "respiratory_failure", "cardiac_arrest"}  # on a certificate


@cache
def scenarios() -> dict[str, list[str]]:
    """Each cause (subcause where there is one) may look like any of its scenarios, whose days
    count from death."""
    found: dict[str, list[str]] = {}
    for row in rows("scenarios.csv"):
        found.setdefault(row["cause"], []).append(row["events"])
    return found


def tell(story: Story, missing: str) -> None:
    """Write the way to death and the paper it leaves behind."""
    death = story.death
    if not death:
        return
    dice = story.dice("death")
    likely = scenarios().get(death.subcause or death.cause, [""])
    scenario = script(dice.choice(likely), death.day)
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
    story: Story, death: Death, scenario: list[Event], lost: float, dice: random.Random
) -> bool:
    """Write the signs that were recorded; True when one of them names the cause."""
    earliest = story.courses[-1].day + 1 if story.courses else -400
    # Grades and laboratory values of the last days tell anyway, where the dialect has a code.
    soon = death.day - earliest < 30
    specific = {
        "iec_hs": True,
        "neurotoxicity": soon,
        "crs": story.dialect != "german",
    }.get(death.cause, False)
    for sign in scenario:
        if dice.random() >= lost:
            late = sign.kind == "diagnosis" and dice.random() < 0.03
            entered = {"how": "late", "end": death.day + 20} if late else {}
            story.add(sign.kind, max(earliest, sign.day), sign.what, **entered)
            specific |= _names(death, sign, story.dialect)
    if any(sign.what == "sepsis" or "pneumonia" in sign.what for sign in scenario):
        story.add("drug", max(earliest, death.day - 4), "antibiotic", end=death.day)
    return specific


def _names(death: Death, sign: Event, dialect: str) -> bool:
    """Does this sign alone name the cause (in the codes of this dialect)?"""
    if sign.kind == "diagnosis":
        infectious = sign.what in ("sepsis", "septic_shock", "pneumonia")
        if death.cause == "second_malignancy" and infectious:
            return False
        vague = sign.what in TERMINAL and death.cause != "organ_failure"
        return _coded(sign.what, dialect) and not vague
    return sign.kind == "pcr" or (sign.what in (*ORGANISMS, "cmv_dna") and sign.what != "negative")


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


def _certificate(death: Death, scenario: list[Event], chance: float, dice: random.Random) -> None:
    """What the certificate says, if the hospital ever got one."""
    named = [sign.what for sign in scenario if sign.kind == "diagnosis"]
    if dice.random() >= chance or death.recorded == "boolean":
        return
    death.certificate = dice.choices(["coded", "condition", "text"], [5, 3, 1])[0]
    if death.cause == "unknown":
        death.certified = dice.choice(["ill_defined", "cardiac_arrest"])
    elif death.cause == "index_disease" or dice.random() < 0.04:
        death.certified = "index_disease"  # 4 % of certificates blame the treated lymphoma
    elif dice.random() < 0.08:
        death.certified = dice.choice(["respiratory_failure", "cardiac_arrest"])
    elif named:
        death.certified = named[0]
    else:
        death.certificate = ""
