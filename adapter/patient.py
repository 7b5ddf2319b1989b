"""One patient's share of a study: resources in; courses, outcomes and verdicts out.

Nothing here knows where the resources came from or what becomes of the answer, so the same object
classifies beside the store, in a pool of processes, or on a cluster.
"""

import hashlib
from datetime import date
from functools import cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from adapter.causes import ask_all, decide
from adapter.causes.rule import Plan
from adapter.codes import Codes
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.config import Settings
from adapter.episodes import episodes_of, why_not
from adapter.facts import facts_of
from adapter.grades import grades_of
from adapter.grades.infections import infection_counts
from adapter.grades.prophylaxis import prophylaxis_of
from adapter.model import Episode, Judged, Note, OutcomeKind, Timeline
from adapter.outcomes import outcome_of
from adapter.store import PatientRecord
from adapter.timelines import AFTER_CUT, timeline_of
from adapter.validate import problems_of

#: Nine facts in ten: daily values, contacts, doses. Whoever judges needs them; of a study's pages
#: only the course of these analytes does.
_BULK = frozenset({"lab", "vital", "contact", "encounter", "lymphodepletion"})
_FOLLOWED = frozenset({"IgG", "CD4"})


class Share(msgspec.Struct, frozen=True, gc=False):
    """What one patient adds to a study; `left_out` says why nobody was judged."""

    patient: str
    judged: tuple[Judged, ...] = ()
    left_out: str = ""
    notes: tuple[Note, ...] = ()
    unmapped: tuple[str, ...] = ()  # "type|code|system", as there are many
    invalid: tuple[Note, ...] = ()  # of the resources behind the rows, where somebody checked
    checked: bool = False
    synthetic: bool = False
    after_cut: bool = False  # another cut of the data may give another share


class Classifier:
    """Classifies patients one by one under fixed settings; may be sent to another process.

    `sends`: the types the source has at all, else absence means nothing. `validate`: check with
    fhir.resources what a row rests on. `whole`: keep every fact, to explain one patient. `cut`: the
    ISO day after which nothing can have happened; "" when nobody knows.
    """

    def __init__(
        self,
        settings: Settings,
        codes: Codes,
        sends: frozenset[str],
        *,
        validate: bool = False,
        whole: bool = False,
        cut: str = "",
    ) -> None:
        rules = prophylaxis_rules(settings.prophylaxis)
        self.plan = Plan(settings.policy, settings.rules, sends, rules)
        self.codes, self.zone = codes, settings.timezone or None
        self.validate, self.whole = validate, whole
        self.cut = date.fromisoformat(cut).toordinal() if cut else None

    def __call__(self, record: PatientRecord) -> Share:
        """Every course of one patient, with the doubts about the data."""
        read = facts_of(record, self.codes, self.zone)
        timeline = timeline_of(read, self.cut)
        judged = judge_patient(timeline, self.plan)
        return Share(
            record.patient,
            judged if self.whole else tuple(_slim(one) for one in judged),
            "" if judged else why_not(timeline),
            notes_of(timeline, judged) if judged else (),
            tuple(f"{kind}|{code}|{system}" for system, code, kind in read.unmapped),
            invalid_evidence(judged, record) if self.validate else (),
            self.validate,
            timeline.synthetic,
            any(note.kind == AFTER_CUT for note in timeline.notes),
        )

    @property
    def rules(self) -> str:
        """Changes when a setting could make the same facts mean something else."""
        rules = {name: rule.model_dump() for name, rule in self.plan.rules.items()}
        return digest_of((self.zone, self.plan.policy.model_dump(), rules, self.plan.prophylaxis))

    @property
    def basis(self) -> str:
        """Changes when the same resources could be judged otherwise: program, settings, codes.

        Not the cut, which moves every night: what depends on it is not remembered.
        """
        return digest_of((_program(), self.codes.digest, self.rules, self.plan.sends))


def digest_of(said: object) -> str:
    """The same for the same content, in whatever order sets and tables come."""
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:32]


def _slim(one: Judged) -> Judged:
    kept = tuple(
        fact for fact in one.episode.timeline.facts
        if fact.concept not in _BULK or fact.group in _FOLLOWED
    )  # fmt: skip
    timeline = replace(one.episode.timeline, facts=kept)
    return replace(one, episode=replace(one.episode, timeline=timeline))


def bare(one: Judged) -> Judged:
    """What rows and curves need of an episode: the facts behind it take most of the memory."""
    episode = replace(one.episode, timeline=replace(one.episode.timeline, facts=()), infusions=())
    return replace(one, episode=episode, outcome=replace(one.outcome, facts=()), findings=())


@cache
def _program() -> str:
    """The program itself: a rule changed in a checkout must not meet an older rule's answers."""
    folder = Path(__file__).parent
    files = [*folder.rglob("*.py"), *(folder.parent / "mappings").rglob("*.*")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()


def judge(episode: Episode, plan: Plan) -> Judged:
    """What happened first; and, if the patient died, of what."""
    outcome = outcome_of(episode, plan.policy)
    judged = Judged(episode, outcome, grades=grades_of(episode, plan.policy))
    grades = judged.grades | infection_counts(judged, plan.policy)
    asked = prophylaxis_of(judged, plan.prophylaxis, plan.sends, plan.policy)
    exposure = {one.rule.rule: one.exposure.value for one in asked}
    judged = replace(judged, grades=grades, prophylaxis=exposure)
    if episode.death is None or outcome.kind is OutcomeKind.ALIVE:
        return judged
    findings = ask_all(episode, plan)
    verdict = decide(findings, episode, plan)
    if outcome.kind is not OutcomeKind.NRM:
        return replace(judged, findings=findings, would_be=verdict)
    return replace(judged, findings=findings, verdict=verdict)


def judge_patient(timeline: Timeline, plan: Plan) -> tuple[Judged, ...]:
    """Every course of one patient; () when the patient is no recipient."""
    return tuple(judge(episode, plan) for episode in episodes_of(timeline, plan.policy))


def notes_of(timeline: Timeline, judged: tuple[Judged, ...]) -> tuple[Note, ...]:
    """Every doubt about one patient, each once."""
    every = (*timeline.notes, *(note for one in judged for note in one.notes))
    return tuple(dict.fromkeys(every))


def invalid_evidence(judged: tuple[Judged, ...], record: PatientRecord) -> tuple[Note, ...]:
    """Notes on resources that carry a row of the cohort and are not valid FHIR R4."""
    carrying = {
        fact.source
        for one in judged
        for fact in (
            *one.episode.infusions,
            *one.outcome.facts,
            *(f for finding in one.findings if finding.answer == "yes" for f in finding.facts),
        )
    }
    return tuple(
        Note(problem, f"{found.type}/{found.id}", "Ask the server's owner.", "not_valid_fhir")
        for found in record.resources
        if f"{found.type}/{found.id}" in carrying
        for problem in problems_of(found.type, found.body)
    )
