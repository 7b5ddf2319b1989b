"""Observation: the bulk of every hospital's data, of which a few codes matter.

The code is looked up first; when it means nothing to the study, only the day of contact is kept
and the rest costs nothing.
"""

import re
from collections.abc import Callable

import msgspec

from adapter.facts import deathrecords, microbiology, shapes
from adapter.facts.reading import Match, Reading, Setting
from adapter.facts.units import known_units, measure
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Observation)
_DONE = frozenset({"final", "amended", "corrected", "preliminary"})
_NUMBER = re.compile(
    r"(?P<sign>[<>]=?)?\s*(?P<number>-?\d+(?:[.,]\d+)?)(?:(?:\s+|(?=[^\d\s.,<>-]))(?P<unit>\S.*))?"
)
_BOUND = {"<": "less_than", "<=": "less_than", ">": "more_than", ">=": "more_than"}
_THOUSANDS = re.compile(r"[1-9]\d*,\d{3}")  # 1,200 is twelve hundred to some and 1.2 to others

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


def read(stored: Stored, into: Reading) -> None:
    """The facts of one Observation."""
    observation = into.decode(stored, _decoder)
    if observation is None:
        return
    source = f"Observation/{stored.id}"
    matches = into.meanings(observation.code, "Observation")
    measured = observation.status in _DONE and observation.dataAbsentReason is None
    # a death record is no sign of life, whenever it was written
    if measured and not (matches and any(one.meaning.concept == "death" for one in matches)):
        text = observation.effectiveDateTime or observation.effectiveInstant
        into.contact(text, observation.effectivePeriod, source)
    coded = observation.valueCodeableConcept
    found = into.meanings(coded, _VALUE) if coded is not None and not matches else ()
    parts = [(part, into.meanings(part.code, "Observation")) for part in observation.component]
    if matches or found or any(meant for _, meant in parts):
        setting = _setting(observation, source, into)
        _say([(observation, matches), *parts], setting, into)
        _by_value(found, setting, into)
    elif observation.code is not None and observation.code.text:
        into.text_only(observation.code, "observation", _setting(observation, source, into))


def _say(
    parts: list[tuple[shapes.Valued, tuple[Match, ...]]], setting: Setting, into: Reading
) -> None:
    """The observation itself, and each of its components, by what its code is about."""
    for valued, matches in parts:
        for match in matches:
            _READERS.get(match.meaning.concept, _finding)(valued, match, setting, into)


def _setting(observation: shapes.Observation, source: str, into: Reading) -> Setting:
    setting = into.dated(
        source, observation.effectiveDateTime or observation.effectiveInstant,
        observation.effectivePeriod, observation.encounter, observation.issued,
    )  # fmt: skip
    if observation.status not in _DONE:
        setting.traits |= {"refuted_by_source"}
    if observation.focus and _other_focus(observation.focus, into):
        setting.traits |= {"other_focus"}
    if observation.specimen is not None:
        setting.traits |= microbiology.specimen_traits(observation.specimen, observation.contained)
    if into.from_blood and source.partition("/")[2] in into.from_blood:
        setting.traits |= {"blood"}
    return setting


def _other_focus(focus: list[shapes.Reference], into: Reading) -> bool:
    """Is this said of a known Condition which is no disease that CAR T cells treat?"""
    ids = [(reference.reference or "").rpartition("/")[2] for reference in focus]
    known = [into.treated[id_] for id_ in ids if id_ in into.treated]
    return bool(known) and not any(known)


# -- numbers -----------------------------------------------------------------------------------


Number = tuple[float, str, tuple[str | None, ...]]  # value, bound trait or "", units


def number_of(valued: shapes.Valued) -> Number | None:
    """The numeric value, also when it is written as text or as a coded score."""
    quantity = valued.valueQuantity
    if quantity is None:
        if valued.valueInteger is not None:
            return float(valued.valueInteger), "", ()
        return _from_text(valued.valueString) if valued.valueString else None
    value, bound = quantity.value, _BOUND.get(quantity.comparator or "", "")
    if isinstance(value, str) and (read := _from_text(value)) is not None:
        value, bound = read[0], read[1] or bound
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value), bound, (quantity.code, quantity.unit)


def _from_text(text: str) -> Number | None:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or _THOUSANDS.fullmatch(match["number"]):
        return None
    value = float(match["number"].replace(",", "."))
    return value, _BOUND.get(match["sign"] or "", ""), (match["unit"],)


def _score(valued: shapes.Valued, match: Match) -> Number | None:
    """ECOG as a coded answer: the digit of the German list, LOINC or SNOMED CT."""
    answer = valued.valueCodeableConcept
    if answer is None or match.meaning.group != "ECOG":
        return None
    scores = (_ECOG.get(coding.code or "") for coding in answer.coding)
    return next(((float(score), "", ()) for score in scores if score is not None), None)


def _measured(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """Laboratory values, vital signs and performance status, in the canonical unit."""
    analyte = match.meaning.group
    if analyte not in known_units():
        return  # a panel: its components are read for themselves
    found = number_of(valued) or _score(valued, match)
    if found is None:
        if valued.dataAbsentReason is None:
            into.note("value", setting.source, f"A value of {analyte} is not a usable number.")
        return
    value, bound, units = found
    measured = measure(analyte, value, *units)
    if measured.doubt:
        into.note("unit", setting.source, measured.doubt)
    if measured.value is not None:
        traits = frozenset({bound}) if bound else frozenset[str]()
        into.add(match, setting, measured.value, measured.unit, traits)


# -- statements --------------------------------------------------------------------------------


def _status(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """Disease status: the code asks, the value answers."""
    if match.meaning.group != "question":
        _finding(valued, match, setting, into)
        return
    number = number_of(valued)
    if number is not None:  # Deauville 1 to 5
        into.add(match, setting, number[0])
        return
    answer = valued.valueCodeableConcept
    found = into.meanings(answer, _VALUE)
    for meant in found:
        if meant.meaning.concept == "disease_status":
            into.add(meant, setting)
    if answer is not None and not found:
        if not into.text_only(answer, "result", setting):
            into.note(
                "unmapped_result", setting.source, "A disease status has a code nobody mapped.",
                "Map it in the site's folder: it may be a relapse.",
            )  # fmt: skip
    elif valued.valueString:
        into.list_text("result", setting)


def _finding(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """A finding as the code itself; the value may grade or deny it."""
    number = number_of(valued)
    grade = number[0] if number is not None and 0 <= number[0] <= 5 else None
    denied = _denied(valued, into) or grade == 0
    into.add(match, setting, grade, traits=frozenset({"refuted_by_source"} if denied else ()))


def _denied(valued: shapes.Valued, into: Reading) -> bool:
    if valued.valueBoolean is False:
        return True
    answer = valued.valueCodeableConcept
    if answer is not None and any(coding.code in _DENIED for coding in answer.coding):
        return True
    found = into.meanings(answer, _VALUE)
    return any(m.meaning.group == "negative" for m in found) or (
        microbiology.interpreted(valued.interpretation) == "negative"
    )


def _by_value(found: tuple[Match, ...], setting: Setting, into: Reading) -> None:
    """The code of the test is nobody's, but its value names an organism or a disease status."""
    for match in found:
        if match.meaning.concept == "microbiology_result":
            microbiology.organism(match, setting, into)
        elif match.meaning.concept == "disease_status":
            into.add(match, setting, traits=frozenset({"review_only"}))


_Reader = Callable[[shapes.Valued, Match, Setting, Reading], None]
_READERS: dict[str, _Reader] = {
    "lab": _measured,
    "vital": _measured,
    "performance_status": _measured,
    "disease_status": _status,
    "lab_micro": microbiology.read,
    "death": deathrecords.read,
}
