"""Resources in, facts out: one file per resource type.

    facts_of(record, codes, "Europe/Berlin").facts

Nothing here decides anything: a fact says what the source said, in our words, with the traits that
let later stages decide whether it counts.
"""

from collections.abc import Callable

import msgspec

from adapter.codes import Codes
from adapter.dates import Interval
from adapter.facts import condition, encounter, medication, observation, patient, procedure, report
from adapter.facts.reading import Reading
from adapter.model import Fact, Note
from adapter.store import PatientRecord, Stored

__all__ = ["PatientFacts", "facts_of"]

#: In this order: encounters date the conditions, and conditions are what observations are about.
_READERS: dict[str, Callable[[Stored, Reading], None]] = {
    "Patient": patient.read,
    "Encounter": encounter.read,
    "Condition": condition.read,
    "Procedure": procedure.read,
    "MedicationAdministration": medication.read_administration,
    "MedicationRequest": medication.read_request,
    "DiagnosticReport": report.read,
    "Observation": observation.read,
}


class PatientFacts(msgspec.Struct):
    """Everything read from one patient's resources.

    `unmapped` holds (system, code, resource type) of codings nobody mapped, each once.
    """

    patient: str
    facts: list[Fact]
    notes: list[Note]
    sex: str
    born: Interval | None
    unmapped: list[tuple[str, str, str]]
    synthetic: bool = False  # the source labels this patient as invented


def facts_of(record: PatientRecord, codes: Codes, zone: str | None = None) -> PatientFacts:
    """Read one patient; `zone` is the site's IANA time zone for instants with an offset."""
    reading = Reading(codes, zone)
    by_type: dict[str, list[Stored]] = {kind: [] for kind in _READERS}
    for stored in record.resources:
        if stored.type in by_type:
            by_type[stored.type].append(stored)
    for kind, read in _READERS.items():
        for stored in by_type[kind]:
            read(stored, reading)
    return PatientFacts(
        record.patient,
        reading.facts + reading.contacts(),
        reading.notes(),
        reading.sex,
        reading.born,
        reading.unmapped(),
        reading.synthetic,
    )
