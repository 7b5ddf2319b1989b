"""A whole synthetic study: stories, their FHIR resources and their truth."""

from collections.abc import Iterator

from .chart import chart
from .courses import stories
from .record import Made
from .shape import StudyShape
from .story import Story
from .truth import TruthRow, rows_of


class Study:
    """Iterate over it for (resource type, resource); ask `truth` for what really happened."""

    def __init__(self, shape: StudyShape) -> None:
        self.shape = shape
        self.stories = list(stories(shape))

    def __iter__(self) -> Iterator[Made]:
        for story in self.stories:
            yield from retell(story, self.shape.labs)

    @property
    def truth(self) -> list[TruthRow]:
        """One row per episode, one per patient never infused."""
        return [row for story in self.stories for row in rows_of(story)]


def generate(shape: StudyShape) -> Study:
    """The study of that shape; the same shape gives the same study to the last byte."""
    return Study(shape)


def retell(story: Story, labs: str = "daily") -> Iterator[Made]:
    """The resources of one patient (change `story.dialect` to hear it told elsewhere)."""
    return chart(story, labs)
