"""Condition: diagnoses, how sure the source is of them, and since when they hold."""

from adapter.codes.systems import certainties, codes_in, system_of
from adapter.facts import deathrecords
from adapter.facts.reading import CERTAINTY, Reading, Setting
from adapter.facts.shapes import Concept, Condition

# By verificationStatus and category. MII Todesursache: the category says that the diagnosis is a
# cause of death.
_TRAIT = {
    "refuted": "refuted_by_source", "entered-in-error": "refuted_by_source",
    "unconfirmed": "suspected", "provisional": "suspected", "differential": "suspected",
    "problem-list-item": "problem_list", "encounter-diagnosis": "encounter_diagnosis",
    "79378-6": "certified", "16100001": "certified",
}  # fmt: skip
_CERTAINTY_URL = "icd-10-gm-diagnosesicherheit"  # German base profile
_OVER = frozenset({"resolved", "inactive"})
_COURSE = frozenset({"relapse", "recurrence", "remission"})


def read(condition: Condition, into: Reading) -> None:
    """The facts of one Condition."""
    meanings = into.meanings(condition.code)
    treated = any(meaning.concept == "indication" for meaning in meanings)
    into.treated[into.id] = treated
    said = _codes(*condition.category, condition.verificationStatus)
    traits = [_TRAIT[code] for code in said if code in _TRAIT]
    if not (meanings or "certified" in traits or condition.worded):
        return
    setting = _setting(condition, into).also(*traits)
    if "certified" in traits:
        deathrecords.certified(condition.code, meanings, setting, into)
        return
    into.state(meanings, setting.also(*_certainties(condition.code)), "condition")
    if treated:
        _course(condition.clinicalStatus, setting, into)


def _codes(*concepts: Concept | None) -> list[str]:
    return [one.code for concept in concepts if concept for one in concept.coding if one.code]


def _setting(condition: Condition, into: Reading) -> Setting:
    setting = into.dated(condition)
    if condition.onsetAge or condition.onsetRange or condition.onsetString:
        into.note("date", "An onset is given as an age or in words, which is not used.")
    start, end = into.span(condition.abatementDateTime, condition.abatementPeriod)
    setting.end = end or start
    said = condition.abatementAge or condition.abatementRange or condition.abatementString
    over = setting.end or said or condition.abatementBoolean
    status = _OVER.intersection(_codes(condition.clinicalStatus))
    return setting.also("resolved" if over or status else "")


def _certainties(concept: Concept | None) -> set[str]:
    """The German certainty letter of any coding holds for the diagnosis as a whole.

    Of several codes in one string each has its own, which came with its meaning.
    """
    letters = set[str]()
    codings = concept.coding if concept else ()
    for coding in codings:
        system, code = coding.system or "", coding.code or ""
        if len(codings) > 1 and len(codes_in(system_of(system), code)) == 1:
            letters.update(certainties(system_of(system), code).values())
        letters |= {
            extension.valueCoding.code or ""
            for extension in coding.extension
            if extension.valueCoding and (extension.url or "").endswith(_CERTAINTY_URL)
        }
    return {CERTAINTY[letter] for letter in letters if letter in CERTAINTY}


def _course(status: Concept | None, setting: Setting, into: Reading) -> None:
    """clinicalStatus "relapse" of the treated disease: it says that, and never since when."""
    if _COURSE.intersection(_codes(status)):
        for meaning in into.meanings(status, "Condition.clinicalStatus"):
            if meaning.concept == "disease_status":
                into.add(meaning, setting.on(None))
