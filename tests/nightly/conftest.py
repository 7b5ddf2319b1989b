"""A hospital and the settings of its nights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.config import Settings
from tests.nightly.ward import Ward, settings, ward


@pytest.fixture
def hospital() -> Iterator[Ward]:
    """A served hospital of three, two of them recipients."""
    with ward() as served:
        yield served


@pytest.fixture
def chosen(tmp_path: Path, hospital: Ward) -> Settings:
    """Settings for nights at that hospital."""
    return settings(tmp_path, hospital.base)
