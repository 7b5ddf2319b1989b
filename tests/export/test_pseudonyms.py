"""Keyed pseudonyms, the key file, date modes and scrubbing."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import ConfigError
from adapter.pseudonyms import (
    LONGEST_SHIFT_DAYS,
    Pseudonyms,
    Release,
    pseudonyms_beside,
    rotate,
    scrubbed,
)

KEY = Pseudonyms(bytes(range(32)))
OTHER = Pseudonyms(bytes(32))


def test_the_first_use_makes_a_key_only_its_owner_can_read(tmp_path: Path) -> None:
    """A new key file has mode 0600 and 256 bits, and two stores get two keys."""
    first = pseudonyms_beside(tmp_path / "one.db")
    second = pseudonyms_beside(tmp_path / "two.db")
    path = tmp_path / "one.db.key"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 64 == len(path.read_text().strip())
    assert first.key_id != second.key_id


def test_the_second_use_gives_the_same_pseudonyms(tmp_path: Path) -> None:
    """The saved key is read back, so a patient keeps the pseudonym from export to export."""
    store = tmp_path / "one.db"
    assert pseudonyms_beside(store).of("p1") == pseudonyms_beside(store).of("p1")


def test_a_lost_key_is_never_replaced(tmp_path: Path) -> None:
    """A store stamped with a key id whose key file is gone refuses, and makes no new key."""
    with pytest.raises(ConfigError, match="missing"):
        pseudonyms_beside(tmp_path / "one.db", expected_id="0123456789ab")
    assert [] == list(tmp_path.iterdir())


def test_another_stores_key_is_refused(tmp_path: Path) -> None:
    """The key id of the store must match the key file."""
    pseudonyms_beside(tmp_path / "one.db")
    with pytest.raises(ConfigError, match="exported with"):
        pseudonyms_beside(tmp_path / "one.db", expected_id=OTHER.key_id)


def test_a_new_key_gives_new_names_and_keeps_the_old_ones(tmp_path: Path) -> None:
    """Pseudonyms and shifts are the new key's; older names and the marks of the erased remain."""
    store = tmp_path / "one.db"
    old = pseudonyms_beside(store)
    new = rotate(store, old.key_id)
    assert new.of("p1") != old.of("p1")
    assert [new.of("p1"), old.of("p1")] == new.ever("p1")
    assert new.erasure_mark("p1") == old.erasure_mark("p1")
    assert 0o600 == stat.S_IMODE((tmp_path / "one.db.key").stat().st_mode)
    assert pseudonyms_beside(store, old.key_id).key_id == new.key_id
    with pytest.raises(ConfigError, match="exported with"):
        rotate(store, OTHER.key_id)
    assert 2 == len((tmp_path / "one.db.key").read_text().split())


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "ü"])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    """A key file that does not hold 256 bits is an error with a way out, not a weak key."""
    path = tmp_path / "one.db.key"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="Restore"):
        pseudonyms_beside(tmp_path / "one.db")


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    """A key with open permissions may have been copied: a person must look."""
    pseudonyms_beside(tmp_path / "one.db")
    (tmp_path / "one.db.key").chmod(0o644)
    with pytest.raises(ConfigError, match="read by others"):
        pseudonyms_beside(tmp_path / "one.db")


@given(st.text(min_size=1), st.text(min_size=1))
def test_pseudonyms_tell_patients_apart_and_depend_on_the_key(one: str, two: str) -> None:
    """Same patient, same pseudonym; other patient or other key, another one."""
    assert (KEY.of(one) == KEY.of(two)) == (one == two)
    assert KEY.of(one) != OTHER.of(one)
    assert one not in KEY.of(one) or len(one) < 3


@given(st.sets(st.text(min_size=1), max_size=300))
def test_short_pseudonyms_stay_apart(patients: set[str]) -> None:
    """Cutting never makes two patients look like one, and is the start of the long form."""
    short = KEY.short(patients)
    assert len(patients) == len(set(short.values()))
    assert all(KEY.of(patient).startswith(name) for patient, name in short.items())


@given(st.text(min_size=1))
def test_the_shift_is_constant_and_never_to_the_future(patient: str) -> None:
    """One shift a patient, 1 to 365 days back: intervals within the patient stay true."""
    assert 1 <= KEY.shift_days(patient) <= LONGEST_SHIFT_DAYS
    assert KEY.shift_days(patient) == KEY.shift_days(patient)


def test_date_modes() -> None:
    """days hides the date, year keeps the year, shift moves it, identified keeps it."""
    modes = {mode: Release(KEY, dates=mode).date("p", "2021-05-03") for mode in
             ("days", "year", "identified")}  # fmt: skip
    assert {"days": None, "year": "2021", "identified": "2021-05-03"} == modes
    moved = Release(KEY, dates="shift").date("p", "2021-05-03")
    assert moved is not None
    assert "2020-05-03" <= moved < "2021-05-03"
    assert Release(KEY, dates="shift").date("p", "2021-05") is None


def test_a_pseudonymous_release_needs_a_key() -> None:
    """There is no default key."""
    with pytest.raises(ConfigError, match="needs the key"):
        Release().keys()


def test_scrubbing_takes_out_references_and_dates_and_leaves_words() -> None:
    """Sentences keep their meaning without ids and calendar dates."""
    text = "Pseudomonas was found on 2021-05-03T10:00:00Z (Observation/77), grade 3/4."
    assert "Pseudomonas was found on [date] (Observation), grade 3/4." == scrubbed(text)
