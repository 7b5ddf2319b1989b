"""The connector against Medplum's router and repository: no next links, references by type only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from adapter.codes import Codes, load_codes
from adapter.config import Settings
from adapter.store import Store
from adapter.sync import SyncReport, sync
from tests.servers import medplum_server

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("medplum")]
CART = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "XW033H7"}]}
TYPES = ("Patient", "Procedure", "Condition", "Observation")


@pytest.fixture(scope="module")
def codes() -> Codes:
    return load_codes()


def put(base: str, kind: str, id_: str, patient: str = "", **more: Any) -> None:
    """Store one resource under its own id."""
    body = {"resourceType": kind, "id": id_, **more}
    if patient:
        body["subject"] = {"reference": f"Patient/{patient}"}
    requests.put(f"{base}/{kind}/{id_}", json=body, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    """Twelve synthetic patients, four of them recipients."""
    with medplum_server() as base:
        for number in range(12):
            patient = f"synthetic-{number}"
            put(base, "Patient", patient)
            if number < 4:
                put(base, "Procedure", f"cart-{number}", patient, code=CART, status="completed")
            for i in range(10):
                put(base, "Condition", f"c-{number}-{i}", patient)
                put(base, "Observation", f"o-{number}-{i}", patient, status="final")
        yield base


def pull(base: str, path: Path, codes: Codes, **connection: Any) -> SyncReport:
    """One sync with small pages."""
    settings = Settings(
        server=base,
        connection={"types": TYPES, "page_size": 7, **connection},  # type: ignore[arg-type]
    )
    with Store(path) as store:
        return sync(store, settings, codes)


def held(path: Path) -> dict[str, int]:
    """What the store holds, by type."""
    with Store(path) as store:
        return store.counts()


@pytest.mark.parametrize("quirks", ["medplum", ""])
def test_everything_comes_without_next_links(
    filled: str, tmp_path: Path, codes: Codes, quirks: str
) -> None:
    """With its quirk file and without: the last instant leads on where no link does."""
    path = tmp_path / "store.db"
    report = pull(filled, path, codes, find="all", quirks=quirks)
    assert 0 == report.exit_code
    assert {"Patient": 12, "Procedure": 4, "Condition": 120, "Observation": 120} == held(path)
    again = pull(filled, path, codes, find="all", quirks=quirks)
    assert (0, 0, 0) == (again.exit_code, again.stored, again.deleted)


@pytest.mark.parametrize("quirks", ["medplum", ""])
def test_recipients_come_although_bare_ids_mean_nothing_there(
    filled: str, tmp_path: Path, codes: Codes, quirks: str
) -> None:
    """`patient=a` is answered with nothing; `patient=Patient/a` is found out before the pull."""
    path = tmp_path / "store.db"
    report = pull(filled, path, codes, quirks=quirks)
    assert (0, 4) == (report.exit_code, report.recipients)
    assert {"Patient": 4, "Procedure": 4, "Condition": 40, "Observation": 40} == held(path)


def test_changes_and_deletions_are_found(filled: str, tmp_path: Path, codes: Codes) -> None:
    """One new, one changed, one deleted."""
    path = tmp_path / "store.db"
    pull(filled, path, codes, find="all", quirks="medplum")
    put(filled, "Condition", "c-new", "synthetic-1")
    put(filled, "Condition", "c-1-1", "synthetic-1", note=[{"text": "changed"}])
    requests.delete(f"{filled}/Condition/c-2-2", timeout=30).raise_for_status()
    report = pull(filled, path, codes, find="all", quirks="medplum")
    assert (0, 2, 1) == (report.exit_code, report.stored, report.deleted)
