"""Encounter: when the patient was seen, how sick (ward, intensive care), and how it ended."""

from msgspec.structs import replace

from adapter.codes import Meaning
from adapter.dates import Interval
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Concept, Encounter

_ATTENDED = frozenset({"finished", "in-progress", "arrived", "triaged", "onleave"})

# v3-ActCode classes (FHIR R4 value set v3-ActEncounterCode), the German kind of contact, and the
# SNOMED CT codes some servers write as Encounter.type
_INPATIENT = Meaning("encounter", "inpatient", "inpatient", "hospital stay")
_INTENSIVE = Meaning("encounter", "icu", "icu", "intensive care")
_EMERGENCY = Meaning("encounter", "emergency", "emergency", "emergency visit")
_CARE = {
    "IMP": _INPATIENT, "ACUTE": _INPATIENT, "NONAC": _INPATIENT, "EMER": _EMERGENCY,
    "intensivstationaer": _INTENSIVE, "305351004": _INTENSIVE,
}  # fmt: skip


def read(encounter: Encounter, into: Reading) -> None:
    """Contacts, stays and death at discharge of one Encounter."""
    if encounter.status not in _ATTENDED:
        if encounter.status not in ("planned", "cancelled", "entered-in-error"):
            into.note("status", "An Encounter does not say whether it took place.")
        return
    start, end = into.span(None, encounter.period)
    if start is not None:
        into.stays[into.id] = (start, end or start)
        into.contact(start.text)
        into.contact((end or start).text)
        codings = [encounter.kind, *(one for concept in encounter.type for one in concept.coding)]
        codes = [one.code for one in codings if one is not None]
        for meaning in dict.fromkeys(_CARE[code] for code in codes if code in _CARE):
            into.add(meaning, Setting(start, end))
    if encounter.hospitalization is not None:
        _discharge(encounter.hospitalization.dischargeDisposition, end, into)


def _discharge(disposition: Concept | None, end: Interval | None, into: Reading) -> None:
    if disposition is None:
        return
    nested = [e for outer in disposition.extension for e in (outer, *outer.extension)]
    inside = [e.valueCoding for e in nested if e.valueCoding is not None]
    left = Setting(end).also("discharge")
    for meaning in into.meanings(Concept((*disposition.coding, *inside))):
        if meaning.concept != "death":
            into.add(meaning, left)
        elif meaning.subconcept == "discharge_hospice":
            said = "discharged to hospice"
            into.add(replace(meaning, concept="hospice", group="", label=said), Setting(end))
        else:
            into.add(meaning, left.on(end))
