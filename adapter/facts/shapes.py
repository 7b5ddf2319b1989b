"""Only the fields that are used, as msgspec structs, and a lenient way to fill them.

Decoding into these costs about half of decoding the same bytes to plain objects, because what is
not named here is skipped. When one field has an unexpected type the resource is read again field
by field, and only the odd one is left out.
"""

from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Shape(msgspec.Struct, gc=False):
    """A part of a resource; every field may be missing."""


class Extension(Shape):
    """An extension with a coded value, or with extensions of its own."""

    url: str | None = None
    valueCoding: "Coding | None" = None
    extension: "list[Extension]" = []


class Coding(Shape):
    """One code of one code system."""

    system: str | None = None
    code: str | None = None
    version: str | None = None
    extension: list[Extension] = []


class Concept(Shape):
    """A CodeableConcept: several codings of the same thing, or only text."""

    coding: list[Coding] = []
    text: str | None = None
    extension: list[Extension] = []


class Reference(Shape):
    """A reference; `display` may hold names and is never shown."""

    reference: str | None = None
    display: str | None = None


class Period(Shape):
    """A FHIR Period."""

    start: str | None = None
    end: str | None = None


class Quantity(Shape):
    """A number with its unit; `value` is Any because some servers send it as a string."""

    value: Any = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Contained(Shape):
    """A resource inside another: the specimen of a result, the product of an administration."""

    id: str | None = None
    resourceType: str | None = None
    code: Concept | None = None
    type: Concept | None = None


class Valued(Shape):
    """What an Observation and its components share: a code and one of many kinds of value."""

    code: Concept | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: Concept | None = None
    valueString: str | None = None
    valueBoolean: bool | None = None
    valueInteger: int | None = None
    valueDateTime: str | None = None
    valuePeriod: Period | None = None
    interpretation: list[Concept] = []
    dataAbsentReason: Concept | None = None


class Observation(Valued):
    """FHIR R4 Observation."""

    status: str | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    effectiveInstant: str | None = None
    issued: str | None = None
    encounter: Reference | None = None
    focus: list[Reference] = []
    component: list[Valued] = []
    specimen: Reference | None = None
    contained: list[Contained] = []


class Condition(Shape):
    """FHIR R4 Condition."""

    code: Concept | None = None
    clinicalStatus: Concept | None = None
    verificationStatus: Concept | None = None
    category: list[Concept] = []
    encounter: Reference | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    onsetAge: Any = None
    onsetRange: Any = None
    onsetString: Any = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    abatementAge: Any = None
    abatementRange: Any = None
    abatementString: Any = None
    abatementBoolean: bool | None = None
    recordedDate: str | None = None


class Procedure(Shape):
    """FHIR R4 Procedure."""

    status: str | None = None
    code: Concept | None = None
    encounter: Reference | None = None
    performedDateTime: str | None = None
    performedPeriod: Period | None = None
    performedAge: Any = None
    performedRange: Any = None
    performedString: Any = None


class Medication(Shape):
    """What MedicationAdministration and MedicationRequest share."""

    status: str | None = None
    medicationCodeableConcept: Concept | None = None
    medicationReference: Reference | None = None
    contained: list[Contained] = []
    context: Reference | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    authoredOn: str | None = None


class Hospitalization(Shape):
    """How an Encounter ended."""

    dischargeDisposition: Concept | None = None


class Encounter(Shape):
    """FHIR R4 Encounter."""

    status: str | None = None
    kind: Coding | None = msgspec.field(name="class", default=None)
    type: list[Concept] = []
    period: Period | None = None
    hospitalization: Hospitalization | None = None


class Report(Shape):
    """FHIR R4 DiagnosticReport."""

    status: str | None = None
    code: Concept | None = None
    encounter: Reference | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    issued: str | None = None
    conclusionCode: list[Concept] = []
    result: list[Reference] = []
    specimen: list[Reference] = []
    contained: list[Contained] = []


class Link(Shape):
    """A link from one Patient to another of the same person."""

    type: str | None = None


class Meta(Shape):
    """Labels of a resource; synthetic data say so here."""

    tag: list[Coding] = []


class Patient(Shape):
    """FHIR R4 Patient, without the fields that name a person."""

    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    link: list[Link] = []
    meta: Meta | None = None


def lenient(body: bytes, shape: type[T]) -> tuple[T | None, list[str]]:
    """The resource without its odd fields, and their names; None if it is no JSON object."""
    odd: list[str] = []
    try:
        plain = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None, odd
    return (_filled(plain, shape, odd) if isinstance(plain, dict) else None), odd


def _filled(plain: dict[str, Any], shape: type[T], odd: list[str]) -> T:
    made = shape()
    for field in msgspec.structs.fields(shape):
        value = _fitted(plain.get(field.encode_name), field.type, odd, field.encode_name)
        if value is not None:
            setattr(made, field.name, value)
    return made


def _fitted(value: Any, wanted: Any, odd: list[str], name: str) -> Any:
    """`value` as `wanted`, as much of it as fits; None when nothing does."""
    if wanted is Any or value is None:
        return value
    if isinstance(wanted, UnionType):  # every union here is "something or None"
        wanted = next(kind for kind in get_args(wanted) if kind is not type(None))
    if get_origin(wanted) is list and isinstance(value, list):
        (kind,) = get_args(wanted)
        found = (_fitted(one, kind, odd, name) for one in value)
        return [one for one in found if one is not None]
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) and isinstance(value, dict):
        return _filled(value, wanted, odd)
    try:
        return msgspec.convert(value, wanted)
    except ValueError:
        odd.append(name)
        return None
