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


def test_an_answer_nobody_gives_is_a_difference(tmp_path: Path) -> None:
    """A misspelt key is not silently taken as passed."""
    (case,) = read_cases(_write(tmp_path, "0 | infusion: axi-cel", "outcoem = alive"))
    assert ("outcoem: expected alive, got (no such answer)",) == run(case, Plan()).differences
