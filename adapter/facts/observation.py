"""Observation: the bulk of every hospital's data, of which a few codes matter.

The code is looked up first; when it means nothing to the study, only the day of contact is kept
and the rest costs nothing.
"""

from collections.abc import Callable

from adapter.codes import Meaning
from adapter.facts import deathrecords, microbiology
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Observation
from adapter.facts.units import Number, known_units, measure, number_of

_DONE = frozenset({"final", "amended", "corrected", "preliminary"})
_VALUE = "Observation.value"  # how unmapped answers are told from unmapped questions

# ECOG 0 to 5: LOINC answer list LL529-9, SNOMED CT (mCODE), and the German list's own digits
_ECOG_CODES = (
    "0", "1", "2", "3", "4", "5",
    "LA9622-7", "LA9623-5", "LA9624-3", "LA9625-0", "LA9626-8", "LA9627-6",
    "425389002", "422512005", "422894000", "423053003", "423237006", "423409001",
)  # fmt: skip
_ECOG = {code: place % 6 for place, code in enumerate(_ECOG_CODES)}

# Answers that deny a coded finding: SNOMED CT absent, known absent, no; LOINC no; HL7 v2-0136 no
_DENIED = frozenset({"2667000", "410516002", "373067005", "LA32-8", "N"})


def read(observation: Observation, into: Reading) -> None:
    """The facts of one Observation, and of each of its components by what its code is about."""
    meanings = into.meanings(observation.code)
    observation.at = observation.at or observation.effectiveInstant
    measured = observation.status in _DONE and observation.dataAbsentReason is None
    # a death record is no sign of life, whenever it was written
    if measured and not (meanings and any(one.concept == "death" for one in meanings)):
        into.contact(observation.day)
    coded = observation.valueCodeableConcept
    found = into.meanings(coded, _VALUE) if coded is not None and not meanings else ()
    parts = [(part, into.meanings(part.code)) for part in observation.component]
    if meanings or found or any(meant for _, meant in parts):
        setting = _setting(observation, into)
        for valued, meant in ((observation, meanings), *parts):
            for meaning in meant:
                _READERS.get(meaning.concept, _finding)(valued, meaning, setting, into)
        _by_value(found, setting, into)
    elif observation.worded:
        into.words("observation", _setting(observation, into))


def _setting(observation: Observation, into: Reading) -> Setting:
    blood = "blood" if into.id in into.from_blood else ""
    if observation.specimen is not None:
        blood = blood or microbiology.specimen_of([observation.specimen], observation.contained)
    # said of a known Condition that is no disease which CAR T cells treat?
    known = [into.treated[one.id] for one in observation.focus if one.id in into.treated]
    return into.dated(observation).also(
        "" if observation.status in _DONE else "refuted_by_source",
        "other_focus" if known and not any(known) else "",
        blood,
    )


def _score(valued: Observation, meaning: Meaning) -> Number | None:
    """ECOG as a coded answer: the digit of the German list, LOINC or SNOMED CT."""
    answer = valued.valueCodeableConcept
    if answer is None or meaning.group != "ECOG":
        return None
    scores = [_ECOG[coding.code] for coding in answer.coding if coding.code in _ECOG]
    return Number(float(scores[0])) if scores else None


def _measured(valued: Observation, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """Laboratory values, vital signs and performance status, in the canonical unit."""
    analyte = meaning.group
    if analyte not in known_units():
        return  # a panel: its components are read for themselves
    found = number_of(valued) or _score(valued, meaning)
    if found is None:
        if valued.dataAbsentReason is None:
            into.note("value", f"A value of {analyte} is not a usable number.")
        return
    measured = measure(analyte, found.value, *found.units)
    if measured.doubt:
        into.note("unit", measured.doubt)
    if measured.value is not None:
        into.add(meaning, setting.also(found.bound), measured.value, measured.unit)


def _status(valued: Observation, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """Disease status: the code asks, the value answers."""
    if meaning.group != "question":
        _finding(valued, meaning, setting, into)
        return
    number, answer = number_of(valued), valued.valueCodeableConcept
    if number is not None:  # Deauville 1 to 5
        into.add(meaning, setting, number.value)
        return
    found = into.meanings(answer, _VALUE)
    for meant in found:
        if meant.concept == "disease_status":
            into.add(meant, setting)
    if answer is None or answer.worded:
        if answer is not None or valued.valueString:
            into.words("result", setting)
    elif not found:
        into.note("unmapped_result", "A disease status has a code nobody mapped.",
                  "Map it in the site's folder: it may be a relapse.")  # fmt: skip


def _finding(valued: Observation, meaning: Meaning, setting: Setting, into: Reading) -> None:
    """A finding as the code itself; the value may grade or deny it."""
    number = number_of(valued)
    grade = number.value if number is not None and 0 <= number.value <= 5 else None
    denied = _denied(valued, into) or grade == 0
    into.add(meaning, setting.also("refuted_by_source" if denied else ""), grade)


def _denied(valued: Observation, into: Reading) -> bool:
    answer = valued.valueCodeableConcept
    return (
        valued.valueBoolean is False
        or any(coding.code in _DENIED for coding in (answer.coding if answer else ()))
        or any(meaning.group == "negative" for meaning in into.meanings(answer, _VALUE))
        or microbiology.interpreted(valued.interpretation) == "negative"
    )


def _by_value(found: tuple[Meaning, ...], setting: Setting, into: Reading) -> None:
    """The code of the test is nobody's, but its value names an organism or a disease status."""
    for meaning in found:
        if meaning.concept == "microbiology_result":
            microbiology.organism(meaning, setting, into)
        elif meaning.concept == "disease_status":
            into.add(meaning, setting.also("review_only"))


_READERS: dict[str, Callable[[Observation, Meaning, Setting, Reading], None]] = {
    "lab": _measured,
    "vital": _measured,
    "performance_status": _measured,
    "disease_status": _status,
    "lab_micro": microbiology.read,
    "death": deathrecords.read,
}
