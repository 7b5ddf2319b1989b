"""Patient: birth, sex, and what the master data say about death."""

from adapter.dates import on
from tests.builders import patient
from tests.facts.reader import facts, kinds, only, read


def test_birth_and_sex_are_read() -> None:
    """They make age and the baseline table."""
    found = read(patient())
    assert (found.sex, found.born) == ("female", on("1960-02-03"))


def test_a_date_of_death_is_a_dated_death() -> None:
    """deceasedDateTime."""
    fact = only(patient(died="2021-08-01"))
    assert (fact.concept, fact.group, fact.when) == ("death", "died", on("2021-08-01"))


def test_deceased_true_is_a_death_without_a_date() -> None:
    """No day is invented."""
    fact = only(patient(died=True))
    assert fact.when is None
    assert "no_time" in fact.traits


def test_deceased_false_says_alive() -> None:
    """It contradicts a death elsewhere."""
    assert only(patient(died=False)).group == "alive"


def test_silence_about_death_is_no_fact() -> None:
    """Most patients."""
    assert facts(patient()) == []


def test_an_unreadable_date_of_death_is_still_a_death() -> None:
    """ "unknown" in the date field: dead, undated, noted."""
    dead = patient(died="unbekannt")
    assert only(dead).when is None
    assert kinds(dead) == ["date"]


def test_a_replaced_patient_is_noted() -> None:
    """Its history belongs to the surviving record."""
    other = {"other": {"reference": "Patient/p2"}, "type": "replaced-by"}
    assert kinds(patient(link=[other])) == ["merged"]


def test_a_surviving_patient_is_not() -> None:
    """`replaces` is the good end of a merge."""
    other = {"other": {"reference": "Patient/p2"}, "type": "replaces"}
    assert kinds(patient(link=[other])) == []


def test_a_date_of_birth_of_the_wrong_type_loses_nothing_else() -> None:
    """A number where a date belongs."""
    found = read(patient(birthDate=1960, died="2021-08-01"))
    assert found.born is None
    assert [fact.concept for fact in found.facts] == ["death"]
    assert [note.kind for note in found.notes] == ["shape"]
