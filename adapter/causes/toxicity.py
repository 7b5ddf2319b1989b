"""Cytokine release syndrome and neurotoxicity, active and severe at death."""

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty, Fact

STEROIDS = frozenset({"dexamethasone", "methylprednisolone"})
CRS_DRUGS = frozenset({"tocilizumab", "siltuximab", "anakinra"})
#: Signs of ICANS that have codes of their own.
BRAIN = frozenset({"encephalopathy", "seizure", "cerebral_edema"})
_CRS_DAYS = 21  # none began after two weeks in 475 patients (Blood Adv 2024;8:5346)
_ICANS_DAYS = 60  # encephalopathy this soon after infusion may be ICANS (convention)


def grade_of(fact: Fact) -> int | None:
    """The grade in the code or in the value; None when neither says."""
    if fact.kind.isdigit():
        return int(fact.kind)
    return int(fact.value) if fact.value is not None and 0 <= fact.value <= 5 else None


def graded(facts: Facts, *grades: int | None) -> Facts:
    """Those of these grades."""
    return tuple(fact for fact in facts if grade_of(fact) in grades)


def soon_after_infusion(chart: Chart, facts: Facts, days: int) -> Facts:
    """Those that began from day 0 to this day."""
    latest = chart.episode.infusion.last + days
    return tuple(f for f in chart.after_infusion(facts) if f.when and f.when.last <= latest)


class Toxicity(Rule, family=True):
    """Toxicity of the CAR T cells"""

    group = ""
    grades: tuple[int | None, ...] = ()
    treatment = CRS_DRUGS

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days}; no earlier recovery is recorded."""
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
    source = "ASTCT grades (Lee et al. 2019); window convention"


class UngradedCrs(Toxicity):
    """Cytokine release syndrome without a grade, active at most {window} days before death"""

    cause = Cause.CRS
    group, grades = "crs", (None,)
    certainty = Certainty.POSSIBLE
    window = 14
    rank = 65


class CrsByTreatment(Toxicity):
    """An unspecific immune code and cytokine blockade soon after infusion, within {window} days"""

    cause = Cause.CRS
    needs = frozenset({"Condition", "MedicationAdministration"})
    certainty = Certainty.POSSIBLE
    window = 14
    rank = 77
    treatment = frozenset()
    source = "convention: ICD-10-GM and WHO ICD-10 have no code for CRS; drugs alone are no proof"

    def look(self, chart: Chart) -> Seen | None:
        """{display} {days}: this may be cytokine release syndrome, which has no code here."""
        codes = chart.active(self.window, "toxicity", {"immune_other", "iec_complication"})
        codes = soon_after_infusion(chart, codes, _CRS_DAYS)
        drugs = chart.treated(self.window, CRS_DRUGS)
        return Seen(codes + drugs) if codes and drugs else None


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


class UngradedIcans(Toxicity):
    """ICANS without a grade, active at most {window} days before death"""

    cause = Cause.NEUROTOXICITY
    group, grades = "icans", (None,)
    certainty = Certainty.POSSIBLE
    window = 14
    rank = 66
    treatment = STEROIDS


class SignsOfIcans(Toxicity):
    """Encephalopathy, seizure or brain oedema soon after infusion, active within {window} days"""

    cause = Cause.NEUROTOXICITY
    certainty = Certainty.POSSIBLE
    window = 7
    rank = 73
    treatment = STEROIDS
    source = "convention; before October 2021 ICANS was coded as toxic encephalopathy"

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days}; no earlier recovery is recorded."""
        signs = chart.active(self.window, "toxicity", BRAIN)
        found = soon_after_infusion(chart, signs, _ICANS_DAYS)
        return Seen(found) if found else None


class LateNeurotoxicity(Rule):
    """Late neurotoxicity (parkinsonism, Guillain-Barré) in the last {window} days"""

    cause = Cause.NEUROTOXICITY
    needs = frozenset({"Condition"})
    certainty = Certainty.POSSIBLE
    window = 365
    near = 365
    rank = 67
    source = "convention: known after BCMA-directed products"

    def look(self, chart: Chart) -> Seen | None:
        """{display} began {days}; no earlier recovery is recorded."""
        found = chart.after_infusion(chart.active(self.window, "toxicity", {"neuro_other"}))
        return Seen(found) if found else None
