"""What must not change a verdict does not, for any table hypothesis can think of."""

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapter.causes import Plan, ask_all, decide, fingerprint
from adapter.dates import Interval
from adapter.daytables import DAY_ZERO
from adapter.model import Answer, Episode, Fact, Verdict
from adapter.timelines import timeline_of
from tests.causes.tables import episode

PLAN = Plan()
DEATH = 60
EVIDENCE = (
    "infection: septic shock", "infection: pneumonia", "infection: COVID-19",
    "infection: aspergillosis", "infection: PML", "infection: any infection",
    "blood culture: Pseudomonas aeruginosa", "blood culture: Candida albicans",
    "blood culture: Staphylococcus aureus [commensal]", "pcr: SARS2 PCR",
    "toxicity: CRS grade 4", "toxicity: CRS grade 5", "toxicity: ICANS grade 3",
    "toxicity: CRS unspecified", "toxicity: HLH", "toxicity: encephalopathy",
    "second malignancy: AML", "second malignancy: T cell lymphoma", "second malignancy: lung",
    "organ: myocardial infarction", "organ: ARDS", "organ: intracranial hemorrhage",
    "organ: GI hemorrhage", "organ: VOD SOS", "organ: AKI", "organ: cardiac arrest",
    "transplant: allogeneic", "organ: acute GVHD", "external cause: accident",
    "certified: pneumonia [underlying]", "certified: myocardial infarction [underlying]",
    "certified: DLBCL [underlying]", "infection: septic shock [suspected]",
    "drug: tocilizumab", "temperature: 39.4",
)  # fmt: skip
UNRELATED = (
    Fact("lab", "IgG", None, "Observation/u1", group="IgG", value=700.0, unit="mg/dL"),
    Fact("lab", "hemoglobin", None, "Observation/u2", group="hemoglobin", value=9.1, unit="g/dL"),
    Fact("vital", "weight", None, "Observation/u3", group="weight", value=71.0, unit="kg"),
    Fact("vital", "temperature", None, "Observation/u4", group="temperature", value=36.8),
    Fact("performance_status", "ECOG_score", None, "Observation/u5", group="ECOG", value=1.0),
    Fact("supportive_drug", "acyclovir", None, "MedicationAdministration/u6"),
    Fact("contact", "", None, "Encounter/u7"),
    Fact("infection", "UTI", None, "Condition/u8", group="organism_not_identified", kind="minor"),
    Fact("infection", "sepsis", None, "Condition/u9", group="organism_not_identified",
         kind="sepsis", traits=frozenset({"refuted_by_source"})),
    Fact("microbiology_result", "blood_culture", None, "Observation/u10",
         traits=frozenset({"negative"})),
    Fact("second_primary_malignancy", "nonmelanoma_skin", None, "Condition/u11",
         group="nonmelanoma_skin"),
    Fact("toxicity", "CRS_grade_1", None, "Condition/u12", group="crs", kind="1"),
)  # fmt: skip

happenings = st.lists(
    st.tuples(st.integers(-20, DEATH), st.sampled_from(EVIDENCE)), max_size=7, unique=True
)


def episode_of(rows: list[tuple[int, str]]) -> Episode:
    """A patient who died on day 60, seen on day 55, to whom these things happened."""
    lines = ["0 | infusion: axi-cel", f"{DEATH - 5} | visit", f"{DEATH} | death"]
    return episode("\n".join([*lines, *(f"{day} | {what}" for day, what in rows)]))


def with_facts(one: Episode, facts: tuple[Fact, ...]) -> Episode:
    """The same episode with other facts, sorted as the pipeline sorts them."""
    moved = msgspec.structs.replace(one.timeline, facts=facts)
    return msgspec.structs.replace(one, timeline=timeline_of(moved))


def verdict_of(one: Episode) -> Verdict:
    """What is decided of an episode."""
    return decide(ask_all(one, PLAN), one, PLAN)


@settings(max_examples=200, deadline=None)
@given(happenings, st.sampled_from(UNRELATED), st.integers(-20, DEATH))
def test_an_unrelated_fact_never_changes_a_verdict(
    rows: list[tuple[int, str]], fact: Fact, day: int
) -> None:
    """Weight, IgG, aciclovir, a refuted sepsis or a skin cancer explain no death."""
    one = episode_of(rows)
    when = Interval(DAY_ZERO + day, DAY_ZERO + day)
    more = with_facts(one, (*one.timeline.facts, msgspec.structs.replace(fact, when=when)))
    assert verdict_of(one) == verdict_of(more)


@settings(max_examples=200, deadline=None)
@given(happenings)
def test_without_its_evidence_no_rule_wins(rows: list[tuple[int, str]]) -> None:
    """Take away every fact the winner rests on, and it has not won."""
    one = episode_of(rows)
    findings = ask_all(one, PLAN)
    winner = decide(findings, one, PLAN).rule
    assume(winner)
    gone = {fact for found in findings if found.rule == winner for fact in found.facts}
    rest = tuple(fact for fact in one.timeline.facts if fact not in gone)
    assert verdict_of(with_facts(one, rest)).rule != winner


@settings(max_examples=100, deadline=None)
@given(happenings, st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(rows: list[tuple[int, str]], dice: object) -> None:
    """Whatever order a server sends in, the same is found and the fingerprint is the same."""
    one = episode_of(rows)
    shuffled = list(one.timeline.facts)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    other = with_facts(one, tuple(shuffled))
    assert verdict_of(one) == verdict_of(other)
    assert fingerprint(ask_all(one, PLAN)) == fingerprint(ask_all(other, PLAN))


@settings(max_examples=100, deadline=None)
@given(happenings, happenings)
def test_what_comes_after_the_tail_is_not_there(
    rows: list[tuple[int, str]], late: list[tuple[int, str]]
) -> None:
    """What is dated more than 60 days after death belongs to somebody else or is a mistake."""
    one = episode_of(rows)
    beyond = DEATH + PLAN.policy.after_death_days + 1 + 20
    later = [(day + beyond, what) for day, what in late if "certified" not in what]
    more = episode_of(rows + later)
    more = msgspec.structs.replace(more, death=one.death)
    assert verdict_of(one) == verdict_of(more)


@settings(max_examples=100, deadline=None)
@given(happenings)
def test_every_answer_is_one_of_three_and_every_yes_has_evidence(
    rows: list[tuple[int, str]],
) -> None:
    """Nothing is claimed without a fact behind it."""
    for finding in ask_all(episode_of(rows), PLAN):
        assert finding.answer in set(Answer)
        assert bool(finding.facts) == (finding.answer is Answer.YES)
