"""The columns of the cohort: what they mean (columns.toml) and how they are filled."""

import tomllib
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from adapter.model import EVENT_CODE, SUBCAUSES, Cause, Certainty, Judged, OutcomeKind
from adapter.study import Study

#: Grades and scores of `adapter.grades` that get a column.
_GRADES = ("crs_grade", "icans_grade", "icaht_early", "icaht_late", "t_icaht_early",
           "t_icaht_late", "car_hematotox", "car_hematotox_high", "easix", "s_easix",
           "m_easix", "infections", "first_infection_days")  # fmt: skip
_CAUSES = tuple(cause.value for cause in Cause)
#: Columns that hold one of a few values.
_VALUES: dict[str, tuple[str, ...]] = {
    "sex": ("male", "female", "other", "unknown"),
    "outcome": tuple(kind.value for kind in OutcomeKind),
    "event": tuple(f"{code}" for code in EVENT_CODE.values() if code is not None),
    "cause": _CAUSES,
    "subcause": tuple(name for names in SUBCAUSES.values() for name in names),
    "certainty": tuple(level.value for level in Certainty),
    "decided_by": ("rules", "reviewer"),
    "rules_cause": _CAUSES,
    "would_be_cause": _CAUSES,
}


class Column(NamedTuple):
    """One column; `leaves` says how it may leave the site."""

    name: str
    kind: Literal["text", "integer", "number", "boolean", "date", "list"]
    about: str
    unit: str = ""
    values: tuple[str, ...] = ()
    leaves: Literal["as_is", "patient", "episode", "date", "age", "text", "notes"] = "as_is"


def asset(name: str) -> str:
    """A text file beside this module."""
    return files("adapter.export").joinpath(name).read_text(encoding="utf-8")


COLUMNS: tuple[Column, ...] = tuple(
    Column(name, values=_VALUES.get(name, ()), **described)
    for name, described in tomllib.loads(asset("columns.toml")).items()
)


class Answer(NamedTuple):
    """The cause of a non-relapse death as it counts: a reviewer's decision outranks the rules."""

    cause: Cause
    subcause: str
    certainty: Certainty
    decided_by: str


def answer_of(judged: Judged) -> Answer | None:
    """The cause that counts, or None when the outcome is no non-relapse death.

    A decision stays in force when the evidence changes; it is flagged (docs/decisions/0028).
    """
    if judged.verdict is None:
        return None
    said, by = (judged.decision, "reviewer") if judged.decision else (judged.verdict, "rules")
    return Answer(said.cause, said.subcause, said.certainty, by)


def row_of(judged: Judged) -> dict[str, Any]:
    """One episode as the cohort file has it, identified: a value for each of COLUMNS."""
    episode, outcome, time = judged.episode, judged.outcome, judged.outcome.time
    answer, verdict, would_be = answer_of(judged), judged.verdict, judged.would_be
    died, end = episode.death and episode.death.when, episode.followup_end
    # a death that ends the episode is counted as the estimator counts it: from day 0 on
    days = time if outcome.kind is OutcomeKind.NRM else died and episode.days(died)
    undated = outcome.reason == "infusion_undated"  # then nothing can be counted from it
    return {
        "patient": episode.patient,
        "episode": episode.name,
        "infusion_date": None if undated else episode.infusion.iso,
        "product": episode.product or None,
        "indication": episode.indication or None,
        "age_years": episode.age_years,
        "sex": episode.timeline.sex or None,
        "outcome": outcome.kind.value,
        "event": outcome.event,
        "outcome_reason": outcome.reason if outcome.event is None else None,
        "time_days": time and time.middle,
        "time_days_low": time and time.low,
        "time_days_high": time and time.high,
        "death": episode.death is not None,
        "death_days": None if undated else days and days.middle,
        "cause": answer and answer.cause.value,
        "subcause": (answer and answer.subcause) or None,
        "certainty": answer and answer.certainty.value,
        "contributing": list(verdict.contributing) if verdict else [],
        "rule": (verdict and verdict.rule) or None,
        "decided_by": answer and answer.decided_by,
        "evidence_changed": judged.evidence_changed,
        "rules_cause": verdict and verdict.cause.value,
        "would_be_cause": would_be and would_be.cause.value,
        "needs_review": judged.needs_review,
        "review_reasons": list(verdict.review_reasons) if verdict else [],
        **{name: judged.grades.get(name) for name in _GRADES},
        "followup_end": end and end.iso,
        "followup_days": None if undated else end and episode.days(end).middle,
        "notes": [f"{note.kind}: {note}" for note in judged.notes],
    }


def rows_of(study: Study) -> list[dict[str, Any]]:
    """Every episode, in order of patient and course: the same cohort gives the same bytes."""
    ordered = sorted(study.judged, key=lambda j: (j.episode.patient, j.episode.number))
    return [row_of(judged) for judged in ordered]
