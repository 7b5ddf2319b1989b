"""The account of a study: who was left out and why, what is unmapped, how good the data are."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from adapter.errors import Alarm
from adapter.model import Judged, Note, OutcomeKind
from adapter.patient import Share
from adapter.store import Store


class Attrition(msgspec.Struct, frozen=True):
    """Who was left out and why; every step adds up to the one before it."""

    patients: int = 0
    not_recipients: dict[str, int] = {}
    recipients: int = 0
    episodes: int = 0
    not_evaluable: dict[str, int] = {}
    outcomes: dict[str, int] = {}

    def check(self) -> None:
        """Stop the run when a patient or an episode went missing on the way."""
        lost = self.patients - self.recipients - sum(self.not_recipients.values())
        adrift = self.episodes - sum(self.outcomes.values()) - sum(self.not_evaluable.values())
        if lost or adrift:
            raise Alarm(
                f"The counts do not add up: {lost} patients and {adrift} episodes unaccounted for.",
                "This is a fault of the program: nothing was written, please report it.",
            )


class Unmapped(msgspec.Struct, frozen=True):
    """A code of the source that means nothing to us yet, and how many people carry it."""

    system: str
    code: str
    type: str
    patients: int
    recipients: int


class Quality(msgspec.Struct, frozen=True):
    """What is known about the data underneath: counts, rejects, completeness, failures."""

    resources: dict[str, int] = {}
    rejects: int = 0
    runs: tuple[dict[str, Any], ...] = ()
    slices_due: int = 0
    notes_by_kind: dict[str, int] = {}
    invalid: tuple[Note, ...] = ()
    unresolved: dict[str, int] = {}  # by type: of no patient that can be found

    @property
    def cut(self) -> str:
        """The day of the newest run that brought anything; a failed one tells nothing new."""
        heard = [run for run in self.runs if run["state"] not in ("failed", "interrupted")]
        return str(heard[-1]["started"])[:10] if heard else ""


class Tally:
    """Counts while the patients pass by, so that memory holds only the recipients."""

    def __init__(self) -> None:
        self.patients = 0
        self.synthetic = False
        self.judged: list[Judged] = []
        self.recipients = 0
        self.not_recipients: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.unmapped_recipients: Counter[str] = Counter()
        self.notes: list[tuple[str, Note]] = []
        self.invalid: list[Note] = []

    def take(self, share: Share) -> None:
        """Count one patient."""
        self.patients += 1
        self.synthetic |= share.synthetic
        self.unmapped.update(share.unmapped)
        if not share.judged:
            self.not_recipients[share.left_out] += 1
            return
        self.recipients += 1
        self.judged.extend(share.judged)
        self.unmapped_recipients.update(share.unmapped)
        self.notes.extend((share.patient, note) for note in share.notes)
        self.invalid.extend(share.invalid)

    def attrition(self) -> Attrition:
        """The flow diagram in numbers, checked to add up."""
        kinds = Counter(one.outcome.kind.value for one in self.judged)
        reasons = Counter(
            one.outcome.reason
            for one in self.judged
            if one.outcome.kind is OutcomeKind.NOT_EVALUABLE
        )
        kinds.pop(OutcomeKind.NOT_EVALUABLE.value, None)
        account = Attrition(
            patients=self.patients,
            not_recipients=dict(sorted(self.not_recipients.items())),
            recipients=self.recipients,
            episodes=len(self.judged),
            not_evaluable=dict(sorted(reasons.items())),
            outcomes=dict(sorted(kinds.items())),
        )
        account.check()
        return account

    def ranked_unmapped(self) -> tuple[Unmapped, ...]:
        """Most recipients first; where there are none, most patients first."""
        found = [
            Unmapped(system, code, kind, count, self.unmapped_recipients[coding])
            for coding, count in self.unmapped.items()
            for kind, code, system in [_parts(coding)]
        ]
        found.sort(key=lambda u: (-u.recipients, -u.patients, u.system, u.code, u.type))
        return tuple(found)

    def quality(self, store: Store, as_of: int | None) -> Quality:
        """What the store and the notes say of the data at run `as_of`."""
        runs = tuple(run for run in store.runs() if as_of is None or run["run"] <= as_of)
        return Quality(
            resources=store.counts(as_of),
            rejects=len(store.rejects(as_of)),
            runs=runs,
            slices_due=store.slices_due() if as_of is None else _due_after(runs),
            notes_by_kind=dict(sorted(Counter(note.kind for _, note in self.notes).items())),
            invalid=tuple(self.invalid),
            unresolved=store.unresolved(as_of),
        )


def _due_after(runs: Sequence[dict[str, Any]]) -> int:
    """What the last of these syncs left due: the ledger only knows what is due today."""
    left = [run["summary"].get("slices_due", 0) for run in runs if run["kind"] == "sync"]
    return int(left[-1]) if left else 0


def _parts(coding: str) -> tuple[str, str, str]:
    """Type, code, system; a code may hold the mark between them, a system of ours does not."""
    kind, _, rest = coding.partition("|")
    code, _, system = rest.rpartition("|")
    return kind, code, system
