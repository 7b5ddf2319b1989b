"""The whole core on one screen: every patient, every infusion, every death, and why we say so."""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec.structs import replace

from adapter.account import Attrition, Quality, Tally, Unmapped
from adapter.causes import ask_all, decide, fingerprint
from adapter.causes.rule import Plan
from adapter.codes import Codes
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.config import Settings
from adapter.episodes import episodes_of, why_not
from adapter.errors import UsageError
from adapter.facts import facts_of
from adapter.grades import grades_of
from adapter.grades.infections import infection_counts
from adapter.incidence import FollowUp, follow_up
from adapter.model import Decision, Episode, Judged, Note, OutcomeKind, Timeline
from adapter.outcomes import outcome_of
from adapter.store import PatientRecord, Store
from adapter.timelines import timeline_of
from adapter.validate import problems_of


class Study(msgspec.Struct, frozen=True):
    """All episodes with outcomes and verdicts, and the account of everything left out."""

    name: str
    plan: Plan
    judged: tuple[Judged, ...]
    attrition: Attrition
    quality: Quality
    unmapped: tuple[Unmapped, ...] = ()
    notes: tuple[tuple[str, Note], ...] = ()  # (patient, note) of every recipient
    codes_digest: str = ""
    cut: str = ""  # the day of the newest run: what is later cannot be known
    synthetic: bool = False


def judge(episode: Episode, plan: Plan, decision: Decision | None = None) -> Judged:
    """What happened first; and, if the patient died, of what."""
    outcome = outcome_of(episode, plan.policy)
    judged = Judged(episode, outcome)
    grades = grades_of(episode, plan.policy) | infection_counts(judged, plan.policy)
    judged = replace(judged, grades=grades)
    if episode.death is None or outcome.kind is OutcomeKind.ALIVE:
        return judged
    findings = ask_all(episode, plan)
    verdict = decide(findings, episode, plan)
    if outcome.kind is not OutcomeKind.NRM:
        return replace(judged, findings=findings, would_be=verdict)
    changed = decision is not None and decision.evidence not in ("", fingerprint(findings))
    return replace(
        judged, findings=findings, verdict=verdict, decision=decision, evidence_changed=changed
    )


def in_force(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that counts for each episode: the newest consensus or third reader, else what
    the readers agree on. Readers who disagree about the cause settle nothing.
    """
    final: dict[str, Decision] = {}
    read: dict[str, dict[str, Decision]] = {}
    for made in decisions:
        if made.role == "reader":
            read.setdefault(made.episode, {})[made.reviewer] = made
        else:
            final[made.episode] = made
    agreed = {
        episode: [*said.values()][-1]
        for episode, said in read.items()
        if len({made.cause for made in said.values()}) == 1
    }
    return agreed | final


def judge_patient(
    timeline: Timeline, plan: Plan, decisions: Mapping[str, Decision]
) -> tuple[Judged, ...]:
    """Every course of one patient; () when the patient is no recipient."""
    return tuple(
        judge(episode, plan, decisions.get(episode.name))
        for episode in episodes_of(timeline, plan.policy)
    )


def run_study(
    store: Store,
    settings: Settings,
    codes: Codes,
    *,
    as_of: int | None = None,
    only: Iterable[str] = (),
    validate: bool = False,
    tell: Callable[[str, int], None] | None = None,
) -> Study:
    """Every patient in the store (as it stood at run `as_of`; or `only` these) to one Study.

    `validate` checks with fhir.resources every resource a row rests on; failures become notes.
    """
    if as_of is not None and as_of not in {run["run"] for run in store.runs()}:
        raise UsageError(f"The store has no run {as_of}.", "`cart-nrm status` lists its runs.")
    rules = prophylaxis_rules(settings.prophylaxis)
    plan = Plan(settings.policy, settings.rules, frozenset(store.counts()), rules)
    decisions = in_force(store.decisions(as_of))
    tally = Tally()
    for record in store.records(as_of, only):
        read = facts_of(record, codes, settings.timezone or None)
        timeline = timeline_of(read)
        judged = judge_patient(timeline, plan, decisions)
        tally.take(timeline, judged, read.unmapped, why_not(timeline) if not judged else "")
        if validate and judged:
            tally.invalid.extend(invalid_evidence(judged, record))
        if tell is not None:
            tell("patients classified", tally.patients)
    quality = tally.quality(store, as_of)
    return Study(
        name=settings.study_name,
        plan=plan,
        judged=tuple(tally.judged),
        attrition=tally.attrition(),
        quality=quality,
        unmapped=tally.ranked_unmapped(),
        notes=tuple(tally.notes),
        codes_digest=codes.digest,
        cut=quality.cut,
        synthetic=tally.synthetic,
    )


def invalid_evidence(judged: Iterable[Judged], record: PatientRecord) -> list[Note]:
    """Notes on resources that carry a row of the cohort and are not valid FHIR R4."""
    facts = (
        fact
        for one in judged
        for fact in (
            *one.episode.infusions,
            *one.outcome.facts,
            *(f for finding in one.findings if finding.answer == "yes" for f in finding.facts),
        )
    )
    carrying = {fact.source for fact in facts}
    return [
        Note(problem, f"{found.type}/{found.id}", "Ask the server's owner.", "not_valid_fhir")
        for found in record.resources
        if f"{found.type}/{found.id}" in carrying
        for problem in problems_of(found.type, found.body)
    ]


def follow_up_of(
    judged: Iterable[Judged], group: Callable[[Judged], str] | None = None
) -> FollowUp:
    """The evaluable episodes as an estimator reads them: days, event 0/1/2, group.

    A time known only within bounds enters with its middle; the bounds are in the cohort file.
    """
    usable = [
        (one, one.outcome.time, one.outcome.event)
        for one in judged
        if one.outcome.time is not None and one.outcome.event is not None
    ]
    return follow_up(
        [time.middle for _, time, _ in usable],
        [event for _, _, event in usable],
        group=[group(one) for one, _, _ in usable] if group is not None else None,
    )
