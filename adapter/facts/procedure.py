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
        into.contact(procedure.performedDateTime, procedure.performedPeriod, source)
    if not matches:
        if procedure.code is not None and procedure.code.text:
            into.text_only(procedure.code, "procedure", _setting(procedure, source, into))
        return
    setting = _setting(procedure, source, into)
    for match in matches:
        if match.meaning.group == "certification":
            continue  # the paper was written; who died and when is in the death records
        billed = any(part in match.code for part in _BILLING)
        into.add(match, setting, traits=frozenset({"billing"}) if billed else frozenset())


def _setting(procedure: shapes.Procedure, source: str, into: Reading) -> Setting:
    setting = into.dated(
        source, procedure.performedDateTime, procedure.performedPeriod, procedure.encounter
    )
    status = procedure.status or ""
    if status in _TRAIT:
        setting.traits |= {_TRAIT[status]}
    elif status not in _DONE or status == "unknown":
        into.note("status", source, "A Procedure does not say whether it was done.")
    if procedure.performedAge or procedure.performedRange or procedure.performedString:
        into.note("date", source, "A Procedure is dated by age or in words, which is not used.")
    return setting
