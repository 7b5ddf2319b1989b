"""What two nights say differently, and why: new evidence, mapping, rule or decision.

Each night keeps in the store what it said of every episode, and with which codes, rules and
program. A run without that memory is replayed from the append-only store with today's settings.
"""

from collections.abc import Callable, Iterator

import msgspec
import zstandard

from adapter import __version__
from adapter.codes import Codes
from adapter.config import Settings
from adapter.errors import UsageError
from adapter.export import answer_of
from adapter.model import Judged, OutcomeKind
from adapter.patient import digest_of
from adapter.report import Change, Changes
from adapter.store import Store
from adapter.study import Study, run_study

#: With a checksum, by which damage is found.
pack = zstandard.ZstdCompressor(write_checksum=True).compress


class Row(msgspec.Struct, frozen=True):
    """What was said of one episode; `settled` is the digest of the decision that counts."""

    patient: str
    product: str
    outcome: str
    died: bool
    cause: str = ""
    subcause: str = ""
    certainty: str = ""
    rule: str = ""
    settled: str = ""

    @property
    def verdict(self) -> tuple[str, str, str]:
        """What a reader would call the answer."""
        return self.cause, self.subcause, self.certainty

    @property
    def named(self) -> str:
        """The verdict in words."""
        inside = ", ".join(part.replace("_", " ") for part in self.verdict[1:] if part)
        return self.cause.replace("_", " ") + (f" ({inside})" if inside else "")


class Said(msgspec.Struct, frozen=True):
    """What one night said, and under which codes, rules and program."""

    run: int
    at: str
    codes: str
    rules: str
    program: str
    rows: dict[str, Row] = {}


def said_of(study: Study, run: int) -> Said:
    """What this study says, as of a run of its store."""
    rows = {one.episode.name: _row(one) for one in study.judged}
    at = next((str(r["started"]) for r in study.quality.runs if r["run"] == run), "")
    return Said(run, at, study.codes_digest, study.rules_digest, __version__, rows)


def _row(one: Judged) -> Row:
    answer = answer_of(one)
    base = (one.episode.patient, one.episode.product, one.outcome.kind.value)
    if answer is None:
        return Row(*base, one.episode.death is not None)
    settled = "" if one.decision is None else digest_of(one.decision)
    return Row(
        *base, True, answer.cause.value, answer.subcause, answer.certainty.value,
        one.verdict.rule if one.verdict else "", settled,
    )  # fmt: skip


# -- memory --------------------------------------------------------------------------------


def remember(store: Store, said: Said) -> None:
    """Keep what a night said; a night that says what the last one said costs a few bytes."""
    rows = msgspec.json.encode(said.rows, order="deterministic")
    last = store.db.execute(
        "SELECT rows FROM night WHERE rows <> x'' ORDER BY run DESC LIMIT 1"
    ).fetchone()
    same = last is not None and zstandard.decompress(last[0]) == rows
    head = msgspec.json.encode(msgspec.structs.replace(said, rows={})).decode()
    with store.transaction("night"):
        store.db.execute(
            "INSERT OR REPLACE INTO night (run, said, rows) VALUES (?, ?, ?)",
            (said.run, head, b"" if same else pack(rows)),
        )


def recall(store: Store, run: int | None = None) -> Said | None:
    """What the night of this run (without: the last night) said, None when nobody kept it."""
    head = store.db.execute(
        "SELECT said, run FROM night WHERE ? IS NULL OR run = ? ORDER BY run DESC LIMIT 1",
        (run, run),
    ).fetchone()
    if head is None:
        return None
    rows = store.db.execute(
        "SELECT rows FROM night WHERE rows <> x'' AND run <= ? ORDER BY run DESC LIMIT 1",
        (head[1],),
    ).fetchone()
    kept = msgspec.json.decode(zstandard.decompress(rows[0]), type=dict[str, Row]) if rows else {}
    return msgspec.structs.replace(msgspec.json.decode(head[0], type=Said), rows=kept)


def diff(store: Store, settings: Settings, codes: Codes, first: int, second: int) -> Changes:
    """What changed between two runs; UsageError when the store has no such run."""
    known = {int(run["run"]) for run in store.runs()}
    for run in (first, second):
        if run not in known:
            raise UsageError(f"The store has no run {run}.", "`cart-nrm status` lists the runs.")
    before, after = (
        recall(store, run) or said_of(run_study(store, settings, codes, as_of=run), run)
        for run in (first, second)
    )
    return changes_between(store, before, after, replaying(store, settings, codes, first))


# -- comparing -----------------------------------------------------------------------------

Replay = Callable[[str], dict[str, Row]]


def replaying(store: Store, settings: Settings, codes: Codes, run: int) -> Replay:
    """Gives one patient's record as it was, read with today's codes and rules."""

    def again(patient: str) -> dict[str, Row]:
        study = run_study(store, settings, codes, as_of=run, only=[patient])
        return said_of(study, run).rows

    return again


def changes_between(store: Store, before: Said, after: Said, replay: Replay) -> Changes:
    """Episodes, deaths, relapses and verdicts that came, went or moved, in order of episode."""
    touched = {
        str(row[0])
        for row in store.db.execute(
            "SELECT DISTINCT o.patient FROM version v JOIN version o USING (type, fhir_id)"
            " WHERE v.run > ? AND v.run <= ?",  # whoever else owned it before, too
            sorted((before.run, after.run)),
        )
    }
    found = list[Change]()
    for name in sorted(before.rows.keys() | after.rows.keys()):
        old, new = before.rows.get(name), after.rows.get(name)
        why = _Why(before, after, touched, replay, name)
        found += [Change(kind, (new or old).patient, text)  # type: ignore[union-attr]
                  for kind, text in _changes(old, new, why)]  # fmt: skip
    return Changes(f"run {before.run} ({before.at[:10]})", tuple(found))


def _changes(old: Row | None, new: Row | None, why: "_Why") -> Iterator[tuple[str, str]]:
    if old == new:
        return
    if new is None:
        yield "infusion gone", f"No longer a CAR T episode: {why()}."
        return
    if old is None:
        yield "new infusion", f"Product: {new.product or 'not named'}. {why().capitalize()}."
        old = Row(new.patient, new.product, OutcomeKind.ALIVE.value, False)
    if new.died != old.died:
        kind = "new death" if new.died else "death withdrawn"
        yield kind, f"First event: {new.outcome.replace('_', ' ')}. {why().capitalize()}."
    if new.outcome != old.outcome:
        kind = "new relapse" if new.outcome == OutcomeKind.RELAPSE else "outcome moved"
        words = f"{old.outcome} to {new.outcome}".replace("_", " ")
        yield kind, f"{words}: {why()}."
    if new.verdict != old.verdict:
        kind = "verdict moved" if old.cause and new.cause else "new verdict"
        if new.cause:
            yield kind, f"{old.named or 'none'} to {new.named}: {why()}."
        else:
            yield "verdict withdrawn", f"{old.named}: {why()}."


class _Why:
    """Why one episode is told differently; asked only when it is."""

    def __init__(
        self, before: Said, after: Said, touched: set[str], replay: Replay, name: str
    ) -> None:
        self.before, self.after, self.replay, self.name = before, after, replay, name
        self.old, self.new = before.rows.get(name), after.rows.get(name)
        self.patient = (self.new or self.old).patient  # type: ignore[union-attr]
        self.evidence = self.patient in touched

    def _decided(self) -> bool:
        """Only of a verdict does a person decide, never of what came first."""
        old, new = self.old, self.new
        return bool(old and new and old.outcome == new.outcome and old.settled != new.settled)

    def __call__(self) -> str:
        """The reason in words; where data and settings both changed, the old data are read again
        with the new settings, which tells the two apart.
        """
        if self._decided():
            return "decision"
        pairs = {"mapping": "codes", "rule or policy": "rules", "program version": "program"}
        changed = [
            words for words, field in pairs.items()
            if getattr(self.before, field) != getattr(self.after, field)
        ]  # fmt: skip
        settings = "changed " + " and ".join(changed)
        if not self.evidence:
            return settings if changed else "what the source sends as a whole"
        if not changed:
            return "new evidence"
        again = self.replay(self.patient).get(self.name)
        if again == self.new:
            return settings
        return "new evidence" if again == self.old else f"new evidence and {settings}"
