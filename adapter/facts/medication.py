"""MedicationAdministration and MedicationRequest: what was given, and what was only ordered."""

import msgspec

from adapter.facts import shapes
from adapter.facts.reading import Match, Reading, Setting
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
        into.contact(given.effectiveDateTime, given.effectivePeriod, source)
    drug = _drug(given, source, into)
    matches = into.meanings(drug, stored.type)
    if not matches and (drug is None or not drug.text):
        return
    setting = into.dated(source, given.effectiveDateTime, given.effectivePeriod, given.context)
    if given.status in _NOT_SO:
        setting.traits |= {"refuted_by_source"}
    elif given.status not in _GIVEN:
        setting.traits |= {"planned"}
        into.note("status", source, "An administration does not say whether it was given.")
    _say(drug, matches, setting, into)


def read_request(stored: Stored, into: Reading) -> None:
    """A drug or cell product that was ordered: many orders are never carried out."""
    order = into.decode(stored, _decoder)
    if order is None:
        return
    source = f"{stored.type}/{stored.id}"
    drug = _drug(order, source, into)
    matches = into.meanings(drug, stored.type)
    if not matches and (drug is None or not drug.text):
        return
    when = into.date(order.authoredOn, source)
    traits = {"planned"} | ({"refuted_by_source"} if order.status in _NOT_SO else set())
    _say(drug, matches, Setting(source, when, None, when, frozenset(traits)), into)


def _say(
    drug: shapes.Concept | None, matches: tuple[Match, ...], setting: Setting, into: Reading
) -> None:
    for match in matches:
        into.add(match, setting)
    if not matches:
        into.text_only(drug, "medication", setting)


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
