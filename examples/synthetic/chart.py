"""A story written down as FHIR R4 resources, in the dialect of one hospital."""

from collections.abc import Callable, Iterator

from . import findings, labs, papers, treatments
from .dialects import Json, coding, concept
from .record import TERMS, Made, Record, term
from .story import Event, Story


def chart(story: Story, density: str) -> Iterator[Made]:
    """Every resource of one patient, the Patient first."""
    record = Record(story)
    yield _patient(record)
    for event in story.events:
        yield from WRITERS[event.kind](record, event)
    for event in labs.series(story, density):
        yield from WRITERS[event.kind](record, event)
    yield from papers.certificate(record)
    yield from papers.vital_status(record)


def _patient(record: Record) -> Made:
    """Identity, plainly synthetic, and what the registration desk knows of a death."""
    story, number = record.story, f"{record.story.number:05d}"
    kind, patient = record.made("Patient", story.last_day)
    del patient["subject"]
    patient["id"] = record.id
    patient["identifier"] = [
        {
            "type": concept([coding(f"{TERMS}v2-0203", "MR")], "MRN"),
            "system": "https://example.org/synthetic/mrn",
            "value": f"SYN-{number}",
        }
    ]
    patient["name"] = [{"family": f"Synthetic-{number}", "given": ["Test"]}]
    patient["gender"] = story.sex
    patient["birthDate"] = story.birth.isoformat()
    patient |= papers.deceased(record)
    return kind, patient


def _diagnosis(record: Record, event: Event) -> Iterator[Made]:
    yield papers.condition(record, event)


def _visit(record: Record, event: Event) -> Iterator[Made]:
    """An Encounter; planned and cancelled ones are no contact."""
    end = event.day if event.end is None else event.end
    inpatient = event.what == "inpatient"
    fields: Json = {
        "status": event.how if event.how in ("planned", "cancelled") else "finished",
        "class": coding(f"{TERMS}v3-ActCode", "IMP" if inpatient else "AMB"),
        "period": {"start": record.at(event.day, "08:00"), "end": record.at(end, "17:00")},
    }
    if event.how == "died":
        fields["hospitalization"] = {"dischargeDisposition": record.dialect.died()}
    elif event.how == "hospice":
        hospice = term("discharge-disposition", "hosp")
        fields["hospitalization"] = {"dischargeDisposition": hospice}
    yield record.made("Encounter", min(end, record.story.last_day), **fields)


WRITERS: dict[str, Callable[[Record, Event], Iterator[Made]]] = {
    "diagnosis": _diagnosis,
    "visit": _visit,
    "infusion": treatments.infusion,
    "drug": treatments.drug,
    "request": treatments.request,
    "procedure": treatments.procedure,
    "status": findings.status,
    "culture": findings.culture,
    "pcr": findings.pcr,
    "lab": findings.lab,
    "vital": findings.vital,
}
