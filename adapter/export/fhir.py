"""FHIR R4: who is in the cohort (Group), what happened to each (Observation), the sums
(MeasureReport). Built and validated with fhir.resources (R4B, equal to R4 for these types).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from adapter.errors import CartNrmError, UsageError
from adapter.export.columns import Column
from adapter.export.documents import dump, lines
from adapter.export.released import Released, Row
from adapter.model import OutcomeKind

#: No registry has published codes for these columns, so they are named as what they are: ours.
CODES = "urn:cart-nrm:cohort-column"
MEASURE = "urn:cart-nrm:measure:non-relapse-mortality"
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_SYNTHETIC = {"security": [{"system": _ACT_REASON, "code": "HTEST"}]}
_NEEDED = ("patient", "episode", "outcome")  # of which the resources are made
_ELSEWHERE = ("patient", "episode", "sex")  # columns that are no component of the Observation


def write_fhir_bundle(cohort: Released) -> bytes:
    """One collection Bundle."""
    entries = [
        {"fullUrl": f"urn:cart-nrm:{r['resourceType']}:{r['id']}", "resource": r}
        for r in resources(cohort)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return dump(bundle).encode("utf-8")


def write_fhir_ndjson(cohort: Released) -> bytes:
    """One resource a line, as Bulk Data writes them."""
    return lines(resources(cohort))


def resources(cohort: Released) -> Iterator[dict[str, Any]]:
    """Group, MeasureReport, then a Patient and its Observations; each one validated."""
    from fhir.resources.R4B import get_fhir_model_class

    if missing := [name for name in _NEEDED if name not in cohort.names]:
        what = f"FHIR cannot be written without the columns {', '.join(missing)}."
        raise UsageError(what, f"Allow {', '.join(_NEEDED)} too, or export to .csv.")
    for resource in _resources(cohort):
        if cohort.study.synthetic:
            resource["meta"] = _SYNTHETIC
        kind = resource["resourceType"]
        try:
            get_fhir_model_class(kind).model_validate(resource)
        except ValueError as problem:
            what = f"A {kind} of the export is not valid FHIR: {type(problem).__name__}."
            todo = "This is a fault of the program: nothing was written, please report it."
            raise CartNrmError(what, todo) from problem
        yield resource


def _resources(cohort: Released) -> Iterator[dict[str, Any]]:
    patients = {_id(row["patient"]): row.get("sex") or "unknown" for row in cohort.rows}
    yield _group(cohort.study.name, list(patients))
    yield _measure_report(cohort)
    for patient, sex in patients.items():
        yield {"resourceType": "Patient", "id": patient, "gender": sex}
    for row in cohort.rows:
        yield _observation(row, cohort.columns)


def _id(text: str) -> str:
    """FHIR ids allow letters, digits, - and . only: P-12#1 becomes P-12.1."""
    return text.replace("#", ".")


def _group(name: str, patients: list[str]) -> dict[str, Any]:
    about = {"id": "cohort", "type": "person", "actual": True, "name": name}
    group = {"resourceType": "Group", **about, "quantity": len(patients)}
    members = [{"entity": {"reference": f"Patient/{patient}"}} for patient in patients]
    return {**group, "member": members} if members else group


def _measure_report(cohort: Released) -> dict[str, Any]:
    """Counts of each outcome and of each cause of non-relapse death."""
    outcomes = Counter(row["outcome"] for row in cohort.rows)
    causes = Counter(row["cause"] for row in cohort.rows if row.get("cause"))
    group: dict[str, Any] = {"population": [_population(k, outcomes[k]) for k in OutcomeKind]}
    strata = [
        {"value": {"text": cause}, "population": [_population(cause, n)]}
        for cause, n in sorted(causes.items())
    ]
    if strata:
        group["stratifier"] = [{"code": [{"text": "cause of death"}], "stratum": strata}]
    about = {"id": "outcomes", "status": "complete", "type": "summary", "measure": MEASURE}
    period = {"end": cohort.study.cut[:10] or "1900-01-01"}
    return {"resourceType": "MeasureReport", **about, "period": period, "group": [group]}


def _population(name: str, count: int) -> dict[str, Any]:
    return {"code": {"text": str(name)}, "count": count}


def _observation(row: Row, columns: tuple[Column, ...]) -> dict[str, Any]:
    components = [
        {"code": {"coding": [{"system": CODES, "code": column.name}]}, **value}
        for column in columns
        if column.name not in _ELSEWHERE
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
    if column.unit or column.kind == "number":
        unit = {"unit": column.unit} if column.unit else {}
        return [{"valueQuantity": {"value": value, **unit}}]
    name = {"integer": "valueInteger", "boolean": "valueBoolean"}.get(column.kind, "valueString")
    return [{name: value}]
