"""A public synthetic hospital without CAR T: read whole, nothing invented, nothing lost."""

import gzip
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from adapter.envelope import Envelope, open_envelope
from adapter.facts import PatientFacts, facts_of
from adapter.store import PatientRecord, Stored
from tests.facts.reader import codes

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "haematology-200"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data set is not here")


@cache
def hospital() -> tuple[PatientFacts, ...]:
    """The facts of all 200 patients."""
    patients: defaultdict[str, list[Stored]] = defaultdict(list)
    for path in sorted(DATA.glob("*.ndjson.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            found = open_envelope(line)
            assert isinstance(found, Envelope)
            patients[found.patient].append(Stored(found.type, found.id, line))
    return tuple(facts_of(PatientRecord(name, each), codes()) for name, each in patients.items())


def test_there_is_no_infusion() -> None:
    """No CAR T occurs in it."""
    concepts = Counter(fact.concept for one in hospital() for fact in one.facts)
    assert not {"cart_infusion", "cart_product"} & set(concepts)
    assert concepts["lab"] > 500


def test_its_deaths_are_found() -> None:
    """36, says its description."""
    dead = [one for one in hospital() if any(f.group == "died" for f in one.facts)]
    assert len(dead) == 36


def test_unmapped_codes_are_there_to_be_ranked() -> None:
    """By patients affected."""
    affected = Counter(code for one in hospital() for code in one.unmapped)
    assert len(affected.most_common(10)) == 10


def test_notes_name_impossible_counts_and_nothing_else() -> None:
    """Its generator draws neutrophil counts that no patient has."""
    kinds = {note.kind for one in hospital() for note in one.notes}
    assert kinds <= {"unit"}
