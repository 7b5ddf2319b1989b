"""Organ failure, only where nothing deeper is known."""

from adapter.causes.cardiorespiratory import Mechanism, OrganDisease
from adapter.causes.chart import Chart
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty

DISEASES = frozenset({"hepatic", "renal", "tma", "gi"})
FAILING = frozenset({"hepatic", "renal", "multiorgan"})


class OrganFailure(OrganDisease):
    """A disease of liver, kidney, gut or small vessels in the last {window} days"""

    cause = Cause.ORGAN_FAILURE
    groups = DISEASES
    rank = 78
    source = "convention: organ failure only when not due to infection or GvHD (CIBMTR list)"


class TumourLysis(Rule):
    """Tumour lysis syndrome after infusion, in the last {window} days"""

    cause = Cause.ORGAN_FAILURE
    needs = frozenset({"Condition"})
    rank = 79
    window = 14

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}."""
        found = chart.active(self.window, "organ", {"metabolic"})
        found += chart.active(self.window, "toxicity", {"tumour_lysis"})
        found = chart.after_infusion(found)
        return Seen(found) if found else None


class MarrowFailure(Rule):
    """Aplastic marrow still active in the last {window} days"""

    cause = Cause.ORGAN_FAILURE
    needs = frozenset({"Condition"})
    rank = 84
    certainty = Certainty.POSSIBLE

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}; no earlier recovery is recorded."""
        found = chart.active(self.window, "toxicity", (), {"marrow"})
        return Seen(found) if found else None


class OrgansFailing(Mechanism):
    """Liver, kidney or several organs failing, nothing deeper, in the last {window} days"""

    cause = Cause.ORGAN_FAILURE
    groups = FAILING
    rank = 88
