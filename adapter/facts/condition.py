"""Condition: diagnoses, how sure the source is of them, and since when they hold."""

import msgspec

from adapter.facts import shapes
from adapter.facts.reading import Reading, Setting
from adapter.store import Stored

_decoder = msgspec.json.Decoder(shapes.Condition)

# ICD-10-GM certainty: A excluded, V suspected, Z status after, G confirmed (German base profile)
_CERTAINTY_URL = "icd-10-gm-diagnosesicherheit"
_CERTAINTY = {"A": "refuted_by_source", "V": "suspected", "Z": "history"}
_VERIFICATION = {
    "refuted": "refuted_by_source",
    "entered-in-error": "refuted_by_source",
    "unconfirmed": "suspected",
    "provisional": "suspected",
    "differential": "suspected",
}
_CATEGORY = {
    "problem-list-item": "problem_list",
    "encounter-diagnosis": "encounter_diagnosis",
    # MII Todesursache: the category says that this diagnosis is a cause of death
    "79378-6": "certified",
    "16100001": "certified",
}
_OVER = frozenset({"resolved", "inactive"})
_COURSE = frozenset({"relapse", "recurrence", "remission"})


def read(stored: Stored, into: Reading) -> None:
    """The facts of one Condition."""
    condition = into.decode(stored, _decoder)
    if condition is None:
        return
    source = f"Condition/{stored.id}"
    matches = into.meanings(condition.code, "Condition")
    into.treated[stored.id] = any(match.meaning.concept == "indication" for match in matches)
    if not matches and "certified" not in _circumstances(condition):
        if condition.code is not None and condition.code.text:
            into.text_only(condition.code, "condition", _setting(condition, source, into))
        return
    setting = _setting(condition, source, into)
    if "certified" in setting.traits:
        into.certified_cause(condition.code, matches, setting)
        return
    certainty = _certainties(condition.code)
    for match in matches:
        into.add(match, setting, traits=certainty)
    if into.treated[stored.id]:
        _course(condition, setting, into)


def _setting(condition: shapes.Condition, source: str, into: Reading) -> Setting:
    setting = into.dated(
        source, condition.onsetDateTime, condition.onsetPeriod, condition.encounter,
        condition.recordedDate,
    )  # fmt: skip
    if condition.onsetAge or condition.onsetRange or condition.onsetString:
        into.note("date", source, "An onset is given as an age or in words, which is not used.")
    start, end = into.span(condition.abatementDateTime, condition.abatementPeriod, source)
    setting.end = end or start
    setting.traits |= _circumstances(condition)
    if setting.end is not None or _said_to_be_over(condition):
        setting.traits |= {"resolved"}
    return setting


def _circumstances(condition: shapes.Condition) -> set[str]:
    found = {_CATEGORY.get(code, "") for c in condition.category for code in _codes(c)}
    found |= {_VERIFICATION.get(code, "") for code in _codes(condition.verificationStatus)}
    return found - {""}


def _codes(concept: shapes.Concept | None) -> list[str]:
    return [coding.code for coding in concept.coding if coding.code] if concept else []


def _said_to_be_over(condition: shapes.Condition) -> bool:
    said = condition.abatementAge or condition.abatementRange or condition.abatementString
    status = _OVER.intersection(_codes(condition.clinicalStatus))
    return bool(said or status or condition.abatementBoolean is True)


def _certainties(concept: shapes.Concept | None) -> frozenset[str]:
    """The German certainty letter of any coding holds for the diagnosis as a whole."""
    letters = {
        extension.valueCoding.code or ""
        for coding in (concept.coding if concept else [])
        for extension in coding.extension
        if extension.valueCoding and (extension.url or "").endswith(_CERTAINTY_URL)
    }
    return frozenset(_CERTAINTY[letter] for letter in letters if letter in _CERTAINTY)


def _course(condition: shapes.Condition, setting: Setting, into: Reading) -> None:
    """clinicalStatus "relapse" of the treated disease: it says that, and never since when."""
    status = condition.clinicalStatus
    if status is None or not _COURSE.intersection(_codes(status)):
        return
    undated = Setting(
        setting.source, recorded=setting.recorded,
        traits=(setting.traits - {"dated_by_encounter", "day_only_from_entry"}) | {"no_time"},
    )  # fmt: skip
    for match in into.meanings(status, "Condition.clinicalStatus"):
        if match.meaning.concept == "disease_status":
            into.add(match, undated)
