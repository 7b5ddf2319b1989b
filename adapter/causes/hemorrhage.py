"""Bleeding; inside the skull it is hemorrhage and never neurotoxicity."""

from adapter.causes.cardiorespiratory import OrganDisease
from adapter.causes.chart import Chart
from adapter.causes.rule import Seen
from adapter.model import Cause, Certainty

INTRACRANIAL = frozenset({"intracranial_hemorrhage"})
MAJOR = frozenset({"hemorrhage"})


class IntracranialHemorrhage(OrganDisease):
    """Intracranial bleeding in the last {window} days"""

    cause = Cause.HEMORRHAGE
    groups = INTRACRANIAL
    rank = 40
    source = "Lee et al. 2019: intracranial hemorrhage is not ICANS; window convention"


class MajorBleeding(OrganDisease):
    """Bleeding from gut, lung or elsewhere in the last {window} days"""

    cause = Cause.HEMORRHAGE
    groups = MAJOR
    rank = 64
    window = 14
    near = 3


class Clotting(OrganDisease):
    """Disseminated intravascular coagulation, nothing deeper, in the last {window} days"""

    cause = Cause.HEMORRHAGE
    kind = "terminal"
    rank = 92
    window = 7
    certainty = Certainty.POSSIBLE

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}."""
        found = chart.active(self.window, "toxicity", {"coagulopathy"}, {"mechanism"})
        return Seen(found) if found else None
