"""The whole job against a real FHIR server: public data, grafted CAR T courses, and nothing else.

The data folder beside the project (public, synthetic people) is used when it is there; elsewhere
the project's own synthetic patients, none of whom got CAR T, take its place.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from adapter.codes import load_codes
from adapter.config import Connection, Settings
from adapter.load import load
from adapter.store import Store
from adapter.sync import SyncReport, sync
from cli import main
from examples.synthetic import StudyShape, generate
from tests.builders import condition, encounter, observation, procedure
from tests.servers import delete, put_all, sekmet_server, server_ids

Resource = dict[str, Any]
PUBLIC = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "haematology-200"
AXI, TISA = "pcs|XW033H7", "pcs|XW043J7"
WORSENED: Resource = {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct",
                                                 "code": "271299001"}]}}  # fmt: skip


class Graft(NamedTuple):
    """What is written into one patient's record, and what the cohort must say of it."""

    resources: tuple[Resource, ...]
    outcome: str
    time_days: int
    cause: str | None = None
    died: str = ""


def lymphoma() -> Resource:
    return condition("cm|C83.38", on="2025-01-15")


#: Day 0 is 2025-06-01, later than most of what the public data say of these people.
GRAFTS: tuple[Graft, ...] = (
    Graft(
        (lymphoma(), procedure(AXI, on="2025-06-01"), encounter("2025-09-09", "2025-09-09")),
        "alive", 100,
    ),
    Graft(
        (lymphoma(), procedure(TISA, on="2025-06-01"), condition("cm|A41.9", on="2025-06-18")),
        "nrm", 20, "infection", died="2025-06-21",
    ),
    Graft(
        (lymphoma(), procedure(AXI, on="2025-06-01"), condition("cm|D89.834", on="2025-06-05")),
        "nrm", 8, "crs", died="2025-06-09",
    ),
    Graft(
        (
            lymphoma(),
            procedure(AXI, on="2025-06-01"),
            observation("97509-4", on="2025-08-30", **WORSENED),
        ),
        "relapse", 90, died="2025-10-08",
    ),
    Graft(
        (
            lymphoma(),
            procedure(AXI, on="2025-06-01"),
            condition("cm|I61.9", on="2025-07-09"),
            encounter("2025-07-09", "2025-07-09"),
        ),
        "nrm", 40, "hemorrhage", died="2025-07-11",
    ),
    Graft(
        (
            lymphoma(),
            procedure(TISA, on="2025-06-01"),
            condition("cm|C92.00", on="2026-03-01"),
            encounter("2026-03-20", "2026-03-20"),
        ),
        "nrm", 300, "second_malignancy", died="2026-03-28",
    ),
)  # fmt: skip
LOOK_ALIKES: tuple[Resource, ...] = (
    procedure("pcs|XW033L7", on="2025-06-01"),
    procedure(AXI, on="2025-06-01", status="not-done"),
    condition("cm|Z92.850", on="2025-06-01"),
)


def base_resources() -> list[Resource]:
    """A hospital in which nobody had CAR T."""
    if PUBLIC.is_dir():
        files = sorted(PUBLIC.glob("*.ndjson.gz"))
        return [json.loads(line) for file in files for line in gzip.open(file, "rt")]
    shape = StudyShape(patients=60, recipients=0, seed=11)
    return [resource for _, resource in generate(shape)]


class Hospital(NamedTuple):
    """The resources of the test, and the patients who must be found."""

    resources: list[Resource]
    expected: dict[str, Graft]


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    resources = base_resources()
    people = [
        r
        for r in resources
        if r["resourceType"] == "Patient" and not any(key.startswith("deceased") for key in r)
    ]
    expected = {person["id"]: graft for person, graft in zip(people, GRAFTS, strict=False)}
    for person, graft in zip(people, GRAFTS, strict=False):
        if graft.died:
            person["deceasedDateTime"] = graft.died
        # the public data go on after the grafted death; those of the dead must end with it
        silence = (person["id"], graft.died) if graft.died else ("", "")
        resources = [r for r in resources if not _after(r, *silence)]
        resources += [_about(person["id"], n, part) for n, part in enumerate(graft.resources)]
    others = people[len(GRAFTS) : len(GRAFTS) + len(LOOK_ALIKES)]
    for person, part in zip(others, LOOK_ALIKES, strict=True):
        resources.append(_about(person["id"], 0, part))
    return Hospital(resources, expected)


def _about(patient: str, number: int, part: Resource) -> Resource:
    name = f"graft-{patient[:20]}-{number}"
    return {**part, "id": name, "subject": {"reference": f"Patient/{patient}"}}


def _after(resource: Resource, patient: str, day: str) -> bool:
    about = resource.get("subject", {}).get("reference", "")
    if not patient or about != f"Patient/{patient}":
        return False
    keys = ("onsetDateTime", "effectiveDateTime", "performedDateTime", "issued", "recordedDate")
    dates = [str(resource.get(key, "")) for key in keys]
    dates += list(resource.get("period", {}).values())
    dates += list(resource.get("performedPeriod", {}).values())
    return any(found[:10] > day for found in dates)


class Pulled(NamedTuple):
    """A running server, the store it was pulled into, and how that went."""

    base: str
    settings: Settings
    first: SyncReport


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory, hospital: Hospital) -> Iterator[Pulled]:
    folder = tmp_path_factory.mktemp("spine")
    with sekmet_server(folder) as base:
        put_all(base, hospital.resources)
        settings = Settings(
            store=folder / "cart.db",
            server=base,
            # all of it was written minutes ago: a long overlap would list every row again
            connection=Connection(find="all", page_size=1000, overlap_seconds=2),
        )
        yield Pulled(base, settings, sync_now(settings))


def sync_now(settings: Settings) -> SyncReport:
    with Store(settings.store) as store:
        return sync(store, settings, load_codes())


def classify(store: Path) -> str:
    answer = CliRunner().invoke(main, ["classify", "--json", "--store", str(store)])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def held_ids(store: Path, kind: str) -> set[str]:
    with Store(store) as opened:
        return opened.ids(kind)


def kinds_of(hospital: Hospital) -> set[str]:
    return {resource["resourceType"] for resource in hospital.resources}


pytestmark = [pytest.mark.server, pytest.mark.xdist_group("spine")]


def test_the_store_holds_exactly_what_the_server_holds(pulled: Pulled, hospital: Hospital) -> None:
    """After one sync, every id of every type is in the store, and no other."""
    assert pulled.first.state == "complete"
    for kind in kinds_of(hospital):
        assert held_ids(pulled.settings.store, kind) == server_ids(pulled.base, kind)


def test_exactly_the_grafted_patients_are_recipients(pulled: Pulled, hospital: Hospital) -> None:
    """Nobody of the public data is taken for a recipient, and no graft is missed."""
    rows = json.loads(classify(pulled.settings.store))
    found = {row["patient"]: (row["outcome"], row["time_days"], row["cause"]) for row in rows}
    expected = {
        patient: (graft.outcome, graft.time_days, graft.cause)
        for patient, graft in hospital.expected.items()
        if graft.outcome != "alive"
    }
    assert found.keys() == hospital.expected.keys()
    assert {patient: found[patient] for patient in expected} == expected
    alive = next(p for p, graft in hospital.expected.items() if graft.outcome == "alive")
    assert found[alive][0] == "alive"


def test_load_and_sync_of_the_same_resources_give_the_same_bytes(
    pulled: Pulled, hospital: Hospital, tmp_path: Path
) -> None:
    """An export on disk and a server with the same content are the same study."""
    folder = tmp_path / "export"
    folder.mkdir()
    for kind in kinds_of(hospital):
        lines = (json.dumps(r) for r in hospital.resources if r["resourceType"] == kind)
        (folder / f"{kind}.ndjson").write_text("\n".join(lines))
    with Store(tmp_path / "loaded.db") as store:
        load(store, [folder])
    assert classify(tmp_path / "loaded.db") == classify(pulled.settings.store)


def test_a_second_sync_transfers_nothing(pulled: Pulled) -> None:
    """Nothing changed, so nothing is sent and nothing is stored."""
    again = sync_now(pulled.settings)
    assert (again.state, again.received, again.stored, again.deleted) == ("complete", 0, 0, 0)


def test_the_next_sync_stores_exactly_what_changed(pulled: Pulled, hospital: Hospital) -> None:
    """Three resources change on the server and one is deleted: three are stored, one is gone."""
    conditions = [r for r in hospital.resources if r["resourceType"] == "Condition"]
    changed = [{**r, "recordedDate": "2026-01-01"} for r in conditions[5:8]]
    put_all(pulled.base, changed)
    delete(pulled.base, "Condition", conditions[20]["id"])
    night = sync_now(pulled.settings)
    assert (night.state, night.stored, night.deleted) == ("complete", 3, 1)
    ids = server_ids(pulled.base, "Condition")
    assert held_ids(pulled.settings.store, "Condition") == ids
