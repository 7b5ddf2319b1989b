"""Conditions, and the paper a death leaves behind: registry, certificate, vital status."""

from collections.abc import Iterator

from .codes import GM, LOINC, SCT, WHO, words
from .dialects import Json, coding, concept
from .record import Made, Record, term
from .story import Event

MII = "https://www.medizininformatik-initiative.de/fhir/"
TUMOUR_DEATH = MII + "ext/modul-onko/CodeSystem/mii-cs-onko-tod"
VITAL_STATUS = MII + "core/modul-person/CodeSystem/Vitalstatus"
VERDICT = {"refuted": "refuted", "error": "entered-in-error", "suspected": "provisional"}


def condition(record: Record, event: Event) -> Made:
    """A Condition: problem list or encounter, with all the doubt the story has."""
    code = record.dialect.diagnosis(event.what, record.story.date_of(event.day), event.how)
    if event.how == "text-only":
        code = {"text": code["text"]}
    listed = event.place == "problem-list"
    place = "problem-list-item" if listed else "encounter-diagnosis"
    verdict = VERDICT.get(event.how, "confirmed")
    fields: Json = {
        "code": code,
        "category": [term("condition-category", place)],
        "verificationStatus": term("condition-ver-status", verdict),
    }
    if event.how != "error":
        over = event.how in ("over", "resolved", "refuted")
        fields["clinicalStatus"] = term("condition-clinical", "resolved" if over else "active")
    if record.dialect.name != "german" or event.exact != "day" or listed:
        fields["onsetDateTime"] = record.when(event)
    if event.how in ("over", "resolved") and event.end is not None:
        fields["abatementDateTime"] = record.day(event.end)
    entered = event.end if event.how in ("carried", "late") and event.end else event.day
    fields["recordedDate"] = record.at(entered, "11:00")
    return record.made("Condition", entered, **fields)


def deceased(record: Record) -> Json:
    """Patient.deceased[x], as exactly as this hospital knows it."""
    death = record.story.death
    if death is None:
        return {}
    if death.recorded.startswith("boolean"):
        return {"deceasedBoolean": True}
    if death.recorded == "month":
        return {"deceasedDateTime": record.day(death.day)[:7]}
    german = record.dialect.name == "german"
    when = record.day(death.day) if german else record.at(death.day, "21:40")
    return {"deceasedDateTime": when}


def certificate(record: Record) -> Iterator[Made]:
    """Certified cause: a coded observation, a Condition, or words only."""
    death = record.story.death
    if death is None or not death.certificate:
        return
    word = record.story.disease if death.certified == "index_disease" else death.certified
    row = words()[word]
    event = Event("certificate", death.day, word, place="death")
    if death.certificate == "text":
        yield _certified(record, event, coding(LOINC, "69453-9"), {"text": row["text"]})
    elif death.certificate == "coded" and record.dialect.name == "german" and row["gm"]:
        yield _tumour_registry(record, event, row["gm"])
    elif death.certificate == "coded" and record.dialect.name != "german" and row["who"]:
        value = concept([coding(WHO, row["who"])], "")
        yield _certified(record, event, coding(LOINC, "80358-5"), value)
    else:
        kind, found = condition(record, event)
        codings = [coding(SCT, "16100001"), coding(LOINC, "79378-6")]
        found["category"] = [concept(codings, "Cause of death")]
        yield kind, found


def _certified(record: Record, event: Event, what: Json, value: Json) -> Made:
    """An Observation that reaches the hospital nine days after the death it is about."""
    return record.made(
        "Observation", event.day + 9, status="final", effectiveDateTime=record.day(event.day),
        code=concept([what], "Cause of death"), valueCodeableConcept=value,
    )  # fmt: skip


def _tumour_registry(record: Record, event: Event, gm: str) -> Made:
    """MII oncology "Tod": J means tumour OR treatment, and so says nothing about relapse."""
    value = concept([coding(GM, gm, version=record.day(event.day)[:4])], "")
    kind, found = _certified(record, event, coding(SCT, "184305005"), value)
    found["interpretation"] = [concept([coding(TUMOUR_DEATH, "J")], "")]
    return kind, found


def vital_status(record: Record) -> Iterator[Made]:
    """German hospitals say whether they still know a patient; on the last day, no later."""
    story = record.story
    if record.dialect.name != "german" or not story.courses:
        return
    if story.death and story.death.recorded != "datetime":
        return  # an exact date here would contradict what the registration desk knows
    lost = "lost to follow-up" in story.traps
    letter = "T" if story.death else "A" if lost else "L"
    event = Event("status", story.last_day, "vital status")
    code = concept([coding(LOINC, "67162-8")], "Vitalstatus")
    value = concept([coding(VITAL_STATUS, letter)], "")
    yield record.observed(event, "survey", code=code, valueCodeableConcept=value)
