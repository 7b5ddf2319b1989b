"""Every day table of tests/cases gives the answers it expects; the tables are also the manual."""

from pathlib import Path

import pytest

from adapter.cases import Case, read_cases, run, run_folder
from adapter.causes.rule import Plan
from adapter.errors import UsageError

HERE = Path(__file__).parent / "cases"
CASES = [case for file in sorted(HERE.rglob("*.md")) for case in read_cases(file)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.place} {case.title}")
def test_day_table(case: Case) -> None:
    """The core answers what the table expects."""
    assert () == run(case, Plan()).differences


def test_titles_are_unique() -> None:
    """A failing case can be found by its title."""
    titles = [case.title for case in CASES]
    assert sorted(set(titles)) == sorted(titles)


def _write(folder: Path, row: str, expect: str = "outcome = alive") -> Path:
    file = folder / "mine.md"
    file.write_text(f"# x\n\n## one\n```days\nday | what\n{row}\n```\n```expect\n{expect}\n```\n")
    return file


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("0 | infusion: axi-sel", "axi cel"),
        ("0 | infusoin: axi-cel", "mine.md:6"),
        ("zero | infusion: axi-cel", "mine.md:6: 'zero' is no day"),
        ("0 | infusion: axi-cel [perhaps]", "no circumstance"),
        ("0 infusion", "day | what"),
    ],
)
def test_a_typo_is_named_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    """A clinician who mistypes is told where, and what was near."""
    with pytest.raises(UsageError) as caught:
        run_folder(_write(tmp_path, row), Plan())
    assert problem in str(caught.value)


def test_a_difference_says_both_answers(tmp_path: Path) -> None:
    """A failed expectation reads as one sentence."""
    row = "0 | infusion: axi-cel\n40 | visit"
    (case,) = read_cases(_write(tmp_path, row, "outcome = relapse"))
    assert ("outcome: expected relapse, got alive",) == run(case, Plan()).differences


@pytest.mark.parametrize(
    ("row", "expect", "problem"),
    [
        ("0 | infusion: axi-cel", "outcoem = alive", "mine.md:9: 'outcoem' is no answer."),
        ("0 | infusion: axi-cel", "2.outcoem = alive", "Near: outcome"),
        ("0 | infusion: axi-cel", "", "mine.md:3: the expect block is empty."),
        ("60..30 | death", "outcome = nrm", "mine.md:6: '60..30' ends before it begins."),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, row: str, expect: str, problem: str
) -> None:
    """A misspelt key looked like a failed case, no key at all like one that passed."""
    with pytest.raises(UsageError) as caught:
        run_folder(_write(tmp_path, row, expect), Plan())
    assert problem in str(caught.value)


def test_an_answer_of_a_course_that_is_not_there_is_a_difference(tmp_path: Path) -> None:
    """The second course was expected and is missing."""
    (case,) = read_cases(_write(tmp_path, "0 | infusion: axi-cel", "2.outcome = alive"))
    assert ("2.outcome: expected alive, got (no such answer)",) == run(case, Plan()).differences
