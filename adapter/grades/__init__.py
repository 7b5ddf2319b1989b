"""Grades and scores of one episode: pure functions of a timeline, None when they cannot tell."""

from adapter.model import Episode


def grades_of(episode: Episode) -> dict[str, float | int | None]:
    """Every grade and score of one episode by name."""
    return {}
