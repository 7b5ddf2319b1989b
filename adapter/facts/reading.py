"""What the readers of one patient share: meanings of codes, dates, notes, contacts, facts."""

from collections import defaultdict
from typing import TypeVar

import msgspec

from adapter.codes import Codes, Meaning
from adapter.dates import Interval, hull, parse
from adapter.facts.shapes import Coding, Concept, Event, Period, lenient
from adapter.model import Fact, Note
from adapter.store import Stored

T = TypeVar("T", bound=msgspec.Struct)

#: Traits that say where a date was taken from when the source gives no clinical one.
_BORROWED = frozenset({"dated_by_encounter", "day_only_from_entry"})
#: ICD-10-GM certainty: A excluded, V suspected, Z status after; G confirmed says nothing more.
CERTAINTY = {"A": "refuted_by_source", "V": "suspected", "Z": "history"}


class Setting(msgspec.Struct):
    """What every fact of one resource has in common."""

    when: Interval | None = None
    end: Interval | None = None
    recorded: Interval | None = None
    traits: frozenset[str] = frozenset()

    def also(self, *traits: str) -> "Setting":
        """The same with more traits; an empty one is none."""
        if not any(traits):
            return self
        more = self.traits.union(filter(None, traits))
        return Setting(self.when, self.end, self.recorded, more)

    def on(self, when: Interval | None) -> "Setting":
        """The same with a date of its own; without one only the day it was said is known."""
        undated = {"no_time"} if when is None else set[str]()
        return Setting(when, None, self.recorded, self.traits - _BORROWED | undated)


class Reading:
    """The facts and notes of one patient while they are being read, one resource at a time."""

    def __init__(self, codes: Codes, zone: str | None) -> None:
        self.codes = codes
        self.zone = zone
        self.type = self.id = self.source = ""  # of the resource that is being read
        self.synthetic = False
        self.facts: list[Fact] = []
        self.stays: dict[str, tuple[Interval, Interval]] = {}  # attended encounters, by id
        self.treated: dict[str, bool] = {}  # Condition id: is it a disease CAR T cells treat?
        self.from_blood: set[str] = set()  # Observation ids that report a blood culture
        self.sex = ""
        self.born: Interval | None = None
        self._unmapped: defaultdict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
        self._contacts: dict[str, str] = {}
        self._notes: dict[tuple[str, str, str], list[str]] = {}

    # -- what the bytes say ----------------------------------------------------------------

    def decode(self, stored: Stored, decoder: "msgspec.json.Decoder[T]") -> T | None:
        """Turn to the next resource; odd fields are left out with a note."""
        self.type, self.id, body = stored
        self.source = f"{self.type}/{self.id}"
        try:
            return decoder.decode(body)
        except (ValueError, RecursionError):
            made, odd = lenient(body, decoder.type)
        for name in odd:
            self.note("shape", f"The field {name} of a {self.type} is not as FHIR R4 says.")
        if made is None:
            self.note("shape", f"A {self.type} cannot be read.")
        return made

    def note(self, kind: str, what: str, todo: str = "Correct it at the source.") -> None:
        """Remember doubtful data; the same wording is kept once, with how often it was seen."""
        self._notes.setdefault((kind, what, todo), []).append(self.source)

    def notes(self) -> list[Note]:
        """The notes so far; `where` names the first place in order of reference."""
        return [
            Note(what + (f" ({len(places)} times)" if len(places) > 1 else ""),
                 min(places), todo, kind)
            for (kind, what, todo), places in sorted(self._notes.items())
        ]  # fmt: skip

    # -- what codes mean -------------------------------------------------------------------

    def meanings(self, concept: Concept | None, kind: str = "") -> tuple[Meaning, ...]:
        """What a CodeableConcept means; unmapped codings are remembered for coverage."""
        if concept is None or not concept.coding:
            return ()
        if len(concept.coding) == 1:
            return self._meanings(concept.coding[0], kind)
        every: dict[tuple[str, str, str], Meaning] = {}
        for coding in concept.coding:
            for meant in self._meanings(coding, kind):
                every.setdefault((meant.concept, meant.subconcept, meant.group), meant)
        # codings of one concept say the same: "cell therapy" beside lifileucel is lifileucel
        struck = {concept for meaning in every.values() for concept in meaning.strikes}
        return tuple(meaning for meaning in every.values() if meaning.concept not in struck)

    def _meanings(self, coding: Coding, kind: str) -> tuple[Meaning, ...]:
        found = self.codes.lookup(coding.system, coding.code, coding.version)
        if not found:
            self._unmapped[kind or self.type].add((coding.system, coding.code))
        return found

    def unmapped(self) -> list[tuple[str, str, str]]:
        """(system, code, resource type) of every coding nobody mapped, each once."""
        every = {
            (system or "", (code or "").strip(), kind)
            for kind, codings in self._unmapped.items()
            for system, code in codings
        }
        return sorted(one for one in every if one[1])

    # -- dates and contacts ----------------------------------------------------------------

    def date(self, text: str | None) -> Interval | None:
        """A date field as an interval; one that cannot be read is left out with a note."""
        if not text:
            return None
        found = parse(text, self.zone)
        if found is None:
            self.note("date", f"A date of this {self.type} cannot be read and is not used.")
        return found

    def span(
        self, text: str | None, period: Period | None
    ) -> tuple[Interval | None, Interval | None]:
        """Start and end of a dateTime or a Period; a Period with an end alone is dated by it."""
        if text or period is None:
            return self.date(text), None
        start, end = self.date(period.start), self.date(period.end)
        if start is not None and end is not None and end.last < start.first:
            self.note("date", "A period ends before it starts; its start is used.")
            end = None
        return (start, end) if start is not None else (end, None)

    def dated(self, event: Event) -> Setting:
        """The clinical date; else some day of the encounter; else the day of entry.

        An entry made during the stay dates more closely than the stay: that is when the ward knew.
        Any other entry may be months late and is marked as one.
        """
        when, end = self.span(event.at, event.period)
        recorded = self.date(event.entered)
        stay = self.stays.get(event.encounter.id) if event.encounter is not None else None
        if when is not None or (stay is None and recorded is None):
            return Setting(when, end, recorded)
        if stay is None:
            return Setting(recorded, None, recorded, frozenset({"day_only_from_entry"}))
        inside = recorded is not None and stay[0].first <= recorded.first <= stay[1].last
        day = recorded if inside else hull(stay)
        return Setting(day, None, recorded, frozenset({"dated_by_encounter"}))

    def contact(self, text: str | None) -> None:
        """The patient was seen on this day; one fact a day is enough."""
        if not text:
            return
        # without a zone the day is the one written, so its first ten letters tell days apart
        key = text if self.zone else text[:10]
        known = self._contacts.get(key)
        if known is None or self.source < known:
            self._contacts[key] = self.source

    def contacts(self) -> list[Fact]:
        """One fact for each distinct day with a contact."""
        days: dict[Interval, Fact] = {}
        for source, key in sorted((source, key) for key, source in self._contacts.items()):
            when = parse(key, self.zone)
            if when is not None:  # else the field's own reader has noted it where it matters
                day = Interval(when.first, when.last, when.iso)
                days.setdefault(day, Fact("contact", "", day, source, label="contact"))
        return list(days.values())

    # -- facts -----------------------------------------------------------------------------

    def add(
        self, meaning: Meaning, setting: Setting, value: float | None = None, unit: str = ""
    ) -> None:
        """One fact: what the code means, in this setting."""
        marks = setting.traits
        if meaning.certainty in CERTAINTY:
            marks |= {CERTAINTY[meaning.certainty]}
        if meaning.review:
            marks |= {"review_only"}
        self.facts.append(
            Fact(
                meaning.concept, meaning.subconcept, setting.when, self.source, meaning.group,
                setting.end, value, unit, meaning.label, meaning.code, setting.recorded, marks,
                meaning.kind,
            )
        )  # fmt: skip

    def state(self, meanings: tuple[Meaning, ...], setting: Setting, kind: str) -> None:
        """A fact for each meaning; without any, that there are words."""
        for meaning in meanings:
            self.add(meaning, setting)
        if not meanings:
            self.words(kind, setting)

    def words(self, kind: str, setting: Setting) -> None:
        """A statement in words only: shown to the reviewer by its reference, never counted."""
        wording = Meaning("text_only", kind, "", f"text-only {kind.replace('_', ' ')}")
        self.add(wording, setting.also("text_only"))
