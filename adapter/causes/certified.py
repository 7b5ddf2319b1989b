"""The coded cause on a death certificate or in a registry, and what one code means as a cause."""

from adapter.causes import cardiorespiratory, hemorrhage, organs, other, toxicity
from adapter.causes.chart import Chart, Facts
from adapter.causes.infection import NO_CAUSE
from adapter.causes.rule import Rule, Seen, displays
from adapter.grades.bloodstream import class_of
from adapter.model import SUBCAUSES, Cause, Certainty, Fact

#: The cause an organ diagnosis means when it is no mode of dying.
_ORGANS: dict[Cause, frozenset[str]] = {
    Cause.HEMORRHAGE: hemorrhage.INTRACRANIAL | hemorrhage.MAJOR,
    Cause.CARDIOVASCULAR_RESPIRATORY: cardiorespiratory.ORGANS,
    Cause.ORGAN_FAILURE: organs.DISEASES | {"metabolic"},
}
_TOXICITIES = {
    "crs": Cause.CRS,
    "iec_hs": Cause.IEC_HS,
    **dict.fromkeys(("icans", "neuro_other", *toxicity.BRAIN), Cause.NEUROTOXICITY),
    "tumour_lysis": Cause.ORGAN_FAILURE,
}


class CertifiedCause(Rule):
    """The certified underlying cause of death, coded"""

    kind = "certified"
    needs = frozenset({"Observation", "Condition"})
    rank = 35
    window = 15 * 365
    near = 15 * 365
    watch = 0
    source = "docs/decisions/0021-certificates.md"

    def look(self, chart: Chart) -> Seen | None:
        """The certificate names {first}{also}."""
        named = [(fact, meaning(fact, chart)) for fact in underlying(chart)]
        usable = [(fact, *found) for fact, found in named if found is not None]
        if not usable:
            return None
        _, cause, subcause = usable[0]
        facts = tuple(fact for fact, _, _ in usable)
        others = tuple(fact for fact, also, _ in usable if also is not cause)
        words = {
            "first": displays(tuple(fact for fact in facts if fact not in others)),
            "also": f"; it or another also names {displays(others)}" if others else "",
        }
        return Seen(facts, subcause, cause=cause, review=bool(others), words=words)


class CertifiedTreatedDisease(other.Hint):
    """The certificate names the treated disease, but no relapse is recorded"""

    needs = frozenset({"Observation", "Condition"})
    source = "docs/decisions/0021-certificates.md: does not decide alone"

    def look(self, chart: Chart) -> Seen | None:
        """The certificate names the treated disease ({display}), and no relapse is recorded."""
        treated = {chart.episode.indication, "NHL_unspecified", "B_NHL_unspecified"}
        named = (f for f in chart.certified() if f.concept == "indication" and f.group in treated)
        return self.seen(tuple(named))


class CertifiedAlso(other.Hint):
    """What a certificate lists beside the underlying cause"""

    needs = frozenset({"Observation", "Condition"})
    source = "docs/decisions/0021-certificates.md: listed, never counted"

    def look(self, chart: Chart) -> Seen | None:
        """The certificate also lists {display}."""
        listed = tuple(f for f in chart.certified() if "contributing" in f.traits)
        return Seen(listed, certainty=Certainty.NONE) if listed else None


def underlying(chart: Chart) -> Facts:
    """The cause a certificate puts first: the underlying one, or the only one it has."""
    coded = tuple(fact for fact in chart.certified() if "contributing" not in fact.traits)
    first = tuple(fact for fact in coded if "underlying" in fact.traits)
    return first or coded


def meaning(fact: Fact, chart: Chart) -> tuple[Cause, str] | None:
    """Cause and subcause of one certified code; None for garbage, terminal and minor codes."""
    if fact.concept == "infection" and fact.kind not in NO_CAUSE:
        return Cause.INFECTION, class_of({fact.group})
    if fact.concept == "second_primary_malignancy":
        known = fact.group in SUBCAUSES[Cause.SECOND_MALIGNANCY]
        return (Cause.SECOND_MALIGNANCY, fact.group) if known else None
    if fact.concept == "external_cause" and fact.group in other.EXTERNAL:
        return Cause.OTHER, other.external_subcause(fact)
    if fact.concept == "toxicity" and fact.group in _TOXICITIES:
        return _TOXICITIES[fact.group], ""
    if fact.concept == "organ" and fact.kind != "mechanism" and not chart.garbage(fact):
        if fact.group == "gvhd":
            return Cause.OTHER, "gvhd"
        return next(((c, "") for c, groups in _ORGANS.items() if fact.group in groups), None)
    return None
