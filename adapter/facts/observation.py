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

# Answers that deny a coded finding: SNOMED CT absent, known absent, no; LOINC no; HL7 v2-0136 no
_DENIED = frozenset({"2667000", "410516002", "373067005", "LA32-8", "N"})


def read(stored: Stored, into: Reading) -> None:
    """The facts of one Observation."""
    observation = into.decode(stored, _decoder)
    if observation is None:
        return
    source = f"Observation/{stored.id}"
    matches = into.meanings(observation.code, "Observation")
    done = observation.status in _DONE
    if done and observation.dataAbsentReason is None:
        _contact(observation, matches, source, into)
    if not matches and not observation.component and observation.valueCodeableConcept is None:
        if observation.code is not None and observation.code.text:
            setting = _setting(observation, source, into)
            into.text_only(observation.code, "observation", setting)
        return
    _relevant(observation, matches, source, into)


def _contact(
    observation: shapes.Observation, matches: tuple[Match, ...], source: str, into: Reading
) -> None:
    """A death record is no sign of life, whenever it was written."""
    if matches and any(match.meaning.concept == "death" for match in matches):
        return
    into.contact(observation.effectiveDateTime or observation.effectiveInstant, source)
    if observation.effectivePeriod is not None:
        into.contact(observation.effectivePeriod.start, source)


def _relevant(
    observation: shapes.Observation, matches: tuple[Match, ...], source: str, into: Reading
) -> None:
    parts = [(part, into.meanings(part.code, "Observation")) for part in observation.component]
    coded = observation.valueCodeableConcept
    found = () if matches else into.meanings(coded, "Observation.value") if coded else ()
    if not matches and not found and not any(meant for _, meant in parts):
        if observation.code is not None and observation.code.text:
            setting = _setting(observation, source, into)
            into.text_only(observation.code, "observation", setting)
        return
    setting = _setting(observation, source, into)
    specimen = microbiology.specimen_traits(observation.specimen, observation.contained, into)
    if specimen:
        setting.traits |= specimen
    for match in matches:
        _READERS.get(match.meaning.concept, _finding)(observation, match, setting, into)
    for part, meant in parts:
        for match in meant:
            _READERS.get(match.meaning.concept, _finding)(part, match, setting, into)
    if not matches:
        _by_value(found, setting, into)


def _setting(observation: shapes.Observation, source: str, into: Reading) -> Setting:
    when, end = into.span(
        observation.effectiveDateTime or observation.effectiveInstant,
        observation.effectivePeriod, source, "effective time",
    )  # fmt: skip
    issued = into.date(observation.issued, source, "time of issue")
    traits = set()
    if observation.status not in _DONE:
        traits.add("refuted_by_source")
    stay = into.stay(observation.encounter) if when is None else None
    if stay is not None:
        when = stay.days
        traits.add("dated_by_encounter")
    elif when is None and issued is not None:
        when = issued
        traits.add("day_only_from_entry")
    if observation.focus and _other_focus(observation.focus, into):
        traits.add("other_focus")
    return Setting(source, when, end, issued, frozenset(traits))


def _other_focus(focus: list[shapes.Reference], into: Reading) -> bool:
    """Is this said of a known Condition which is no disease that CAR T cells treat?"""
    ids = [(reference.reference or "").rpartition("/")[2] for reference in focus]
    known = [into.treated[id_] for id_ in ids if id_ in into.treated]
    return bool(known) and not any(known)


# -- numbers -----------------------------------------------------------------------------------


def number_of(valued: shapes.Valued) -> tuple[float, str, tuple[str | None, ...]] | None:
    """(value, bound trait or "", units) of a numeric value, also when it is written as text."""
    quantity = valued.valueQuantity
    if quantity is not None:
        value, sign = quantity.value, quantity.comparator or ""
        if isinstance(value, str):
            read = _from_text(value)
            return (read[0], read[1] or _BOUND.get(sign, ""), (quantity.code, quantity.unit)) if (
                read is not None
            ) else None  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value), _BOUND.get(sign, ""), (quantity.code, quantity.unit)
    if valued.valueInteger is not None:
        return float(valued.valueInteger), "", ()
    return _from_text(valued.valueString) if valued.valueString else None


def _from_text(text: str) -> tuple[float, str, tuple[str | None, ...]] | None:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or _THOUSANDS.fullmatch(match["number"]):
        return None
    value = float(match["number"].replace(",", "."))
    return value, _BOUND.get(match["sign"] or "", ""), (match["unit"],)


def _measured(valued: shapes.Valued, match: Match, setting: Setting, into: Reading) -> None:
    """Laboratory values, vital signs and performance status, in the canonical unit."""
    analyte = match.meaning.group or match.meaning.subconcept
    if analyte not in known_units():
        return  # a panel: its components are read for themselves
    found = number_of(valued)
    if found is None:
        if valued.dataAbsentReason is None and _has_value(valued):
            into.note("value", setting.source, f"A value of {analyte} is not a usable number.")
        return
    value, bound, units = found
    measured = measure(analyte, value, *units)
    if measured.doubt:
        into.note("unit", setting.source, measured.doubt)
    if measured.value is not None:
        traits = frozenset({bound}) if bound else frozenset[str]()
        into.add(match, setting, measured.value, measured.unit, traits)


def _has_value(valued: shapes.Valued) -> bool:
    return any(
        value is not None
        for value in (
            valued.valueQuantity, valued.valueCodeableConcept, valued.valueString,
            valued.valueBoolean, valued.valueRange, valued.valueRatio, valued.valueSampledData,
            valued.valueDateTime, valued.valuePeriod, valued.valueTime,
        )
    )  # fmt: skip


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
    found = into.meanings(answer, "Observation.value")
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
    found = into.meanings(answer, "Observation.value")
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
