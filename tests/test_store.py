"""What is opened as a store: ours, or nothing yet; everything else stays as it is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.errors import StoreError
from adapter.store import Store


def folder(path: Path) -> None:
    path.mkdir(mode=0o755)


def holidays(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE meta (day TEXT)")
    db.close()


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("made", "create"), [(folder, True), (folder, False), (holidays, True), (holidays, False),
                         (empty, False)]
)  # fmt: skip
def test_what_is_no_store_is_not_touched(
    tmp_path: Path, made: Callable[[Path], None], create: bool
) -> None:
    """A slip of --store must neither lock others out of a folder nor add tables to their file."""
    path = tmp_path / "other"
    made(path)
    path.chmod(0o755)
    before = (path.stat(), path.read_bytes() if path.is_file() else b"")
    with pytest.raises(StoreError, match="is no store of cart-nrm"):
        Store(path, create=create)
    assert before == (path.stat(), path.read_bytes() if path.is_file() else b"")
    assert [path] == list(tmp_path.iterdir())


def test_an_empty_file_becomes_a_store_where_one_is_to_be_made(tmp_path: Path) -> None:
    """`mktemp` makes the file first."""
    empty(tmp_path / "cart.db")
    with Store(tmp_path / "cart.db") as store:
        assert [] == store.runs()
    assert 0o600 == (tmp_path / "cart.db").stat().st_mode & 0o777
