"""FHIR resources for tests: each call shows only what the test is about; ids follow by position.

    record(patient(), condition("cm|C83.38", on="2021-05"), procedure("pcs|XW033H7"))

A code is written ``system|code`` with a short system name of :data:`SYSTEMS`; without a bar the
builder's usual system is meant. Extra keywords become fields of the resource as they are.
"""

import json
from collections import Counter
from typing import Any

from adapter.store import PatientRecord, Stored

Resource = dict[str, Any]

SYSTEMS: dict[str, str] = {
    "cm": "http://hl7.org/fhir/sid/icd-10-cm",
    "who": "http://hl7.org/fhir/sid/icd-10",
    "gm": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "ops": "http://fhir.de/CodeSystem/bfarm/ops",
    "pcs": "http://www.cms.gov/Medicare/Coding/ICD10",
    "cpt": "http://www.ama-assn.org/go/cpt",
    "hcpcs": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ndc": "http://hl7.org/fhir/sid/ndc",
    "atc": "http://www.whocc.no/atc",
    "ucum": "http://unitsofmeasure.org",
    "clinical": "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "verification": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "category": "http://terminology.hl7.org/CodeSystem/condition-category",
    "act": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "discharge": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
    "interpretation": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "verlauf": (
        "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/"
        "mii-cs-onko-verlauf-gesamtbeurteilung"
    ),
    "vital": (
        "https://www.medizininformatik-initiative.de/fhir/core/modul-person/CodeSystem/Vitalstatus"
    ),
    "local": "urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.1",
}
CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"


def coding(code: str, system: str = "sct", **more: Any) -> Resource:
    """One coding from "cm|C83.38", or from a bare code of `system`."""
    short, bar, rest = code.partition("|")
    name, value = (short, rest) if bar else (system, code)
    return {"system": SYSTEMS.get(name, name), "code": value, **more}


def concept(*codes: str, system: str = "sct", text: str = "") -> Resource:
    """A CodeableConcept with several codings of the same thing, or only text."""
    made: Resource = {"coding": [coding(code, system) for code in codes]} if codes else {}
    return made | ({"text": text} if text else {})


def patient(**fields: Any) -> Resource:
    """A woman born in 1960, alive; `died="2021-08-01"` or `died=True` ends that."""
    died = fields.pop("died", None)
    made: Resource = {"resourceType": "Patient", "gender": "female", "birthDate": "1960-02-03"}
    if died is not None:
        made["deceasedBoolean" if isinstance(died, bool) else "deceasedDateTime"] = died
    return made | fields


def condition(
    *codes: str, on: str = "", status: str = "", verified: str = "", category: str = "", **more: Any
) -> Resource:
    """A diagnosis with ICD-10-CM codes unless said otherwise; `certainty="V"` for German ones."""
    certainty, text = more.pop("certainty", ""), more.pop("text", "")
    made: Resource = {"resourceType": "Condition", "code": concept(*codes, system="cm", text=text)}
    if certainty:
        extension = {"url": CERTAINTY, "valueCoding": {"code": certainty}}
        made["code"]["coding"][0]["extension"] = [extension]
    if on:
        made["onsetDateTime"] = on
    if status:
        made["clinicalStatus"] = concept(f"clinical|{status}")
    if verified:
        made["verificationStatus"] = concept(f"verification|{verified}")
    if category:
        made["category"] = [concept(category, system="category")]
    return made | more


def procedure(*codes: str, on: str = "", status: str = "completed", **more: Any) -> Resource:
    """A procedure, SNOMED CT unless said otherwise."""
    made: Resource = {"resourceType": "Procedure", "status": status, "code": concept(*codes)}
    return made | ({"performedDateTime": on} if on else {}) | more


def observation(*codes: str, on: str = "", status: str = "final", **more: Any) -> Resource:
    """An observation, LOINC unless said otherwise; `result="sct|10828004"` for a coded value."""
    result = more.pop("result", None)
    made: Resource = {
        "resourceType": "Observation", "status": status, "code": concept(*codes, system="loinc"),
    }  # fmt: skip
    if result is not None:
        made["valueCodeableConcept"] = concept(*([result] if isinstance(result, str) else result))
    return made | ({"effectiveDateTime": on} if on else {}) | more


def quantity(value: float | str, unit: str = "", **more: Any) -> Resource:
    """A UCUM quantity; without a unit it is a bare number."""
    if not unit:
        return {"value": value, **more}
    return {"value": value, "unit": unit, "system": SYSTEMS["ucum"], "code": unit, **more}


def lab(code: str, value: float, unit: str = "", on: str = "2021-05-03", **more: Any) -> Resource:
    """A laboratory value by LOINC code; `comparator="<"` for a bound."""
    comparator = {"comparator": more.pop("comparator")} if "comparator" in more else {}
    return observation(code, on=on, valueQuantity=quantity(value, unit, **comparator), **more)


def encounter(
    start: str = "", end: str = "", status: str = "finished", kind: str = "AMB", **more: Any
) -> Resource:
    """A visit or stay; `discharge="discharge|exp"` for how it ended."""
    discharge = more.pop("discharge", None)
    period = {key: text for key, text in (("start", start), ("end", end)) if text}
    made: Resource = {
        "resourceType": "Encounter", "status": status, "class": coding(kind, "act"),
    }  # fmt: skip
    if period:
        made["period"] = period
    if discharge:
        made["hospitalization"] = {"dischargeDisposition": concept(discharge)}
    return made | more


def administration(*codes: str, on: str = "", status: str = "completed", **more: Any) -> Resource:
    """A drug or product given, RxNorm unless said otherwise."""
    made: Resource = {"resourceType": "MedicationAdministration", "status": status}
    if codes:
        made["medicationCodeableConcept"] = concept(*codes, system="rxnorm")
    return made | ({"effectiveDateTime": on} if on else {}) | more


def prescription(*codes: str, on: str = "", status: str = "active", **more: Any) -> Resource:
    """A drug ordered, RxNorm unless said otherwise."""
    made: Resource = {"resourceType": "MedicationRequest", "status": status, "intent": "order"}
    if codes:
        made["medicationCodeableConcept"] = concept(*codes, system="rxnorm")
    return made | ({"authoredOn": on} if on else {}) | more


def report(*codes: str, on: str = "", status: str = "final", **more: Any) -> Resource:
    """A diagnostic report, LOINC unless said otherwise; `concluded="sct|.."` is its conclusion."""
    concluded = more.pop("concluded", None)
    made: Resource = {
        "resourceType": "DiagnosticReport", "status": status,
        "code": concept(*codes, system="loinc"),
    }  # fmt: skip
    if concluded:
        made["conclusionCode"] = [concept(concluded)]
    return made | ({"effectiveDateTime": on} if on else {}) | more


def record(*resources: Resource, name: str = "p1") -> PatientRecord:
    """Everything about one patient as it comes out of the store; ids are given by position."""
    count: Counter[str] = Counter()
    stored = []
    for resource in resources:
        kind = str(resource["resourceType"])
        count[kind] += 1
        id_ = (
            name
            if kind == "Patient"
            else str(resource.get("id", f"{kind[0].lower()}{count[kind]}"))
        )
        about = {} if kind == "Patient" else {"subject": {"reference": f"Patient/{name}"}}
        whole = {"id": id_, **about, **resource}
        stored.append(Stored(kind, id_, json.dumps(whole).encode()))
    return PatientRecord(name, sorted(stored))
