"""The demo endpoint: a small but well-behaved FHIR R4 server on loopback."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.endpoint import Endpoint, main, serving
from examples.shelf import Refused, Shelf

Json = dict[str, Any]
LOINC = "http://loinc.org"


def patient(name: str, updated: str = "2026-01-01T00:00:00Z") -> Json:
    """A Patient as small as can be."""
    return {"resourceType": "Patient", "id": name, "meta": {"lastUpdated": updated}}


def observation(name: str, who: str, code: str = "751-8", **more: Any) -> Json:
    """An Observation with one LOINC code."""
    return {
        "resourceType": "Observation",
        "id": name,
        "meta": {"lastUpdated": more.pop("updated", "2026-01-02T10:00:00.500Z")},
        "status": more.pop("status", "final"),
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{who}"},
        **more,
    }


RESOURCES = [
    patient("a"),
    patient("b", "2026-03-05T12:00:00+01:00"),
    *(observation(f"o{n}", "a", updated=f"2026-01-{n + 1:02d}T10:00:00.500Z") for n in range(7)),
    observation("p1", "b", "600-7", status="preliminary"),
    observation("p2", "b", "1988-5"),
]


@pytest.fixture
def base() -> Iterator[str]:
    """A server of its own for each test, so that tests may change it."""
    with serving(json.loads(json.dumps(RESOURCES))) as base_url:
        yield base_url


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """One keep-alive connection."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def found(http: requests.Session, base: str, query: str) -> set[str]:
    """Ids on the first page of a search."""
    bundle = http.get(f"{base}/{query}").json()
    return {entry["resource"]["id"] for entry in bundle.get("entry", [])}


def test_capabilities_name_types_and_searches(base: str, http: requests.Session) -> None:
    """The CapabilityStatement lists each type with its search parameters."""
    statement = http.get(f"{base}/metadata").json()
    types = {one["type"]: one for one in statement["rest"][0]["resource"]}
    assert statement["fhirVersion"] == "4.0.1"
    assert {"Patient", "Observation", "Procedure", "Condition"} <= set(types)
    names = {search["name"] for search in types["Observation"]["searchParam"]}
    assert {"patient", "code", "_lastUpdated", "_id", "status", "category"} <= names


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Patient", {"a", "b"}),
        ("Patient?_id=a,x", {"a"}),
        ("Observation?patient=b", {"p1", "p2"}),
        ("Observation?patient=Patient/b&status=final", {"p2"}),
        ("Observation?subject=Patient/b,Patient/zzz", {"p1", "p2"}),
        ("Observation?code=http://loinc.org|600-7,http://loinc.org|1988-5", {"p1", "p2"}),
        ("Observation?code=600-7", {"p1"}),
        ("Observation?code=http://snomed.info/sct|", set()),
        ("Observation?patient=b&code=http://loinc.org|", {"p1", "p2"}),
        ("Observation?patient=b&code=751-8", set()),
        ("Observation?patient=b&category=laboratory", {"p1", "p2"}),
        ("Observation?_lastUpdated=ge2026-01-06&_lastUpdated=lt2026-01-07", {"o5"}),
        ("Observation?_lastUpdated=gt2026-01-06", {"o6"}),
        ("Observation?_lastUpdated=le2026-01-01T10:00:00.500Z", {"o0"}),
        ("Observation?_lastUpdated=2026-01-03", {"o2"}),
        ("Patient?_lastUpdated=2026-03", {"b"}),
        ("Patient?_lastUpdated=ge2026-03-05T12:00:00%2B01:00", {"b"}),
        ("Patient?_lastUpdated=gt2026", set()),
        ("Condition", set()),
    ],
)
def test_searches(base: str, http: requests.Session, query: str, ids: set[str]) -> None:
    """Parameters are and-ed, commas are or-ed."""
    assert ids == found(http, base, query)


def test_paging_visits_everything_once_by_opaque_links(base: str, http: requests.Session) -> None:
    """Next links lead through all matches, with the total on every page."""
    url: str | None = f"{base}/Observation?_count=2&_sort=-_lastUpdated&patient=a"
    ids = []
    while url:
        bundle = http.get(url).json()
        assert bundle["total"] == 7
        ids += [entry["resource"]["id"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        assert url is None or "patient" not in url
    assert [f"o{n}" for n in reversed(range(7))] == ids


def test_a_forgotten_search_is_gone_not_empty(base: str, http: requests.Session) -> None:
    """An expired next link answers 410, which no client can take for the end."""
    answer = http.get(f"{base}/Observation?_page=old&_offset=2&_count=2")
    assert (410, "OperationOutcome") == (answer.status_code, answer.json()["resourceType"])


def test_count_summary_and_zero_carry_the_total_only(base: str, http: requests.Session) -> None:
    """_summary=count and _count=0 ask how many there are."""
    for query in ("_summary=count", "_count=0"):
        bundle = http.get(f"{base}/Observation?{query}").json()
        assert (9, False) == (bundle["total"], "entry" in bundle)


def test_searches_may_be_posted(base: str, http: requests.Session) -> None:
    """POST _search keeps identifiers out of the address."""
    form = {"patient": "b", "_lastUpdated": ["ge2026-01-01", "lt2027-01-01"]}
    bundle = http.post(f"{base}/Observation/_search", data=form).json()
    assert {"p1", "p2"} == {entry["resource"]["id"] for entry in bundle["entry"]}
    assert f"{base}/Observation/p1" in {entry["fullUrl"] for entry in bundle["entry"]}


def test_resources_are_served_byte_for_byte(base: str, http: requests.Session) -> None:
    """Read gives what was put in, as FHIR JSON."""
    answer = http.get(f"{base}/Observation/p1")
    assert RESOURCES[-2] == answer.json()
    assert answer.headers["Content-Type"].startswith("application/fhir+json")


def test_deleted_is_gone_and_comes_back_when_put(base: str, http: requests.Session) -> None:
    """DELETE answers 204, then reads answer 410 and searches pass over it, until a PUT."""
    assert 204 == http.delete(f"{base}/Observation/p1").status_code
    assert 410 == http.get(f"{base}/Observation/p1").status_code
    assert {"p2"} == found(http, base, "Observation?patient=b")
    assert 204 == http.delete(f"{base}/Observation/p1").status_code
    assert 201 == http.put(f"{base}/Observation/p1", json=observation("p1", "b")).status_code
    assert {"p1", "p2"} == found(http, base, "Observation?patient=b")


def test_put_changes_version_time_and_indices(base: str, http: requests.Session) -> None:
    """A changed resource is found by its new code, by its new time, and only there."""
    changed = http.put(f"{base}/Observation/p1", json=observation("p1", "a", "4548-4")).json()
    assert changed["meta"]["versionId"] == "2"
    again = http.put(f"{base}/Observation/p1", json=changed).json()
    assert again["meta"]["versionId"] == "3"
    assert again["meta"]["lastUpdated"] > changed["meta"]["lastUpdated"]
    assert {"p1"} == found(http, base, "Observation?code=4548-4")
    assert {"p1"} == found(
        http, base, f"Observation?_lastUpdated=gt{changed['meta']['lastUpdated']}"
    )
    assert {"p2"} == found(http, base, "Observation?patient=b")


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "Patient/none", 404),
        ("GET", "Spaceship", 404),
        ("GET", "Patient/a/_history/1", 404),
        ("GET", "Patient?favourite=blue", 400),
        ("GET", "Patient?_lastUpdated=yesterday", 400),
        ("GET", "Patient?_lastUpdated=sa2026", 400),
        ("GET", "Patient?_sort=name", 400),
        ("GET", "Patient?_count=many", 400),
        ("POST", "Patient", 405),
        ("PUT", "Patient/a", 400),
        ("DELETE", "Patient", 405),
        ("GET", "../elsewhere", 404),
    ],
)
def test_errors_are_operation_outcomes(
    base: str, http: requests.Session, verb: str, path: str, status: int
) -> None:
    """Whatever cannot be done is answered with a reason and the right status."""
    answer = http.request(verb, f"{base}/{path}", data=b"no json")
    assert (status, "OperationOutcome") == (answer.status_code, answer.json()["resourceType"])


def test_connections_are_kept(base: str, http: requests.Session) -> None:
    """HTTP/1.1 keep-alive: many requests, errors among them, use one connection."""
    for path in ("metadata", "Patient/none", "Patient", "Patient/a"):
        answer = http.get(f"{base}/{path}")
        assert answer.raw.version == 11
        assert "close" != answer.headers.get("Connection", "")
    pools = http.get_adapter(base).poolmanager.pools  # type: ignore[attr-defined]
    assert [1] == [pool.num_connections for pool in pools._container.values()]


def test_a_folder_is_served_from_plain_and_packed_files(
    tmp_path: Path, http: requests.Session
) -> None:
    """NDJSON and NDJSON.gz, blank lines and a missing last line end are all right."""
    (tmp_path / "Patient.ndjson").write_text(
        "\n\n".join(json.dumps(patient(name)) for name in "xyz"), encoding="utf-8"
    )
    with gzip.open(tmp_path / "Observation.ndjson.gz", "wt", encoding="utf-8") as lines:
        lines.write(json.dumps(observation("o1", "x", note=[{"text": "µ"}])) + "\n")
    (tmp_path / "Condition.ndjson").touch()
    with serving(tmp_path) as base:
        assert {"x", "y", "z"} == found(http, base, "Patient")
        assert {"o1"} == found(http, base, "Observation?patient=x")


def test_resources_without_a_time_get_one(http: requests.Session) -> None:
    """Data sets without meta.lastUpdated can be served too."""
    with serving([{"resourceType": "Patient", "id": "p"}]) as base:
        assert http.get(f"{base}/Patient/p").json()["meta"]["lastUpdated"].endswith("Z")


def test_only_loopback_is_served_and_delay_can_be_asked_for() -> None:
    """The server never listens to the outside; latency_ms slows every answer."""
    with serving([patient("a")], latency_ms=60) as base:
        started = time.perf_counter()
        requests.get(f"{base}/Patient/a", timeout=5)
        assert time.perf_counter() - started >= 0.06
    server = Endpoint(Shelf())
    server.server_close()
    assert server.server_address[0] == "127.0.0.1"


def test_the_shelf_refuses_what_it_never_had() -> None:
    """An unknown resource is refused by the shelf itself."""
    with pytest.raises(Refused, match="not known"):
        Shelf().get(("Patient", "nobody"))


def test_the_command_prints_where_it_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """python -m examples.endpoint FOLDER prints the base URL and serves until interrupted."""
    (tmp_path / "Patient.ndjson").write_text(json.dumps(patient("a")) + "\n", encoding="utf-8")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("examples.endpoint.wait", interrupted)
    main([str(tmp_path)])
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
