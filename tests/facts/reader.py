"""Short words for the tests of facts: read resources with the shipped code lists."""

from functools import cache

from adapter.codes import Codes, load_codes
from adapter.facts import PatientFacts, facts_of
from adapter.model import Fact
from tests.builders import Resource, record


@cache
def codes() -> Codes:
    """The shipped code lists, loaded once."""
    return load_codes()


def read(*resources: Resource, zone: str | None = None) -> PatientFacts:
    """Everything the adapter reads from these resources of one patient."""
    return facts_of(record(*resources), codes(), zone)


def facts(*resources: Resource, of: str = "") -> list[Fact]:
    """The facts of one concept, or all but the contacts."""
    found = read(*resources).facts
    return [fact for fact in found if (fact.concept == of if of else fact.concept != "contact")]


def only(*resources: Resource, of: str = "") -> Fact:
    """The one fact these resources yield."""
    found = facts(*resources, of=of)
    assert len(found) == 1, found
    return found[0]


def kinds(*resources: Resource) -> list[str]:
    """The kinds of note these resources yield."""
    return [note.kind for note in read(*resources).notes]
