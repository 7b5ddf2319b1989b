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

_FAMILIES = (
    certified, toxicity, hyperinflammation, malignancy, infection, hemorrhage, cardiorespiratory,
    organs, other,
)  # fmt: skip
#: Every rule, in the order of the manual. A new rule is one class in its family, and nothing else.
RULES: tuple[type[Rule], ...] = tuple(
    rule for family in _FAMILIES for rule in Rule.known if rule.__module__ == family.__name__
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
