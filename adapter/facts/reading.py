"""What the readers of one patient share: meanings of codes, dates, notes, contacts, facts."""

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from adapter.codes import Codes, Meaning
from adapter.codes.tables import catalog
from adapter.dates import Interval, hull, parse
from adapter.envelope import split_reference
from adapter.facts.shapes import Coding, Concept, Period, Reference, lenient
from adapter.model import NO_EVIDENCE, Fact, Note
from adapter.store import Stored

T = TypeVar("T", bound=msgspec.Struct)

_PLAIN: frozenset[str] = frozenset()
_REMEMBERED = 200_000  # more codings than a hospital has; hostile ones must not fill memory
_AT_SOURCE = "Correct it at the source."


class Match(NamedTuple):
    """One meaning of one code, and the code as the source wrote it."""

    meaning: Meaning
    code: str  # "system|code"


_CERTIFIED = Match(Meaning("death", "certified_cause", "died", "cause of death certified"), "")
_UNMAPPED_CAUSE = Match(
    Meaning("certified_unmapped", "", "", "certified cause without a mapping"), ""
)


Written = tuple[str | None, str | None, str | None]  # system, code, version of a coding


@lru_cache(maxsize=4)
def _memory(codes: Codes) -> dict[Written, tuple[Match, ...]]:
    """What these code lists said so far: a hospital repeats few codings many thousand times."""
    return {}


class Setting(msgspec.Struct):
    """What every fact of one resource has in common."""

    source: str
    when: Interval | None = None
    end: Interval | None = None
    recorded: Interval | None = None
    traits: frozenset[str] = _PLAIN


class Stay(msgspec.Struct, frozen=True):
    """When an attended encounter took place."""

    start: Interval
    end: Interval


class Reading:
    """The facts and notes of one patient while they are being read."""

    def __init__(self, codes: Codes, zone: str | None) -> None:
        self.codes = codes
        self.zone = zone
        self.synthetic = False
        self.facts: list[Fact] = []
        self.stays: dict[str, Stay] = {}
        self.treated: dict[str, bool] = {}  # Condition id: is it a disease CAR T cells treat?
        self.from_blood: set[str] = set()  # Observation ids that report a blood culture
        self.sex = ""
        self.born: Interval | None = None
        self._known = _memory(codes)
        self._unmapped: defaultdict[str, set[Written]] = defaultdict(set)
        self._contacts: dict[str, str] = {}
        self._notes: dict[tuple[str, str, str], list[str]] = {}

    # -- what the bytes say ----------------------------------------------------------------

    def decode(self, stored: Stored, decoder: "msgspec.json.Decoder[T]") -> T | None:
        """The resource in its shape; odd fields are left out with a note."""
        try:
            return decoder.decode(stored.body)
        except (ValueError, RecursionError):
            return self._leniently(stored, decoder.type)

    def _leniently(self, stored: Stored, shape: type[T]) -> T | None:
        kind, source = stored.type, f"{stored.type}/{stored.id}"
        made, odd = lenient(stored.body, shape)
        for name in odd:
            self.note("shape", source, f"The field {name} of a {kind} is not as FHIR R4 says.")
        if made is None:
            self.note("shape", source, f"A {kind} cannot be read.")
        return made

    def note(self, kind: str, where: str, what: str, todo: str = _AT_SOURCE) -> None:
        """Remember doubtful data; the same wording is kept once, with how often it was seen."""
        self._notes.setdefault((kind, what, todo), []).append(where)

    def notes(self) -> list[Note]:
        """The notes so far; `where` names the first place in order of reference."""
        return [
            Note(what + (f" ({len(places)} times)" if len(places) > 1 else ""),
                 min(places), todo, kind)
            for (kind, what, todo), places in sorted(self._notes.items())
        ]  # fmt: skip

    # -- what codes mean -------------------------------------------------------------------

    def meanings(self, concept: Concept | None, kind: str) -> tuple[Match, ...]:
        """What a CodeableConcept means; unmapped codings are remembered for coverage."""
        if concept is None or not concept.coding:
            return ()
        if len(concept.coding) == 1:
            return self._meanings(concept.coding[0], kind)
        every: dict[tuple[str, str, str], Match] = {}
        for coding in concept.coding:
            for match in self._meanings(coding, kind):
                meant = match.meaning
                every.setdefault((meant.concept, meant.subconcept, meant.group), match)
        return _without_lookalikes(tuple(every.values()))

    def _meanings(self, coding: Coding, kind: str) -> tuple[Match, ...]:
        written = (coding.system, coding.code, coding.version)
        found = self._known.get(written)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[written] = self._ask(*written)
        if not found:
            self._unmapped[kind].add(written)
        return found

    def _ask(self, system: str | None, code: str | None, version: str | None) -> tuple[Match, ...]:
        system, code = system or "", code or ""
        found = self.codes.lookup(system, code, version or "") if code else ()
        return tuple(Match(meaning, f"{system}|{code}") for meaning in found)

    def unmapped(self) -> list[tuple[str, str, str]]:
        """(system, code, resource type) of every coding nobody mapped, each once."""
        return sorted(
            {
                (system or "", code.strip(), kind)
                for kind, codings in self._unmapped.items()
                for system, code, _ in codings
                if code and code.strip()
            }
        )

    def text_only(self, concept: Concept | None, kind: str, setting: Setting) -> bool:
        """List a concept that has words and no code; False when it has a code or nothing."""
        if concept is None or any(coding.code for coding in concept.coding):
            return False
        if not concept.text or not concept.text.strip():
            return False
        self.list_text(kind, setting)
        return True

    def list_text(self, kind: str, setting: Setting) -> None:
        """A statement in words only: shown to the reviewer by its reference, never counted."""
        wording = Meaning("text_only", kind, "", f"text-only {kind.replace('_', ' ')}")
        self.add(Match(wording, ""), setting, traits=frozenset({"text_only"}))

    def certified_cause(
        self, concept: Concept | None, matches: tuple[Match, ...], setting: Setting
    ) -> None:
        """A cause of death from a certificate; even one nobody mapped proves the death."""
        recorded = setting.recorded or setting.when
        traits = (setting.traits & NO_EVIDENCE) | {"certified", "no_time"}
        self.add(_CERTIFIED, Setting(setting.source, recorded=recorded, traits=traits))
        for match in matches:
            self.add(match, setting)
        if matches or self.text_only(concept, "cause_of_death", setting) or concept is None:
            return
        if any(coding.code for coding in concept.coding):
            self.add(_UNMAPPED_CAUSE, setting, traits=frozenset({"review_only"}))
            self.note("unmapped_result", setting.source,
                      "A coded cause of death is in no code list.",
                      "Map it in the site's folder, or send the death to review.")  # fmt: skip

    # -- dates and contacts ----------------------------------------------------------------

    def date(self, text: str | None, source: str) -> Interval | None:
        """A date field as an interval; one that cannot be read is left out with a note."""
        if not text:
            return None
        found = parse(text, self.zone)
        if found is None:
            kind = source.partition("/")[0]
            self.note("date", source, f"A date of this {kind} cannot be read and is not used.")
        return found

    def span(
        self, text: str | None, period: Period | None, source: str
    ) -> tuple[Interval | None, Interval | None]:
        """Start and end of a dateTime or a Period; a Period with an end alone is dated by it."""
        if text or period is None:
            return self.date(text, source), None
        start, end = self.date(period.start, source), self.date(period.end, source)
        if start is not None and end is not None and end.last < start.first:
            self.note("date", source, "A period ends before it starts; its start is used.")
            end = None
        return (start, end) if start is not None else (end, None)

    def dated(
        self, source: str, text: str | None, period: Period | None,
        encounter: Reference | None = None, entered: str | None = None,
    ) -> Setting:  # fmt: skip
        """The clinical date; else some day of the encounter; else the day of entry.

        An entry made during the stay dates more closely than the stay: that is when the ward knew.
        Any other entry may be months late and is marked as one.
        """
        when, end = self.span(text, period, source)
        setting = Setting(source, when, end, self.date(entered, source))
        if when is not None:
            return setting
        stay, recorded = self._stay(encounter), setting.recorded
        if stay is not None:
            inside = recorded is not None and stay.start.first <= recorded.first <= stay.end.last
            setting.when = recorded if inside else hull((stay.start, stay.end))
            setting.traits = frozenset({"dated_by_encounter"})
        elif recorded is not None:
            setting.when, setting.traits = recorded, frozenset({"day_only_from_entry"})
        return setting

    def _stay(self, reference: Reference | None) -> Stay | None:
        """The attended encounter a resource refers to, when the source sent it."""
        if reference is None or not reference.reference:
            return None
        return self.stays.get(split_reference(reference.reference)[1])

    def contact(self, text: str | None, period: Period | None, source: str) -> None:
        """The patient was seen on this day; one fact a day is enough."""
        if not text:
            text = period.start if period is not None else None
            if not text:
                return
        # without a zone the day is the one written, so its first ten letters tell days apart
        key = text if self.zone else text[:10]
        known = self._contacts.get(key)
        if known is None or source < known:
            self._contacts[key] = source

    def contacts(self) -> list[Fact]:
        """One fact for each distinct day with a contact."""
        days: dict[tuple[int, int], Fact] = {}
        for key, source in self._contacts.items():
            when = parse(key, self.zone)
            if when is None:
                continue  # the field's own reader has noted it where it matters
            day = (when.first, when.last)
            if day not in days or source < days[day].source:
                plain = Interval(when.first, when.last, when.iso)
                days[day] = Fact("contact", "", plain, source, label="contact")
        return [days[day] for day in sorted(days)]

    # -- facts -----------------------------------------------------------------------------

    def add(
        self, match: Match, setting: Setting, value: float | None = None, unit: str = "",
        traits: frozenset[str] = _PLAIN,
    ) -> None:  # fmt: skip
        """One fact: what the code means, in this setting."""
        meaning = match.meaning
        marks = setting.traits | traits
        if meaning.review:
            marks |= {"review_only"}
        self.facts.append(
            Fact(
                meaning.concept, meaning.subconcept, setting.when, setting.source, meaning.group,
                setting.end, value, unit, meaning.label, match.code, setting.recorded, marks,
                meaning.kind,
            )
        )  # fmt: skip


def _without_lookalikes(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """Codings of one concept say the same thing: "cell therapy" beside lifileucel is lifileucel."""
    known = catalog()
    barred = {
        concept
        for match in matches
        if match.meaning.excluded and match.meaning.concept in known
        for concept in known[match.meaning.concept].excludes
    }
    return tuple(m for m in matches if m.meaning.concept not in barred) if barred else matches
