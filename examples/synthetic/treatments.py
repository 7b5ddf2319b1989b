"""Infusions, drugs, orders and procedures as FHIR resources."""

from collections.abc import Iterator

from . import codes
from .dialects import Json, coding, concept
from .record import Made, Record
from .story import Event

NOT_GIVEN = {"not-done": "not-done", "error": "entered-in-error", "preparation": "preparation"}


def infusion(record: Record, event: Event) -> Iterator[Made]:
    """Procedure, MedicationAdministration or both; a bill now and then."""
    clock = "11:15" if event.value else "10:30"  # the second bag
    style = "pcs" if event.how in NOT_GIVEN else event.how
    code = record.dialect.infusion(event.what, style, record.story.date_of(event.day))
    if code:
        status = NOT_GIVEN.get(event.how, "completed")
        done = {} if event.how == "not-done" else {"performedDateTime": record.when(event, clock)}
        yield record.made("Procedure", event.day, status=status, code=code, **done)
    if event.how in NOT_GIVEN:
        return
    if style.endswith("drug") or (record.dialect.name == "german" and style != "generic"):
        product = record.dialect.drug(event.what, ndc=style == "snomed+drug")
        yield _given(record, event.day, product, record.at(event.day, clock))
    elif style == "pcs" and record.story.number % 3 == 0:
        yield from _billed(record, event)


def _billed(record: Record, event: Event) -> Iterator[Made]:
    """The bill comes two days later and is not day 0."""
    hcpcs, day = codes.PRODUCTS[event.what][1], event.day + 2
    if hcpcs and day <= record.story.last_day:
        code = concept([coding(codes.HCPCS, hcpcs), record.dialect.local("charge")], "Charge")
        done = record.day(day)
        yield record.made("Procedure", day, status="completed", code=code, performedDateTime=done)


def _given(record: Record, day: int, product: Json, when: str) -> Made:
    return record.made(
        "MedicationAdministration", day, status="completed",
        medicationCodeableConcept=product, effectiveDateTime=when,
    )  # fmt: skip


def drug(record: Record, event: Event) -> Iterator[Made]:
    """A drug given once, or over a period."""
    kind, given = _given(record, event.day, record.dialect.drug(event.what), record.when(event))
    if event.end is not None and event.end > event.day:
        start = given.pop("effectiveDateTime")
        given["effectivePeriod"] = {"start": start, "end": record.day(event.end)}
    yield kind, given


def request(record: Record, event: Event) -> Iterator[Made]:
    """An order, which is not yet an infusion."""
    yield record.made(
        "MedicationRequest", event.day, status=event.how, intent="order",
        medicationCodeableConcept=record.dialect.drug(event.what),
        authoredOn=record.day(event.day),
    )  # fmt: skip


def procedure(record: Record, event: Event) -> Iterator[Made]:
    """Any procedure that is not an infusion of engineered cells."""
    code = record.dialect.procedure(event.what, record.story.date_of(event.day))
    done = record.when(event)
    yield record.made("Procedure", event.day, status="completed", code=code, performedDateTime=done)
