"""Laboratory values, vital signs, microbiology and disease status as FHIR resources."""

from collections.abc import Iterator

from . import codes
from .codes import LOINC, SCT, UCUM
from .dialects import Json, coding, concept
from .papers import condition
from .record import Made, Record, term
from .story import Event


def status(record: Record, event: Event) -> Iterator[Made]:
    """Remission or relapse, in the way this record happens to say it."""
    disease = record.story.disease
    match event.how:
        case "text-only":
            yield _report(record, event, "PET-CT: new FDG-avid lesions, consistent with relapse.")
        case "undated":
            code = record.dialect.diagnosis(disease, record.story.date_of(event.day), "")
            flag = term("condition-clinical", "relapse")
            yield record.made("Condition", event.day, code=code, clinicalStatus=flag)
        case "other-focus" if record.dialect.name == "german":
            return  # the Verlauf is always about the tumour
        case "diagnosis" if record.dialect.name != "german":
            word = f"{disease}_relapse"
            word = word if word in codes.words() else "recurrent_malignancy"
            yield condition(record, Event("diagnosis", event.day, word, exact=event.exact))
        case _:
            yield _status(record, event)


def _status(record: Record, event: Event) -> Made:
    code, value = record.dialect.status(event.what)
    fields: Json = {"code": code, "valueCodeableConcept": value}
    if record.dialect.name != "german":
        # The index disease is the first Condition; "worsened" of another one is no relapse.
        nth = record.counts["Condition"] if event.how == "other-focus" else 1
        fields["focus"] = [{"reference": f"Condition/{record.id}-c{nth}"}]
    return record.observed(event, "exam", **fields)


def _report(record: Record, event: Event, text: str) -> Made:
    code = concept([record.dialect.local("pet-ct")], "PET-CT whole body")
    return record.made(
        "DiagnosticReport", event.day, status="final", code=code,
        effectiveDateTime=record.when(event), conclusion=text,
    )  # fmt: skip


def culture(record: Record, event: Event) -> Iterator[Made]:
    """A blood culture with its result as the value, and the report that carries it."""
    snomed, text = codes.ORGANISMS[event.what]
    code = record.dialect.test("600-7", "blood culture")
    value = concept([coding(SCT, snomed)], text)
    made = record.observed(event, "laboratory", "07:10", code=code, valueCodeableConcept=value)
    yield made
    kind, report = _report(record, event, text)
    report |= {"code": code, "result": [{"reference": f"Observation/{made[1]['id']}"}]}
    yield kind, report


def pcr(record: Record, event: Event) -> Iterator[Made]:
    """SARS-CoV-2 detected."""
    code = record.dialect.test("94500-6", "SARS-CoV-2 PCR")
    value = concept([coding(SCT, "260373001")], "Detected")
    yield record.observed(event, "laboratory", code=code, valueCodeableConcept=value)


def lab(record: Record, event: Event) -> Iterator[Made]:
    """One laboratory value in the units of this hospital."""
    yield _measured(record, event, "laboratory", "06:05")


def vital(record: Record, event: Event) -> Iterator[Made]:
    """A vital sign; blood pressure is a panel with components."""
    if event.what != "pressure":
        yield _measured(record, event, "vital-signs", "09:30")
        return
    upper = event.value or 120
    unit = {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
    parts = [
        {"code": concept([coding(LOINC, loinc)], ""), "valueQuantity": {"value": value, **unit}}
        for loinc, value in (("8480-6", round(upper)), ("8462-4", round(upper * 0.62)))
    ]
    code = concept([coding(LOINC, "85354-9")], "Blood pressure")
    yield record.observed(event, "vital-signs", code=code, component=parts)


def _measured(record: Record, event: Event, category: str, clock: str) -> Made:
    unit = codes.unit_of(event.what, record.dialect.name, record.dialect.style)
    value = (event.value if event.value is not None else 2.4) * unit.factor
    if unit.ucum == "[degF]":
        value = value * 1.8 + 32
    quantity: Json = {"value": round(value, unit.digits) if unit.digits else round(value)}
    if event.how != "no-unit":
        quantity["unit"] = unit.unit
        if unit.ucum:
            quantity |= {"system": UCUM, "code": unit.ucum}
    code = record.dialect.test(unit.loinc, event.what)
    return record.observed(event, category, clock, code=code, valueQuantity=quantity)
