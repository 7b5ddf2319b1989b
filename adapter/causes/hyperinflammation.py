"""Hyperinflammation like haemophagocytic lymphohistiocytosis (IEC-HS): coded, or from the lab."""

from adapter.causes.chart import Chart, Facts, Names
from adapter.causes.rule import Rule, Seen
from adapter.model import Cause, Certainty

HLH_DRUGS = frozenset({"anakinra", "ruxolitinib", "emapalumab"})
_OPEN = frozenset({"infection_associated", "other_histiocytosis"})


class CodedHlh(Rule):
    """Haemophagocytic lymphohistiocytosis diagnosed after infusion, within {window} days"""

    cause = Cause.IEC_HS
    rank = 44
    near = 21
    treatment = HLH_DRUGS
    source = "IEC-HS has no code of its own; Hines et al. 2023; window convention"

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}; no earlier recovery is recorded."""
        found = chart.active(self.window, "toxicity", {"iec_hs"}, (), _OPEN)
        found = chart.after_infusion(found)
        return Seen(found) if found else None


class HlhWithInfection(Rule):
    """Haemophagocytic syndrome coded as due to infection or other, within {window} days"""

    cause = Cause.IEC_HS
    rank = 70
    doubtful = True
    certainty = Certainty.POSSIBLE
    source = "convention: after CAR T cells both readings are open"

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}; the code does not blame the CAR T cells."""
        found = chart.after_infusion(chart.active(self.window, "toxicity", {"iec_hs"}, _OPEN))
        return Seen(found) if found else None


class HlhByLaboratory(Rule):
    """Laboratory criteria of IEC-HS met in the last {window} days of life"""

    cause = Cause.IEC_HS
    needs = frozenset({"Observation"})
    rank = 71
    doubtful = True
    window = 14
    certainty = Certainty.POSSIBLE
    treatment = HLH_DRUGS
    source = "Hines et al. 2023, from memory; thresholds are conventions in study.toml"

    def look(self, chart: Chart) -> Seen | None:
        """In the last {window} days: {criteria}."""
        policy = chart.policy
        ferritin = self.beyond(chart, {"ferritin"}, policy.iec_hs_ferritin)
        if not ferritin:
            return None
        liver = policy.iec_hs_transaminase
        others = (
            (
                "AST or ALT high",
                self.beyond(chart, "AST", liver) + self.beyond(chart, "ALT", liver),
            ),
            ("fibrinogen low", self.below(chart, {"fibrinogen"}, policy.iec_hs_fibrinogen)),
            ("platelets below 25", self.below(chart, {"platelets"}, 25.0)),
        )
        met = [(name, facts) for name, facts in others if facts]
        if len(met) < policy.iec_hs_criteria:
            return None
        criteria = ", ".join(["ferritin high", *(name for name, _ in met)])
        facts = ferritin + tuple(fact for _, found in met for fact in found)
        return Seen(facts, words={"criteria": criteria})

    def values(self, chart: Chart, analytes: Names) -> Facts:
        """The analytes in the window, after infusion and not after death."""
        return tuple(
            fact
            for fact in chart.after_infusion(chart.active(self.window, "lab", analytes))
            if fact.value is not None and chart.gap(fact.when).high >= 0
        )

    def beyond(self, chart: Chart, analytes: Names, limit: float) -> Facts:
        """The values above a limit; "< 500" is not above 400."""
        return tuple(
            fact
            for fact in self.values(chart, analytes)
            if (fact.value or 0) > limit and "less_than" not in fact.traits
        )

    def below(self, chart: Chart, analytes: Names, limit: float) -> Facts:
        """The values below a limit."""
        return tuple(
            fact
            for fact in self.values(chart, analytes)
            if (fact.value or 0) < limit and "more_than" not in fact.traits
        )
