"""Who wins among findings: certificates, competition, schemes, certainty."""

from typing import Any

import pytest

from adapter.causes import Plan, decide, decide_both, fingerprint, readings
from adapter.dates import Interval
from adapter.model import Answer, Cause, Certainty, Decision, Fact, Finding, Verdict
from adapter.study import in_force
from tests.causes.tables import episode, judged

PLAN = Plan()
EPISODE = episode("0 | infusion: axi-cel\n30 | death")


def finding(rule: str, cause: Cause, **more: Any) -> Finding:
    """A probable yes of rank 50 with one Condition behind it, unless said otherwise."""
    fact = Fact(
        "x", rule, Interval(more.pop("day", 10), 10), more.pop("source", f"Condition/{rule}")
    )
    given: dict[str, Any] = {"certainty": Certainty.PROBABLE, "rank": 50, "facts": (fact,), **more}
    return Finding(rule, rule, Answer.YES, f"{rule} says so.", cause, **given)


def decided(*findings: Finding, scheme: Any = None) -> Verdict:
    """The verdict on these findings."""
    return decide(findings, EPISODE, PLAN, scheme)


SEPSIS = finding("Sepsis", Cause.INFECTION, subcause="organism_not_identified", rank=60)
CULTURE = finding("Culture", Cause.INFECTION, subcause="bacterial", rank=61, source="Observation/1")
CRS = finding("Crs", Cause.CRS, rank=45)
HEART = finding("Heart", Cause.CARDIOVASCULAR_RESPIRATORY, rank=70)
ARREST = finding(
    "Arrest", Cause.CARDIOVASCULAR_RESPIRATORY, rank=1, kind="terminal",
    certainty=Certainty.POSSIBLE,
)  # fmt: skip
PAPER = finding("Paper", Cause.CARDIOVASCULAR_RESPIRATORY, kind="certified", rank=35)


def test_nothing_found_is_unknown_without_certainty() -> None:
    """Unknown is an honest answer, and a person may know more."""
    verdict = decided()
    assert (verdict.cause, verdict.certainty, verdict.rule) == (Cause.UNKNOWN, Certainty.NONE, "")
    assert verdict.needs_review


def test_the_lowest_rank_wins_and_the_rest_contributes() -> None:
    """Rank holds specificity and severity."""
    verdict = decided(HEART, SEPSIS)
    assert verdict.cause is Cause.INFECTION
    assert verdict.contributing == ("cardiovascular_respiratory",)


def test_a_mode_of_dying_loses_whatever_its_rank() -> None:
    """It neither wins over a cause nor contributes."""
    verdict = decided(ARREST, SEPSIS)
    assert (verdict.cause, verdict.contributing) == (Cause.INFECTION, ())


def test_a_mode_of_dying_alone_is_sent_to_review() -> None:
    """It is how, not why."""
    verdict = decided(ARREST)
    assert verdict.cause is Cause.CARDIOVASCULAR_RESPIRATORY
    assert any("mode of dying" in reason for reason in verdict.review_reasons)


def test_two_kinds_of_evidence_make_it_definite() -> None:
    """A diagnosis and a laboratory result agree."""
    assert decided(SEPSIS).certainty is Certainty.PROBABLE
    assert decided(SEPSIS, CULTURE).certainty is Certainty.DEFINITE


def test_an_organism_found_elsewhere_names_the_infection() -> None:
    """Sepsis is coded without organism, the laboratory has it."""
    assert decided(SEPSIS, CULTURE).subcause == "bacterial"


def test_an_organism_that_is_only_possible_does_not_make_it_mixed() -> None:
    """A possible virus beside probable bacteria stays outside."""
    virus = finding("Virus", Cause.INFECTION, subcause="viral", certainty=Certainty.POSSIBLE)
    assert decided(SEPSIS, CULTURE, virus).subcause == "bacterial"
    assert decided(virus).subcause == "viral"


def test_infection_and_toxicity_are_both_named_and_reviewed() -> None:
    """Which led is for a reader."""
    verdict = decided(SEPSIS, CRS)
    assert (verdict.cause, verdict.contributing) == (Cause.CRS, ("infection",))
    assert any("both active" in reason for reason in verdict.review_reasons)


def test_a_certificate_that_contradicts_the_chart_does_not_win() -> None:
    """It contributes and asks for a person."""
    verdict = decided(SEPSIS, PAPER)
    assert verdict.cause is Cause.INFECTION
    assert verdict.contributing == ("cardiovascular_respiratory",)
    assert any("certificate names" in reason for reason in verdict.review_reasons)


def test_a_certificate_beats_what_is_only_possible() -> None:
    """An explicit certified cause outweighs a weak sign."""
    weak = finding("Weak", Cause.INFECTION, certainty=Certainty.POSSIBLE)
    assert decided(weak, PAPER).cause is Cause.CARDIOVASCULAR_RESPIRATORY


def test_a_certificate_that_agrees_makes_it_definite() -> None:
    """Chart and certificate say the same."""
    verdict = decided(HEART, PAPER)
    assert (verdict.rule, verdict.certainty) == ("Heart", Certainty.DEFINITE)


def test_a_certificate_the_chart_supports_wins_over_a_weaker_leader() -> None:
    """Both causes stand in the chart; the certificate says which led."""
    leader = finding("Leader", Cause.HEMORRHAGE, rank=64)
    assert decided(leader, HEART, PAPER).cause is Cause.CARDIOVASCULAR_RESPIRATORY


def test_a_cause_that_starts_the_chain_beats_the_certificate() -> None:
    """A new leukaemia (rank 25) stands against a certificate of heart failure."""
    leukaemia = finding("Leukaemia", Cause.SECOND_MALIGNANCY, rank=25)
    assert decided(leukaemia, HEART, PAPER).cause is Cause.SECOND_MALIGNANCY


def test_a_hint_names_nothing_and_asks() -> None:
    """Text, suspicion and unknown codes send a death to a person."""
    hint = finding("Text", Cause.UNKNOWN, kind="hint", certainty=Certainty.NONE, needs_review=True)
    assert decided(hint, SEPSIS, CULTURE).cause is Cause.INFECTION
    assert "Text says so." in decided(hint, SEPSIS, CULTURE).review_reasons


def test_cibmtr_asks_what_began_first() -> None:
    """Pneumonia began before the bleeding: EBMT weighs, CIBMTR follows the chain."""
    pneumonia = finding("Pneumonia", Cause.INFECTION, rank=61, day=3)
    bleeding = finding("Bleeding", Cause.HEMORRHAGE, rank=40, day=9)
    both = decide_both((pneumonia, bleeding), EPISODE, PLAN)
    assert (both["ebmt"].cause, both["cibmtr"].cause) == (Cause.HEMORRHAGE, Cause.INFECTION)


@pytest.mark.parametrize(
    ("table", "ebmt", "cibmtr"),
    [
        ("90 | relapse\n120 | infection: septic shock\n124 | death", "relapse", "infection"),
        ("90 | relapse\n400 | death", "relapse", "relapse"),
        ("120 | infection: septic shock\n124 | death", "infection", "infection"),
    ],
)
def test_the_registries_read_a_death_after_relapse_differently(
    table: str, ebmt: str, cibmtr: str
) -> None:
    """EBMT: relapse is the main cause. CIBMTR: what started the chain (docs/decisions/0026)."""
    both = readings(judged(f"0 | infusion: axi-cel\n{table}"), PLAN)
    assert {"ebmt": ebmt, "cibmtr": cibmtr} == both


def test_a_survivor_has_no_reading() -> None:
    """Nobody died."""
    assert readings(judged("0 | infusion: axi-cel\n50 | visit"), PLAN) == {}


def test_the_scheme_of_the_study_is_the_default() -> None:
    """study.toml chooses which reading is primary."""
    pneumonia = finding("Pneumonia", Cause.INFECTION, rank=61, day=3)
    bleeding = finding("Bleeding", Cause.HEMORRHAGE, rank=40, day=9)
    plan = Plan(policy=PLAN.policy.model_copy(update={"scheme": "cibmtr"}))
    assert decide((pneumonia, bleeding), EPISODE, plan).cause is Cause.INFECTION


def test_the_fingerprint_follows_the_evidence() -> None:
    """Another resource, day or rule is other evidence; another order is not."""
    same = fingerprint((CULTURE, SEPSIS))
    assert fingerprint((SEPSIS, CULTURE)) == same
    assert fingerprint((SEPSIS,)) != same
    moved = finding("Sepsis", Cause.INFECTION, subcause="organism_not_identified", day=11)
    assert fingerprint((moved, CULTURE)) != same
    assert not same[0].isdigit()


def decision(reviewer: str, cause: Cause, role: str = "reader") -> Decision:
    """What one reviewer said of one death."""
    return Decision("p#1", reviewer, "2024-05-03", cause, role=role)


def test_readers_who_agree_settle_a_death() -> None:
    """The newer of two equal readings is in force."""
    said = [decision("A", Cause.CRS), decision("B", Cause.CRS)]
    assert in_force(said)["p#1"].reviewer == "B"


def test_readers_who_disagree_settle_nothing() -> None:
    """A consensus or a third reader must follow."""
    said = [decision("A", Cause.CRS), decision("B", Cause.INFECTION)]
    assert in_force(said) == {}


def test_a_consensus_stands_whatever_readers_say_later() -> None:
    """Consensus and third reader outrank readers."""
    said = [decision("A", Cause.CRS), decision("B", Cause.INFECTION)]
    said += [decision("panel", Cause.INFECTION, "consensus"), decision("A", Cause.OTHER)]
    assert in_force(said)["p#1"].cause is Cause.INFECTION


def test_a_reader_who_changes_his_mind_is_one_reader() -> None:
    """Decisions are only added; the newest of each reader is his reading."""
    said = [decision("A", Cause.CRS), decision("A", Cause.INFECTION)]
    assert in_force(said)["p#1"].cause is Cause.INFECTION
