"""What leaves a site by its nights and by hand: only what a setting allows, and not unnoticed."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapter.config import Settings
from adapter.journal import last_event
from adapter.nightly import run_night
from cli import main
from tests.nightly.ward import Ward, outcome, settings

ALLOWED = "identified-exports = true"


def export(chosen: Settings, file: Path, *options: str, more: str = "") -> Result:
    config = chosen.store.with_name("study.toml")
    config.write_text(f'store = "cart.db"\n{more}\n')
    return CliRunner().invoke(main, ["export", str(file), "--config", str(config), *options])


def test_an_identified_export_is_allowed_and_noted(chosen: Settings, tmp_path: Path) -> None:
    """One line in the journal of the nights: who, how many rows, which format, no file name."""
    run_night(chosen)
    result = export(chosen, tmp_path / "for-mr-x.csv", "--identified", more=ALLOWED)
    assert 0 == result.exit_code, result.output
    assert "synthetic-0001,synthetic-0001#1,2025-06-01" in (tmp_path / "for-mr-x.csv").read_text()
    journal = chosen.nightly.folder / "journal.jsonl"
    noted = last_event(journal, "identified_export") or {}
    assert (os.getuid(), 2, ".csv") == (noted["uid"], noted["rows"], noted["format"])
    assert "for-mr-x" not in journal.read_text()


@pytest.mark.parametrize(
    ("options", "more", "why"),
    [
        ((), "", "not allowed here"),
        (("--dates", "year"), ALLOWED, "leave out --dates"),
    ],
)
def test_an_identified_export_is_refused(
    chosen: Settings, tmp_path: Path, options: tuple[str, ...], more: str, why: str
) -> None:
    """Without the setting, or with a wish for dates that it would not fulfil."""
    run_night(chosen)
    result = export(chosen, tmp_path / "x.csv", "--identified", *options, more=more)
    assert (2, False) == (result.exit_code, (tmp_path / "x.csv").exists())
    assert why in result.stderr


def test_what_cannot_be_noted_does_not_leave(chosen: Settings, tmp_path: Path) -> None:
    """The journal cannot be written: 14, and no file."""
    run_night(chosen)
    (chosen.nightly.folder / "journal.jsonl").unlink()
    (chosen.nightly.folder / "journal.jsonl").mkdir()
    result = export(chosen, tmp_path / "x.csv", "--identified", more=ALLOWED)
    assert (14, False) == (result.exit_code, (tmp_path / "x.csv").exists())


def test_a_night_keeps_to_its_columns(tmp_path: Path, hospital: Ward) -> None:
    """`nightly.columns` is the allow-list of the cohort files."""
    chosen = settings(tmp_path, hospital.base, columns=("patient", "event"))
    run_night(chosen)
    head = (chosen.nightly.folder / "latest" / "cohort.csv").read_text().splitlines()[0]
    assert "patient,event" == head


def test_a_wrong_column_or_key_ends_a_night_before_it_asks(tmp_path: Path, hospital: Ward) -> None:
    """What would fail after hours of asking is looked at first."""
    wrong = settings(tmp_path, hospital.base, columns=("surname",))
    assert ("failed", 2) == outcome(run_night(wrong))
    chosen = settings(tmp_path, hospital.base)
    run_night(chosen)
    chosen.store.with_name("cart.db.key").write_text("00" * 32)
    with hospital.mood():
        night = run_night(chosen)
        assert (("failed", 10), 0) == (outcome(night), hospital.asked)
