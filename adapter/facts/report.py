"""DiagnosticReport: coded conclusions of laboratories and pathologists."""

import msgspec

from adapter.facts import microbiology, shapes
from adapter.facts.reading import Match, Reading, Setting
from adapter.store import Stored

_TYPE = "DiagnosticReport"
_decoder = msgspec.json.Decoder(shapes.Report)
_DONE = frozenset({"final", "amended", "corrected", "appended", "preliminary"})


def read(stored: Stored, into: Reading) -> None:
    """The contact and the coded conclusions of one DiagnosticReport."""
    report = into.decode(stored, _decoder)
    if report is None:
        return
    source = f"{_TYPE}/{stored.id}"
    if report.status in _DONE:
        into.contact(report.effectiveDateTime, report.effectivePeriod, source)
    tests = [m for m in into.meanings(report.code, _TYPE) if m.meaning.concept == "lab_micro"]
    if any(microbiology.of_blood(test) for test in tests):
        # the organisms of a blood culture are often Observations that do not repeat the specimen
        into.from_blood |= {(one.reference or "").rpartition("/")[2] for one in report.result}
    if report.conclusionCode:
        _concluded(report, tests, source, into)


def _concluded(report: shapes.Report, tests: list[Match], source: str, into: Reading) -> None:
    setting = into.dated(
        source, report.effectiveDateTime, report.effectivePeriod, report.encounter, report.issued
    )
    if report.status not in _DONE:
        setting.traits |= {"refuted_by_source"}
    for reference in report.specimen:
        setting.traits |= microbiology.specimen_traits(reference, report.contained)
    for conclusion in report.conclusionCode:
        _one(conclusion, tests, setting, into)


def _one(conclusion: shapes.Concept, tests: list[Match], setting: Setting, into: Reading) -> None:
    valued = shapes.Valued(valueCodeableConcept=conclusion)
    for test in tests:
        microbiology.read(valued, test, setting, into)
    if tests:
        return
    for match in into.meanings(conclusion, f"{_TYPE}.conclusion"):
        if match.meaning.concept == "microbiology_result":
            microbiology.organism(match, setting, into)
        elif match.meaning.concept != "death":
            into.add(match, setting)
    into.text_only(conclusion, "report", setting)
