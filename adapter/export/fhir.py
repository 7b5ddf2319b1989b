"""FHIR R4: who is in the cohort (Group), what happened to each (Observation), the sums
(MeasureReport). Built and validated with fhir.resources (R4B, equal to R4 for these types).
"""

from collections.abc import Iterator
from typing import Any

from adapter.errors import CartNrmError
from adapter.export.columns import Column
from adapter.export.documents import dump
from adapter.export.released import Released, Row
from adapter.model import OutcomeKind
from adapter.pseudonyms import Release
from adapter.study import Study

#: No registry has published codes for these columns, so they are named as what they are: ours.
CODES = "urn:cart-nrm:cohort-column"
MEASURE = "urn:cart-nrm:measure:non-relapse-mortality"
_GENDERS = ("male", "female", "other", "unknown")
_SYNTHETIC = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                            "code": "HTEST"}]}  # fmt: skip


def write_fhir_bundle(study: Study, released: Released, release: Release) -> bytes:
    """One collection Bundle."""
    entries = [
        {"fullUrl": f"urn:cart-nrm:{r['resourceType']}:{r['id']}", "resource": r}
        for r in resources(study, released)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return (dump(bundle) + "\n").encode("utf-8")


def write_fhir_ndjson(study: Study, released: Released, release: Release) -> bytes:
    """One resource a line, as Bulk Data writes them."""
    return "".join(f"{dump(r)}\n" for r in resources(study, released)).encode("utf-8")


def resources(study: Study, released: Released) -> Iterator[dict[str, Any]]:
    """Group, MeasureReport, then a Patient and its Observations; each one validated."""
    for resource in _resources(study, released):
        if study.synthetic:
            resource["meta"] = _SYNTHETIC
        yield _validated(resource)


def _resources(study: Study, released: Released) -> Iterator[dict[str, Any]]:
    patients = {_id(row["patient"]): row for row in released.rows}
    yield _group(study, list(patients))
    yield _measure_report(study, released.rows)
    for patient, row in patients.items():
        gender = row.get("sex") if row.get("sex") in _GENDERS else "unknown"
        yield {"resourceType": "Patient", "id": patient, "gender": gender}
    for row in released.rows:
        yield _observation(row, released.columns)


def _id(text: str) -> str:
    """FHIR ids allow letters, digits, - and . only: P-12#1 becomes P-12.1."""
    return text.replace("#", ".")


def _group(study: Study, patients: list[str]) -> dict[str, Any]:
    members = [{"entity": {"reference": f"Patient/{patient}"}} for patient in patients]
    group = {
        "resourceType": "Group",
        "id": "cohort",
        "type": "person",
        "actual": True,
        "name": study.name,
        "quantity": len(patients),
    }
    return {**group, "member": members} if members else group


def _measure_report(study: Study, rows: list[Row]) -> dict[str, Any]:
    """Counts of each outcome and of each cause of non-relapse death."""
    outcomes = {kind.value: [r for r in rows if r["outcome"] == kind] for kind in OutcomeKind}
    causes = sorted({str(row["cause"]) for row in rows if row.get("cause")})
    strata = [
        {"value": {"text": cause},
         "population": [_population(cause, sum(row["cause"] == cause for row in rows))]}
        for cause in causes
    ]  # fmt: skip
    group: dict[str, Any] = {"population": [_population(k, len(v)) for k, v in outcomes.items()]}
    if strata:
        group["stratifier"] = [{"code": [{"text": "cause of death"}], "stratum": strata}]
    cut = study.cut[:10] or "1900-01-01"
    return {
        "resourceType": "MeasureReport",
        "id": "outcomes",
        "status": "complete",
        "type": "summary",
        "measure": MEASURE,
        "period": {"end": cut},
        "group": [group],
    }


def _population(name: str, count: int) -> dict[str, Any]:
    return {"code": {"text": name}, "count": count}


def _observation(row: Row, columns: tuple[Column, ...]) -> dict[str, Any]:
    skip = ("patient", "episode", "sex")
    components = [
        {"code": {"coding": [{"system": CODES, "code": column.name}]}, **value}
        for column in columns
        if column.name not in skip
        for value in _values(column, row[column.name])
    ]
    return {
        "resourceType": "Observation",
        "id": _id(row["episode"]),
        "status": "final",
        "code": {"coding": [{"system": CODES, "code": "episode"}], "text": "CAR T episode"},
        "subject": {"reference": f"Patient/{_id(row['patient'])}"},
        "component": components,
    }


def _values(column: Column, value: Any) -> list[dict[str, Any]]:
    """The value[x] of one column; a list gives one component for each item."""
    if value is None:
        return []
    if column.kind == "list":
        return [{"valueString": item} for item in value]
    if column.kind in ("integer", "number") and column.unit:
        return [{"valueQuantity": {"value": value, "unit": column.unit}}]
    if column.kind == "number":
        return [{"valueQuantity": {"value": value}}]
    name = {"integer": "valueInteger", "boolean": "valueBoolean"}.get(column.kind, "valueString")
    return [{name: value}]


def _validated(resource: dict[str, Any]) -> dict[str, Any]:
    from fhir.resources.R4B import get_fhir_model_class

    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValueError as problem:
        raise CartNrmError(
            f"A {resource['resourceType']} of the export is not valid FHIR:"
            f" {type(problem).__name__}.",
            "This is a fault of the program: nothing was written, please report it.",
        ) from problem
    return resource
