"""Grades and scores of one episode: pure functions of a timeline, None when they cannot tell."""

from adapter.config import Policy
from adapter.grades.cytopenia import cytopenia_grades
from adapter.grades.score import Score
from adapter.grades.scores import car_hematotox, easix, hematotox_risk, m_easix, s_easix
from adapter.grades.toxicity import coded_grade
from adapter.model import Episode

__all__ = ["Score", "grades_of", "scores_of"]

_DEFAULT = Policy()


def scores_of(episode: Episode, policy: Policy = _DEFAULT) -> dict[str, Score]:
    """Every grade and score of one episode by name, each with why it is missing or doubtful."""
    hematotox = car_hematotox(episode.baseline, policy.hematotox)
    return {
        "crs_grade": coded_grade(episode, "crs"),
        "icans_grade": coded_grade(episode, "icans"),
        **cytopenia_grades(episode),
        "car_hematotox": hematotox,
        "car_hematotox_high": hematotox_risk(hematotox, policy.hematotox),
        "easix": easix(episode.baseline),
        "s_easix": s_easix(episode.baseline),
        "m_easix": m_easix(episode.baseline),
    }


def grades_of(episode: Episode, policy: Policy = _DEFAULT) -> dict[str, float | int | None]:
    """The values alone, for columns; None where a grade cannot be told."""
    return {name: score.value for name, score in scores_of(episode, policy).items()}
