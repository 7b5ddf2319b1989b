"""The columns of the cohort: one place for their names, types, meaning and how they are filled.

The rows, the JSON Schema, the data dictionary and the list in docs/ are all made from COLUMNS.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from adapter.model import SUBCAUSES, Cause, Certainty, Judged, OutcomeKind
from adapter.study import Study

Kind = Literal["text", "integer", "number", "boolean", "date", "list"]
Leaves = Literal["as_is", "patient", "episode", "date", "age", "text", "notes"]

_CAUSES = tuple(cause.value for cause in Cause)
_SUBCAUSES = tuple(name for names in SUBCAUSES.values() for name in names)
_CERTAINTIES = tuple(level.value for level in Certainty)


class Column(NamedTuple):
    """One column: `of` fills it from a judged episode, `leaves` says how it may leave the site."""

    name: str
    kind: Kind
    about: str
    of: Callable[[Judged], Any]
    unit: str = ""
    values: tuple[str, ...] = ()
    leaves: Leaves = "as_is"


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
    said = judged.decision
    if said is not None:
        return Answer(said.cause, said.subcause, said.certainty, "reviewer")
    verdict = judged.verdict
    return Answer(verdict.cause, verdict.subcause, verdict.certainty, "rules")


def _answer(field: str) -> Callable[[Judged], Any]:
    def fill(judged: Judged) -> Any:
        value = getattr(answer_of(judged), field, None)
        return None if value in (None, "") else str(value)

    return fill


def _verdict(which: str, field: str) -> Callable[[Judged], Any]:
    def fill(judged: Judged) -> Any:
        value = getattr(getattr(judged, which), field, None)
        return None if value in (None, "") else str(value)

    return fill


def _grade(name: str) -> Callable[[Judged], Any]:
    return lambda judged: judged.grades.get(name)


def _time(bound: str) -> Callable[[Judged], Any]:
    return lambda judged: getattr(judged.outcome.time, bound, None)


def _death_days(judged: Judged) -> int | None:
    death = judged.episode.death
    return judged.episode.days(death.when).middle if death and death.when else None


def _followup_days(judged: Judged) -> int | None:
    end = judged.episode.followup_end
    return judged.episode.days(end).middle if end else None


def _followup_end(judged: Judged) -> str | None:
    return judged.episode.followup_end.iso if judged.episode.followup_end else None


def _notes(judged: Judged) -> list[str]:
    death = judged.episode.death.notes if judged.episode.death else ()
    notes = (*judged.episode.notes, *death, *judged.outcome.notes)
    return list(dict.fromkeys(f"{note.kind}: {note}" for note in notes))


def _review_reasons(judged: Judged) -> list[str]:
    return list(judged.verdict.review_reasons) if judged.verdict else []


#: Grades and scores of `adapter.grades` that get a column, with unit and meaning.
GRADES: dict[str, tuple[Kind, str, str]] = {
    "crs_grade": ("integer", "", "Highest CRS grade, 0-5 (ASTCT, Lee 2019)."),
    "icans_grade": ("integer", "", "Highest ICANS grade, 0-5 (ASTCT, Lee 2019)."),
    "icaht_early": ("integer", "", "Early ICAHT grade, days 0-30 (EHA/EBMT, Rejeski 2023)."),
    "icaht_late": ("integer", "", "Late ICAHT grade, days 31-100 (EHA/EBMT, Rejeski 2023)."),
    "t_icaht_early": ("integer", "", "Early thrombocytopenia grade (T-ICAHT), days 0-30."),
    "t_icaht_late": ("integer", "", "Late thrombocytopenia grade (T-ICAHT), days 31-100."),
    "car_hematotox": ("integer", "", "CAR-HEMATOTOX before lymphodepletion; high is 2 or more."),
    "car_hematotox_high": ("integer", "", "1 when CAR-HEMATOTOX is high (2 or more), 0 when low."),
    "easix": ("number", "", "EASIX before lymphodepletion: LDH x creatinine / platelets."),
    "s_easix": ("number", "", "Simplified EASIX before lymphodepletion: LDH / platelets."),
    "m_easix": ("number", "", "Modified EASIX before lymphodepletion: LDH x CRP / platelets."),
    "infections": (
        "integer",
        "",
        "Infections from day 0 to the first event; what counts as one:"
        " docs/decisions/0012-infections.md.",
    ),
    "first_infection_days": ("integer", "days", "Infusion to the first of them."),
}

COLUMNS: tuple[Column, ...] = (
    Column("patient", "text", "The patient: pseudonym, or the server's logical id if identified.",
           lambda j: j.episode.patient, leaves="patient"),
    Column("episode", "text", "One CAR T course: patient, #, and its number.",
           lambda j: j.episode.name, leaves="episode"),
    Column("infusion_date", "date", "Day 0: the first infusion of the course.",
           lambda j: j.episode.infusion.iso, leaves="date"),
    Column("product", "text", "CAR T product; empty when the source names none.",
           lambda j: j.episode.product or None),
    Column("indication", "text", "The treated disease; empty when the source names none.",
           lambda j: j.episode.indication or None),
    Column("age_years", "integer", "Completed years at infusion; 90 means 90 or older in a"
           " pseudonymous export.", lambda j: j.episode.age_years, "years", leaves="age"),
    Column("sex", "text", "Administrative sex as the source records it.",
           lambda j: j.episode.timeline.sex or None,
           values=("male", "female", "other", "unknown")),
    Column("outcome", "text", "What came first after infusion.", lambda j: j.outcome.kind.value,
           values=tuple(kind.value for kind in OutcomeKind)),
    Column("event", "integer", "0 alive at last contact, 1 relapse or progression, 2 non-relapse"
           " death; empty when not evaluable.", lambda j: j.outcome.event, values=("0", "1", "2")),
    Column("outcome_reason", "text", "Why an episode is not evaluable.",
           lambda j: j.outcome.reason if j.outcome.event is None else None, leaves="text"),
    Column("time_days", "integer", "Infusion to the first event or last contact; the midpoint when"
           " only bounds are known.", _time("middle"), "days"),
    Column("time_days_low", "integer", "Earliest possible time_days.", _time("low"), "days"),
    Column("time_days_high", "integer", "Latest possible time_days.", _time("high"), "days"),
    Column("death", "boolean", "The patient is known to have died, of whatever cause.",
           lambda j: j.episode.death is not None),
    Column("death_days", "integer", "Infusion to death; empty when the date is unknown.",
           _death_days, "days"),
    Column("cause", "text", "Cause of a non-relapse death as it counts (a reviewer's decision"
           " outranks the rules); empty for every other outcome.",
           _answer("cause"), values=_CAUSES),
    Column("subcause", "text", "Organism class or kind of second malignancy.",
           _answer("subcause"), values=_SUBCAUSES),
    Column("certainty", "text", "How sure the evidence makes us.", _answer("certainty"),
           values=_CERTAINTIES),
    Column("contributing", "list", "Causes that contributed, in order.",
           lambda j: list(j.verdict.contributing) if j.verdict else []),
    Column("rule", "text", "The rule that decided.", _verdict("verdict", "rule")),
    Column("decided_by", "text", "Whether rules or a reviewer gave the cause.",
           _answer("decided_by"), values=("rules", "reviewer")),
    Column("evidence_changed", "boolean", "The reviewer decided on other evidence than today's.",
           lambda j: j.evidence_changed),
    Column("rules_cause", "text", "What the rules say, whatever a reviewer decided.",
           _verdict("verdict", "cause"), values=_CAUSES),
    Column("would_be_cause", "text", "What the rules would say of a death after relapse; for"
           " sensitivity analyses, never NRM.", _verdict("would_be", "cause"), values=_CAUSES),
    Column("needs_review", "boolean", "A person must still look at outcome or cause.",
           lambda j: j.needs_review),
    Column("review_reasons", "list", "Why a person must look.", _review_reasons, leaves="text"),
    *(Column(name, kind, about, _grade(name), unit) for name, (kind, unit, about) in
      GRADES.items()),
    Column("followup_end", "date", "Last day the patient is known about.", _followup_end,
           leaves="date"),
    Column("followup_days", "integer", "Infusion to followup_end.", _followup_days, "days"),
    Column("notes", "list", "Doubtful data of this episode, 'kind: what'; a pseudonymous export"
           " keeps the kinds only, because the words may quote the source.", _notes,
           leaves="notes"),
)  # fmt: skip


def row_of(judged: Judged) -> dict[str, Any]:
    """One episode as the cohort file has it, identified."""
    return {column.name: column.of(judged) for column in COLUMNS}


def rows_of(study: Study) -> list[dict[str, Any]]:
    """Every episode, in order of patient and course: the same cohort gives the same bytes."""
    ordered = sorted(study.judged, key=lambda j: (j.episode.patient, j.episode.number))
    return [row_of(judged) for judged in ordered]
