"""One FHIR resource as received: its bytes, and the few fields needed to file it.

Everything that comes in (a search page, a bulk file, a file on disk) passes `open_envelope` once.
Only the envelope is decoded here; what the resource says is read in `adapter.facts`.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from adapter.errors import UNREADABLE

#: The types a cohort can rest on. Others are kept out of the store and counted as not used.
TYPES: tuple[str, ...] = (
    "Patient",
    "Procedure",
    "Observation",
    "Condition",
    "MedicationAdministration",
    "MedicationRequest",
    "Encounter",
    "DiagnosticReport",
)

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # FHIR R4 §2.24.0.1, datatype id
_REFERENCE = re.compile(
    r"(?:.*/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/.*)?"
)


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One resource version: type, id, patient it is about ("" when none is named), bytes."""

    type: str
    id: str
    patient: str
    last_updated: str
    body: bytes
    version: str = ""


class Reject(msgspec.Struct, frozen=True):
    """A line or entry that could not be filed; kept in the store with the reason."""

    where: str  # "Condition.ndjson:17"
    reason: str
    body: bytes


class _Reference(msgspec.Struct, gc=False):
    reference: Any = None


class _Meta(msgspec.Struct, gc=False):
    lastUpdated: Any = None
    versionId: Any = None


class _Head(msgspec.Struct, gc=False):
    """Fields are Any: one odd field must not make a resource unreadable."""

    resourceType: Any = None
    id: Any = None
    meta: _Meta | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None


_head = msgspec.json.Decoder(_Head)


def open_envelope(raw: bytes, where: str = "") -> Envelope | Reject:
    """File one resource; a Reject says in words a data manager understands why it cannot be."""
    try:
        if not raw.isascii():
            raw.decode()  # the decoder does not look at letters in fields that it skips
        head = _head.decode(raw)
    except msgspec.ValidationError as problem:
        if raw[:1] == b"[":
            return Reject(where, "an array of resources; give NDJSON or a Bundle", raw)
        return Reject(where, f"not a FHIR resource: {_without_values(problem)}", raw)
    except UNREADABLE:
        return Reject(where, "not readable as JSON", raw)
    if not isinstance(head.resourceType, str) or not head.resourceType:
        return Reject(where, "no resourceType", raw)
    if not isinstance(head.id, str) or not _ID.fullmatch(head.id):
        return Reject(where, "no usable id" if head.id else "no id", raw)
    updated = head.meta.lastUpdated if head.meta else None
    patient = head.id if head.resourceType == "Patient" else _patient_of(head)
    version = head.meta.versionId if head.meta else None
    return Envelope(
        head.resourceType,
        head.id,
        patient,
        updated if isinstance(updated, str) else "",
        raw,
        version if isinstance(version, str) else "",
    )


def _patient_of(head: _Head) -> str:
    for reference in (head.subject, head.patient):
        if reference is not None and isinstance(reference.reference, str):
            found = patient_named(reference.reference)
            if found:
                return found
    return ""


@lru_cache(4096)  # rows of one patient mostly stand together
def patient_named(reference: str) -> str:
    """The id of the patient a reference names; "" when it names something else."""
    kind, slash, id_ = reference.partition("/")
    if slash and kind == "Patient" and _ID.fullmatch(id_):
        return id_  # as nearly every server writes it
    kind, id_ = split_reference(reference)
    return id_ if kind in ("Patient", "") else ""


def split_reference(text: str) -> tuple[str, str]:
    """("Patient", "7") from "Patient/7", an absolute or a versioned URL; ("", uuid) from a urn.

    ("", "") when the reference cannot be resolved to an id of this source.
    """
    if text.startswith("urn:uuid:"):
        return "", text.removeprefix("urn:uuid:")
    match = _REFERENCE.fullmatch(text)
    return (match["type"], match["id"]) if match else ("", "")


def _without_values(problem: msgspec.ValidationError) -> str:
    """msgspec names types and paths, never the values; keep it that way if it ever changes."""
    return str(problem).split(" - ")[0]
