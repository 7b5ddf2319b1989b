"""Resources in, facts out: one reader per resource type.

    facts_of(record, codes, "Europe/Berlin").facts

Nothing here decides anything: a fact says what the source said, in our words, with the traits that
let later stages decide whether it counts.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.json import Decoder

from adapter.codes import Codes
from adapter.dates import Interval
from adapter.facts import acts, condition, encounter, observation, patient, report, shapes
from adapter.facts.reading import Reading
from adapter.model import Fact, Note
from adapter.store import PatientRecord, Stored

__all__ = ["PatientFacts", "facts_of"]

#: In this order: encounters date the conditions, and conditions are what observations are about.
_READERS: dict[str, tuple[Decoder[Any], Callable[[Any, Reading], None]]] = {
    "Patient": (Decoder(shapes.Patient), patient.read),
    "Encounter": (Decoder(shapes.Encounter), encounter.read),
    "Condition": (Decoder(shapes.Condition), condition.read),
    "Procedure": (Decoder(shapes.Procedure), acts.read_procedure),
    "MedicationAdministration": (Decoder(shapes.Administration), acts.read_administration),
    "MedicationRequest": (Decoder(shapes.Request), acts.read_request),
    "DiagnosticReport": (Decoder(shapes.Report), report.read),
    "Observation": (Decoder(shapes.Observation), observation.read),
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
    for kind, (decoder, read) in _READERS.items():
        for stored in by_type[kind]:
            resource = reading.decode(stored, decoder)
            if resource is not None:
                read(resource, reading)
    return PatientFacts(
        record.patient,
        reading.facts + reading.contacts(),
        reading.notes(),
        reading.sex,
        reading.born,
        reading.unmapped(),
        reading.synthetic,
    )
