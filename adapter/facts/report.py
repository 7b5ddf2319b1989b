"""DiagnosticReport: coded conclusions of laboratories and pathologists."""

from adapter.facts import microbiology
from adapter.facts.reading import Reading, Setting
from adapter.facts.shapes import Concept, Observation, Report

_DONE = frozenset({"final", "amended", "corrected", "appended", "preliminary"})


def read(report: Report, into: Reading) -> None:
    """The contact and the coded conclusions of one DiagnosticReport."""
    done = report.status in _DONE
    if done:
        into.contact(report.day)
    tests = [m for m in into.meanings(report.code) if m.concept == "lab_micro"]
    if any(microbiology.of_blood(test) for test in tests):
        # the organisms of a blood culture are often Observations that do not repeat the specimen
        into.from_blood |= {reference.id for reference in report.result}
    if not report.conclusionCode:
        return
    blood = microbiology.specimen_of(report.specimen, report.contained)
    setting = into.dated(report).also("" if done else "refuted_by_source", blood)
    for conclusion in report.conclusionCode:
        for test in tests:
            microbiology.read(Observation(valueCodeableConcept=conclusion), test, setting, into)
        if not tests:
            _concluded(conclusion, setting, into)


def _concluded(conclusion: Concept, setting: Setting, into: Reading) -> None:
    for meaning in into.meanings(conclusion, "DiagnosticReport.conclusion"):
        if meaning.concept == "microbiology_result":
            microbiology.organism(meaning, setting, into)
        elif meaning.concept != "death":
            into.add(meaning, setting)
    if conclusion.worded:
        into.words("report", setting)
