"""Only the fields that are used, as msgspec structs, and a lenient way to fill them.

Decoding into these costs about half of decoding the same bytes to plain objects, because what is
not named here is skipped. When one field has an unexpected type the resource is read again field
by field, and only the odd one is left out.
"""

from typing import Any, TypeVar, get_args, get_origin

import msgspec

from adapter.envelope import split_reference

T = TypeVar("T", bound=msgspec.Struct)


def named(name: str) -> Any:
    """A field that may be missing, under its name in FHIR R4."""
    return msgspec.field(name=name, default=None)


class Shape(msgspec.Struct, gc=False):
    """A part of a resource; every field may be missing."""


class Extension(Shape):
    """An extension with a coded value, or with extensions of its own."""

    url: str | None = None
    valueCoding: "Coding | None" = None
    extension: "tuple[Extension, ...]" = ()


class Coding(Shape):
    """One code of one code system."""

    system: str | None = None
    code: str | None = None
    version: str | None = None
    extension: tuple[Extension, ...] = ()


class Concept(Shape):
    """A CodeableConcept: several codings of the same thing, or only text."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None
    extension: tuple[Extension, ...] = ()

    @property
    def coded(self) -> bool:
        """Is there any code, known to us or not?"""
        return any(coding.code for coding in self.coding)

    @property
    def worded(self) -> bool:
        """Is it said in words and in no code?"""
        return bool(self.text and self.text.strip()) and not self.coded


class Reference(Shape):
    """A reference; `display` may hold names and is never shown."""

    reference: str | None = None
    display: str | None = None

    @property
    def id(self) -> str:
        """The id of what is referred to, also of something contained ("#s1")."""
        text = self.reference or ""
        return text[1:] if text.startswith("#") else split_reference(text)[1]


class Period(Shape):
    """A FHIR Period."""

    start: str | None = None
    end: str | None = None


class Quantity(Shape):
    """A number with its unit; `value` is Any because some servers send it as a string."""

    value: Any = None
    comparator: str | None = None
    unit: str | None = None
    code: str | None = None


class Contained(Shape):
    """A resource inside another: the specimen of a result, the product of an administration."""

    id: str | None = None
    code: Concept | None = None
    type: Concept | None = None


class Event(Shape):
    """What all that happens to a patient shares, whatever the types call it: `at`, or a `period`.

    The names of dates are those of Observation, DiagnosticReport and MedicationAdministration.
    """

    status: str | None = None
    code: Concept | None = None
    encounter: Reference | None = None
    at: str | None = named("effectiveDateTime")
    period: Period | None = named("effectivePeriod")
    entered: str | None = named("issued")

    @property
    def day(self) -> str | None:
        """When it happened or began, as written."""
        return self.at or (self.period.start if self.period is not None else None)

    @property
    def worded(self) -> bool:
        """Does it say in words, and in no code, what happened?"""
        return self.code is not None and self.code.worded


class Observation(Event):
    """FHIR R4 Observation; its components are read as small Observations."""

    valueQuantity: Quantity | None = None
    valueCodeableConcept: Concept | None = None
    valueString: str | None = None
    valueBoolean: bool | None = None
    valueInteger: int | None = None
    valueDateTime: str | None = None
    valuePeriod: Period | None = None
    interpretation: tuple[Concept, ...] = ()
    dataAbsentReason: Concept | None = None
    effectiveInstant: str | None = None
    focus: tuple[Reference, ...] = ()
    component: "tuple[Observation, ...]" = ()
    specimen: Reference | None = None
    contained: tuple[Contained, ...] = ()


class Condition(Event):
    """FHIR R4 Condition."""

    at: str | None = named("onsetDateTime")
    period: Period | None = named("onsetPeriod")
    entered: str | None = named("recordedDate")
    clinicalStatus: Concept | None = None
    verificationStatus: Concept | None = None
    category: tuple[Concept, ...] = ()
    onsetAge: Any = None
    onsetRange: Any = None
    onsetString: Any = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    abatementAge: Any = None
    abatementRange: Any = None
    abatementString: Any = None
    abatementBoolean: bool | None = None


class Procedure(Event):
    """FHIR R4 Procedure."""

    at: str | None = named("performedDateTime")
    period: Period | None = named("performedPeriod")
    performedAge: Any = None
    performedRange: Any = None
    performedString: Any = None


class Administration(Event):
    """FHIR R4 MedicationAdministration; its code is the drug."""

    code: Concept | None = named("medicationCodeableConcept")
    encounter: Reference | None = named("context")
    medicationReference: Reference | None = None
    contained: tuple[Contained, ...] = ()


class Request(Administration):
    """FHIR R4 MedicationRequest."""

    at: str | None = named("authoredOn")


class Report(Event):
    """FHIR R4 DiagnosticReport."""

    conclusionCode: tuple[Concept, ...] = ()
    result: tuple[Reference, ...] = ()
    specimen: tuple[Reference, ...] = ()
    contained: tuple[Contained, ...] = ()


class Hospitalization(Shape):
    """How an Encounter ended."""

    dischargeDisposition: Concept | None = None


class Encounter(Shape):
    """FHIR R4 Encounter."""

    status: str | None = None
    kind: Coding | None = named("class")
    type: tuple[Concept, ...] = ()
    period: Period | None = None
    hospitalization: Hospitalization | None = None


class Link(Shape):
    """A link from one Patient to another of the same person."""

    type: str | None = None


class Meta(Shape):
    """Labels of a resource; synthetic data say so here."""

    tag: tuple[Coding, ...] = ()


class Patient(Shape):
    """FHIR R4 Patient, without the fields that name a person."""

    gender: str | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    link: tuple[Link, ...] = ()
    meta: Meta | None = None


def lenient(body: bytes, shape: type[T]) -> tuple[T | None, list[str]]:
    """The resource without its odd fields, and their names; None if it is no JSON object."""
    odd: list[str] = []
    try:
        plain = msgspec.json.decode(body)
        return (_fitted(plain, shape, odd, "") if isinstance(plain, dict) else None), odd
    except (ValueError, RecursionError):
        return None, odd


def _fitted(value: Any, wanted: Any, odd: list[str], name: str) -> Any:
    """`value` as `wanted`, as much of it as fits; None when nothing does."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, wanted)
    except ValueError:
        (kind, *_) = get_args(wanted) or (wanted,)  # of "something or None", of "any number of"
    several = get_origin(wanted) is tuple
    if several and isinstance(value, list):
        found = [_fitted(one, kind, odd, name) for one in value]
        return tuple(one for one in found if one is not None)
    if not several and isinstance(value, dict) and issubclass(kind, msgspec.Struct):
        fields = [(f, value.get(f.encode_name)) for f in msgspec.structs.fields(kind)]
        made = {f.name: _fitted(inner, f.type, odd, f.encode_name) for f, inner in fields}
        return kind(**{field: inner for field, inner in made.items() if inner is not None})
    odd.append(name)
    return None
