"""Endless irrelevant patients, for benchmarks: what a hospital sends besides what we ask for."""

import random
from collections.abc import Iterator

from .codes import UCUM
from .dialects import EPIC, Json, coding, concept
from .record import LABEL, Made

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
NOTE = "Synthetic remark of a device that says much and means little. " * 15


def background(patients: int, observations: int = 50, seed: int = 0) -> Iterator[Made]:
    """`patients` Patients, each followed by that many Observations of 1 to 2 kB."""
    dice = random.Random(f"{seed}/background")
    for number in range(1, patients + 1):
        patient = f"bg-{number:07d}"
        yield "Patient", {
            "resourceType": "Patient", "id": patient, "meta": _meta(number),
            "name": [{"family": f"Synthetic-BG-{number:07d}", "given": ["Test"]}],
            "gender": "unknown", "birthDate": "1960-01-01",
        }  # fmt: skip
        for n in range(observations):
            yield "Observation", _observation(patient, number, n, dice)


def _meta(n: int) -> Json:
    stamp = f"2026-0{n % 6 + 1}-{n % 28 + 1:02d}T0{n % 10}:{n % 60:02d}:00.000Z"
    return {"lastUpdated": stamp, "tag": [LABEL]}


def _observation(patient: str, number: int, n: int, dice: random.Random) -> Json:
    test = dice.randrange(1, 4000)
    day = f"202{n % 6}-0{n % 9 + 1}-{test % 28 + 1:02d}"
    local = [
        coding(f"{EPIC}7.5.737384.{k}", str(test + k), display=f"FLOWSHEET ROW {test + k}")
        for k in range(2)
    ]
    return {
        "resourceType": "Observation", "id": f"{patient}-o{n}", "meta": _meta(number + n),
        "status": "final",
        "category": [concept([coding(SYSTEM, "vital-signs")], "Flowsheet")],
        "code": concept(local, f"Flowsheet row {test}"),
        "subject": {"reference": f"Patient/{patient}", "display": "Synthetic"},
        "effectiveDateTime": f"{day}T10:{n % 60:02d}:00-05:00",
        "issued": f"{day}T10:{n % 60:02d}:30.000-05:00",
        "valueQuantity": {"value": dice.randrange(1000), "system": UCUM, "code": "1"},
        "note": [{"text": NOTE[: dice.randrange(150, 900)] + str(number)}],
    }  # fmt: skip
