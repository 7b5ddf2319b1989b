"""Day tables as Python: what a test shows is what happened."""

from adapter.causes import Plan
from adapter.daytables import timeline_of_rows
from adapter.episodes import episodes_of
from adapter.model import Answer, Episode, Finding, Judged, Timeline
from adapter.patient import judge


def timeline(table: str) -> Timeline:
    """The timeline of lines like `24 | death`."""
    rows = [line.split("|", 1) for line in table.strip().splitlines()]
    return timeline_of_rows([(n, day.strip(), what.strip()) for n, (day, what) in enumerate(rows)])


def episode(table: str, plan: Plan | None = None) -> Episode:
    """The first episode of a table."""
    return episodes_of(timeline(table), (plan or Plan()).policy)[0]


def judged(table: str, plan: Plan | None = None) -> Judged:
    """The first episode of a table, judged."""
    plan = plan or Plan()
    return judge(episode(table, plan), plan)


def yes(one: Judged) -> dict[str, Finding]:
    """The findings that say yes, by rule."""
    return {found.rule: found for found in one.findings if found.answer is Answer.YES}
