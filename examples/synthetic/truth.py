"""The hidden truth: what really happened, and whether a reader of the record can know it."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .rates import DISEASES
from .story import Course, Death, Story

ENTITY = {disease: entity for entity, diseases in DISEASES.items() for disease in diseases}


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One episode of a recipient, or one patient who was never infused (episode 0)."""

    patient: str  # the server's logical id
    episode: int
    recipient: str  # yes, no
    infusion_date: str = ""
    product: str = ""  # unspecified: only a product-free code was recorded
    indication: str = ""
    entity: str = ""  # LBCL, IL, MCL, MM, ALL: the groups of the published table
    outcome: str = ""  # alive, relapse, nrm, not_evaluable
    time_days: str = ""
    date_precision: str = ""  # day, month: what the record knows of the outcome's date
    death_days: str = ""  # counted from this episode's infusion
    cause: str = ""  # of non-relapse deaths only
    subcause: str = ""
    contributing: str = ""
    knowable: str = "true"  # can recipient, outcome and time be told from the record?
    reason: str = ""
    cause_knowable: str = ""  # can the cause of a non-relapse death be told?
    cause_reason: str = ""
    died_of: str = ""  # also after relapse, and of the never infused
    dialect: str = ""
    lookalike: str = ""
    traps: str = ""


def rows_of(story: Story) -> list[TruthRow]:
    """The truth about one patient."""
    patient = f"syn-{story.number:05d}"
    if not story.courses:
        return [
            TruthRow(
                patient, 0, "no", died_of=story.death.cause if story.death else "",
                dialect=story.dialect, lookalike=story.lookalike,
            )
        ]  # fmt: skip
    return [_row(story, course, n, patient) for n, course in enumerate(story.courses, start=1)]


def _row(story: Story, course: Course, episode: int, patient: str) -> TruthRow:
    death = story.death
    outcome, knowable, reason = _outcome(course, death)
    dated = outcome != "not_evaluable"
    return TruthRow(
        patient, episode, "yes",
        infusion_date=story.date_of(course.day).isoformat(),
        product="unspecified" if course.style == "generic" else course.product,
        indication=course.disease,
        entity=ENTITY[course.disease],
        outcome=outcome,
        time_days=str(course.outcome_day - course.day) if dated else "",
        date_precision=_precision(course, death) if dated else "",
        death_days=str(death.day - course.day) if death and dated else "",
        knowable="true" if knowable else "false",
        reason=reason,
        died_of=death.cause if death else "",
        dialect=story.dialect,
        traps="; ".join(story.traps),
        **(_cause(story, death) if death and course.outcome == "nrm" else {}),
    )  # fmt: skip


def _outcome(course: Course, death: Death | None) -> tuple[str, bool, str]:
    """What the outcome is by the study's conventions, and whether the record gives it away."""
    if course.outcome == "nrm" and death and death.recorded == "boolean":
        return "not_evaluable", True, "death without a date"
    if course.outcome == "relapse" and course.relapse_how == "text-only":
        return "relapse", False, "relapse only in free text"
    if course.outcome == "relapse" and course.relapse_how == "undated":
        return "relapse", False, "relapse only as a status without a date"
    return course.outcome, True, ""


def _precision(course: Course, death: Death | None) -> str:
    if course.outcome == "nrm" and death and death.recorded == "month":
        return "month" if death.at_home and not death.certificate else "day"
    return course.exact


def _cause(story: Story, death: Death) -> dict[str, str]:
    """Cause columns of a non-relapse death."""
    reason = "" if death.shown else "no coded evidence of the cause was recorded"
    if not death.shown and death.cause == "crs" and story.dialect == "german":
        reason = "ICD-10-GM has no confirmed code for CRS"
    return {
        "cause": death.cause,
        "subcause": death.subcause,
        "contributing": death.contributing,
        "cause_knowable": "true" if death.shown else "false",
        "cause_reason": reason,
    }


def write(rows: Iterable[TruthRow], path: Path) -> None:
    """truth.csv, one line per row."""
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, [field.name for field in fields(TruthRow)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def read(path: Path) -> list[TruthRow]:
    """The rows of a truth.csv."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            TruthRow(row.pop("patient"), int(row.pop("episode")), row.pop("recipient"), **row)
            for row in csv.DictReader(lines)
        ]
