"""Who wins among the findings, and why. The principles are in docs/decisions/0020-who-wins.md."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import msgspec

from adapter.causes.rule import LADDER, Plan
from adapter.grades.bloodstream import UNIDENTIFIED, class_of
from adapter.model import (
    Answer,
    Cause,
    Certainty,
    Episode,
    Finding,
    Judged,
    OutcomeKind,
    Verdict,
)

Scheme = Literal["ebmt", "cibmtr"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
TOXICITIES = frozenset({Cause.CRS, Cause.NEUROTOXICITY, Cause.IEC_HS})
#: How a cancer ends: a chart of these does not contradict a certificate of cancer.
_ENDS_CANCER = frozenset(
    {
        Cause.INFECTION,
        Cause.HEMORRHAGE,
        Cause.CARDIOVASCULAR_RESPIRATORY,
        Cause.ORGAN_FAILURE,
    }
)
_NEVER = 10**9
_NO_CAUSE = "No cause was found: ask for the certificate or outside records."


def decide(
    findings: Sequence[Finding], episode: Episode, plan: Plan, scheme: Scheme | None = None
) -> Verdict:
    """The cause of one death by the main scheme of the study, or by the one given."""
    scheme = scheme or plan.policy.scheme
    said = [finding for finding in findings if finding.answer is Answer.YES]
    hints = [
        finding.sentence for finding in said if finding.kind == "hint" and finding.needs_review
    ]
    named = [finding for finding in said if finding.kind != "hint"]
    chart = sorted((f for f in named if f.kind == "chart"), key=_weight(scheme))
    certified = [finding for finding in named if finding.kind == "certified"]
    terminal = sorted((f for f in named if f.kind == "terminal"), key=lambda f: (f.rank, f.rule))
    winner, doubts = _winner(chart, certified, terminal)
    if winner is None:
        return Verdict(
            Cause.UNKNOWN,
            sentence="Nothing that counts names a cause.",
            review_reasons=(_NO_CAUSE, *hints),
        )
    rivals = chart + certified
    certainty = _certainty(winner, rivals)
    return Verdict(
        cause=winner.cause,
        subcause=_subcause(winner, rivals),
        certainty=certainty,
        rule=winner.rule,
        sentence=winner.sentence,
        contributing=_contributing(winner, rivals),
        review_reasons=tuple(dict.fromkeys(doubts + _doubts(winner, rivals, certainty) + hints)),
    )


def decide_both(findings: Sequence[Finding], episode: Episode, plan: Plan) -> dict[Scheme, Verdict]:
    """The verdict under each registry's reading, side by side."""
    return {scheme: decide(findings, episode, plan, scheme) for scheme in SCHEMES}


def readings(judged: Judged, plan: Plan) -> dict[Scheme, str]:
    """Main cause by EBMT, underlying cause by CIBMTR, also for a death after relapse.

    EBMT: after relapse the relapse is the main cause, whatever the patient died of. CIBMTR asks
    what started the chain: another cause that is at least probable stands, and the disease
    contributes (docs/decisions/0026). Empty for survivors.
    """
    if not judged.findings:
        return {}
    both = decide_both(judged.findings, judged.episode, plan)
    if judged.outcome.kind is not OutcomeKind.RELAPSE:
        return {scheme: verdict.cause.value for scheme, verdict in both.items()}
    underlying = both["cibmtr"]
    stands = LADDER.index(underlying.certainty) >= LADDER.index(Certainty.PROBABLE)
    return {"ebmt": "relapse", "cibmtr": underlying.cause.value if stands else "relapse"}


def fingerprint(findings: Sequence[Finding]) -> str:
    """Changes when the evidence behind any *yes* changes; blind to order and to wording.

    Begins with a letter: a spreadsheet would take 16 digits, or 12e5, for a number.
    """
    lines = sorted(
        f"{finding.rule}|{finding.cause}|{finding.subcause}|{finding.certainty}|{_trace(finding)}"
        for finding in findings
        if finding.answer is Answer.YES
    )
    return "f" + hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def _trace(finding: Finding) -> str:
    facts = sorted(
        (f.source, f.concept, f.subconcept, f.when.iso if f.when else "", str(f.value))
        for f in finding.facts
    )
    return msgspec.json.encode(facts).decode()


def _weight(scheme: Scheme) -> Callable[[Finding], tuple[Any, ...]]:
    """EBMT: rank, which holds specificity and severity. CIBMTR: what was there first.

    What is only possible comes after what is at least probable, by either; by CIBMTR a definite
    cause (grade 5) comes first.
    """

    def by_rank(finding: Finding) -> tuple[Any, ...]:
        weak = finding.certainty is Certainty.POSSIBLE
        return (weak, finding.rank, -LADDER.index(finding.certainty), finding.rule)

    def by_onset(finding: Finding) -> tuple[Any, ...]:
        starts = [fact.when.first for fact in finding.facts if fact.when is not None]
        onset = min(starts, default=_NEVER) if finding.certainty is not Certainty.POSSIBLE else 0
        return (-LADDER.index(finding.certainty), onset, *by_rank(finding))

    return by_rank if scheme == "ebmt" else by_onset


def _winner(
    chart: list[Finding], certified: list[Finding], terminal: list[Finding]
) -> tuple[Finding | None, list[str]]:
    """The chart's leader, unless a certificate that the chart supports says otherwise."""
    leader = chart[0] if chart else None
    if not certified:
        return leader or (terminal[0] if terminal else None), []
    said = certified[0]
    weak = leader is None or LADDER.index(leader.certainty) <= LADDER.index(Certainty.POSSIBLE)
    if leader is None or weak or leader.cause is said.cause:
        return said if leader is None or weak else leader, []
    supported = any(finding.cause is said.cause for finding in chart)
    doubt = f"The certificate names {said.cause}, the chart leads to {leader.cause}."
    if said.cause is Cause.SECOND_MALIGNANCY and leader.cause in _ENDS_CANCER:
        return said, [doubt]
    if supported and said.rank < leader.rank:
        return next(finding for finding in chart if finding.cause is said.cause), [doubt]
    return leader, [doubt]


def _certainty(winner: Finding, rivals: list[Finding]) -> Certainty:
    """One step up when a certificate or another kind of resource says the same."""
    level = LADDER.index(winner.certainty)
    kinds = _kinds(winner)
    others = [f for f in rivals if f.cause is winner.cause and f.rule != winner.rule]
    agrees = any(f.kind == "certified" or _kinds(f) - kinds for f in others)
    return LADDER[min(level + agrees, len(LADDER) - 1)]


def _kinds(finding: Finding) -> set[str]:
    return {fact.source.partition("/")[0] for fact in finding.facts}


def _subcause(winner: Finding, rivals: list[Finding]) -> str:
    """Of an infection, all organisms found together; else the first that is named."""
    same = [winner] + [f for f in rivals if f.cause is winner.cause]
    if winner.cause is not Cause.INFECTION:
        return next((f.subcause for f in same if f.subcause), "")
    strong = [f for f in same if f.certainty is not Certainty.POSSIBLE] or same
    named = {f.subcause for f in strong} - {UNIDENTIFIED, ""}
    named = named or {f.subcause for f in same} - {UNIDENTIFIED, ""}
    return "mixed" if "mixed" in named else class_of(named)


def _contributing(winner: Finding, rivals: list[Finding]) -> tuple[str, ...]:
    """The other causes found, in their order; modes of dying are not causes."""
    causes = dict.fromkeys(finding.cause.value for finding in rivals)
    return tuple(cause for cause in causes if cause != winner.cause.value)


def _doubts(winner: Finding, rivals: list[Finding], certainty: Certainty) -> list[str]:
    """Why a person must look, besides what the hints say."""
    causes = {finding.cause for finding in rivals}
    reasons = []
    if Cause.INFECTION in causes and causes & TOXICITIES:
        reasons.append("Infection and CAR T toxicity were both active: which led is for a reader.")
    if certainty is Certainty.POSSIBLE:
        reasons.append("The evidence makes the cause only possible.")
    if winner.kind == "terminal":
        reasons.append("Only the mode of dying is recorded, not what led to it.")
    if any(f.needs_review for f in rivals if f.cause is winner.cause):
        reasons.append(f"The evidence can be read otherwise: {winner.sentence}")
    return reasons
