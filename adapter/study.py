"""The whole core on one screen: every patient, every infusion, every death, and why we say so."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from adapter.account import Attrition, Quality, Tally, Unmapped
from adapter.causes import fingerprint
from adapter.causes.rule import Plan
from adapter.codes import Codes
from adapter.config import Settings
from adapter.errors import UsageError
from adapter.model import Decision, Judged, Note
from adapter.patient import Classifier, bare
from adapter.pool import Pool
from adapter.shares import shares_of
from adapter.store import Store

if TYPE_CHECKING:
    from adapter.incidence import FollowUp


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
    rules_digest: str = ""
    cut: str = ""  # the day of the newest run: what is later cannot be known
    synthetic: bool = False


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


def decided(judged: Judged, decisions: Mapping[str, Decision]) -> Judged:
    """The verdict with what reviewers decided about it, and whether they saw today's evidence."""
    decision = decisions.get(judged.episode.name)
    if judged.verdict is None or decision is None:
        return judged
    changed = decision.evidence not in ("", fingerprint(judged.findings))
    return replace(judged, decision=decision, evidence_changed=changed)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Judging makes no cycles. Looking for some among the records of ten thousand recipients took
    two thirds of a quiet night.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor are there any to be found in them later
        if was:
            gc.enable()


def run_study(
    store: Store,
    settings: Settings,
    codes: Codes,
    *,
    as_of: int | None = None,
    only: Iterable[str] = (),
    validate: bool = False,
    facts: bool = True,
    tell: Callable[[str, int], None] | None = None,
    pool: Pool | None = None,
) -> Study:
    """Every patient in the store (as it stood at run `as_of`; or `only` these) to one Study.

    `validate` checks with fhir.resources every resource a row rests on; failures become notes.
    Only with `only` the timelines keep their daily values, for `explain`; without `facts` none,
    which is enough for rows and curves.
    """
    runs = [run for run in store.runs() if as_of is None or run["run"] <= as_of]
    if as_of is not None and as_of not in {run["run"] for run in runs}:
        raise UsageError(f"The store has no run {as_of}.", "`cart-nrm status` lists its runs.")
    wanted = list(only)
    sends = frozenset(store.counts(as_of))
    # a killed run may have kept what it brought, so every run moves the day
    cut = max((str(run["ended"] or run["started"])[:10] for run in runs), default="")
    classify = Classifier(settings, codes, sends, validate=validate, whole=bool(wanted), cut=cut)
    decisions, tally = in_force(store.decisions(as_of)), Tally()
    with _no_garbage():
        for share in shares_of(store, classify, as_of, wanted, settings.workers, pool):
            judged = tuple(decided(one, decisions) for one in share.judged)
            tally.take(replace(share, judged=judged if facts else tuple(map(bare, judged))))
            if tell is not None:
                tell("patients classified", tally.patients)
    quality = tally.quality(store, as_of)
    return Study(
        name=settings.study_name,
        plan=classify.plan,
        judged=tuple(tally.judged),
        attrition=tally.attrition(),
        quality=quality,
        unmapped=tally.ranked_unmapped(),
        notes=tuple(tally.notes),
        codes_digest=codes.digest,
        rules_digest=classify.rules,
        cut=quality.cut,
        synthetic=tally.synthetic,
    )


def follow_up_of(
    judged: Iterable[Judged], group: Callable[[Judged], str] | None = None
) -> "FollowUp":
    """The evaluable episodes as an estimator reads them: days, event 0/1/2, group.

    A time known only within bounds enters with its middle; the bounds are in the cohort file.
    """
    from adapter.incidence import follow_up  # numpy takes longer than a quiet night

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
