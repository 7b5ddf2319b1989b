"""Infection tests, read by their result and not by their code (docs/clinical.md §5).

Somebody thought of an infection whenever a culture was taken; only what grew is evidence.
"""

import re

from adapter.codes import Meaning
from adapter.facts import shapes
from adapter.facts.reading import Match, Reading, Setting

_RESULT = "microbiology_result"
_ANSWERS = frozenset({"positive", "negative"})

# HL7 v3-ObservationInterpretation
_INTERPRETED = {
    "POS": "positive", "DET": "positive", "RR": "positive",
    "NEG": "negative", "ND": "negative", "NR": "negative",
}  # fmt: skip

# SNOMED CT blood specimen, venous and arterial and peripheral blood specimen; HL7 v2-0487 blood
_BLOOD_CODES = frozenset({"119297000", "122555007", "122552005", "122551003", "BLD", "BLDV"})
_BLOOD_WORDS = frozenset({"blood", "blood specimen", "venous blood", "blut", "venenblut"})
_UNIT = re.compile(r"\S{1,16}")  # a unit, and no sentence that stands in its place

#: Status tests: an antibody is no infection, and a hepatitis B carrier is no new one.
_STATUS_TESTS = frozenset({"CMV_IgG", "anti_HBc", "HBsAg"})


def read(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """What one test found: an organism, positive, negative, or something nobody mapped."""
    if match.meaning.group in ("category", "panel"):
        return
    if of_blood(match):
        setting = _bloody(setting)
    answer, organisms = _result(valued, match, setting, into)
    if match.meaning.subconcept in _STATUS_TESTS or match.meaning.group == "serology":
        into.add(match, setting, traits=frozenset({answer} if answer else ()))
    elif answer != "negative" and organisms:
        for found in organisms:
            organism(found, setting, into)
    elif answer or valued.valueQuantity is not None:
        _tested(valued, match, answer, setting, into)


def _result(
    valued: shapes.Valued, match: Match, setting: Setting, into: Reading
) -> tuple[str, list[Match]]:
    """("positive" | "negative" | "", organisms named)."""
    found = into.meanings(valued.valueCodeableConcept, "Observation.value")
    organisms = [m for m in found if m.meaning.concept == _RESULT and not _is_answer(m)]
    answers = {m.meaning.group for m in found if _is_answer(m)}
    said = interpreted(valued.interpretation)
    if "negative" in answers or said == "negative" or valued.valueBoolean is False:
        return "negative", organisms
    if answers or organisms or said or valued.valueBoolean:
        return "positive", organisms
    if valued.valueQuantity is not None:
        return _loaded(valued.valueQuantity, match), []
    _unread(valued, bool(found), setting, into)
    return "", []


def _is_answer(match: Match) -> bool:
    return match.meaning.concept == _RESULT and match.meaning.group in _ANSWERS


def _loaded(quantity: shapes.Quantity, match: Match) -> str:
    """A viral load is positive when it is quantifiable; a bound ("<50") is not (docs/clinical.md §5)."""
    value = quantity.value
    if match.meaning.group not in ("viral", "covid19") or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float):
        return ""
    return "positive" if value > 0 and quantity.comparator not in ("<", "<=") else "negative"


def _unread(valued: shapes.Valued, mapped: bool, setting: Setting, into: Reading) -> None:
    coded = valued.valueCodeableConcept
    if coded is not None and any(coding.code for coding in coded.coding):
        if not mapped:
            into.note(
                "unmapped_result", setting.source, "A test result has a code nobody mapped.",
                "Map it in the site's folder: it may be an organism.",
            )  # fmt: skip
            unmapped = Meaning(_RESULT, "unmapped_result", "", "result without a mapping")
            into.add(Match(unmapped, ""), setting, traits=frozenset({"review_only"}))
    elif valued.valueString or (coded is not None and coded.text):
        into.list_text("result", setting)


def organism(match: Match, setting: Setting, into: Reading) -> None:
    """An organism was found; a common commensal is marked as one."""
    if _is_answer(match):
        return
    traits = {"positive"}
    meaning = match.meaning
    if "commensal" in (meaning.group, meaning.kind):
        traits.add("commensal")
    into.add(match, setting, traits=frozenset(traits))


def _tested(
    valued: shapes.Valued, match: Match, answer: str, setting: Setting, into: Reading
) -> None:
    """A result that names no organism: the test itself says what was looked for."""
    test = match.meaning
    group = "" if answer != "positive" else test.group
    if group == "culture":
        group = "organism_not_identified"
    quantity = valued.valueQuantity
    value = quantity.value if quantity is not None else None
    number = float(value) if isinstance(value, int | float) else None
    unit = (quantity.code or quantity.unit or "") if quantity is not None else ""
    unit = unit if _UNIT.fullmatch(unit) else ""
    label = f"{test.label} {answer}".strip()
    meaning = Meaning(_RESULT, test.subconcept, group, label, kind=test.kind)
    into.add(
        Match(meaning, match.code), setting, number, unit, frozenset({answer} if answer else ())
    )


def interpreted(interpretations: list[shapes.Concept]) -> str:
    """ "positive", "negative" or "" from Observation.interpretation."""
    codes = {coding.code for concept in interpretations for coding in concept.coding}
    said = {_INTERPRETED[code] for code in codes if code in _INTERPRETED}
    return said.pop() if len(said) == 1 else ""


def specimen_traits(
    reference: shapes.Reference, contained: list[shapes.Contained]
) -> frozenset[str]:
    """{"blood"} when the specimen is blood, by its contained type or a plain display."""
    target = (reference.reference or "").removeprefix("#")
    types = [inside.type for inside in contained if inside.id == target and inside.type]
    codes = {coding.code for concept in types for coding in concept.coding}
    said = (reference.display or "").strip().casefold() in _BLOOD_WORDS
    return frozenset({"blood"}) if said or codes & _BLOOD_CODES else frozenset()


def of_blood(match: Match) -> bool:
    """Does the code of the test itself name blood as the specimen?"""
    return "blood" in match.meaning.subconcept.lower()


def _bloody(setting: Setting) -> Setting:
    return Setting(
        setting.source, setting.when, setting.end, setting.recorded, setting.traits | {"blood"}
    )
