"""What happened to one synthetic patient, in plain words and days: no FHIR, no codes.

Day 0 is the first infusion (for people never infused: an arbitrary anchor day).
A dialect turns a story into FHIR; the same story can be told in several dialects.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, `what` being a word of words.csv or of dialects.py."""

    kind: str  # diagnosis, culture, pcr, lab, vital, drug, infusion, procedure, visit, status ...
    day: int
    what: str
    value: float | None = None
    end: int | None = None  # last day, where the thing lasts
    how: str = ""  # over, resolved (known only afterwards), refuted, suspected, error ...
    place: str = "encounter"  # or problem-list, death
    exact: str = "day"  # month, year: what the record knows of the date


def script(text: str, day: int) -> list[Event]:
    """Events of a line such as "-3 diagnosis sepsis how=over end=9; 0 culture negative"; its days
    count from `day`."""
    return [_event(line.split(), day) for line in text.split(";") if line]


def _event(parts: list[str], day: int) -> Event:
    start, kind, what, *more = parts
    extra = dict(part.split("=") for part in more)
    end = day + int(extra["end"]) if "end" in extra else None
    value = float(extra["value"]) if "value" in extra else None
    how, exact = extra.get("how", ""), extra.get("exact", "day")
    place = extra.get("place", "encounter")
    return Event(kind, day + int(start), what, value, end, how, place, exact)


@dataclass(slots=True)
class Course:
    """One CAR T course and how it ended."""

    day: int
    product: str
    disease: str
    style: str  # how the infusion was recorded
    outcome: str = "alive"  # alive, relapse, nrm
    outcome_day: int = 0  # counted like every other day, from the first course
    relapse_how: str = "status"  # status, diagnosis, text-only, undated
    exact: str = "day"  # precision of the recorded relapse or death date
    crs: int = 0
    icans: int = 0
    slow_marrow: bool = False


@dataclass(slots=True)
class Death:
    """One death: why (the truth), and how much of that the record tells."""

    day: int
    cause: str  # one of rates.CAUSES, or index_disease
    subcause: str = ""
    contributing: str = ""
    recorded: str = "datetime"  # datetime, month, boolean+discharge, boolean
    at_home: bool = False
    certified: str = ""  # word the certificate gives as the underlying cause
    certificate: str = ""  # coded, condition, text
    shown: bool = True  # does any evidence of the cause remain in the record?


@dataclass(slots=True)
class Story:
    """Everything about one patient except how it will be written down."""

    number: int
    seed: int
    dialect: str
    sex: str
    birth: date
    day0: date
    disease: str
    courses: list[Course] = field(default_factory=list)
    death: Death | None = None
    lookalike: str = ""
    last_day: int = 0  # last finished contact, or death
    events: list[Event] = field(default_factory=list)
    traps: list[str] = field(default_factory=list)

    def date_of(self, day: int) -> date:
        """The calendar day that day number stands for."""
        return self.day0 + timedelta(days=day)

    def dice(self, topic: str) -> random.Random:
        """A random source of its own for each patient and topic, so topics never disturb
        each other."""
        return random.Random(f"{self.seed}/{self.number}/{topic}")

    def add(self, kind: str, day: int, what: str, **more: object) -> None:
        """Append one event."""
        self.events.append(Event(kind, day, what, **more))  # type: ignore[arg-type]

    def tidy(self) -> None:
        """Nothing happens after the last day; the first diagnosis stays first, the rest by day."""
        first, *rest = self.events
        planned = [event for event in rest if event.how in ("planned", "cancelled")]
        lived = [
            event
            if event.end is None or event.how == "late"
            else replace(event, end=min(event.end, self.last_day))
            for event in rest
            if event.day <= self.last_day and event not in planned
        ]
        self.events = [first, *sorted(lived, key=lambda event: event.day), *planned]
