"""The connector against a real server: the pinned PyPI package sekmet-fhir, started by the test."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapter.causes import check_rules
from adapter.codes import Codes, load_codes
from adapter.config import Nightly, RuleChange, Settings
from adapter.store import Store
from adapter.sync import SyncReport, check, plan, sync
from tests.servers import delete, put_all, sekmet_server, server_ids

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("sekmet")]

SHARED = Path(__file__).parents[2] / "shared" / "data" / "haematology-200"
KINDS = ("Patient", "Procedure", "Condition", "Encounter", "Observation", "DiagnosticReport")
CART = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "XW033H7"}]}


@pytest.fixture(scope="module")
def codes() -> Codes:
    return load_codes()


def some_resources(each: int = 250) -> list[dict[str, Any]]:
    """Public synthetic resources, or our own few where the shared data are absent."""
    if SHARED.exists():
        found = []
        for kind in KINDS:
            with gzip.open(SHARED / f"{kind}.ndjson.gz") as lines:
                found += [json.loads(line) for _, line in zip(range(each), lines, strict=False)]
        return found
    found = [{"resourceType": "Patient", "id": f"synthetic-{n}"} for n in range(20)]
    for kind in KINDS[1:]:
        subject = [{"reference": f"Patient/synthetic-{n % 20}"} for n in range(each)]
        found += [
            {"resourceType": kind, "id": f"{kind.lower()}-{n}", "subject": subject[n]}
            for n in range(each)
        ]
    return found


def infusion(number: int, patient: str) -> dict[str, Any]:
    """A coded infusion of an approved product."""
    return {
        "resourceType": "Procedure", "id": f"cart-{number}", "status": "completed", "code": CART,
        "subject": {"reference": f"Patient/{patient}"}, "performedDateTime": "2023-05-04",
    }  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with some thousand resources and six recipients."""
    with sekmet_server(tmp_path_factory.mktemp("sekmet")) as base:
        resources = some_resources()
        people = [r["id"] for r in resources if r["resourceType"] == "Patient"][:6]
        put_all(base, [*resources, *(infusion(n, p) for n, p in enumerate(people))])
        yield base


def pull(
    base: str, folder: Path, codes: Codes, name: str = "store", **connection: Any
) -> SyncReport:
    """One sync; the store stays in the folder."""
    settings = Settings(server=base, connection=connection)  # type: ignore[arg-type]
    with Store(folder / f"{name}.db") as store:
        return sync(store, settings, codes)


def equal(base: str, folder: Path, name: str = "store") -> bool:
    """Does the store hold exactly what the server has?"""
    with Store(folder / f"{name}.db") as store:
        return all(store.ids(kind) == server_ids(base, kind) for kind in KINDS)


@pytest.mark.parametrize(
    "mode", [{}, {"mode": "bulk", "export": "system"}], ids=["search", "export"]
)
def test_everything_then_nothing_then_exactly_what_changed(
    filled: str, tmp_path: Path, codes: Codes, mode: dict[str, str]
) -> None:
    """The first sync equals the server, the second stores nothing, the third four changes."""
    first = pull(filled, tmp_path, codes, find="all", **mode)
    assert (0, True) == (first.exit_code, equal(filled, tmp_path))
    second = pull(filled, tmp_path, codes, find="all", **mode)
    assert (0, 0, 0) == (second.exit_code, second.stored, second.deleted)
    if not mode:
        assert 0 == second.received
    changed = sorted(server_ids(filled, "Condition"))[:4]
    put_all(
        filled,
        (
            {
                "resourceType": "Condition", "id": id_, "recorder": {"display": str(mode)},
                "subject": {"reference": "Patient/changed"},
            }
            for id_ in changed[:3]
        ),
    )  # fmt: skip
    delete(filled, "Condition", changed[3])
    third = pull(filled, tmp_path, codes, find="all", **mode)
    assert (0, 3, 1) == (third.exit_code, third.stored, third.deleted)
    assert equal(filled, tmp_path)
    with Store(tmp_path / "store.db") as store:
        assert (0, 3) == (store.slices_due(), len(store.runs()))
        assert store.last_complete()


def test_recipients_are_found_and_only_they_are_pulled(
    filled: str, tmp_path: Path, codes: Codes
) -> None:
    """By coded procedure, with everything that refers to them and nobody else."""
    report = pull(filled, tmp_path, codes)
    assert (0, 6) == (report.exit_code, report.recipients)
    with Store(tmp_path / "store.db") as store:
        assert 6 == len({record.patient for record in store.records()})
    again = pull(filled, tmp_path, codes)
    assert (0, 0, 0) == (again.exit_code, again.received, again.deleted)


def test_the_plan_counts_without_pulling(filled: str, codes: Codes) -> None:
    """Each line says what and why; the numbers are the server's own."""
    lines = plan(Settings(server=filled, connection={"find": "all"}), codes)  # type: ignore[arg-type]
    expected = {line.what: line.expected for line in lines}
    assert len(server_ids(filled, "Observation")) == expected["every Observation"]
    found = plan(Settings(server=filled), codes)
    assert 6 == sum(line.expected or 0 for line in found if line.what.startswith("Procedure by"))


def test_check_says_what_is_well(filled: str, tmp_path: Path) -> None:
    """A good server on this machine gives no red line, and no patient data."""
    lines = check(Settings(server=filled), tmp_path / "store.db")
    assert [] == [line for line in lines if line.colour == "red"]
    assert {"Patient: can be searched."} <= {line.what for line in lines}


def test_check_says_what_others_may_read(tmp_path: Path) -> None:
    """The folder of the store and that of the outputs, once somebody opened them."""
    outputs = tmp_path / "nights"
    outputs.mkdir()
    settings = Settings(server="http://127.0.0.1:9/fhir", store=tmp_path / "store.db")
    settings = settings.model_copy(update={"nightly": Nightly(folder=outputs)})
    for mode, found in ((0o700, 0), (0o750, 2)):
        tmp_path.chmod(mode)
        outputs.chmod(mode)
        assert found == sum("Others on this machine" in line.what for line in check(settings))


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    """No server, no folder: red lines with what to do, no traceback."""
    settings = Settings(server="http://127.0.0.1:9/fhir", store=tmp_path / "none" / "store.db")
    lines = check(settings)
    assert 2 == len([line for line in lines if line.colour == "red"])


def test_check_tries_the_rules(tmp_path: Path) -> None:
    """A rule that does not exist stops `classify`, so the check ends with the same code."""
    rules = {"Foo": RuleChange(reason="abcd")}
    lines = check(Settings(rules=rules, prophylaxis=tmp_path / "none.csv"), None, check_rules)
    assert 10 in [line.exit_code for line in lines if "rules that do not exist: Foo" in line.what]
    lines = check(Settings(prophylaxis=tmp_path / "none.csv"), None, check_rules)
    assert 11 in [line.exit_code for line in lines if "none.csv" in line.what]


def test_smart_with_a_token_of_five_seconds(tmp_path: Path, codes: Codes) -> None:
    """ES384, tokens that end in mid-walk: every page is got, nothing is refused for good."""
    key = ec.generate_private_key(ec.SECP384R1())
    key_file, public = tmp_path / "key.pem", tmp_path / "public.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    client = {"client_id": "cart-nrm", "public_key_path": str(public), "scopes": "system/*.*"}
    smart = {"types": ["smart", "bearer"], "tokens": ["to-fill"], "smart_clients": [client]}
    with sekmet_server(tmp_path, server_auth={**smart, "token_lifetime": 5}) as base:
        put_all(base, some_resources(40), bearer="to-fill")
        settings = Settings(
            server=base,
            auth={  # type: ignore[arg-type]
                "kind": "smart", "client_id": "cart-nrm", "key_file": key_file,
                "algorithm": "ES384",
            },
            connection={"find": "all", "page_size": 1, "parallel": 1},  # type: ignore[arg-type]
        )  # fmt: skip
        walks, ends = 0, time.monotonic() + 6
        while time.monotonic() < ends:  # long enough for the first token to die
            with Store(tmp_path / f"{walks}.db") as store:
                report = sync(store, settings, codes)
                held = sum(store.counts().values())
            assert (0, len(some_resources(40))) == (report.exit_code, held)
            walks += 1
        lines = check(settings, tmp_path / "0.db")
        assert [] == [line for line in lines if line.colour == "red"]
