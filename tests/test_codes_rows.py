"""Every shipped row is asked for, and answers with its own concept and subconcept."""

from itertools import product

import pytest

from adapter.codes import Codes, load_codes
from adapter.codes.systems import CM, GM, WHO
from adapter.codes.tables import Row, shipped_rows, wording_of

ROWS = shipped_rows()
ON = [row for row in ROWS if row.counts_by_default]
OFF = [row for row in ROWS if not row.counts_by_default]


@pytest.fixture(scope="module")
def codes() -> Codes:
    return load_codes()


def name(row: Row) -> str:
    return f"{row.concept}-{row.system.rsplit('/', 1)[-1]}-{row.code}"


def below(row: Row) -> list[str]:
    """The code itself, then codes below a prefix: `C5` is no code, C51 is one."""
    if row.match != "prefix" or row.system not in (CM, WHO, GM):
        return [row.code]
    tails = ("".join(digits) for n in (1, 2) for digits in product("0123456789", repeat=n))
    return [row.code, *(row.code + tail for tail in tails)]


@pytest.mark.parametrize("row", ON, ids=name)
def test_a_row_answers_with_its_concept(codes: Codes, row: Row) -> None:
    """The code of a row, or some code below its prefix, has the row's meaning."""
    expected = (row.concept, row.subconcept)
    found = (
        (meaning.concept, meaning.subconcept)
        for code in below(row)
        for meaning in codes.lookup(row.system, code)
    )
    assert any(expected == one for one in found)


@pytest.mark.parametrize("row", OFF, ids=name)
def test_an_unverified_row_needs_the_switch(codes: Codes, row: Row) -> None:
    """What nobody confirmed is off by default and on when asked for."""
    everything = load_codes(include_unverified=True)
    named = {m.subconcept for m in everything.lookup(row.system, row.code)}
    assert row.subconcept in named
    assert row.subconcept not in {m.subconcept for m in codes.lookup(row.system, row.code)}


@pytest.mark.parametrize("row", [r for r in ON if r.concept.endswith("_EXCLUDE")], ids=name)
def test_an_exclusion_strikes_out_what_it_excludes(codes: Codes, row: Row) -> None:
    """A look-alike never comes back together with the concept it resembles."""
    found = {m.concept: m for m in codes.lookup(row.system, row.code)}
    assert found[row.concept].excluded
    assert row.concept.removesuffix("_EXCLUDE") not in found


@pytest.mark.parametrize("row", [r for r in ON if r.concept.endswith("_review")], ids=name)
def test_an_unconfirmed_infusion_code_is_only_for_review(codes: Codes, row: Row) -> None:
    """A code whose title nobody saw is queued for a person, never counted."""
    assert all(m.review for m in codes.lookup(row.system, row.code))


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_every_row_has_a_class_a_label_and_a_source(row: Row) -> None:
    """Sentences and tables are made of these."""
    words = wording_of(row.concept, row.subconcept, row.code)
    assert all((words.group, words.label, row.source, row.licence))
