"""The words of GLOSSARY.md as frozen records. What every stage says to the next, and nothing more.

Days are whole calendar days at the site; ``*_days`` are days from infusion (day 0).
"""

from enum import StrEnum

import msgspec

from adapter.dates import Days, Interval, days_between


class Cause(StrEnum):
    """Why a patient died without relapse (groups of Cordas dos Santos et al. 2024, Fig. 4)."""

    INFECTION = "infection"
    SECOND_MALIGNANCY = "second_malignancy"
    CARDIOVASCULAR_RESPIRATORY = "cardiovascular_respiratory"
    NEUROTOXICITY = "neurotoxicity"
    CRS = "crs"
    IEC_HS = "iec_hs"
    HEMORRHAGE = "hemorrhage"
    ORGAN_FAILURE = "organ_failure"
    OTHER = "other"
    UNKNOWN = "unknown"


SUBCAUSES: dict[Cause, tuple[str, ...]] = {
    Cause.INFECTION: (
        "bacterial", "viral", "covid19", "fungal", "parasitic", "mixed", "organism_not_identified",
    ),
    Cause.SECOND_MALIGNANCY: (
        "mds_aml", "t_cell", "other_haematologic", "solid", "unspecified",
    ),
    Cause.OTHER: ("gvhd", "hct", "accident", "suicide", "violence"),
}  # fmt: skip


class Certainty(StrEnum):
    """How sure the evidence makes us; `none` belongs to unknown."""

    DEFINITE = "definite"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    NONE = "none"


class OutcomeKind(StrEnum):
    """What came first after infusion."""

    ALIVE = "alive"
    RELAPSE = "relapse"
    NRM = "nrm"
    NOT_EVALUABLE = "not_evaluable"


EVENT_CODE: dict[OutcomeKind, int | None] = {
    OutcomeKind.ALIVE: 0,
    OutcomeKind.RELAPSE: 1,
    OutcomeKind.NRM: 2,
    OutcomeKind.NOT_EVALUABLE: None,
}


class Answer(StrEnum):
    """What a cause rule says of one death."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot_tell"


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One dated, coded statement about one patient.

    `concept` and `subconcept` are names of mappings/, `group` the class the subconcept belongs to
    (infection: bacterial, viral ...). `when` is None for an undated statement. `label` is our own
    wording of the code, never free text of the source, which may hold names. `traits` are the
    circumstances that decide whether the fact counts, from :data:`TRAITS`.
    """

    concept: str
    subconcept: str
    when: Interval | None
    source: str  # "Observation/123": the resource it came from
    group: str = ""
    end: Interval | None = None
    value: float | None = None
    unit: str = ""
    label: str = ""
    code: str = ""  # "system|code" as matched
    recorded: Interval | None = None
    traits: frozenset[str] = frozenset()
    kind: str = ""  # refines the group (infection: sepsis, minor ...; organ: mechanism)

    @property
    def day_key(self) -> tuple[int, int, str, str, str]:
        """Sort key: undated facts come last, the rest by day, clock, then source."""
        if self.when is None:
            return (10**9, 0, self.concept, self.source, self.code)
        clock = self.when.clock if self.when.clock is not None else -1
        return (self.when.first, clock, self.concept, self.source, self.code)

    @property
    def counts(self) -> bool:
        """False when the source itself says it was not so, not yet so, or not sure."""
        return self.traits.isdisjoint(NO_EVIDENCE) and not self.concept.endswith("_EXCLUDE")

    @property
    def happened(self) -> bool:
        """Does it say that something happened at its date? "Status after" says only: once."""
        return self.counts and "history" not in self.traits


#: What a fact may carry, and the case from life behind it.
TRAITS: dict[str, str] = {
    "planned": "ordered or planned, not known to have happened",
    "billing": "a billing line; its date may differ from the day of care",
    "history": "status after, or history of: says that, not when",
    "problem_list": "from a problem list, which is copied forward from visit to visit",
    "encounter_diagnosis": "diagnosed in one encounter",
    "discharge": "taken from the discharge disposition of an encounter",
    "certified": "from a death certificate or coded cause of death",
    "underlying": "the underlying cause on a certificate",
    "contributing": "part 2 of a certificate: contributed, did not start the chain",
    "text_only": "no code, only text: shown, never counted",
    "positive": "a test that found something",
    "commensal": "a common skin commensal: one culture is not an infection",
    "blood": "from a blood specimen",
    "resolved": "the source says it is over",
    "no_time": "true or false without a date",
    "day_only_from_entry": "dated by entry only, because the source gives no clinical date",
    "dated_by_encounter": "dated by the encounter it belongs to",
    "refuted_by_source": "the source says it was not so; kept to explain, never evidence",
    "entered_in_error": "an act entered by mistake: not even ordered",
    "review_only": "a code whose meaning was not confirmed: queued for a person",
    "suspected": "suspected or provisional: never evidence by itself",
    "negative": "a test that found nothing",
    "less_than": "the true value lies below the number given",
    "more_than": "the true value lies above the number given",
    "other_focus": "said of another disease than the treated one",
}

#: A fact with one of these is shown and explained, but never counted.
NO_EVIDENCE: frozenset[str] = frozenset(
    {"refuted_by_source", "entered_in_error", "suspected", "planned", "text_only", "review_only"}
)


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Doubtful data: what was seen, where, and what to do. Never a crash, never a silent drop."""

    what: str
    where: str = ""  # "Condition/77"
    todo: str = ""
    kind: str = "data"  # short slug for counting: "partial_date", "conflict", "text_only" ...

    def __str__(self) -> str:
        return f"{self.what} {self.todo}".strip()


class Timeline(msgspec.Struct, frozen=True, gc=False):
    """One patient's facts in order, plus notes."""

    patient: str
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...] = ()
    sex: str = ""  # male, female, other, unknown or empty
    born: Interval | None = None
    synthetic: bool = False  # the source labels its resources as synthetic data

    def of(self, *concepts: str) -> tuple[Fact, ...]:
        """The facts of these concepts, in order."""
        return tuple(fact for fact in self.facts if fact.concept in concepts)


class Death(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One resolved death: `when` is None if only the fact is known, `facts` are its sources."""

    when: Interval | None
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...] = ()
    disputed: bool = False  # the sources contradict each other: a person must look


class Episode(msgspec.Struct, frozen=True, gc=False):
    """One CAR T course of one patient; day 0 is its first infusion."""

    patient: str
    number: int  # 1, 2, ...
    infusion: Interval
    timeline: Timeline
    infusions: tuple[Fact, ...]
    product: str = ""
    indication: str = ""
    age_years: int | None = None
    death: Death | None = None
    followup_end: Interval | None = None
    next_infusion: Interval | None = None  # day 0 of the following episode
    notes: tuple[Note, ...] = ()
    baseline: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The episode's id: patient and number."""
        return f"{self.patient}#{self.number}"

    def days(self, when: Interval) -> Days:
        """Days from infusion to `when`, with bounds."""
        return days_between(self.infusion, when)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came first in an episode, when, and on which facts that rests."""

    kind: OutcomeKind
    time: Days | None = None
    reason: str = ""  # why not evaluable, or how the event was decided
    facts: tuple[Fact, ...] = ()
    notes: tuple[Note, ...] = ()
    needs_review: bool = False

    @property
    def event(self) -> int | None:
        """0 censored alive, 1 relapse or progression, 2 NRM; None when not evaluable."""
        return EVENT_CODE[self.kind]


class Finding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one cause rule says of one death, with the sentence and the facts it rests on."""

    rule: str
    title: str
    answer: Answer
    sentence: str
    cause: Cause
    subcause: str = ""
    certainty: Certainty = Certainty.NONE
    rank: int = 0
    facts: tuple[Fact, ...] = ()
    needs_review: bool = False
    kind: str = "chart"  # chart, certified, terminal (mode of dying) or hint (asks for a person)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The cause of one death: what decided, what contributed, whether a person must look."""

    cause: Cause
    subcause: str = ""
    certainty: Certainty = Certainty.NONE
    rule: str = ""
    sentence: str = ""
    contributing: tuple[str, ...] = ()
    review_reasons: tuple[str, ...] = ()

    @property
    def needs_review(self) -> bool:
        """True when at least one reason asks for a person."""
        return bool(self.review_reasons)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a reviewer said about one verdict; decisions are only ever added."""

    episode: str
    reviewer: str
    decided: str  # ISO date
    cause: Cause
    subcause: str = ""
    certainty: Certainty = Certainty.PROBABLE
    reason: str = ""
    role: str = "reader"  # reader, third_reader or consensus
    evidence: str = ""  # fingerprint of the findings the reviewer saw


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One episode with its outcome and, after any death, what the rules say of it.

    For a non-relapse death `verdict` is the answer. For a death after relapse `verdict` is None and
    `would_be` keeps what the rules would have said, for the sensitivity table.
    """

    episode: Episode
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    verdict: Verdict | None = None
    would_be: Verdict | None = None
    decision: Decision | None = None
    evidence_changed: bool = False  # the decision was made on other findings than today's
    grades: dict[str, float | int | None] = {}
    prophylaxis: dict[str, str] = {}  # rule: met, not_met, cannot_evaluate, does_not_apply

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every doubt about this episode, each once; those of reading the patient's data first."""
        episode, death = self.episode, self.episode.death
        every = (*episode.timeline.notes, *episode.notes, *(death.notes if death else ()))
        return tuple(dict.fromkeys((*every, *self.outcome.notes)))

    @property
    def needs_review(self) -> bool:
        """True while a person must look at the outcome or the verdict."""
        asked = self.outcome.needs_review or (
            self.verdict is not None and self.verdict.needs_review
        )
        settled = self.decision is not None and not self.evidence_changed
        return asked and not settled
