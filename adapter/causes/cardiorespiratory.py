"""Heart, vessels and lungs; their mere failure is a mode of dying and gives way."""

from adapter.causes.chart import Chart
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty

ORGANS = frozenset({"cardiac", "respiratory", "stroke"})
#: Kinds of organ diagnoses that do not say by themselves why somebody died.
WEAK = frozenset({"mechanism", "lesser", "chronic"})


class OrganDisease(Rule, family=True):
    """A disease of an organ"""

    needs = frozenset({"Condition"})
    groups: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    but: frozenset[str] = WEAK

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}."""
        found = chart.active(self.window, "organ", self.groups, self.kinds, self.but)
        return Seen(found) if found else None


class Mechanism(OrganDisease, family=True):
    """A mode of dying"""

    kind = "terminal"
    kinds, but = frozenset({"mechanism"}), frozenset[str]()
    certainty = Certainty.POSSIBLE
    window = 14
    near = 7
    source = "docs/decisions/0020: a terminal mechanism gives way to any deeper cause"

    def look(self, chart: Chart) -> Seen | None:
        """{display} was recorded {days}: how the patient died, not why."""
        found = chart.active(self.window, "organ", self.groups, self.kinds)
        found += chart.certified_mechanisms(self.groups)
        return Seen(found) if found else None


class AcuteHeartDisease(OrganDisease):
    """Acute heart disease in the last {window} days"""

    cause = Cause.CARDIOVASCULAR_RESPIRATORY
    groups = frozenset({"cardiac"})
    window = 14
    near = 7
    rank = 70


class VesselOcclusion(OrganDisease):
    """Pulmonary embolism or ischaemic stroke in the last {window} days"""

    cause = Cause.CARDIOVASCULAR_RESPIRATORY
    groups = frozenset({"pulmonary_embolism", "stroke"})
    rank = 70
    source = "convention; strokes were 6 of 48 in DESCAR-T (Lemoine et al. 2023)"


class LungInjury(OrganDisease):
    """ARDS or lung injury in the last {window} days"""

    cause = Cause.CARDIOVASCULAR_RESPIRATORY
    groups = frozenset({"respiratory"})
    but = WEAK | {"vascular"}
    rank = 76
    source = "convention: ARDS gives way to the infection or CRS that led to it"


class LesserHeartLung(OrganDisease):
    """Heart failure, arrhythmia or lung oedema in the last {window} days"""

    cause = Cause.CARDIOVASCULAR_RESPIRATORY
    groups, kinds, but = ORGANS, frozenset({"lesser"}), frozenset[str]()
    certainty = Certainty.POSSIBLE
    window = 14
    near = 7
    rank = 80


class CardiacOrRespiratoryArrest(Mechanism):
    """Cardiac arrest or respiratory failure, nothing deeper, in the last {window} days"""

    cause = Cause.CARDIOVASCULAR_RESPIRATORY
    groups = ORGANS | {"neuro"}  # anoxic brain damage
    rank = 90
