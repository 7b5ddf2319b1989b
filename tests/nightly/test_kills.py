"""A few kills at random points; `python -m tests.nightly.campaign` does hundreds."""

from pathlib import Path

from tests.nightly.campaign import Campaign, hospital


def test_a_killed_night_loses_nothing_and_the_next_is_right(tmp_path: Path) -> None:
    """Twelve nights killed by kill -9; after each, reader and next night find everything whole."""
    site, fresh = tmp_path / "site", tmp_path / "fresh"
    site.mkdir()
    fresh.mkdir()
    with hospital(tmp_path) as base:
        campaign = Campaign(site, base, seed=3)
        campaign.go(kills=12)
        assert 12 == campaign.figures["next nights complete"]
        assert campaign.figures["killed"] >= 6
        assert campaign.fresh_pull_agrees(fresh)
