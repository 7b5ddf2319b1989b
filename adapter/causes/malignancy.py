"""Second malignancies: not the treated disease, not its metastases, not what was there before."""

from adapter.causes.chart import Chart, Facts
from adapter.causes.rule import Rule, Seen
from adapter.dates import Interval
from adapter.model import Cause, Certainty

_FOLLOW_UP_DAYS = 15 * 365  # FDA and CIBMTR follow gene-modified cells for 15 years (CIBMTR tracks)
#: After these indications such a code may be the treated disease: a person must look.
_LOOKS_LIKE_INDEX = {
    "mds_aml": frozenset({"B_ALL"}),  # lineage switch is relapse
    "t_cell": frozenset({"T_NHL"}),
    "other_haematologic": frozenset({"HL", "NHL_unspecified", "B_NHL_unspecified"}),
}


class SecondMalignancy(Rule, family=True):
    """Second malignancy"""

    cause = Cause.SECOND_MALIGNANCY
    needs = frozenset({"Condition"})
    watch = 180
    near = _FOLLOW_UP_DAYS
    window = _FOLLOW_UP_DAYS
    group = ""

    def found(self, chart: Chart) -> Facts:
        """New since infusion, still active, of this group."""
        names = {self.group}
        facts = chart.active(self.window, "second_primary_malignancy", names)
        return new_since_infusion(chart, facts)

    def seen(self, chart: Chart, facts: Facts, certainty: Certainty | None = None) -> Seen | None:
        """The finding; in doubt about the treated disease it is only possible."""
        if not facts:
            return None
        doubt = looks_like_index(chart, self.group)
        text = " It may be the treated disease." if doubt else ""
        certainty = Certainty.POSSIBLE if doubt else certainty
        words = {"after": f"{chart.episode.days(first_day(facts))} days after infusion"}
        return Seen(
            facts, self.group, certainty=certainty, review=doubt, words={**words, "doubt": text}
        )

    def look(self, chart: Chart) -> Seen | None:
        """{display} was first recorded {after}.{doubt}"""
        return self.seen(chart, self.found(chart))


class MyeloidNeoplasm(SecondMalignancy):
    """Myelodysplastic syndrome or acute myeloid leukaemia new since infusion"""

    group = "mds_aml"
    rank = 25
    source = "docs/decisions/0024: terminal sepsis in a new AML is second malignancy"


class TCellMalignancy(SecondMalignancy):
    """T-cell malignancy new since infusion"""

    group = "t_cell"
    rank = 24
    source = "FDA boxed warning 2024: T-cell malignancy after CAR T cells"


class OtherHaematologic(SecondMalignancy):
    """Another blood cancer new since infusion"""

    group = "other_haematologic"
    rank = 28


class SolidTumour(SecondMalignancy):
    """Solid tumour new since infusion; deadly when it has spread"""

    group = "solid"
    rank = 68
    certainty = Certainty.POSSIBLE
    source = "convention: a localised tumour seldom kills; melanoma counts, other skin cancer never"

    def look(self, chart: Chart) -> Seen | None:
        """{display} was first recorded {after}.{doubt}"""
        return None if metastasis(chart) else self.seen(chart, self.found(chart))


class MetastaticTumour(SecondMalignancy):
    """Solid tumour new since infusion, with metastasis"""

    group = "solid"
    rank = 30

    def look(self, chart: Chart) -> Seen | None:
        """{display}, first recorded {after}, had spread.{doubt}"""
        found, spread = self.found(chart), metastasis(chart)
        return self.seen(chart, found + spread) if found and spread else None


class UnspecifiedMalignancy(SecondMalignancy):
    """Malignancy of unspecified site new since infusion"""

    group = "unspecified"
    rank = 69
    doubtful = True
    certainty = Certainty.POSSIBLE

    def look(self, chart: Chart) -> Seen | None:
        """{display} was first recorded {after}; it may be the treated disease."""
        return self.seen(chart, self.found(chart))


def new_since_infusion(chart: Chart, facts: Facts) -> Facts:
    """Those of kinds that were not known before day 0: an old breast cancer is not a new one."""
    start = chart.episode.infusion.first
    old = {
        fact.subconcept
        for fact in chart.known
        if fact.concept == "second_primary_malignancy"
        and ("history" in fact.traits or (fact.when is not None and fact.when.last < start))
        and "refuted_by_source" not in fact.traits
    }
    return tuple(f for f in chart.after_infusion(facts) if f.subconcept not in old)


def looks_like_index(chart: Chart, group: str) -> bool:
    """Could a malignancy of this group be the treated disease under another code?"""
    return chart.episode.indication in _LOOKS_LIKE_INDEX.get(group, frozenset())


def metastasis(chart: Chart) -> Facts:
    """Metastasis codes since infusion; alone they are neither second primary nor relapse."""
    spread = tuple(
        fact
        for fact in chart.known
        if fact.concept == "second_primary_EXCLUDE" and "refuted_by_source" not in fact.traits
    )
    return chart.after_infusion(spread)


def first_day(facts: Facts) -> Interval:
    """The earliest day of dated facts."""
    return min((f.when for f in facts if f.when is not None), key=lambda when: when.first)
