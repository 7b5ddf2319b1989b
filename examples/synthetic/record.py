"""What every resource of one patient's record is made of, whatever it is about."""

from typing import Any

from .dialects import DIALECTS, Json, coding, concept
from .shape import END_OF_DATA
from .story import Event, Story

Made = tuple[str, Json]
LABEL = {
    "system": "https://example.org/cart-nrm/labels",
    "code": "synthetic",
    "display": "Synthetic data, no real person",
}
TERMS = "http://terminology.hl7.org/CodeSystem/"
LETTER = {
    "Patient": "p", "Condition": "c", "Procedure": "r", "Observation": "o", "Encounter": "e",
    "MedicationAdministration": "a", "MedicationRequest": "m", "DiagnosticReport": "d",
}  # fmt: skip


class Record:
    """One patient's record while it is written: ids, dates, dialect."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.dialect = DIALECTS[story.dialect](story.number)
        self.id = f"syn-{story.number:05d}"
        self.subject = {"reference": f"Patient/{self.id}"}
        self.counts = dict.fromkeys(LETTER, 0)
        self.days: dict[int, str] = {}

    def day(self, day: int) -> str:
        """YYYY-MM-DD of a day of the story."""
        if day not in self.days:
            self.days[day] = self.story.date_of(day).isoformat()
        return self.days[day]

    def at(self, day: int, clock: str) -> str:
        """Date and time of day in the zone of the hospital."""
        return f"{self.day(day)}T{clock}:00{self.dialect.zone}"

    def when(self, event: Event, clock: str = "09:30") -> str:
        """Date and time of an event, as exactly as the record knows it."""
        if event.exact == "day":
            return self.at(event.day, clock)
        return self.day(event.day)[: {"month": 7, "year": 4}[event.exact]]

    def made(self, kind: str, day: int, **fields: Any) -> Made:
        """One resource with id, label, subject and the instant it was last updated."""
        self.counts[kind] += 1
        updated = self.day(min(day + 1, (END_OF_DATA - self.story.day0).days))
        minute = self.counts[kind] % 60
        return kind, {
            "resourceType": kind,
            "id": f"{self.id}-{LETTER[kind]}{self.counts[kind]}",
            "meta": {"lastUpdated": f"{updated}T04:{minute:02d}:00.000Z", "tag": [LABEL]},
            "subject": self.subject,
            **fields,
        }

    def observed(self, event: Event, category: str, clock: str = "09:30", **fields: Any) -> Made:
        """A final Observation of a category."""
        return self.made(
            "Observation", event.day, status="final",
            category=[term("observation-category", category)],
            effectiveDateTime=self.when(event, clock), **fields,
        )  # fmt: skip


def term(system: str, code: str) -> Json:
    """A CodeableConcept of HL7's own terminology."""
    return concept([coding(TERMS + system, code)], "")
