"""A story written down as FHIR R4 resources, in the dialect of one hospital."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from . import codes, labs
from .codes import CM, LOINC, NDC, SCT, UCUM, WHO
from .dialects import DIALECTS, Json, coding, concept, words
from .shape import END_OF_DATA
from .story import Event, Story

Made = tuple[str, Json]
LABEL = {
    "system": "https://example.org/cart-nrm/labels",
    "code": "synthetic",
    "display": "Synthetic data, no real person",
}
TERMS = "http://terminology.hl7.org/CodeSystem/"
CODE = {"Patient": "p", "Condition": "c", "Procedure": "r", "Observation": "o", "Encounter": "e",
        "MedicationAdministration": "a", "MedicationRequest": "m", "DiagnosticReport": "d"}  # fmt: skip


class Chart:
    """The record of one patient."""

    def __init__(self, story: Story, density: str) -> None:
        self.story = story
        self.density = density
        self.dialect = DIALECTS[story.dialect](story.number)
        self.id = f"syn-{story.number:05d}"
        self.counts = dict.fromkeys(CODE, 0)
        self.subject = {"reference": f"Patient/{self.id}"}
        self.days: dict[int, str] = {}
        self.stay = ""  # the admission going on, for references

    def resources(self) -> Iterator[Made]:
        """Every resource, the patient first."""
        yield self.patient()
        for event in self.story.events:
            yield from getattr(self, event.kind)(event)
        for event in labs.series(self.story, self.density):
            yield from getattr(self, event.kind)(event)
        yield from self.certificate()

    # -- pieces every resource is made of

    def day(self, day: int) -> str:
        """YYYY-MM-DD of a day of the story."""
        if day not in self.days:
            self.days[day] = self.story.date_of(day).isoformat()
        return self.days[day]

    def when(self, event: Event, clock: str = "09:30:00") -> str:
        """Date and time of an event, as exactly as the record knows it."""
        text = self.day(event.day)
        if event.exact != "day":
            return text[: {"month": 7, "year": 4}[event.exact]]
        return f"{text}T{clock}{self.dialect.zone}"

    def made(self, kind: str, day: int, **fields: Any) -> Made:
        """One resource with id, label, time of last update and subject."""
        self.counts[kind] += 1
        updated = min(self.story.date_of(day + 1), END_OF_DATA).isoformat()
        minute = self.counts[kind] % 60
        return kind, {
            "resourceType": kind,
            "id": f"{self.id}-{CODE[kind]}{self.counts[kind]}",
            "meta": {"lastUpdated": f"{updated}T04:{minute:02d}:00.000Z", "tag": [LABEL]},
            "subject": self.subject,
            **fields,
        }

    # -- one method per kind of event

    def patient(self) -> Made:
        """Identity, plainly synthetic, and what the registration desk knows of a death."""
        story, number = self.story, f"{self.story.number:05d}"
        kind, patient = self.made("Patient", story.last_day)
        del patient["subject"]
        patient["id"] = self.id
        patient["identifier"] = [
            {"type": concept([coding(f"{TERMS}v2-0203", "MR")], "MRN"),
             "system": "https://example.org/synthetic/mrn", "value": f"SYN-{number}"}
        ]  # fmt: skip
        patient["name"] = [{"family": f"Synthetic-{number}", "given": ["Test"]}]
        patient["gender"] = story.sex
        patient["birthDate"] = story.birth.isoformat()
        if story.death:
            patient |= self._deceased()
        return kind, patient

    def _deceased(self) -> Json:
        death = self.story.death
        assert death is not None
        text = self.day(death.day)
        match death.recorded:
            case "datetime" if self.story.dialect == "german":
                return {"deceasedDateTime": text}
            case "datetime":
                return {"deceasedDateTime": f"{text}T21:40:00{self.dialect.zone}"}
            case "month":
                return {"deceasedDateTime": text[:7]}
            case _:
                return {"deceasedBoolean": True}

    def diagnosis(self, event: Event) -> Iterator[Made]:
        """A Condition: problem list or encounter, with all the doubt the story has."""
        on = self.story.date_of(event.day)
        fields: Json = {
            "code": self.dialect.diagnosis(event.what, on, event.how),
            "category": [concept([coding(f"{TERMS}condition-category", _category(event))], "")],
        }
        del fields["category"][0]["text"]
        if event.how != "error":
            fields["clinicalStatus"] = _clinical(
                "resolved" if event.how in ("resolved", "refuted") else "active"
            )
        verdict = {"refuted": "refuted", "error": "entered-in-error"}.get(event.how, "confirmed")
        fields["verificationStatus"] = concept(
            [coding(f"{TERMS}condition-ver-status", verdict)], verdict
        )
        if self.dialect.name != "german" or event.exact != "day" or event.place == "problem-list":
            fields["onsetDateTime"] = self.when(event)
        if event.how == "resolved" and event.end is not None:
            fields["abatementDateTime"] = self.day(event.end)
        entered = event.end if event.how == "carried" and event.end else event.day
        fields["recordedDate"] = f"{self.day(entered)}T11:00:00{self.dialect.zone}"
        yield self.made("Condition", entered, **fields)

    def visit(self, event: Event) -> Iterator[Made]:
        """An Encounter; planned and cancelled ones are no contact."""
        inpatient = event.what == "inpatient"
        status = {"planned": "planned", "cancelled": "cancelled"}.get(event.how, "finished")
        end = event.day if event.end is None else event.end
        zone = self.dialect.zone
        fields: Json = {
            "status": status,
            "class": coding(f"{TERMS}v3-ActCode", "IMP" if inpatient else "AMB"),
            "period": {"start": f"{self.day(event.day)}T08:00:00{zone}",
                       "end": f"{self.day(end)}T17:00:00{zone}"},
        }  # fmt: skip
        if event.how == "died":
            fields["hospitalization"] = {"dischargeDisposition": self.dialect.died()}
        day = min(end, self.story.last_day)
        yield self.made("Encounter", day, **fields)

    def infusion(self, event: Event) -> Iterator[Made]:
        """Procedure, MedicationAdministration or both."""
        status = {"not-done": "not-done", "error": "entered-in-error", "planned": "preparation"}
        wrong = status.get(event.how)
        style = "pcs" if wrong else event.how
        when = self.when(event, "11:15:00" if event.value else "10:30:00")
        on = self.story.date_of(event.day)
        code = self.dialect.infusion(event.what, style, on)
        if code:
            done = {} if wrong == "not-done" else {"performedDateTime": when}
            yield self.made("Procedure", event.day, status=wrong or "completed", code=code, **done)
        german = self.dialect.name == "german" and style != "generic"
        if not wrong and (style.endswith("drug") or german):
            product = self.dialect.drug(event.what, ndc=style == "snomed+drug")
            yield self._given(event.day, product, when)
        elif not wrong and style == "pcs" and self.story.number % 3 == 0:
            yield from self._billed(event)

    def _billed(self, event: Event) -> Iterator[Made]:
        """The bill comes two days later and is not day 0."""
        hcpcs = codes.PRODUCTS[event.what][1]
        if hcpcs and event.day + 2 <= self.story.last_day:
            code = concept([coding(codes.HCPCS, hcpcs), self.dialect.local("charge")], "Charge")
            when = self.day(event.day + 2)
            yield self.made(
                "Procedure", event.day + 2, status="completed", code=code, performedDateTime=when
            )

    def _given(self, day: int, product: Json, when: str) -> Made:
        return self.made(
            "MedicationAdministration", day, status="completed",
            medicationCodeableConcept=product, effectiveDateTime=when,
        )  # fmt: skip

    def drug(self, event: Event) -> Iterator[Made]:
        """A drug given once, or over a period."""
        kind, given = self._given(event.day, self.dialect.drug(event.what), self.when(event))
        if event.end is not None and event.end > event.day:
            given["effectivePeriod"] = {"start": given.pop("effectiveDateTime"),
                                        "end": self.day(event.end)}  # fmt: skip
        yield kind, given

    def request(self, event: Event) -> Iterator[Made]:
        """An order, which is not yet an infusion."""
        yield self.made(
            "MedicationRequest", event.day, status=event.how, intent="order",
            medicationCodeableConcept=self.dialect.drug(event.what), authoredOn=self.day(event.day),
        )  # fmt: skip

    def procedure(self, event: Event) -> Iterator[Made]:
        """Any procedure that is not an infusion of engineered cells."""
        code = self.dialect.procedure(event.what, self.story.date_of(event.day))
        yield self.made(
            "Procedure",
            event.day,
            status="completed",
            code=code,
            performedDateTime=self.when(event),
        )

    def status(self, event: Event) -> Iterator[Made]:
        """Remission or relapse, in the way this record happens to say it."""
        disease = f"{self.story.disease}_relapse"
        match event.how:
            case "text-only":
                text = "PET-CT: new FDG-avid lesions, consistent with relapse."
                yield self._report(event, text)
            case "undated":
                code = self.dialect.diagnosis(self.story.disease, self.story.date_of(event.day), "")
                status = _clinical("relapse")
                yield self.made("Condition", event.day, code=code, clinicalStatus=status)
            case "diagnosis" if self.dialect.name != "german":
                word = disease if disease in words() else "recurrent_malignancy"
                yield from self.diagnosis(Event("diagnosis", event.day, word, exact=event.exact))
            case _:
                yield self._status(event)

    def _status(self, event: Event) -> Made:
        code, value = self.dialect.status(event.what)
        fields: Json = {"status": "final", "code": code, "valueCodeableConcept": value}
        fields["effectiveDateTime"] = self.when(event) if event.exact == "day" else self.when(event)
        if self.dialect.name != "german":
            nth = self.counts["Condition"] if event.how == "other-focus" else 1
            fields["focus"] = [{"reference": f"Condition/{self.id}-c{nth}"}]
        return self.made("Observation", event.day, **fields)

    def _report(self, event: Event, text: str) -> Made:
        code = concept([self.dialect.local("pet-ct")], "PET-CT whole body")
        return self.made(
            "DiagnosticReport", event.day, status="final", code=code,
            effectiveDateTime=self.when(event), conclusion=text,
        )  # fmt: skip

    def culture(self, event: Event) -> Iterator[Made]:
        """A blood culture with its result as the value, and the report that carries it."""
        snomed, text = codes.ORGANISMS[event.what]
        code = self.dialect.test("600-7", "blood culture")
        kind, culture = self.made(
            "Observation", event.day, status="final", code=code,
            category=_lab_category(), effectiveDateTime=self.when(event, "07:10:00"),
            valueCodeableConcept=concept([coding(SCT, snomed)], text),
        )  # fmt: skip
        yield kind, culture
        kind, report = self._report(event, text)
        report["code"] = code
        report["result"] = [{"reference": f"Observation/{culture['id']}"}]
        yield kind, report

    def pcr(self, event: Event) -> Iterator[Made]:
        """SARS-CoV-2 detected."""
        yield self.made(
            "Observation", event.day, status="final",
            code=self.dialect.test("94500-6", "SARS-CoV-2 PCR"), category=_lab_category(),
            effectiveDateTime=self.when(event),
            valueCodeableConcept=concept([coding(SCT, "260373001")], "Detected"),
        )  # fmt: skip

    def lab(self, event: Event) -> Iterator[Made]:
        """One laboratory value in the units of this hospital."""
        style = self.dialect.style
        loinc, unit, ucum, factor, digits = codes.unit_of(event.what, self.story.dialect, style)
        value = (event.value if event.value is not None else 2.4) * factor
        quantity: Json = {"value": round(value, digits) if digits else round(value)}
        if event.how != "no-unit":
            quantity |= {"unit": unit, "system": UCUM, "code": ucum}
            if unit == "K/uL":
                del quantity["system"], quantity["code"]  # some interfaces send the unit as text
        yield self.made(
            "Observation", event.day, status="final", category=_lab_category(),
            code=self.dialect.test(loinc, event.what),
            effectiveDateTime=self.when(event, "06:05:00"), valueQuantity=quantity,
        )  # fmt: skip

    def vital(self, event: Event) -> Iterator[Made]:
        """A vital sign; blood pressure as a panel with components."""
        if event.what == "pressure":
            yield self._pressure(event)
            return
        kind, found = next(self.lab(event))
        if found["valueQuantity"].get("code") == "[degF]":
            found["valueQuantity"]["value"] = round((event.value or 37) * 1.8 + 32, 1)
        found["category"] = _lab_category("vital-signs")
        yield kind, found

    def _pressure(self, event: Event) -> Made:
        upper = event.value or 120
        parts = [("8480-6", round(upper)), ("8462-4", round(upper * 0.62))]
        unit = {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        return self.made(
            "Observation", event.day, status="final", category=_lab_category("vital-signs"),
            code=concept([coding(LOINC, "85354-9")], "Blood pressure"),
            effectiveDateTime=self.when(event),
            component=[
                {"code": concept([coding(LOINC, loinc)], loinc), "valueQuantity": {"value": value, **unit}}
                for loinc, value in parts
            ],
        )  # fmt: skip

    # -- the paper a death leaves behind

    def certificate(self) -> Iterator[Made]:
        """Certified cause: a coded observation, a Condition, or words only."""
        death = self.story.death
        if not death or not death.certificate:
            return
        word = self.story.disease if death.certified == "index_disease" else death.certified
        event = Event("diagnosis", death.day, word, place="death")
        who = words()[word]["who"]
        if death.certificate == "coded" and who:
            yield self._certified(event, LOINC, "80358-5", concept([coding(WHO, who)], ""))
        elif death.certificate == "text":
            yield self._certified(event, LOINC, "69453-9", {"text": words()[word]["text"]})
        else:
            kind, condition = next(self.diagnosis(event))
            condition["category"] = [
                concept([coding(SCT, "16100001"), coding(LOINC, "79378-6")], "Cause of death")
            ]
            yield kind, condition

    def _certified(self, event: Event, system: str, code: str, value: Json) -> Made:
        value = {key: item for key, item in value.items() if item}
        return self.made(
            "Observation", event.day + 9, status="final", effectiveDateTime=self.day(event.day),
            code=concept([coding(system, code)], "Cause of death"), valueCodeableConcept=value,
        )  # fmt: skip


def _clinical(status: str) -> Json:
    return {"coding": [coding(f"{TERMS}condition-clinical", status)]}


def _category(event: Event) -> str:
    return "problem-list-item" if event.place == "problem-list" else "encounter-diagnosis"


def _lab_category(code: str = "laboratory") -> list[Json]:
    return [{"coding": [coding(f"{TERMS}observation-category", code)]}]
