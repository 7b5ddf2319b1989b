"""What a rule is: its documents, its settings, and the one place that cannot tell."""

import re
from pathlib import Path

import pytest

from adapter.cases import read_cases
from adapter.causes import RULES, Plan, Rule, ask_all, check_rules
from adapter.config import RuleChange
from adapter.envelope import TYPES
from adapter.errors import ConfigError
from adapter.model import Answer, Certainty
from tests.causes.tables import episode, judged, yes

CASES = [
    case
    for file in sorted((Path(__file__).parents[1] / "cases").glob("causes-*.md"))
    for case in read_cases(file)
]
SEPSIS = "0 | infusion: axi-cel\n22 | infection: septic shock\n24 | death"
AT_HOME = "0 | infusion: axi-cel\n100 | visit\n400 | death"


def rules_named(key: str) -> set[str]:
    """The rules that some day table expects to answer so."""
    wanted = {name.strip() for case in CASES for name in case.expect.get(key, "").split(",")}
    deciding = {case.expect.get("because", "") for case in CASES} if key == "yes" else set()
    return wanted | deciding


def test_there_are_ninety_day_tables() -> None:
    """The tables are the specification of the causes."""
    assert len(CASES) >= 90


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_every_rule_has_a_table_for_each_answer(answer: str) -> None:
    """No rule stands without a case in which it speaks and one in which it does not."""
    always = {"DisputedDeath"} if answer == "no" else set()
    assert set() == {rule.__name__ for rule in RULES} - rules_named(answer) - always


def test_every_bedside_rule_has_a_table_in_which_it_cannot_tell() -> None:
    """Absence of evidence is only evidence while somebody was looking."""
    bedside = {rule.__name__ for rule in RULES if rule.watch and rule.kind != "hint"}
    assert set() == bedside - rules_named("cannot_tell")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_says_what_it_is(rule: type[Rule]) -> None:
    """Title, sentence, needs, window, rank and source are there."""
    assert rule.__doc__
    assert rule.look.__doc__
    assert rule.source
    assert rule.needs <= set(TYPES)
    assert 0 < rule.rank < 100
    assert rule.window > 0
    assert "{" not in rule().title


def test_rule_names_are_unique() -> None:
    """A name is an id: in study.toml, in exports, in decisions."""
    names = [rule.__name__ for rule in RULES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("table", [SEPSIS, AT_HOME])
def test_no_sentence_has_a_hole(table: str) -> None:
    """Every placeholder of every sentence is filled in."""
    said = [finding.sentence for finding in judged(table).findings]
    assert [] == [sentence for sentence in said if re.search(r"[{}]", sentence)]


def test_an_unknown_rule_in_the_study_file_is_an_error() -> None:
    """A misspelt rule name would silently change nothing."""
    with pytest.raises(ConfigError, match="Sepsys"):
        check_rules({"Sepsys": RuleChange(reason="wider window", window=60)})


def test_a_changed_window_is_in_force() -> None:
    """A window in study.toml replaces the rule's own."""
    table = "0 | infusion: axi-cel\n22 | infection: septic shock\n60 | visit\n62 | death"
    wider = Plan(rules={"Sepsis": RuleChange(reason="as in our protocol", window=60)})
    assert "Sepsis" not in yes(judged(table))
    assert "Sepsis" in yes(judged(table, wider))
    assert "60 days" in yes(judged(table, wider))["Sepsis"].title


def test_a_changed_rank_is_in_force() -> None:
    """A rank in study.toml changes who wins."""
    table = (
        "0 | infusion: axi-cel\n140 | infection: pneumonia\n"
        "149 | organ: myocardial infarction\n150 | death"
    )
    heart_first = Plan(rules={"AcuteHeartDisease": RuleChange(reason="cardiology study", rank=5)})
    assert judged(table).verdict.cause == "infection"  # type: ignore[union-attr]
    assert judged(table, heart_first).verdict.cause == "cardiovascular_respiratory"  # type: ignore[union-attr]


def test_a_disabled_rule_is_not_asked() -> None:
    """A rule a site does not want is gone from the findings."""
    off = Plan(rules={"Sepsis": RuleChange(reason="sepsis codes unusable here", enabled=False)})
    assert "Sepsis" not in {finding.rule for finding in judged(SEPSIS, off).findings}


def test_a_source_that_never_sends_conditions_cannot_tell() -> None:
    """Where no Condition is ever sent, the absence of one says nothing."""
    blind = Plan(sends=frozenset(TYPES) - {"Condition", "DiagnosticReport"})
    table = "0 | infusion: axi-cel\n22 | visit\n24 | death"
    found = {finding.rule: finding for finding in judged(table, blind).findings}
    assert found["Sepsis"].answer is Answer.CANNOT_TELL
    assert "never sends" in found["Sepsis"].sentence
    assert found["BloodstreamPathogen"].answer is Answer.NO


def test_evidence_speaks_even_where_the_source_was_said_to_send_none() -> None:
    """What is there counts, whatever the capability statement claimed."""
    blind = Plan(sends=frozenset({"Patient"}))
    assert "Sepsis" in yes(judged(SEPSIS, blind))


def test_survivors_and_undated_deaths_are_not_asked() -> None:
    """Without a day of death there is no time before death."""
    assert ask_all(episode("0 | infusion: axi-cel\n30 | visit"), Plan()) == ()
    assert ask_all(episode("0 | infusion: axi-cel\n30 | visit\n? | death"), Plan()) == ()


def test_a_mode_of_dying_never_beats_a_possible_cause() -> None:
    """Terminal rules are asked last, whatever their rank says."""
    kinds = {rule.kind for rule in RULES}
    assert kinds == {"chart", "certified", "terminal", "hint"}
    for rule in RULES:
        if rule.kind == "terminal":
            assert rule.certainty is Certainty.POSSIBLE
