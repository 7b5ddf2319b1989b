"""A few kills at random points; `make campaign` does hundreds."""

from pathlib import Path

from tests.nightly.kills import Kills, hospital


def test_a_killed_night_loses_nothing_and_the_next_is_right(tmp_path: Path) -> None:
    """Twelve nights killed by kill -9; after each, reader and next night find everything whole."""
    site = tmp_path / "site"
    site.mkdir()
    with hospital(tmp_path) as base:
        kills = Kills(site, base, seed=3)
        kills.go(kills=12)
        assert 12 == kills.figures["next nights complete"]
        assert kills.figures["killed"] >= 6
        assert kills.agrees_with_a_fresh_pull(tmp_path / "fresh")
