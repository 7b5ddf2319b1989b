"""The traps of codes and records, from FHIR to the answer: resources in, cohort row out.

Each is a confusion that was seen in published code or data (docs/clinical.md §7); the same traps of
day order and trust are day tables in tests/cases.
"""

from pathlib import Path

import pytest

from adapter.causes import Plan
from adapter.codes import Codes, load_codes
from adapter.config import Policy
from adapter.dates import on
from adapter.episodes import why_not
from adapter.explain import explain
from adapter.export import row_of
from adapter.facts import facts_of
from adapter.model import Judged, OutcomeKind, Timeline
from adapter.patient import judge_patient
from adapter.timelines import timeline_of
from tests.builders import (
    Resource,
    administration,
    concept,
    condition,
    encounter,
    lab,
    observation,
    patient,
    prescription,
    procedure,
    record,
    report,
)
from tests.facts.reader import codes

ZERO, DIED = "2021-03-01", "2021-05-30"
LYMPHOMA = condition("cm|C83.38", on="2020-05-04")
AXI = procedure("pcs|XW033H7", on=ZERO)
NOT_DEAD = encounter(start="2021-12-01", end="2021-12-01")


def timeline(*resources: Resource, by: Codes | None = None) -> Timeline:
    """What is known of one patient."""
    people = [] if any(r["resourceType"] == "Patient" for r in resources) else [patient()]
    return timeline_of(facts_of(record(*people, *resources), by or codes()))


def judged(*resources: Resource, policy: Policy | None = None) -> Judged:
    """The one episode of a patient with these resources."""
    (one,) = judge_patient(timeline(*resources), Plan(policy or Policy()))
    return one


def recipient(*more: Resource, policy: Policy | None = None) -> Judged:
    """A recipient of axi-cel for LBCL, alive in December, and what else is recorded."""
    return judged(LYMPHOMA, AXI, NOT_DEAD, *more, policy=policy)


def dead(*more: Resource) -> Judged:
    """A recipient who died on day 90, seen two days before, and what else is recorded."""
    seen = encounter(start="2021-05-28", end="2021-05-28")
    return judged(patient(died=DIED), LYMPHOMA, AXI, seen, *more)


def cause(one: Judged) -> tuple[str, str]:
    """Cause and subcause of a non-relapse death."""
    assert one.verdict is not None
    return one.verdict.cause.value, one.verdict.subcause


# --- what is and is not an infusion ----------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "given"),
    [
        ("look_alike", procedure("pcs|XW033L7", on=ZERO)),  # lifileucel, TIL
        ("look_alike", procedure("pcs|XW033B7", on=ZERO)),  # amivantamab
        ("look_alike", procedure("pcs|XW03357", on=ZERO)),  # narsoplimab
        ("look_alike", procedure("pcs|XW033Q9", on=ZERO)),  # posoleucel
        ("look_alike", procedure("pcs|XW03368", on=ZERO)),  # afami-cel, TCR-T
        ("look_alike", procedure("pcs|XW03378", on=ZERO)),  # tabelecleucel
        ("look_alike", procedure("hcpcs|Q2057", on=ZERO)),  # afami-cel between two CAR T codes
        ("look_alike", administration("atc|L01XL11", on=ZERO)),  # lifileucel
        ("look_alike", administration("atc|L01XL02", on=ZERO)),  # T-VEC
        ("look_alike", administration("997261", on=ZERO)),  # sipuleucel-T ends in -leucel too
        ("look_alike", administration("ndc|84684-002-01", on=ZERO)),  # vector with liso-cel's name
        ("look_alike", procedure("pcs|30233C0", on=ZERO)),  # gene-modified stem cells
        ("no_evidence", procedure("pcs|XW03311", on=ZERO)),  # the pattern alone means nothing
        ("no_evidence", administration("atc|L01XL", on=ZERO)),  # the ATC group means nothing
        ("review_code", procedure("pcs|XW0338A", on=ZERO)),  # probably obe-cel, title unseen
        ("review_code", procedure("ops|8-802.24", on=ZERO)),  # German infusion code, unconfirmed
        ("review_code", procedure("hcpcs|C9399", on=ZERO)),  # any new biologic
        ("collected_only", procedure("ops|5-410.30", on=ZERO)),  # T cells collected for CAR T
        ("history_only", condition("cm|Z92.850", on=ZERO)),  # proves CAR T, not when
        ("ordered_never_given", prescription("atc|L01XL03", on=ZERO)),
        ("ordered_never_given", procedure("pcs|XW033H7", on=ZERO, status="not-done")),
        ("entered_in_error", procedure("pcs|XW033H7", on=ZERO, status="entered-in-error")),
        ("entered_in_error", prescription("atc|L01XL03", on=ZERO, status="entered-in-error")),
        ("no_evidence", administration(on=ZERO, medicationCodeableConcept=concept(
            text="TOCILIZUMAB FOR CAR-T USE"))),  # names are never matched
        ("no_evidence", procedure("cpt|38228", on=ZERO)),  # CPT needs the site's licence
    ],
)  # fmt: skip
def test_what_looks_like_an_infusion_and_is_none(why: str, given: Resource) -> None:
    """No recipient, and the attrition table says why."""
    found = timeline(LYMPHOMA, given, NOT_DEAD)
    assert ((), why) == (judge_patient(found, Plan()), why_not(found))


@pytest.mark.parametrize(
    ("product", "given"),
    [
        ("axi-cel", procedure("pcs|XW043H7", on=ZERO)),
        ("brexu-cel", procedure("pcs|XW23346", on=ZERO)),  # FY2021: table XW2, not XW0
        ("liso-cel", procedure("pcs|XW24376", on=ZERO)),
        ("", procedure("pcs|XW033C3", on=ZERO)),  # FY2018-21: no product
        ("tisa-cel", procedure("hcpcs|Q2040", on=ZERO)),  # 2018 only
        ("cilta-cel", procedure("hcpcs|Q2056", on=ZERO)),
        ("obe-cel", procedure("hcpcs|q2058 ", on=ZERO)),
        ("axi-cel", administration("atc|L01XL03", on=ZERO)),  # 03 is axi-cel, 04 tisa-cel
        ("tisa-cel", administration("atc|L01XL04", on=ZERO)),
        ("axi-cel", administration("atc|L01XX70", on=ZERO)),  # before 2022
        ("ide-cel", administration("ndc|59572-515-01", on=ZERO)),
        ("", procedure("sct|1156961008", on=ZERO)),
    ],
)
def test_every_dialect_names_the_product(product: str, given: Resource) -> None:
    """PCS by fiscal year, HCPCS, ATC before and after 2022, NDC, SNOMED CT."""
    assert product == judged(LYMPHOMA, given, NOT_DEAD).episode.product


def test_a_bill_does_not_move_day_zero() -> None:
    """The Q-code carries the day of discharge; the administration is day 0."""
    bill = procedure("hcpcs|Q2041", on="2021-03-13")
    one = judged(LYMPHOMA, bill, administration("atc|L01XL03", on=ZERO), NOT_DEAD)
    assert ZERO == one.episode.infusion.iso


def test_two_bags_and_two_days_are_one_course() -> None:
    """Liso-cel comes in two bags on one day, obe-cel on about days 1 and 10."""
    bags = [administration("atc|L01XL08", on=f"{ZERO}T{hour}:00:00Z") for hour in (10, 11)]
    split = [administration("atc|L01XL12", on=day) for day in (ZERO, "2021-03-10")]
    for given in (bags, split):
        assert ZERO == judged(LYMPHOMA, *given, NOT_DEAD).episode.infusion.iso


def test_a_licensed_site_reads_its_cpt_codes(tmp_path: Path) -> None:
    """With the overlay 38228 is the infusion, and 38225 the harvest of somebody never infused."""
    (tmp_path / "cpt.csv").write_text(
        "action,concept,subconcept,system,code,match,display,signed,dated\n"
        "add,cart_infusion,car_t_administration,http://www.ama-assn.org/go/cpt,38228,exact,,A,2025-03-01\n"
        "add,leukapheresis,car_t_harvest,http://www.ama-assn.org/go/cpt,38225,exact,,A,2025-03-01\n"
    )
    licensed = load_codes(tmp_path)
    infused = timeline(LYMPHOMA, procedure("cpt|38228", on=ZERO), by=licensed)
    harvested = timeline(LYMPHOMA, procedure("cpt|38225", on=ZERO), by=licensed)
    assert ("", "collected_only") == (why_not(infused), why_not(harvested))


# --- the treated disease ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disease", "codes"),
    [
        ("LBCL", ["cm|C82.40"]),  # follicular grade 3b is treated as large-cell
        ("FL", ["cm|C82.00"]),
        ("LBCL", ["cm|C83.398"]),  # C83.39 became a header in FY2025
        ("LBCL", ["gm|C83.3"]),
        ("B_ALL", ["cm|C91.01"]),
        ("MM", ["cm|C90.02"]),
        ("", ["cm|C77.2"]),  # metastasis names no disease
        ("", ["sct|55921005"]),  # a morphology, not a disorder
        ("LBCL", ["cm|C84.40", "cm|C83.38"]),  # no product treats T-cell lymphoma
    ],
)
def test_the_treated_disease_is_named(disease: str, codes: list[str]) -> None:
    """Headers, splits and neighbours of the classifications."""
    known = [condition(code, on="2020-05-04") for code in codes]
    assert disease == judged(*known, AXI, NOT_DEAD).episode.indication


# --- relapse, response, death ----------------------------------------------------------------


@pytest.mark.parametrize(
    "later",
    [
        condition("cm|C77.2", on="2021-06-01"),  # metastasis code
        condition("cm|C83.3A", on="2021-06-01"),  # in remission, since FY2025
        condition("cm|C90.02", on="2021-06-01"),  # relapse of another disease
        condition("cm|C83.38", on="2020-05-04", status="relapse"),  # onset is the first diagnosis
        condition("cm|C83.38", on="2021-06-01", verified="refuted", status="relapse"),
        observation("97509-4", on="2021-06-01", result="sct|359746009"),  # stable
        observation("97509-4", on="2021-06-01", result="sct|271299001", status="cancelled"),
        observation("97509-4", on="2021-06-01", valueString="relapse?"),  # text only
        condition("cm|D46.9", on="2021-06-01"),  # a second malignancy is no relapse
    ],
)
def test_what_sounds_like_relapse_and_is_none(later: Resource) -> None:
    """The patient is alive at the last contact."""
    assert OutcomeKind.ALIVE is recipient(later).outcome.kind


def test_worsened_counts_for_the_treated_disease_only() -> None:
    """Worsened hypertension is no progression; worsened lymphoma is."""
    other = condition("cm|I10", on="2019-01-01", id="bp")
    about = {"focus": [{"reference": "Condition/bp"}]}
    worse = observation("97509-4", on="2021-06-01", result="sct|271299001")
    assert OutcomeKind.ALIVE is recipient(other, worse | about).outcome.kind
    assert OutcomeKind.RELAPSE is recipient(worse).outcome.kind


def test_a_relapse_status_without_a_date_asks_for_a_person() -> None:
    """Condition.clinicalStatus says that, not when."""
    flag = condition("cm|C83.38", on="2020-05-04", status="relapse", recordedDate="2021-09-01")
    one = recipient(flag)
    assert one.outcome.needs_review
    assert "relapse_undated" in {note.kind for note in one.outcome.notes}


def test_in_relapse_is_a_code_of_cm_only() -> None:
    """C90.02 dates a relapse of myeloma; the same letters in ICD-10-GM say no such thing."""
    myeloma = condition("cm|C90.00", on="2019-01-01")
    for system, kind in (("cm", OutcomeKind.RELAPSE), ("gm", OutcomeKind.ALIVE)):
        later = condition(f"{system}|C90.02", on="2021-06-01")
        assert kind is judged(myeloma, AXI, NOT_DEAD, later).outcome.kind


def test_german_course_of_disease_is_read() -> None:
    """Verlauf Y is relapse, V complete remission."""
    for letter, kind in (("Y", OutcomeKind.RELAPSE), ("V", OutcomeKind.ALIVE)):
        status = observation("sct|396432002", on="2021-06-01", result=f"verlauf|{letter}")
        assert kind is recipient(status).outcome.kind


def test_a_boolean_death_has_no_day() -> None:
    """It cannot enter a time-to-event model, and no day is made up."""
    one = judged(patient(died=True), LYMPHOMA, AXI, encounter(start="2021-05-28"))
    assert "death_without_date" == one.outcome.reason


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (OutcomeKind.NRM, "discharge|exp"),
        (
            OutcomeKind.NRM,
            "http://fhir.de/CodeSystem/dkgev/EntlassungsgrundErsteUndZweiteStelle|07",
        ),
        (OutcomeKind.ALIVE, "discharge|hosp"),  # to a hospice is alive
        (OutcomeKind.ALIVE, "https://www.nubc.org/CodeSystem/PatDischargeStatus|20"),  # not shipped
    ],
)
def test_how_a_stay_ended(kind: OutcomeKind, how: str) -> None:
    """Death by discharge disposition, in the dialects whose codes may be shipped."""
    stay = encounter(start="2021-05-20", end=DIED, kind="IMP", discharge=how)
    assert kind is judged(LYMPHOMA, AXI, stay).outcome.kind


def test_lost_to_follow_up_is_censored() -> None:
    """MII vital status V is neither alive then nor dead."""
    seen = encounter(start="2021-04-30", end="2021-04-30")
    one = judged(LYMPHOMA, AXI, seen, observation("67162-8", on="2021-09-01", result="vital|V"))
    assert (OutcomeKind.ALIVE, 60) == (one.outcome.kind, one.outcome.time and one.outcome.time.low)


def test_58776007_is_an_autologous_transplant() -> None:
    """Public code calls it allogeneic: censoring at it would lose the rest of follow-up."""
    policy = Policy(later_hct="censor")
    cells = procedure("sct|58776007", on="2021-06-01")
    assert "last_contact" == recipient(cells, policy=policy).outcome.reason


# --- causes ----------------------------------------------------------------------------------

INFECTION = "infection"


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (INFECTION, condition("cm|R65.21", on="2021-05-28")),  # severe sepsis
        ("unknown", condition("cm|R65.10", on="2021-05-28")),  # CM: not infectious
        (INFECTION, condition("who|R65.1", on="2021-05-28")),  # WHO: infectious
        (INFECTION, condition("gm|R65.1", on="2021-05-28")),
        ("unknown", condition("gm|R65.2", on="2021-05-28")),  # GM: not infectious
        (INFECTION, condition("cm|A41.9", on="2021-05-28")),  # unspecific, but infection
        (INFECTION, condition("gm|J18.9", on="2021-05-28")),
        ("unknown", condition("gm|A41.9", on="2021-05-28", certainty="V")),  # suspected
        ("unknown", condition("gm|A41.9", on="2021-05-28", certainty="A")),  # excluded
        (INFECTION, condition("gm|A41.9", on="2021-05-28", certainty="G")),
        (INFECTION, condition("gm|Z51.1 A41.9!", on="2021-05-28")),  # several codes in one string
        ("unknown", condition("cm|A41.9", on="2021-05-28", verified="refuted")),
        ("unknown", condition("cm|R99", on="2021-05-30")),  # ill-defined
        ("unknown", condition("gm|R96.0", on="2021-05-30")),
        ("unknown", condition("cm|I46.9", on="2021-05-30")),  # the heart stops in every death
        ("cardiovascular_respiratory", condition("cm|J96.01", on="2021-05-29")),
        ("organ_failure", condition("cm|N17.9", on="2021-05-29")),
        ("crs", condition("cm|D89.835", on="2021-05-29")),  # fatal
        ("neurotoxicity", condition("cm|G92.05", on="2021-05-29")),
        ("hemorrhage", condition("cm|I61.9", on="2021-05-29")),
        ("second_malignancy", condition("cm|D46.9", on="2021-04-15")),
        ("unknown", condition("cm|C78.7", on="2021-05-15")),  # metastasis is no second primary
        ("unknown", condition("cm|C44.91", on="2021-05-15")),  # skin cancer is never the cause
        ("other", condition("cm|X72", on=DIED)),  # self-harm in ICD-10-CM
        ("other", condition("who|X60", on=DIED)),  # self-harm in WHO ICD-10 only
    ],
)
def test_what_a_code_says_of_the_cause(expected: str, said: Resource) -> None:
    """The same letters differ between classifications; certainty and status are honoured."""
    assert expected == cause(dead(said))[0]


def test_pneumocystis_is_fungal_in_both_classifications() -> None:
    """B59 in ICD-10-CM, B48.5 elsewhere."""
    for code in ("cm|B59", "who|B48.5", "gm|B48.5"):
        assert (INFECTION, "fungal") == cause(dead(condition(code, on="2021-05-20")))


def test_aspiration_asks_for_a_person() -> None:
    """J69.0 may be chemical."""
    one = dead(condition("cm|J69.0", on="2021-05-28"))
    assert one.needs_review


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (INFECTION, observation("80358-5", on=DIED, result="who|A41.9")),  # WHO codes in the US
        ("cardiovascular_respiratory", observation("80358-5", on=DIED, result="who|I21.9")),
        (INFECTION, condition("gm|A41.9", on=DIED, category="79378-6") | {
            "category": [concept("loinc|79378-6", "sct|16100001")]}),  # German: a category
        ("unknown", observation("69453-9", on=DIED, valueString="Sepsis")),  # text is never counted
        ("unknown", observation("80358-5", on=DIED, result="who|R99")),
    ],
)  # fmt: skip
def test_certificates_are_read_as_they_are_coded(expected: str, line: Resource) -> None:
    """US part 1 is text, the coded cause is WHO ICD-10, Germany files it as a Condition."""
    assert expected == cause(dead(line))[0]


def test_the_german_tumour_death_flag_is_never_used() -> None:
    """J counts deaths of treatment as deaths of the tumour: it would erase NRM."""
    system = ("https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/"
              "mii-cs-onko-tod")  # fmt: skip
    one = dead(observation("sct|184305005", on=DIED, result=f"{system}|J"))
    assert (OutcomeKind.NRM, "unknown") == (one.outcome.kind, cause(one)[0])


def test_gvhd_has_a_code_in_each_classification() -> None:
    """D89.81- and T86.0, after a transplant that followed CAR T."""
    transplant = procedure("pcs|30243Y3", on="2021-04-10")
    for code in ("cm|D89.813", "who|T86.0"):
        assert ("other", "gvhd") == cause(dead(transplant, condition(code, on="2021-05-20")))


# --- microbiology and units ------------------------------------------------------------------


def test_a_culture_is_read_by_its_result() -> None:
    """Negative, contaminated and colonised are no infection; a pathogen in blood is."""
    grew = {"sct|52499004": INFECTION, "sct|260385009": "unknown"}  # pseudomonas, negative
    for result, expected in grew.items():
        culture = observation("600-7", on="2021-05-27", result=result)
        assert expected == cause(dead(culture))[0]
    asked = report("600-7", on="2021-05-27")
    assert "unknown" == cause(dead(asked))[0]


BEFORE = "2021-02-20"


@pytest.mark.parametrize(("value", "unit"), [(50, "mg/L"), (5, "mg/dL"), (50_000, "ug/L")])
def test_crp_is_ten_times_larger_in_mg_per_l(value: float, unit: str) -> None:
    """Modified EASIX wants mg/dL: 300 x 5 / 60 = 25 whatever was sent, or no score at all."""
    one = recipient(
        lab("1988-5", value, unit, on=BEFORE),
        lab("2532-0", 300, "U/L", on=BEFORE),
        lab("777-3", 60, "10*9/L", on=BEFORE),
    )
    expected = None if unit == "ug/L" else pytest.approx(25.0)
    assert expected == one.grades["m_easix"]


@pytest.mark.parametrize(
    ("grade", "value", "unit"),
    [
        (1, 0.4, "10*3/uL"), (1, 0.4, "10*9/L"), (1, 400, "/uL"), (1, 0.4, "K/uL"),
        (0, 0.4, ""),  # no unit: 0.4 might be anything, so the value is refused
        (0, 400, "10*3/uL"),  # no patient has that
        (0, 0.4, "g/dL"),
    ],
)  # fmt: skip
def test_neutrophils_per_microlitre_are_a_thousand_times_smaller(
    grade: int, value: float, unit: str
) -> None:
    """One severe day is ICAHT grade 1; an ambiguous or impossible value is no count."""
    normal = [lab("751-8", 2.0, "10*3/uL", on=day) for day in ("2021-03-07", "2021-03-09")]
    one = recipient(lab("751-8", value, unit, on="2021-03-08"), *normal)
    assert grade == one.grades["icaht_early"]


def test_creatinine_in_micromoles_gives_the_same_easix() -> None:
    """88.4 µmol/L are 1 mg/dL."""
    counts = (lab("2532-0", 300, "U/L", on=BEFORE), lab("777-3", 60, "10*9/L", on=BEFORE))
    for value, unit in ((1.0, "mg/dL"), (88.4, "umol/L")):
        one = recipient(lab("2160-0", value, unit, on=BEFORE), *counts)
        assert pytest.approx(5.0) == one.grades["easix"]


def test_the_two_ldh_assays_are_not_pooled() -> None:
    """Lactate to pyruvate and back differ about two-fold: neither is taken for LDH."""
    for assay in ("14804-9", "14805-6"):
        one = recipient(lab(assay, 300, "U/L", on=BEFORE), lab("777-3", 60, "10*9/L", on=BEFORE))
        assert one.grades["s_easix"] is None


# --- what is later than the data --------------------------------------------------------------


def known_by(cut: str, *resources: Resource) -> Judged:
    """The one episode of a patient seen on 1 December 2021, in data that were cut on this day."""
    people = [] if any(r["resourceType"] == "Patient" for r in resources) else [patient()]
    read = facts_of(record(*people, LYMPHOMA, AXI, NOT_DEAD, *resources), codes())
    (one,) = judge_patient(timeline_of(read, on(cut).first), Plan(Policy()))
    return one


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (encounter(start="2042-03-01", end="2042-03-01"), "last_contact"),
        (encounter(start="2021-12-01", end="2042-03-01"), "last_contact"),
        (patient(died="2042-02-01"), "death_without_date"),
        (observation("97509-4", on="2042-06-01", result="sct|271299001"), "last_contact"),
        (procedure("pcs|XW033H7", on="2099-01-01"), "last_contact"),
    ],
)
def test_a_date_after_the_cut_is_no_date(later: Resource, reason: str) -> None:
    """A visit, a death, a relapse, an infusion typed as 2042: it is, but nobody knows when."""
    one = known_by("2026-11-27", later)
    assert reason == one.outcome.reason
    assert one.outcome.time is None or 275 == one.outcome.time.low
    assert one.outcome.needs_review
    assert "after_cut" in {note.kind for note in one.episode.timeline.notes}


def test_the_day_after_the_cut_is_a_day() -> None:
    """Runs are dated in UTC; in Sydney it is already tomorrow."""
    one = known_by("2021-12-09", encounter(start="2021-12-10", end="2021-12-10"))
    assert (one.outcome.time and one.outcome.time.low, one.outcome.needs_review) == (284, False)


def test_what_is_planned_may_lie_ahead() -> None:
    """An order for next month is no doubt about the data."""
    one = known_by("2021-12-09", prescription("rx|1", on="2022-01-10"))
    assert not one.outcome.needs_review


def test_a_date_that_cannot_be_read_is_shown_to_who_must_find_it() -> None:
    """ "20.02.2024" as the day of death: the row and the page said only that there is no date."""
    one = judged(patient(died="20.02.2024"), LYMPHOMA, AXI)
    assert "death_without_date" == one.outcome.reason
    unread = "A date of this Patient cannot be read and is not used."
    assert any(unread in note for note in row_of(one)["notes"])
    assert unread in " ".join(explain(one, Plan()).split())
