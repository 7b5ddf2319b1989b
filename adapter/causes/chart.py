"""One death as the rules see it: what counts as evidence, and how long before death it was."""

from collections.abc import Collection, Iterable

from adapter.config import Policy
from adapter.dates import Days, Interval, days_between
from adapter.model import Episode, Fact

#: An illness that ended longer than this before death was over (convention; a discharge letter
#: closes diagnoses a few days late or at death, which is not recovery).
SETTLED_DAYS = 7
_FAR = 10**6

#: Statements that can be written without seeing the patient.
_WRITTEN_AFAR = frozenset({"certified", "problem_list", "day_only_from_entry", "billing"})

Facts = tuple[Fact, ...]
Names = Collection[str]


class Chart:
    """The evidence of one death. Facts beyond the tail after death are not there at all."""

    def __init__(self, episode: Episode, policy: Policy) -> None:
        if episode.death is None or episode.death.when is None:
            raise ValueError(f"{episode.name} has no death on a known day")
        self.episode = episode
        self.policy = policy
        self.death: Interval = episode.death.when
        latest = self.death.last + policy.after_death_days
        self.known = tuple(
            fact
            for fact in episode.timeline.facts
            if "certified" in fact.traits  # dated by the day of the certificate, if at all
            or (fact.when is not None and fact.when.first <= latest)
        )
        self.facts = tuple(fact for fact in self.known if fact.happened)
        self._bedside: dict[str, list[Fact]] = {}
        for fact in self.facts:
            if "certified" not in fact.traits:
                self._bedside.setdefault(fact.concept, []).append(fact)
        self._last_seen = max(
            (
                (fact.end or fact.when).last
                for fact in self.facts
                if fact.when is not None
                and fact.when.first <= self.death.last
                and fact.traits.isdisjoint(_WRITTEN_AFAR)
                and (fact.concept not in ("death", "followup_status") or "discharge" in fact.traits)
            ),
            default=0,
        )
        self._garbage = {
            (fact.source, fact.code): "ill_defined" in fact.subconcept
            for fact in self.facts
            if fact.concept == "garbage_cause"
        }

    # -- asking ----------------------------------------------------------------------------

    def of(self, concept: str, groups: Names = (), kinds: Names = (), but: Names = ()) -> Facts:
        """Bedside facts of a concept by group or subconcept, by kind, without the kinds in `but`.

        Certificates are apart, and a code that only says somebody died (I46.9) is nothing.
        """
        return tuple(
            fact
            for fact in self._bedside.get(concept, ())
            if (not groups or fact.group in groups or fact.subconcept in groups)
            and (not kinds or fact.kind in kinds)
            and fact.kind not in but
            and not self.ill_defined(fact)
        )

    def active(
        self, window: int, concept: str, groups: Names = (), kinds: Names = (), but: Names = ()
    ) -> Facts:
        """Those that were not over, and whose last sign was at most `window` days before death."""
        found = self.of(concept, groups, kinds, but)
        return tuple(fact for fact in found if self._distance(fact) <= window)

    def after_infusion(self, facts: Iterable[Fact]) -> Facts:
        """Those that cannot have begun before day 0."""
        start = self.episode.infusion.first
        return tuple(fact for fact in facts if fact.when is not None and fact.when.first >= start)

    def certified(self) -> Facts:
        """The coded causes of a death certificate or registry."""
        return tuple(fact for fact in self.facts if "certified" in fact.traits)

    def certified_mechanisms(self, groups: Names) -> Facts:
        """Certified modes of dying of these organs."""
        return tuple(
            fact
            for fact in self.certified()
            if fact.concept == "organ"
            and fact.group in groups
            and (fact.kind == "mechanism" or self.garbage(fact))
            and not self.ill_defined(fact)
        )

    def ill_defined(self, fact: Fact) -> bool:
        """Does the code say no more than that somebody died (R99, I46.9)?"""
        return self._garbage.get((fact.source, fact.code), False)

    def garbage(self, fact: Fact) -> bool:
        """Is the code a mode of dying or worse, so that a deeper cause must be looked for?"""
        return (fact.source, fact.code) in self._garbage

    def treated(self, window: int, drugs: Names) -> Facts:
        """Drugs given after infusion and at most `window` days before death."""
        given = self.after_infusion(self.of("supportive_drug", drugs))
        return tuple(fact for fact in given if self.gap(fact.end or fact.when).low <= window)

    def observed(self, days: int) -> bool:
        """Was the patient seen by anybody in the last `days` days of life?"""
        return self._last_seen >= self.death.first - days

    # -- days ------------------------------------------------------------------------------

    def gap(self, when: Interval | None) -> Days:
        """Days from `when` to death; negative after it. Undated certificates are at death."""
        return Days(0, 0) if when is None else days_between(when, self.death)

    def _distance(self, fact: Fact) -> int:
        """Fewest days from the last sign to death; far away when the illness was over."""
        onset = self.gap(fact.when).low
        if fact.end is not None:
            ended = self.gap(fact.end).low
            return _FAR if ended > SETTLED_DAYS else max(ended, 0)
        if "resolved" in fact.traits and onset > SETTLED_DAYS:
            return _FAR
        return max(onset, 0)

    def closest(self, facts: Iterable[Fact]) -> int:
        """Days from the last sign of any of `facts` to death."""
        return min((self._distance(fact) for fact in facts), default=_FAR)

    def surely_within(self, facts: Iterable[Fact], window: int) -> bool:
        """Is at least one fact in the window whatever the true days of imprecise dates are?"""
        return any(self.gap(fact.end or fact.when).high <= window for fact in facts)

    def ago(self, facts: Iterable[Fact]) -> str:
        """When the facts were, in words a reader understands."""
        onsets = [self.gap(fact.when) for fact in facts]
        if not onsets:
            return "at death"
        low, high = min(gap.low for gap in onsets), max(gap.high for gap in onsets)
        if high <= 0:
            return "on the day of death" if low == high == 0 else "at or after death"
        span = str(high) if low == high else f"{max(low, 0)} to {high}"
        return f"{span} day{'' if span == '1' else 's'} before death"
