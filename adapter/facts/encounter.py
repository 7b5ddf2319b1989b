"""Encounter: when the patient was seen, how sick (ward, intensive care), and how it ended."""

import msgspec

from adapter.codes import Meaning
from adapter.dates import Interval
from adapter.facts import shapes
from adapter.facts.reading import Match, Reading, Setting, Stay
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Encounter)
_ATTENDED = frozenset({"finished", "in-progress", "arrived", "triaged", "onleave"})

# v3-ActCode classes (FHIR R4 value set v3-ActEncounterCode), the German kind of contact, and the
# SNOMED CT codes some servers write as Encounter.type
_INPATIENT = Match(Meaning("encounter", "inpatient", "inpatient", "hospital stay"), "")
_INTENSIVE = Match(Meaning("encounter", "icu", "icu", "intensive care"), "")
_EMERGENCY = Match(Meaning("encounter", "emergency", "emergency", "emergency visit"), "")
_CARE = {
    "IMP": _INPATIENT, "ACUTE": _INPATIENT, "NONAC": _INPATIENT, "EMER": _EMERGENCY,
    "intensivstationaer": _INTENSIVE, "305351004": _INTENSIVE,
}  # fmt: skip


def read(stored: Stored, into: Reading) -> None:
    """Contacts, stays and death at discharge of one Encounter."""
    encounter = into.decode(stored, _decoder)
    if encounter is None:
        return
    source = f"Encounter/{stored.id}"
    if encounter.status not in _ATTENDED:
        if encounter.status not in ("planned", "cancelled", "entered-in-error"):
            into.note("status", source, "An Encounter does not say whether it took place.")
        return
    start, end = into.span(None, encounter.period, source)
    if start is not None:
        into.stays[stored.id] = Stay(start, end or start)
        _attended(encounter, Setting(source, start, end), into)
    if encounter.hospitalization is not None:
        _discharge(encounter.hospitalization, source, end, into)


def _attended(encounter: shapes.Encounter, setting: Setting, into: Reading) -> None:
    for day in (setting.when, setting.end):
        if day is not None:
            into.contact(day.text, None, setting.source)
    care = {_CARE[code] for code in _kinds(encounter) if code in _CARE}
    for match in sorted(care, key=lambda one: one.meaning.subconcept):
        into.add(match, setting)


def _kinds(encounter: shapes.Encounter) -> list[str]:
    codings = [coding for concept in encounter.type for coding in concept.coding]
    if encounter.kind is not None:
        codings.append(encounter.kind)
    return [coding.code for coding in codings if coding.code]


def _discharge(
    stay: shapes.Hospitalization, source: str, end: Interval | None, into: Reading
) -> None:
    disposition = stay.dischargeDisposition
    if disposition is None:
        return
    nested = [e for outer in disposition.extension for e in (outer, *outer.extension)]
    codings = disposition.coding + [e.valueCoding for e in nested if e.valueCoding is not None]
    for match in into.meanings(shapes.Concept(codings), "Encounter"):
        if match.meaning.concept != "death":
            into.add(match, Setting(source, end, traits=frozenset({"discharge"})))
        elif match.meaning.subconcept == "discharge_hospice":
            hospice = Meaning("hospice", "discharge_hospice", "", "discharged to hospice")
            into.add(Match(hospice, match.code), Setting(source, end))
        else:
            traits = {"discharge"} if end is not None else {"discharge", "no_time"}
            into.add(match, Setting(source, end, traits=frozenset(traits)))
