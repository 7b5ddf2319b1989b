"""The synthetic hospital: valid FHIR, reproducible, honest about its truth, and full of traps."""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from examples.synthetic import StudyShape, TruthRow, background, generate, retell
from examples.synthetic.__main__ import main
from examples.synthetic.codes import words
from examples.synthetic.infections import TRAPS
from examples.synthetic.rates import CAUSES, GROUPS, deal
from examples.synthetic.shape import END_OF_DATA
from examples.synthetic.truth import read
from examples.synthetic.validate import Shapes, validate
from examples.synthetic.writer import as_line, write

Json = dict[str, Any]
SMALL = StudyShape(patients=60, recipients=40, seed=3, labs="weekly")


@pytest.fixture(scope="module")
def hospital() -> list[tuple[str, Json]]:
    """A hospital large enough to hold every look-alike."""
    return list(generate(StudyShape(patients=500, recipients=350, seed=11, labs="weekly")))


@pytest.fixture(scope="module")
def truth() -> list[TruthRow]:
    """The truth of the demo's size, which needs no FHIR to be written."""
    return generate(StudyShape()).truth


def codings(resource: Json) -> list[str]:
    """system|code of what a resource is about."""
    about = [resource.get("code"), resource.get("medicationCodeableConcept")]
    return [f"{c.get('system')}|{c.get('code')}" for a in about if a for c in a.get("coding", [])]


def by_patient(resources: list[tuple[str, Json]]) -> dict[str, list[Json]]:
    """Resources of each patient id."""
    found: dict[str, list[Json]] = {}
    for _, resource in resources:
        subject = resource.get("subject", {}).get("reference", "").removeprefix("Patient/")
        found.setdefault(subject or resource["id"], []).append(resource)
    return found


def test_every_resource_is_valid_fhir() -> None:
    """Each resource of a small study in every dialect passes the models of fhir.resources."""
    shapes = Shapes(every=True)
    for dialect in ("us", "oracle", "german"):
        for _, resource in generate(StudyShape(24, 14, seed=5, dialect=dialect, labs="weekly")):
            shapes.check(resource)


def test_an_invalid_resource_is_refused_even_when_its_shape_is_new_only_in_a_date() -> None:
    """The check by shape tells a partial date from a broken one."""
    shapes = Shapes()
    patient = {"resourceType": "Patient", "id": "a", "birthDate": "1960-01-01"}
    shapes.check(patient)
    with pytest.raises(ValueError, match="birthDate"):
        shapes.check(patient | {"birthDate": "1960-01-0"})


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write identical files, gzip included; another seed writes others."""
    written = []
    for name, shape in (("a", SMALL), ("b", SMALL), ("c", replace(SMALL, seed=4))):
        write(generate(shape), tmp_path / name, compress=True)
        files = sorted((tmp_path / name).rglob("*.*"))
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert written[0] != written[2]


def test_a_patient_stays_the_same_when_the_hospital_grows() -> None:
    """Labs and dialect come from the patient's own dice: retelling a story changes nothing."""
    story = generate(SMALL).stories[0]
    assert list(retell(story)) == list(retell(story))


def test_everything_says_that_it_is_synthetic(hospital: list[tuple[str, Json]]) -> None:
    """Every resource is tagged, every name and number is plainly invented."""
    for kind, resource in hospital:
        assert "synthetic" in {tag["code"] for tag in resource["meta"]["tag"]}
        if kind == "Patient":
            assert resource["name"][0]["family"].startswith("Synthetic-")
            assert resource["identifier"][0]["value"].startswith("SYN-")


def test_every_update_is_an_instant_within_the_data(hospital: list[tuple[str, Json]]) -> None:
    """meta.lastUpdated is an instant, not after the end of the data."""
    for _, resource in hospital:
        moment = datetime.fromisoformat(resource["meta"]["lastUpdated"])
        assert moment.tzinfo is not None
        assert moment.date() <= END_OF_DATA


def test_references_lead_somewhere(hospital: list[tuple[str, Json]]) -> None:
    """Subjects, focuses and results are resources of the study, ids occur once."""
    known = [f"{kind}/{resource['id']}" for kind, resource in hospital]
    assert len(known) == len(set(known))
    targets = set(known)
    for _, resource in hospital:
        for place in ("focus", "result"):
            assert {r["reference"] for r in resource.get(place, [])} <= targets
        assert "subject" not in resource or resource["subject"]["reference"] in targets


def test_nothing_a_patient_did_comes_after_the_last_day(hospital: list[tuple[str, Json]]) -> None:
    """No finished contact or finding follows death or last contact."""
    study = generate(StudyShape(patients=500, recipients=350, seed=11, labs="weekly"))
    last = {f"syn-{s.number:05d}": s.date_of(s.last_day).isoformat() for s in study.stories}
    for patient, resources in by_patient(hospital).items():
        for resource in resources:
            if resource.get("status") in ("planned", "cancelled", "preparation"):
                continue
            ended = resource.get("period", {}).get("end", "")[:10]
            seen = resource.get("effectiveDateTime") or resource.get("performedDateTime") or ""
            assert max(ended, seen[:10]) <= last[patient]


def test_truth_is_beside_the_fhir_folder_and_reads_back(tmp_path: Path) -> None:
    """truth.csv holds one row per episode or non-recipient; no FHIR file knows of it."""
    study = generate(SMALL)
    counts = write(study, tmp_path)
    assert read(tmp_path / "truth.csv") == study.truth
    assert {row.patient for row in study.truth} == {f"syn-{n:05d}" for n in range(1, 61)}
    assert not list((tmp_path / "fhir").glob("truth*"))
    assert "Synthetic" in (tmp_path / "fhir" / "README.txt").read_text(encoding="utf-8")
    lines = (tmp_path / "fhir" / "Patient.ndjson").read_bytes().splitlines()
    assert counts["Patient"] == len(lines) == 60


def test_the_hospital_has_the_wanted_size(truth: list[TruthRow]) -> None:
    """1,500 patients of whom 1,000 are recipients, a few of them twice."""
    first = [row for row in truth if row.episode <= 1]
    assert Counter({"yes": 1000, "no": 500}) == Counter(row.recipient for row in first)
    assert 5 <= sum(row.episode == 2 for row in truth) <= 60


def test_rates_follow_the_published_table(truth: list[TruthRow]) -> None:
    """Crude NRM by group lies within one death of the published rate, causes within one too."""
    first = [row for row in truth if row.episode == 1]
    for (entity, product), (_, nrm, _) in GROUPS.items():
        group = [r for r in first if r.entity == entity and r.product == product]
        assert sum(bool(r.cause) for r in group) == pytest.approx(nrm * len(group), abs=2.1)
    causes = Counter(row.cause for row in first if row.cause)
    for cause, share in CAUSES.items():
        assert causes[cause] == pytest.approx(share / 574 * sum(causes.values()), abs=1)


def test_one_death_in_five_comes_before_day_28() -> None:
    """The share of early deaths is near the 19 % of DESCAR-T in a study of 2,000 deaths."""
    shape = StudyShape(patients=2000, recipients=2000, deaths=2000)
    deaths = [row for row in generate(shape).truth if row.cause and row.time_days]
    early = sum(int(row.time_days) < 28 for row in deaths) / len(deaths)
    assert early == pytest.approx(0.19, abs=0.04)


@pytest.mark.parametrize("deaths", [0, 7, 60])
def test_the_wanted_number_of_deaths_is_exact(deaths: int) -> None:
    """--deaths N gives N non-relapse deaths, however many that is for the group."""
    rows = generate(StudyShape(patients=60, recipients=60, deaths=deaths)).truth
    assert deaths == sum(bool(row.cause) for row in rows if row.episode == 1)


def test_more_missing_evidence_hides_more_causes_and_no_outcome() -> None:
    """The three levels of missing evidence differ in what can be known of causes only."""
    shapes = [StudyShape(600, 600, deaths=500, missing=m) for m in ("none", "some", "much")]
    studies = [generate(shape).truth for shape in shapes]
    hidden = [sum(row.cause_knowable == "false" for row in rows) for rows in studies]
    assert hidden == sorted(hidden)
    assert hidden[0] < hidden[2]
    outcomes = [[(row.outcome, row.time_days, row.cause) for row in rows] for rows in studies]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_truth_is_consistent(truth: list[TruthRow]) -> None:
    """Causes belong to non-relapse deaths, times are not negative, what is hidden has a reason."""
    for row in truth:
        if row.recipient == "no":
            assert (row.outcome, row.time_days, row.cause) == ("", "", "")
            continue
        assert row.outcome in {"alive", "relapse", "nrm", "not_evaluable"}
        assert bool(row.cause) == (row.outcome == "nrm" or row.reason == "death without a date")
        assert not row.time_days or int(row.time_days) >= 0
        assert not (row.time_days and row.death_days) or int(row.death_days) >= int(row.time_days)
        assert (row.knowable == "false") <= bool(row.reason)
        assert (row.cause_knowable == "false") == bool(row.cause_reason)
        assert date.fromisoformat(row.infusion_date) < END_OF_DATA


def test_every_lookalike_occurs_and_carries_what_makes_it_one(
    hospital: list[tuple[str, Json]],
) -> None:
    """TIL, TCR-T, leukapheresis only, orders, not-done and entered-in-error infusions are there."""
    rows = generate(StudyShape(patients=500, recipients=350, seed=11, labs="weekly")).truth
    kinds = {row.lookalike: row.patient for row in rows if row.lookalike}
    assert len(kinds) == 15
    charts = by_patient(hospital)
    for kind, status in [
        ("infusion not done", "not-done"),
        ("infusion entered in error", "entered-in-error"),
        ("infusion planned", "preparation"),
    ]:
        procedures = [r for r in charts[kinds[kind]] if r["resourceType"] == "Procedure"]
        assert [status] == [procedure["status"] for procedure in procedures]


@pytest.mark.parametrize(
    ("dialect", "system"),
    [
        ("us", "http://hl7.org/fhir/sid/icd-10-cm"),
        ("oracle", "https://fhir.cerner.com/00000000-synthetic/codeSet/72"),
        ("german", "http://fhir.de/CodeSystem/bfarm/icd-10-gm"),
        ("german", "http://fhir.de/CodeSystem/dimdi/icd-10-gm"),
        ("german", "http://fhir.de/CodeSystem/bfarm/atc"),
    ],
)
def test_dialects_speak_their_code_systems(dialect: str, system: str) -> None:
    """Each dialect uses its own systems."""
    study = generate(StudyShape(20, 12, dialect=dialect, labs="weekly"))
    assert any(c.startswith(system) for _, r in study for c in codings(r))


def test_german_diagnoses_carry_certainty_marks_and_several_codes() -> None:
    """Certainty extension, version, and strings such as "J12.8 U07.1!" occur."""
    gm: list[Json] = [
        coding
        for _, resource in generate(
            StudyShape(250, 250, dialect="german", labs="weekly", deaths=200)
        )
        for coding in resource.get("code", {}).get("coding", [])
        if coding.get("system", "").endswith("icd-10-gm")
    ]
    letters = {e["valueCoding"]["code"] for c in gm for e in c.get("extension", [])}
    assert letters == {"A", "G", "V", "Z"}
    assert all(coding.get("version") for coding in gm)
    assert {"J12.8 U07.1!", "A41.9 R65.1!"} <= {coding["code"] for coding in gm}


def test_the_same_story_can_be_told_in_three_dialects() -> None:
    """Dialects change codes and units, not what happened: as many infusion days in each."""
    story = generate(StudyShape(12, 12, seed=2, dialect="us")).stories[0]
    told = {}
    for dialect in ("us", "oracle", "german"):
        story.dialect = dialect
        resources = list(retell(story, "weekly"))
        told[dialect] = Counter(kind for kind, _ in resources if kind in ("Encounter", "Patient"))
    assert told["us"] == told["oracle"] == told["german"]


def test_units_differ_between_hospitals(hospital: list[tuple[str, Json]]) -> None:
    """Neutrophils, CRP, creatinine and enzymes are reported in different units."""
    units = {
        (r["code"].get("text"), r["valueQuantity"].get("unit"))
        for _, r in hospital
        if "valueQuantity" in r
    }
    for analyte, least in (
        ("anc", 4),
        ("crp", 3),
        ("creatinine", 3),
        ("ldh", 3),
        ("temperature", 3),
    ):
        assert len({unit for name, unit in units if name == analyte}) >= least


def test_labs_are_daily_in_the_first_month_and_thinner_later() -> None:
    """An alive recipient has neutrophils on each of the first 31 days and few after day 100."""
    study = generate(StudyShape(12, 12, seed=2, dialect="us", deaths=0))
    story = next(s for s in study.stories if s.last_day > 300 and s.courses[0].outcome == "alive")
    days = [
        (date.fromisoformat(r["effectiveDateTime"][:10]) - story.day0).days
        for _, r in retell(story)
        if r.get("code", {}).get("text") == "anc"
    ]
    assert set(range(31)) <= set(days)
    assert 0 < sum(day > 100 for day in days) < 20


def test_traps_of_every_kind_occur(truth: list[TruthRow]) -> None:
    """The demo study holds each confounder somewhere."""
    seen = {trap for row in truth for trap in row.traps.split("; ")}
    others = {
        "lost to follow-up", "second course", "split dose", "two bags", "sepsis after relapse",
        "relapse on the day of death", "certificate text only", "relapse code carried forward",
        "procedure known to the month",
    }  # fmt: skip
    assert set(TRAPS) | others <= seen


def test_what_counts_uses_only_codes_with_evidence() -> None:
    """Every standard code of the word list is covered by the reference, when that is at hand."""
    reference = Path(__file__).parents[2] / "shared" / "reference" / "codes.csv"
    if not reference.exists():
        pytest.skip("the code reference is not beside this checkout")
    with reference.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["confidence"] != "unverified"]
    known = {(row["system"], row["code"].replace(".", "")): row["match"] for row in rows}
    systems = {
        "cm": "http://hl7.org/fhir/sid/icd-10-cm",
        "who": "http://hl7.org/fhir/sid/icd-10",
        "sct": "http://snomed.info/sct",
    }
    noise = {"hypertension", "diabetes", "rheumatoid_arthritis", "colonisation", "cerebral_edema"}
    for word, row in words().items():
        for column, system in systems.items():
            code = row[column].replace(".", "")
            starts = [code[:n] for n in range(1, len(code) + 1)]
            assert not code or word in noise or any((system, start) in known for start in starts)


def test_cards_are_dealt_in_proportion() -> None:
    """Largest remainders: whole numbers as close to the weights as possible."""
    assert Counter(a=5, b=3, c=2) == Counter(deal({"a": 5, "b": 3, "c": 2}, 10, random.Random(1)))
    assert Counter(a=1, b=1, c=1) == Counter(deal({"a": 5, "b": 3, "c": 2}, 3, random.Random(1)))
    assert [] == deal({"a": 1}, 0, random.Random(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 5, "recipients": 6},
        {"deaths": 2000},
        {"dialect": "french"},
        {"missing": "all"},
        {"labs": "hourly"},
    ],
)
def test_impossible_shapes_are_refused(wrong: Json) -> None:
    """A study that cannot be is an error, not an odd study."""
    with pytest.raises(ValueError, match="must"):
        StudyShape(**wrong)


def test_background_is_irrelevant_and_of_the_promised_size() -> None:
    """Benchmark noise: valid, local codes only, 1 to 2 kB an Observation, reproducible."""
    stream = list(background(2, observations=30))
    assert stream == list(background(2, observations=30))
    assert Counter({"Observation": 60, "Patient": 2}) == Counter(kind for kind, _ in stream)
    for kind, resource in stream:
        validate(resource)
        if kind == "Observation":
            assert all(code.startswith("urn:oid:") for code in codings(resource))
            assert 1000 <= len(as_line(resource)) <= 2000


def test_the_command_writes_a_study_and_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line validates, compresses, counts and compares with the published rates."""
    size = ["--patients", "30", "--recipients", "20", "--labs", "weekly"]
    main([str(tmp_path), *size, "--gzip", "--validate-all"])
    said = capsys.readouterr().out
    assert "Synthetic data" in said
    assert "published" in said
    with gzip.open(tmp_path / "fhir" / "Patient.ndjson.gz") as lines:
        assert 30 == len([json.loads(line) for line in lines])


def test_the_command_refuses_what_cannot_be(tmp_path: Path) -> None:
    """More recipients than patients is a usage error."""
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), "--patients", "3", "--recipients", "5"])


def test_the_same_seed_gives_the_same_truth_in_any_process() -> None:
    """The order of a set of words differs between processes; the study must not."""
    code = (
        "from examples.synthetic import StudyShape, generate;"
        "print(generate(StudyShape(400, 400, seed=7, deaths=300)).truth)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
