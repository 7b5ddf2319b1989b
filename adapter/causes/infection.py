"""Infections: diagnoses, bloodstream organisms by the NHSN rule, moulds, viruses with disease."""

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import RESULTS, Rule, Seen, displays
from adapter.grades.bloodstream import (
    CLASSES,
    UNIDENTIFIED,
    class_of,
    organisms_near,
    positive,
    separate_commensals,
    signs_of_infection,
)
from adapter.model import Cause, Certainty

_NOT_VIRAL_NOT_FUNGAL = frozenset({"bacterial", "parasitic", UNIDENTIFIED})
_SEPTIC = frozenset({"sepsis", "bloodstream"})
_SEVERE = frozenset({"severe", "cns", "heart"})
#: Infections nobody dies of without a worse one beside them, states that are no illness, and codes
#: that only say which organism caused a disease classified elsewhere.
NO_CAUSE = frozenset({"minor", "chronic", "sequelae", "organism"})
#: "superficial": thrush shares its code with candidaemia. "ambiguous": aspiration may be chemical,
#: encephalitis without an organism may be ICANS. "slow": leukoencephalopathy, a rule of its own.
_APART = NO_CAUSE | {"superficial", "ambiguous", "slow"}
_CLEARED_DAYS = 7  # a negative culture nearer to death says less than the positive one before it


class Infection(Rule, family=True):
    """Infection"""

    cause = Cause.INFECTION
    needs = frozenset({"Condition", "DiagnosticReport"})
    rank = 60
    groups: frozenset[str] = _NOT_VIRAL_NOT_FUNGAL
    kinds: frozenset[str] = frozenset()
    but: frozenset[str] = _APART

    def look(self, chart: Chart) -> Seen | None:
        """{display} was diagnosed {days}; no earlier recovery is recorded.{organism}"""
        return seen(
            chart, chart.active(self.window, "infection", self.groups, self.kinds, self.but)
        )


class Sepsis(Infection):
    """Sepsis active at death, diagnosed at most {window} days before"""

    kinds = _SEPTIC
    source = "convention: 30-day attribution, as in infection studies after CAR T cells"


class BloodstreamPathogen(Infection):
    """A recognised pathogen in one blood culture of the last {window} days"""

    needs = RESULTS
    source = "NHSN LCBI-1 (CDC bloodstream module); window convention"

    def look(self, chart: Chart) -> Seen | None:
        """{display} grew from blood {days}."""
        grown = uncleared(chart, self.window)
        return seen(chart, tuple(f for f in positive(grown) if f.group in CLASSES))


class BloodstreamCommensal(Infection):
    """The same skin commensal in two separate blood cultures of the last {window} days"""

    needs = RESULTS
    rank = 62
    source = "NHSN LCBI-2 (CDC bloodstream module): separate draws and a sign"

    def look(self, chart: Chart) -> Seen | None:
        """{display} grew from separate blood cultures {days}{sign}."""
        grown = separate_commensals(uncleared(chart, self.window))
        known = (fact for concept in ("vital", "toxicity", "organ") for fact in chart.of(concept))
        signs = signs_of_infection(known, grown)
        found = seen(chart, grown)
        if found is None:
            return None
        sign = f" with {displays(signs)}" if signs else "; no fever or shock is recorded"
        words = {**found.words, "sign": sign}
        certainty = None if signs else Certainty.POSSIBLE
        return Seen(found.facts + signs, found.subcause, certainty=certainty, words=words)


class PositiveCultureUnnamed(Infection):
    """A positive blood culture of the last {window} days that names no organism"""

    needs = RESULTS
    rank = 66
    certainty = Certainty.POSSIBLE
    window = 14

    def look(self, chart: Chart) -> Seen | None:
        """A blood culture was positive {days}, but the record does not say of what."""
        grown = positive(uncleared(chart, self.window))
        return seen(chart, tuple(f for f in grown if f.group not in CLASSES))


class Pneumonia(Infection):
    """Pneumonia active at death, diagnosed at most {window} days before"""

    rank = 61
    kinds = frozenset({"pneumonia"})


class Covid19(Infection):
    """COVID-19 active at death, found at most {window} days before"""

    needs = frozenset({"Condition", "Observation", "DiagnosticReport"})
    window = 60
    near = 30
    source = "convention: death within 28 or 60 days of a positive test (UK reporting 2020)"

    def look(self, chart: Chart) -> Seen | None:
        """{display}: found {days}."""
        ill = chart.active(self.window, "infection", {"covid19"}, (), NO_CAUSE | {"ambiguous"})
        tested = positive(chart.active(self.window, "microbiology_result", {"covid19"}))
        certainty = Certainty.POSSIBLE if not ill else Certainty.DEFINITE if tested else None
        return seen(chart, ill + tested, certainty)


class InvasiveFungal(Infection):
    """Invasive fungal disease (Pneumocystis included) active in the last {window} days"""

    window = 90
    near = 60
    rank = 59
    groups = frozenset({"fungal"})
    treatment = frozenset(
        {"voriconazole", "isavuconazonium", "posaconazole", "caspofungin", "micafungin"}
    )
    source = "convention: moulds are treated for at least 6 to 12 weeks"


class ViralDisease(Infection):
    """Viral disease, not mere detection, active in the last {window} days"""

    window = 60
    near = 30
    rank = 61
    groups = frozenset({"viral"})
    treatment = frozenset({"ganciclovir", "valganciclovir", "foscarnet", "cidofovir", "maribavir"})
    source = "convention: viral DNA without disease is no cause (docs/decisions/0022)"


class Leukoencephalopathy(Infection):
    """Progressive multifocal leukoencephalopathy (JC virus) in the last {window} days"""

    window = 365
    near = 365
    rank = 58
    groups, kinds, but = frozenset({"viral"}), frozenset({"slow"}), frozenset[str]()
    source = "convention: it kills over months"


class SevereInfection(Infection):
    """Another infection that kills (meningitis, endocarditis, nocardia ...) within {window} days"""

    window = 60
    near = 30
    rank = 61
    kinds = _SEVERE


class OtherInfection(Infection):
    """Another infection active at death, diagnosed at most {window} days before"""

    window = 14
    rank = 72
    certainty = Certainty.POSSIBLE
    but = _APART | _SEPTIC | _SEVERE | {"pneumonia"}


class DoubtfulInfection(Infection):
    """Aspiration, encephalitis or meningitis without an organism within {window} days"""

    rank = 74
    certainty = Certainty.POSSIBLE
    groups, kinds, but = frozenset(), frozenset({"ambiguous"}), frozenset[str]()
    doubtful = True
    source = "convention: J69.0, G03 and G04 may be chemical, immune or ICANS"


def seen(chart: Chart, facts: Facts, certainty: Certainty | None = None) -> Seen | None:
    """The finding with the organisms that belong to these facts, or None without facts."""
    if not facts:
        return None
    grown = organisms_near(chart.of("microbiology_result") + chart.of("infection"), facts)
    organism = f" Found in the laboratory: {displays(grown)}." if grown else ""
    words = {"display": displays(facts), "days": chart.ago(facts), "organism": organism}
    more = tuple(fact for fact in grown if fact not in facts)
    return Seen(
        facts + more,
        class_of({fact.group for fact in (*facts, *grown)}),
        certainty=certainty,
        words=words,
    )


def uncleared(chart: Chart, window: int) -> Facts:
    """Positive blood cultures that no later negative one, a week or more before death, cleared."""
    cleared = max(
        (
            fact.when.first
            for fact in chart.of("microbiology_result")
            if {"negative", "blood"} <= fact.traits
            and fact.when is not None
            and chart.gap(fact.when).low >= _CLEARED_DAYS
        ),
        default=0,
    )
    return tuple(
        fact
        for fact in chart.active(window, "microbiology_result")
        if {"positive", "blood"} <= fact.traits
        and fact.when is not None
        and fact.when.first >= cleared
    )
