"""Made-up studies for the tests of export and report: synthetic people, seeded, any size."""

import random
from dataclasses import dataclass

from adapter.account import Attrition, Quality, Unmapped
from adapter.causes.rule import Plan
from adapter.config import Policy, RuleChange
from adapter.dates import Interval, on
from adapter.model import (
    Answer,
    Cause,
    Certainty,
    Death,
    Episode,
    Fact,
    Finding,
    Judged,
    Note,
    Outcome,
    OutcomeKind,
    Timeline,
    Verdict,
)
from adapter.study import Study

DAY_0 = on("2021-03-01").first
PRODUCTS = (("axi-cel", "LBCL"), ("tisa-cel", "LBCL"), ("liso-cel", "FL"), ("brexu-cel", "MCL"),
            ("ide-cel", "MM"), ("cilta-cel", "MM"))  # fmt: skip
CAUSES = (
    (Cause.INFECTION, "bacterial", 15),
    (Cause.INFECTION, "viral", 4),
    (Cause.INFECTION, "covid19", 12),
    (Cause.INFECTION, "fungal", 8),
    (Cause.INFECTION, "organism_not_identified", 22),
    (Cause.SECOND_MALIGNANCY, "mds_aml", 8),
    (Cause.CARDIOVASCULAR_RESPIRATORY, "", 8),
    (Cause.NEUROTOXICITY, "", 5),
    (Cause.CRS, "", 5),
    (Cause.IEC_HS, "", 2),
    (Cause.HEMORRHAGE, "", 4),
    (Cause.ORGAN_FAILURE, "", 5),
    (Cause.OTHER, "", 3),
    (Cause.UNKNOWN, "", 9),
)


def day(number: int) -> Interval:
    """Calendar day of a day from infusion."""
    return Interval(DAY_0 + number, DAY_0 + number)


def fact(concept: str, subconcept: str, number: int, **more: object) -> Fact:
    """One fact on a day from infusion."""
    values = {"source": f"Condition/{concept}-{number}", "label": subconcept, **more}
    return Fact(concept, subconcept, day(number), **values)  # type: ignore[arg-type]


@dataclass
class Person:
    """What happens to one synthetic recipient."""

    number: int
    kind: OutcomeKind
    time: int
    cause: Cause = Cause.INFECTION
    subcause: str = ""
    product: str = "axi-cel"
    indication: str = "LBCL"
    age: int = 60
    dice: random.Random | None = None


def judged_of(person: Person) -> Judged:
    """The judged episode of a person."""
    dice = person.dice or random.Random(person.number)
    patient = f"synthetic-{person.number:05d}"
    facts = _course(person, dice)
    timeline = Timeline(patient, tuple(sorted(facts, key=lambda f: f.day_key)), sex="female")
    dead = person.kind is OutcomeKind.NRM
    death = Death(day(person.time), (fact("death", "death", person.time),)) if dead else None
    end = max(person.time, 0)
    note = Note("The date of relapse is a month only.", "Condition/secret-77", kind="partial_date")
    episode = Episode(
        patient,
        1,
        day(0),
        timeline,
        (fact("cart_infusion", person.product, 0),),
        person.product,
        person.indication,
        person.age,
        death,
        day(end),
        notes=(note,) if person.number % 9 == 0 else (),
    )
    return _with_verdict(person, episode)


def _course(person: Person, dice: random.Random) -> list[Fact]:
    facts = [fact("cart_infusion", person.product, 0)]
    if dice.random() < 0.5 and person.time > 3:
        number = dice.randrange(1, min(person.time, 200) + 1)
        group = dice.choice(["bacterial", "viral", "fungal", "organism_not_identified"])
        facts.append(fact("infection", group, number, group=group))
    for number in (28, 90, 180):
        if number < person.time and dice.random() < 0.7:
            facts.append(_igg(number, dice))
    if dice.random() < 0.8:
        facts.append(fact("supportive_drug", "acyclovir", 1, group="antiviral"))
    if dice.random() < 0.6:
        facts.append(fact("toxicity", "CRS_grade_1", 3, group="crs"))
    return facts


def _igg(number: int, dice: random.Random) -> Fact:
    return fact("lab", "IgG", number, group="IgG", value=dice.uniform(150, 900), unit="mg/dL")


def _with_verdict(person: Person, episode: Episode) -> Judged:
    from adapter.dates import Days

    if person.kind is OutcomeKind.NOT_EVALUABLE:
        return Judged(episode, Outcome(person.kind, None, "no contact after day 0"))
    outcome = Outcome(person.kind, Days(person.time, person.time))
    grades = {"crs_grade": person.number % 5, "icans_grade": person.number % 4,
              "car_hematotox": person.number % 6}  # fmt: skip
    if person.kind is not OutcomeKind.NRM:
        return Judged(episode, outcome, grades=dict(grades))
    unknown = person.cause is Cause.UNKNOWN
    certainty = Certainty.NONE if unknown else Certainty.PROBABLE
    evidence = tuple(f for f in episode.timeline.facts if f.concept == "infection")
    sentence = (
        "Pseudomonas aeruginosa was found 5 days before death, on 2021-04-05 (Observation/9)."
    )
    findings = (
        Finding("INF1", "Bloodstream infection before death",
                Answer.NO if unknown else Answer.YES, sentence, person.cause, person.subcause,
                certainty, 10, evidence),
        Finding("CRS1", "Severe CRS at death", Answer.NO, "CRS had resolved.", Cause.CRS),
        Finding("SPM1", "Second malignancy", Answer.CANNOT_TELL, "No pathology is sent.",
                Cause.SECOND_MALIGNANCY),
    )  # fmt: skip
    verdict = Verdict(
        person.cause, person.subcause, certainty, "" if unknown else "INF1", sentence,
        ("crs",) if person.number % 4 == 0 else (),
        ("cause is unknown",) if unknown else (),
    )  # fmt: skip
    return Judged(episode, outcome, findings, verdict, grades=dict(grades))


def study_of(judged: list[Judged], **more: object) -> Study:
    """A study around judged episodes, with an account that adds up."""
    outcomes: dict[str, int] = {}
    lost: dict[str, int] = {}
    for j in judged:
        kind = j.outcome.kind
        if kind is OutcomeKind.NOT_EVALUABLE:
            lost[j.outcome.reason] = lost.get(j.outcome.reason, 0) + 1
        else:
            outcomes[kind.value] = outcomes.get(kind.value, 0) + 1
    n = len(judged)
    others = {
        "no cell therapy": n // 3,
        "only leukapheresis": n // 40,
        "infusion not done": n // 90,
    }
    attrition = Attrition(n + sum(others.values()), others, n, n, lost, outcomes)
    quality = Quality({"Patient": n, "Condition": 9 * n}, n // 50, (), 0,
                      {"partial_date": n // 9})  # fmt: skip
    plan = Plan(policy=Policy(), rules={"Sepsis": RuleChange(reason="local guideline", window=21)})
    values = {
        "name": "Synthetic CAR T cohort", "plan": plan, "judged": tuple(judged),
        "attrition": attrition, "quality": quality, "codes_digest": "0f" * 16,
        "unmapped": (Unmapped("urn:oid:1.2.3", "LOCAL-7", "Observation", 12, 3),) if n else (),
        "cut": "2025-06-30", "synthetic": True, **more,
    }  # fmt: skip
    return Study(**values)  # type: ignore[arg-type]


def a_study(n: int, seed: int = 7, **more: object) -> Study:
    """n recipients with rates near the published ones: 7 % NRM, 40 % relapse."""
    dice = random.Random(seed)
    return study_of([judged_of(_person(number, dice)) for number in range(n)], **more)


def _person(number: int, dice: random.Random) -> Person:
    product, indication = dice.choices(PRODUCTS, (30, 20, 9, 10, 16, 12))[0]
    roll = dice.random()
    kind = OutcomeKind.NRM if roll < 0.08 else OutcomeKind.RELAPSE
    kind = OutcomeKind.ALIVE if roll > 0.5 else kind
    kind = OutcomeKind.NOT_EVALUABLE if roll > 0.99 else kind
    spread = {OutcomeKind.NRM: 1 / 260, OutcomeKind.RELAPSE: 1 / 170}
    time = 1 + int(dice.expovariate(spread[kind])) if kind in spread else dice.randrange(30, 1400)
    cause, subcause, _ = dice.choices(CAUSES, [weight for *_, weight in CAUSES])[0]
    return Person(number, kind, min(time, 1500), cause, subcause, product, indication,
                  dice.randrange(19, 97), dice)  # fmt: skip
