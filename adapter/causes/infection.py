"""Infections: diagnoses, bloodstream organisms by the NHSN rule, moulds, viruses with disease."""

from itertools import combinations

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import RESULTS, Rule, Seen, displays
from adapter.model import Cause, Certainty, Fact

#: Classes of organisms a subcause can name; the rest is "organism not identified".
CLASSES = frozenset({"bacterial", "viral", "covid19", "fungal", "parasitic"})
UNIDENTIFIED = "organism_not_identified"
_NOT_VIRAL_NOT_FUNGAL = frozenset({"bacterial", "parasitic", UNIDENTIFIED})
_SEPTIC = frozenset({"sepsis", "bloodstream"})
_SEVERE = frozenset({"severe", "cns", "heart"})
#: Infections nobody dies of without a worse one beside them, states that are no illness, and codes
#: that only say which organism caused a disease classified elsewhere.
NO_CAUSE = frozenset({"minor", "chronic", "sequelae", "organism"})
#: "superficial": thrush shares its code with candidaemia. "ambiguous": aspiration may be chemical,
#: encephalitis without an organism may be ICANS. "slow": leukoencephalopathy, a rule of its own.
_APART = NO_CAUSE | {"superficial", "ambiguous", "slow"}
_CLOSE_DAYS = 7  # an organism found this near to the infection belongs to it (convention)
_DRAWS_APART_DAYS = 3  # NHSN wants the same or the next day; wards repeat a culture on its result
_FEVER = 38.0  # degrees Celsius, NHSN LCBI-2 (above 38.0)


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
        grown = [f for f in uncleared(chart, self.window) if "commensal" in f.traits]
        pairs = [fact for pair in combinations(grown, 2) if separate(*pair) for fact in pair]
        signs = signs_of_infection(chart, pairs)
        found = seen(chart, tuple(dict.fromkeys(pairs)))
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
    source = "death within 28 or 60 days of a positive test (UK reporting 2020, GK)"

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
    grown = organisms_near(chart, facts)
    classes = {fact.group for fact in (*facts, *grown)} & CLASSES
    organism = f" Found in the laboratory: {displays(grown)}." if grown else ""
    words = {"display": displays(facts), "days": chart.ago(facts), "organism": organism}
    more = tuple(fact for fact in grown if fact not in facts)
    return Seen(facts + more, subcause_of(classes), certainty=certainty, words=words)


def subcause_of(classes: set[str]) -> str:
    """One class is that class, several are mixed, none is not identified."""
    if not classes:
        return UNIDENTIFIED
    return next(iter(classes)) if len(classes) == 1 else "mixed"


def positive(facts: Facts) -> Facts:
    """Results that found something and name more than a commensal."""
    return tuple(f for f in facts if "positive" in f.traits and "commensal" not in f.traits)


def organisms_near(chart: Chart, infections: Facts) -> Facts:
    """What the laboratory or an organism code found within days of any of these infections."""
    codes = chart.of("infection", CLASSES, {"organism"})
    days = [fact.when for fact in infections if fact.when is not None]
    return tuple(
        fact
        for fact in positive(chart.of("microbiology_result", CLASSES)) + codes
        for when in [fact.when]
        if when is not None
        and any(
            when.first - day.last <= _CLOSE_DAYS and day.first - when.last <= _CLOSE_DAYS
            for day in days
        )
    )


def uncleared(chart: Chart, window: int) -> Facts:
    """Positive blood cultures that no later negative one, a week or more before death, cleared."""
    cleared = max(
        (
            fact.when.first
            for fact in chart.of("microbiology_result")
            if {"negative", "blood"} <= fact.traits
            and fact.when is not None
            and chart.gap(fact.when).low >= _CLOSE_DAYS
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


def separate(one: Fact, other: Fact) -> bool:
    """Two draws of the same organism: on different days close together, or at two times of a day.

    Two bottles of one draw come as two results of one day without times, or of one time.
    """
    if one.when is None or other.when is None or one.subconcept != other.subconcept:
        return False
    apart = abs(other.when.first - one.when.first)
    if apart == 0:
        return None not in (one.when.clock, other.when.clock) and one.when.clock != other.when.clock
    return apart <= _DRAWS_APART_DAYS


def signs_of_infection(chart: Chart, cultures: list[Fact]) -> Facts:
    """Fever above 38.0, febrile neutropenia or shock within 3 days of the cultures (NHSN)."""
    days = [fact.when for fact in cultures if fact.when is not None]
    hot = tuple(f for f in chart.of("vital", {"temperature"}) if (f.value or 0) > _FEVER)
    ill = chart.of("toxicity", {"febrile_neutropenia", "fever"}) + chart.of("organ", {"shock"})
    return tuple(
        fact
        for fact in hot + ill
        if fact.when is not None and any(abs(fact.when.first - day.first) <= 3 for day in days)
    )
