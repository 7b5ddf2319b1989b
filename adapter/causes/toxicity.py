"""Cytokine release syndrome and neurotoxicity, active and severe at death."""

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty, Fact

STEROIDS = frozenset({"dexamethasone", "methylprednisolone"})
CRS_DRUGS = frozenset({"tocilizumab", "siltuximab", "anakinra"})
#: Signs of ICANS that have codes of their own.
BRAIN = frozenset({"encephalopathy", "seizure", "cerebral_edema"})
_ICANS_DAYS = 60  # encephalopathy this soon after infusion may be ICANS (convention)


def grade_of(fact: Fact) -> int | None:
    """The grade in the code or in the value; None when neither says."""
    if fact.kind.isdigit():
        return int(fact.kind)
    return int(fact.value) if fact.value is not None and 0 <= fact.value <= 5 else None


def graded(facts: Facts, *grades: int | None) -> Facts:
    """Those of these grades."""
    return tuple(fact for fact in facts if grade_of(fact) in grades)


class Toxicity(Rule):
    """Toxicity of the CAR T cells"""

    group = ""
    grades: tuple[int | None, ...] = ()
    treatment = CRS_DRUGS

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days} and is not recorded as over."""
        facts = chart.after_infusion(chart.active(self.window, "toxicity", {self.group}))
        found = graded(facts, *self.grades)
        return Seen(found) if found else None


class FatalCrs(Toxicity):
    """Cytokine release syndrome of grade 5"""

    cause = Cause.CRS
    group, grades = "crs", (5,)
    certainty = Certainty.DEFINITE
    rank = 15
    near = 30
    source = "ASTCT grade 5 is death due to CRS (Lee et al. 2019)"


class SevereCrs(Toxicity):
    """Cytokine release syndrome of grade 3 or 4, active at most {window} days before death"""

    cause = Cause.CRS
    group, grades = "crs", (3, 4)
    rank = 45
    source = "ASTCT grades (Lee et al. 2019); window convention, no new CRS after two weeks [US9]"


class UngradedCrs(Toxicity):
    """Cytokine release syndrome without a grade, active at most {window} days before death"""

    cause = Cause.CRS
    group, grades = "crs", (None,)
    certainty = Certainty.POSSIBLE
    window = 14
    rank = 65


class FatalIcans(Toxicity):
    """Neurotoxicity (ICANS) of grade 5"""

    cause = Cause.NEUROTOXICITY
    group, grades = "icans", (5,)
    certainty = Certainty.DEFINITE
    rank = 15
    near = 30
    treatment = STEROIDS
    source = "ASTCT grade 5 is death due to ICANS (Lee et al. 2019)"


class SevereIcans(Toxicity):
    """Neurotoxicity (ICANS) of grade 3 or 4, active at most {window} days before death"""

    cause = Cause.NEUROTOXICITY
    group, grades = "icans", (3, 4)
    rank = 46
    treatment = STEROIDS
    source = "ASTCT grades (Lee et al. 2019); window convention"


class UngradedNeurotoxicity(Toxicity):
    """ICANS without a grade, or its signs soon after infusion, active within {window} days"""

    cause = Cause.NEUROTOXICITY
    certainty = Certainty.POSSIBLE
    window = 14
    rank = 66
    treatment = STEROIDS

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days} and is not recorded as over."""
        icans = graded(chart.active(self.window, "toxicity", {"icans"}), None)
        latest = chart.episode.infusion.last + _ICANS_DAYS
        signs = tuple(
            fact
            for fact in chart.active(self.window, "toxicity", BRAIN)
            if fact.when is not None and fact.when.last <= latest
        )
        found = chart.after_infusion(dict.fromkeys(icans + signs))
        return Seen(found) if found else None


class LateNeurotoxicity(Rule):
    """Late neurotoxicity (parkinsonism, Guillain-Barré) in the last {window} days"""

    cause = Cause.NEUROTOXICITY
    needs = frozenset({"Condition"})
    certainty = Certainty.POSSIBLE
    window = 365
    near = 365
    rank = 67
    source = "known after BCMA-directed products (GK); window convention"

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days} and is not recorded as over."""
        found = chart.after_infusion(chart.active(self.window, "toxicity", {"neuro_other"}))
        return Seen(found) if found else None
