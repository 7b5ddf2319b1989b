"""cart-nrm's own reading: all that a night reads of a resource, and the five columns alone."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapter.envelope import Envelope, open_envelope, patient_named
from adapter.facts import _READERS
from adapter.facts.shapes import Concept, Period, Reference, Shape, named
from benchmarks.peers.stopwatch import BUFFER, Found, Row, counted, main


class Line(Shape, tag_field="resourceType"):
    """The five columns, in the adapter's own shapes; the types differ in how they name them."""

    id: str
    subject: Reference | None = None
    code: Concept | None = None
    at: str | None = named("effectiveDateTime")
    period: Period | None = named("effectivePeriod")


class Patient(Line):
    """Its patient is itself."""


class Observation(Line):
    """Named as in R4."""


class DiagnosticReport(Line):
    """Named as in R4."""


class Encounter(Line):
    """Has no code."""

    period: Period | None = named("period")


class Condition(Line):
    """Dated by its onset."""

    at: str | None = named("onsetDateTime")
    period: Period | None = named("onsetPeriod")


class Procedure(Line):
    """Dated by when it was performed."""

    at: str | None = named("performedDateTime")
    period: Period | None = named("performedPeriod")


class MedicationAdministration(Line):
    """Its code is the drug."""

    code: Concept | None = named("medicationCodeableConcept")


class MedicationRequest(MedicationAdministration):
    """Dated by when it was written."""

    at: str | None = named("authoredOn")


_line = msgspec.json.Decoder(
    Patient | Observation | DiagnosticReport | Encounter | Condition | Procedure
    | MedicationAdministration | MedicationRequest
)  # fmt: skip


def columns(file: Path) -> Found:
    """One pass; nothing that is not asked for is decoded."""
    with file.open("rb", buffering=BUFFER) as lines:
        return counted(map(_row, map(_line.decode, lines)))


def _row(line: Line) -> Row:
    about, code, period = line.subject, line.code, line.period
    return (
        type(line).__name__,
        line.id,
        patient_named(about.reference or "") if about is not None else line.id,
        code.coding[0].code if code is not None and code.coding else None,
        line.at or (period.start if period is not None else None),
    )


def facts(file: Path) -> Found:
    """Envelope and every field that a reader of facts may ask for: two passes, as in a night."""
    decode = {kind: decoder.decode for kind, (decoder, _) in _READERS.items()}

    def rows() -> Iterator[Row]:
        with file.open("rb", buffering=BUFFER) as lines:
            for line in lines:
                filed = open_envelope(line)
                assert isinstance(filed, Envelope)
                read = decode[filed.type](line)
                code = getattr(read, "code", None)
                period = getattr(read, "period", None)
                yield (
                    filed.type, filed.id, filed.patient,
                    code.coding[0].code if code is not None and code.coding else None,
                    getattr(read, "at", None) or (period.start if period is not None else None),
                )  # fmt: skip

    return counted(rows())


if __name__ == "__main__":
    main("cart-nrm", {"columns": columns, "facts": facts})
