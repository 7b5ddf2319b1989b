"""Procedure: infusions, transplants, apheresis; what was done, and what only should have been."""

import msgspec

from adapter.facts import shapes
from adapter.facts.reading import Reading, Setting
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Procedure)
_DONE = frozenset({"completed", "in-progress", "stopped", "unknown"})
_TRAIT = {
    "not-done": "refuted_by_source",
    "entered-in-error": "refuted_by_source",
    "preparation": "planned",
    "on-hold": "planned",
}
_BILLING = ("HCPCSReleaseCodeSets", "2.16.840.1.113883.6.285")  # billed days after the care


def read(stored: Stored, into: Reading) -> None:
    """The facts of one Procedure."""
    procedure = into.decode(stored, _decoder)
    if procedure is None:
        return
    source = f"Procedure/{stored.id}"
    matches = into.meanings(procedure.code, "Procedure")
    if procedure.status in _DONE:
        _contact(procedure, source, into)
    if not matches:
        if procedure.code is not None and procedure.code.text:
            into.text_only(procedure.code, "procedure", _setting(procedure, source, into))
        return
    setting = _setting(procedure, source, into)
    for match in matches:
        if match.meaning.concept == "death" and match.meaning.subconcept == "death_certification":
            continue  # the paper was written; who died and when is in the death records
        billed = any(part in match.code for part in _BILLING)
        into.add(match, setting, traits=frozenset({"billing"}) if billed else frozenset())


def _contact(procedure: shapes.Procedure, source: str, into: Reading) -> None:
    into.contact(procedure.performedDateTime, source)
    if procedure.performedPeriod is not None:
        into.contact(procedure.performedPeriod.start, source)


def _setting(procedure: shapes.Procedure, source: str, into: Reading) -> Setting:
    when, end = into.span(
        procedure.performedDateTime, procedure.performedPeriod, source, "time it was performed"
    )
    traits = {_TRAIT[procedure.status]} if procedure.status in _TRAIT else set()
    if (procedure.status not in _DONE and not traits) or procedure.status == "unknown":
        into.note("status", source, "A Procedure does not say whether it was done.")
    if when is None and (
        procedure.performedAge or procedure.performedRange or procedure.performedString
    ):
        into.note("date", source, "A Procedure is dated by age or in words, which is not used.")
    stay = into.stay(procedure.encounter) if when is None else None
    if stay is not None:
        when = stay.days
        traits.add("dated_by_encounter")
    return Setting(source, when, end, traits=frozenset(traits))
