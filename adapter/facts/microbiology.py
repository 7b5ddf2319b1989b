"""Infection tests, read by their result and not by their code (docs/clinical.md §5).

Somebody thought of an infection whenever a culture was taken; only what grew is evidence.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from adapter.codes import Meaning
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Concept, Contained, Observation, Reference
from adapter.facts.units import number_of

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
_UNMAPPED = Meaning(_RESULT, "unmapped_result", "", "result without a mapping")


def read(valued: Observation, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """What one test found: an organism, positive, negative, or something nobody mapped."""
    if meaning.group in ("category", "panel"):
        return
    setting = setting.also("blood" if of_blood(meaning) else "")
    answer, organisms = _result(valued, meaning, setting, into)
    if meaning.subconcept in _STATUS_TESTS or meaning.group == "serology":
        into.add(meaning, setting.also(answer))
    elif answer != "negative" and organisms:
        for found in organisms:
            organism(found, setting, into)
    elif answer or valued.valueQuantity is not None:
        _tested(valued, meaning, answer, setting, into)


def _result(
    valued: Observation, meaning: Meaning, setting: Setting, into: Reading
) -> tuple[str, list[Meaning]]:
    """("positive" | "negative" | "", organisms named)."""
    found = into.meanings(valued.valueCodeableConcept, "Observation.value")
    organisms = [m for m in found if m.concept == _RESULT and not _is_answer(m)]
    answers = {m.group for m in found if _is_answer(m)}
    said = interpreted(valued.interpretation)
    if "negative" in answers or said == "negative" or valued.valueBoolean is False:
        return "negative", organisms
    if answers or organisms or said or valued.valueBoolean:
        return "positive", organisms
    if valued.valueQuantity is not None:
        return _loaded(valued, meaning), []
    _unread(valued, bool(found), setting, into)
    return "", []


def _is_answer(meaning: Meaning) -> bool:
    return meaning.concept == _RESULT and meaning.group in _ANSWERS


def _loaded(valued: Observation, meaning: Meaning) -> str:
    """A viral load is positive when it is quantifiable; a bound ("<50") is not."""
    load = number_of(valued)
    if load is None or meaning.group not in ("viral", "covid19"):
        return ""
    return "positive" if load.value > 0 and load.bound != "less_than" else "negative"


def _unread(valued: Observation, mapped: bool, setting: Setting, into: Reading) -> None:
    answer = valued.valueCodeableConcept
    if answer is not None and answer.coded:
        if not mapped:
            into.note("unmapped_result", "A test result has a code nobody mapped.",
                      "Map it in the site's folder: it may be an organism.")  # fmt: skip
            into.add(_UNMAPPED, setting.also("review_only"))
    elif valued.valueString or (answer is not None and answer.text):
        into.words("result", setting)


def organism(meaning: Meaning, setting: Setting, into: Reading) -> None:
    """An organism was found; a common commensal is marked as one."""
    if not _is_answer(meaning):
        commensal = "commensal" in (meaning.group, meaning.kind)
        into.add(meaning, setting.also("positive", "commensal" if commensal else ""))


def _tested(
    valued: Observation, test: Meaning, answer: str, setting: Setting, into: Reading
) -> None:
    """A result that names no organism: the test itself says what was looked for."""
    looked_for = "organism_not_identified" if test.group == "culture" else test.group
    group, label = looked_for if answer == "positive" else "", f"{test.label} {answer}".strip()
    load = number_of(valued) if valued.valueQuantity is not None else None
    unit = next(filter(None, load.units), "") if load is not None else ""
    into.add(
        replace(test, concept=_RESULT, group=group, label=label), setting.also(answer),
        load.value if load is not None else None, unit if _UNIT.fullmatch(unit) else "",
    )  # fmt: skip


def interpreted(interpretations: Iterable[Concept]) -> str:
    """ "positive", "negative" or "" from Observation.interpretation."""
    codes = {coding.code for concept in interpretations for coding in concept.coding}
    said = {_INTERPRETED[code] for code in codes if code in _INTERPRETED}
    return said.pop() if len(said) == 1 else ""


def specimen_of(references: Sequence[Reference], contained: Iterable[Contained]) -> str:
    """ "blood" when a specimen is blood, by its contained type or a plain display."""
    ids = {reference.id for reference in references}
    types = [inside.type for inside in contained if inside.id in ids and inside.type]
    codes = {coding.code for concept in types for coding in concept.coding}
    said = {(reference.display or "").strip().casefold() for reference in references}
    return "blood" if said & _BLOOD_WORDS or codes & _BLOOD_CODES else ""


def of_blood(meaning: Meaning) -> bool:
    """Does the code of the test itself name blood as the specimen?"""
    return "blood" in meaning.subconcept.lower()
