"""MedicationAdministration and MedicationRequest: what was given, and what was only ordered."""

import msgspec

from adapter.facts import shapes
from adapter.facts.reading import Reading, Setting
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Medication)
_GIVEN = frozenset({"completed", "in-progress", "stopped"})
_NOT_SO = frozenset({"not-done", "entered-in-error", "cancelled", "draft"})


def read_administration(stored: Stored, into: Reading) -> None:
    """A drug or cell product that was given."""
    given = into.decode(stored, _decoder)
    if given is None:
        return
    source = f"{stored.type}/{stored.id}"
    if given.status in _GIVEN:
        into.contact(given.effectiveDateTime or _start(given.effectivePeriod), source)
    drug = _drug(given, source, into)
    matches = into.meanings(drug, stored.type)
    if not matches and not (drug is not None and drug.text):
        return
    when, end = into.span(
        given.effectiveDateTime, given.effectivePeriod, source, "time it was given"
    )
    traits = set() if given.status in _GIVEN else {_unless_given(given.status, source, into)}
    stay = into.stay(given.context) if when is None else None
    if stay is not None:
        when = stay.days
        traits.add("dated_by_encounter")
    setting = Setting(source, when, end, traits=frozenset(traits))
    for match in matches:
        into.add(match, setting)
    if not matches:
        into.text_only(drug, "medication", setting)


def read_request(stored: Stored, into: Reading) -> None:
    """A drug or cell product that was ordered: many orders are never carried out."""
    order = into.decode(stored, _decoder)
    if order is None:
        return
    source = f"{stored.type}/{stored.id}"
    drug = _drug(order, source, into)
    matches = into.meanings(drug, stored.type)
    if not matches and not (drug is not None and drug.text):
        return
    when = into.date(order.authoredOn, source, "date of the order")
    traits = {"planned"} | ({"refuted_by_source"} if order.status in _NOT_SO else set())
    setting = Setting(source, when, recorded=when, traits=frozenset(traits))
    for match in matches:
        into.add(match, setting)
    if not matches:
        into.text_only(drug, "medication", setting)


def _start(period: shapes.Period | None) -> str | None:
    return period.start if period is not None else None


def _unless_given(status: str | None, source: str, into: Reading) -> str:
    if status in _NOT_SO:
        return "refuted_by_source"
    if status != "on-hold":
        into.note("status", source, "An administration does not say whether it was given.")
    return "planned"


def _drug(medication: shapes.Medication, source: str, into: Reading) -> shapes.Concept | None:
    """The coded drug, also when it stands in a contained Medication."""
    if medication.medicationCodeableConcept is not None:
        return medication.medicationCodeableConcept
    reference = medication.medicationReference
    if reference is None:
        return None
    target = (reference.reference or "").removeprefix("#")
    for inside in medication.contained:
        if inside.id == target:
            return inside.code
    into.note(
        "reference", source, "A drug is named by reference to a Medication that was not sent.",
        "Ask the server for contained or coded medications.",
    )  # fmt: skip
    return None
