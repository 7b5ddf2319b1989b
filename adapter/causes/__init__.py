"""Why a patient died: rules that each say yes, no or cannot tell, and who wins among them."""

from collections.abc import Mapping
from functools import cache

from adapter.causes import (
    cardiorespiratory,
    certified,
    hemorrhage,
    hyperinflammation,
    infection,
    malignancy,
    organs,
    other,
    toxicity,
)
from adapter.causes.chart import Chart
from adapter.causes.decide import decide, decide_both, fingerprint, readings
from adapter.causes.rule import Plan, Rule, ask
from adapter.config import RuleChange
from adapter.errors import ConfigError
from adapter.model import Episode, Finding

#: Every rule, in the order of the manual. A new rule is one class in its family and one name here.
RULES: tuple[type[Rule], ...] = (
    certified.CertifiedCause,
    certified.CertifiedTreatedDisease,
    certified.CertifiedAlso,
    toxicity.FatalCrs,
    toxicity.SevereCrs,
    toxicity.UngradedCrs,
    toxicity.CrsByTreatment,
    toxicity.FatalIcans,
    toxicity.SevereIcans,
    toxicity.UngradedIcans,
    toxicity.SignsOfIcans,
    toxicity.LateNeurotoxicity,
    hyperinflammation.CodedHlh,
    hyperinflammation.HlhWithInfection,
    hyperinflammation.HlhByLaboratory,
    malignancy.MyeloidNeoplasm,
    malignancy.TCellMalignancy,
    malignancy.OtherHaematologic,
    malignancy.MetastaticTumour,
    malignancy.SolidTumour,
    malignancy.UnspecifiedMalignancy,
    infection.Sepsis,
    infection.BloodstreamPathogen,
    infection.BloodstreamCommensal,
    infection.PositiveCultureUnnamed,
    infection.Pneumonia,
    infection.Covid19,
    infection.InvasiveFungal,
    infection.ViralDisease,
    infection.Leukoencephalopathy,
    infection.SevereInfection,
    infection.OtherInfection,
    infection.DoubtfulInfection,
    hemorrhage.IntracranialHemorrhage,
    hemorrhage.MajorBleeding,
    hemorrhage.Clotting,
    cardiorespiratory.AcuteHeartDisease,
    cardiorespiratory.VesselOcclusion,
    cardiorespiratory.LungInjury,
    cardiorespiratory.LesserHeartLung,
    cardiorespiratory.CardiacOrRespiratoryArrest,
    organs.OrganFailure,
    organs.TumourLysis,
    organs.MarrowFailure,
    organs.OrgansFailing,
    other.GvhdAfterTransplant,
    other.LaterTransplant,
    other.ExternalCause,
    other.OnlyInText,
    other.OnlySuspected,
    other.UnknownCode,
    other.DisputedDeath,
)


def ask_all(episode: Episode, plan: Plan) -> tuple[Finding, ...]:
    """What every rule says of the death of this episode; () when nobody died on a known day."""
    check_rules(plan.rules)
    if episode.death is None or episode.death.when is None:
        return ()
    chart = Chart(episode, plan.policy)
    return tuple(ask(rule, chart, plan) for rule in _in_force(tuple(sorted(plan.rules.items()))))


def check_rules(changes: Mapping[str, RuleChange]) -> None:
    """A ConfigError for a changed rule that does not exist."""
    names = {rule.__name__ for rule in RULES}
    unknown = sorted(set(changes) - names)
    if unknown:
        raise ConfigError(
            f"study.toml changes rules that do not exist: {', '.join(unknown)}.",
            f"Known rules: {', '.join(sorted(names))}.",
        )


@cache
def _in_force(changes: tuple[tuple[str, RuleChange], ...]) -> tuple[Rule, ...]:
    changed = dict(changes)
    return tuple(
        rule(changed.get(rule.__name__))
        for rule in RULES
        if rule.__name__ not in changed or changed[rule.__name__].enabled
    )


__all__ = [
    "RULES", "Plan", "Rule", "ask_all", "check_rules", "decide", "decide_both", "fingerprint",
    "readings",
]  # fmt: skip
