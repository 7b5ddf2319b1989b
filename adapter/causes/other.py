"""GvHD after a later transplant, deaths from outside, and what asks for a person."""

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty, Fact

ALLOGENEIC = frozenset({"allogeneic", "donor_lymphocytes"})
EXTERNAL = frozenset({"accident", "self_harm", "assault", "undetermined", "manner"})
#: Concepts in which an uncoded or unconfirmed statement near death could change the cause.
_CAUSAL = frozenset(
    {
        "text_only", "infection", "toxicity", "organ", "second_primary_malignancy",
        "external_cause", "certified_unmapped", "microbiology_result",
    }
)  # fmt: skip


class GvhdAfterTransplant(Rule):
    """Graft-versus-host disease after an allogeneic transplant that followed the CAR T cells"""

    cause = Cause.OTHER
    needs = frozenset({"Condition", "Procedure"})
    rank = 26
    window = 180
    near = 90
    source = "Copelan et al. 2007: GvHD weighs more than the infection under its treatment"

    def look(self, chart: Chart) -> Seen | None:
        """{display} {days}, after an allogeneic transplant."""
        later = transplants(chart)
        found = chart.after_infusion(chart.active(self.window, "organ", {"gvhd"}))
        return Seen(found + later, "gvhd") if found and later else None


class LaterTransplant(Rule):
    """Death within {window} days of a later allogeneic transplant, nothing else found"""

    cause = Cause.OTHER
    needs = frozenset({"Procedure"})
    rank = 86
    window = 365
    near = 100
    certainty = Certainty.POSSIBLE
    source = "convention: the transplant itself, as one death of ZUMA-1"

    def look(self, chart: Chart) -> Seen | None:
        """An allogeneic transplant was done {days}."""
        found = tuple(f for f in transplants(chart) if chart.gap(f.when).low <= self.window)
        return Seen(found, "hct") if found else None


class ExternalCause(Rule):
    """Accident, suicide or violence in the last {window} days"""

    cause = Cause.OTHER
    needs = frozenset({"Condition"})
    rank = 82
    window = 7
    near = 3
    certainty = Certainty.POSSIBLE
    source = "convention: a fall is coded often and is seldom what killed"

    def look(self, chart: Chart) -> Seen | None:
        """{display} was recorded {days}."""
        found = chart.active(self.window, "external_cause", EXTERNAL)
        return Seen(found, external_subcause(found[0])) if found else None


class Hint(Rule, family=True):
    """Something a person must read"""

    kind = "hint"
    rank = 99
    window = 30
    watch = 0

    def seen(self, facts: Facts) -> Seen | None:
        """A hint never names a cause."""
        return Seen(facts, certainty=Certainty.NONE, review=True) if facts else None


class OnlyInText(Hint):
    """Uncoded statements in the last {window} days of life or on the certificate"""

    source = "docs/decisions/0025: what is written only in free text is never counted"

    def look(self, chart: Chart) -> Seen | None:
        """Written only as text and not counted: {display}, {days}."""
        return self.seen(unread(chart, self.window, "text_only"))


class OnlySuspected(Hint):
    """Suspected diagnoses in the last {window} days that were neither confirmed nor refuted"""

    source = "docs/decisions/0025: suspected is no evidence"

    def look(self, chart: Chart) -> Seen | None:
        """Suspected and not counted: {display}, {days}."""
        found = unread(chart, self.window, "suspected")
        return self.seen(tuple(f for f in found if "refuted_by_source" not in f.traits))


class UnknownCode(Hint):
    """Codes of unconfirmed meaning in the last {window} days or on the certificate"""

    source = "docs/decisions/0025: queued for a person, never counted"

    def look(self, chart: Chart) -> Seen | None:
        """A code whose meaning is not confirmed was not counted: {display}, {days}."""
        return self.seen(unread(chart, self.window, "review_only"))


class DisputedDeath(Hint):
    """The sources contradict each other about the death"""

    needs = frozenset[str]()

    def look(self, chart: Chart) -> Seen | None:
        """The sources contradict each other about this death."""
        death = chart.episode.death
        if death is None or not death.disputed:
            return None
        return self.seen(death.facts)


def external_subcause(fact: Fact) -> str:
    """accident, suicide or violence; "" for undetermined intent."""
    word = fact.kind if fact.group == "manner" else fact.group
    same = {"self_harm": "suicide", "assault": "violence", "homicide": "violence"}
    return same.get(word, word if word in ("accident", "suicide") else "")


def transplants(chart: Chart) -> Facts:
    """Allogeneic transplants after day 0."""
    return chart.after_infusion(chart.of("hct", ALLOGENEIC))


def unread(chart: Chart, window: int, trait: str) -> Facts:
    """Facts that do not count for this reason, near death or certified."""

    def near(fact: Fact) -> bool:
        if "certified" in fact.traits:
            return True
        return fact.when is not None and chart.gap(fact.when).low <= window

    return tuple(
        fact
        for fact in chart.known
        if trait in fact.traits and fact.concept in _CAUSAL and near(fact)
    )
