"""A few thousand broken inputs; `python -m tests.nightly.fuzz` reads a million."""

from pathlib import Path

from tests.nightly.fuzz import Fuzz


def test_broken_inputs_are_read_without_a_crash(tmp_path: Path) -> None:
    """Resources, lines, manifests, settings, worklists, overlays: our own errors or none."""
    fuzz = Fuzz(7, tmp_path)
    fuzz.go(3_000)
    assert [] == [found[:2] for found in fuzz.found]
    assert 6 == len(fuzz.done)
