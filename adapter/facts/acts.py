"""Procedure, MedicationAdministration, MedicationRequest: what was done, given, or only ordered."""

from adapter.codes import Meaning
from adapter.facts.reading import Reading
from adapter.facts.shapes import Administration, Procedure, Request

_HAPPENED = frozenset({"completed", "in-progress", "stopped"})
_TRAIT = {
    "not-done": "refuted_by_source", "entered-in-error": "entered_in_error",
    "cancelled": "refuted_by_source", "draft": "refuted_by_source",
    "preparation": "planned", "on-hold": "planned",
}  # fmt: skip
_BILLING = ("HCPCSReleaseCodeSets", "2.16.840.1.113883.6.285")  # billed days after the care


def read_procedure(procedure: Procedure, into: Reading) -> None:
    """Infusions, transplants, apheresis."""
    if procedure.status in _HAPPENED or procedure.status == "unknown":
        into.contact(procedure.day)
    meanings = into.meanings(procedure.code)
    if not (meanings or procedure.worded):
        return
    setting = into.dated(procedure).also(_TRAIT.get(procedure.status or "", ""))
    if procedure.status not in _HAPPENED and procedure.status not in _TRAIT:
        into.note("status", "A Procedure does not say whether it was done.")
    if procedure.performedAge or procedure.performedRange or procedure.performedString:
        into.note("date", "A Procedure is dated by age or in words, which is not used.")
    for meaning in meanings:
        # a certificate was written: who died and when is in the death records
        if meaning.group != "certification":
            billed = any(part in meaning.code for part in _BILLING)
            into.add(meaning, setting.also("billing") if billed else setting)
    if not meanings:
        into.words("procedure", setting)


def read_administration(given: Administration, into: Reading) -> None:
    """A drug or cell product that was given."""
    if given.status in _HAPPENED:
        into.contact(given.day)
    meanings = _drug(given, into)
    if not (meanings or given.worded):
        return
    setting = into.dated(given)
    if given.status not in _HAPPENED:
        setting = setting.also(_TRAIT.get(given.status or "", "planned"))
        if "planned" in setting.traits:
            into.note("status", "An administration does not say whether it was given.")
    into.state(meanings, setting, "medication")


def read_request(order: Request, into: Reading) -> None:
    """A drug or cell product that was ordered: many orders are never carried out."""
    meanings = _drug(order, into)
    if meanings or order.worded:
        setting = into.dated(order).also("planned", _TRAIT.get(order.status or "", ""))
        setting.recorded = setting.when
        into.state(meanings, setting, "medication")


def _drug(medication: Administration, into: Reading) -> tuple[Meaning, ...]:
    """What the drug means, also when it stands in a contained Medication."""
    if medication.code is None and medication.medicationReference is not None:
        target = medication.medicationReference.id
        inside = [one for one in medication.contained if one.id == target]
        if inside:
            medication.code = inside[0].code
        else:
            into.note("reference",
                      "A drug is named by reference to a Medication that was not sent.",
                      "Ask the server for contained or coded medications.")  # fmt: skip
    return into.meanings(medication.code)
