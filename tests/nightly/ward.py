"""A small synthetic hospital whose data the tests change between nights."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapter.config import Connection, Nightly, Settings
from adapter.tell import Night
from examples.endpoint import Endpoint, Handler
from examples.shelf import Body, Entry, Refused, Shelf, stamp
from tests.builders import condition, encounter, observation, patient, procedure

Resource = dict[str, Any]
AXI = "pcs|XW033H7"
WORSENED: Resource = {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct",
                                                 "code": "271299001"}]}}  # fmt: skip


def about(name: str, *resources: Resource) -> list[Resource]:
    """Resources of one patient, with ids by position unless they have one."""
    found = []
    for number, resource in enumerate(resources):
        kind = resource["resourceType"]
        subject = {} if kind == "Patient" else {"subject": {"reference": f"Patient/{name}"}}
        id_ = name if kind == "Patient" else f"{name}-{kind[:4].lower()}{number}"
        found.append({"id": id_, **subject, **resource})
    return found


def recipient(name: str, *more: Resource, died: str | None = None) -> list[Resource]:
    """Somebody with lymphoma and one infusion on 2025-06-01, seen until 2025-09-09."""
    person = patient(died=died) if died else patient()
    base = [person, condition("cm|C83.38", on="2025-01-15"), procedure(AXI, on="2025-06-01")]
    seen = [] if died else [encounter("2025-09-09")]
    return about(name, *base, *seen, *more)


def relapse(on: str = "2025-08-30") -> Resource:
    """The disease is back."""
    return observation("97509-4", on=on, **WORSENED)


def sepsis(on: str = "2025-06-18") -> Resource:
    """A bloodstream infection, as a diagnosis."""
    return condition("cm|A41.9", on=on)


class Ward:
    """The server's shelf, its address, and its moods.

    Types it refuses, gives too late or says it has none of; after how many requests it hangs up;
    what it answers instead of FHIR; by how many seconds its clock is ahead.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.base = shelf, ""
        self.open = ExitStack()
        self.refused: set[str] = set()
        self.says = "not tonight"
        self.slow: set[str] = set()
        self.empty: set[str] = set()
        self.answer = threading.Event()
        self.hangs_up_after: int | None = None
        self.instead = b""
        self.ahead = 0.0
        self.asked = 0

    def put(self, *resources: Resource) -> None:
        """New or changed resources."""
        for resource in resources:
            self.shelf.put({**resource, "meta": {}})

    def begin(self, port: int = 0) -> None:
        """Answer from now on."""
        self.base = self.open.enter_context(_served(self.shelf, port))

    @contextmanager
    def off(self) -> Iterator[None]:
        """Nobody listens at its address."""
        self.open.close()
        try:
            yield
        finally:
            self.begin(urlsplit(self.base).port or 0)

    @contextmanager
    def mood(self, **moods: Any) -> Iterator[None]:
        """In another mood until the end."""
        before = {name: getattr(self, name) for name in moods}
        self.asked = 0
        for name, value in moods.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            self.answer.set()
            self.answer = threading.Event()
            for name, value in before.items():
                setattr(self, name, value)

    def delete(self, kind: str, name: str) -> None:
        """One resource is gone."""
        self.shelf.delete((kind, name))


class _Grumpy(Shelf):
    ward: Ward | None = None

    def search(self, kind: str, query: list[tuple[str, str]]) -> Any:
        if self.ward is not None and kind in self.ward.refused:
            raise Refused(500, "exception", self.ward.says)
        if self.ward is not None and kind in self.ward.slow:
            self.ward.answer.wait()
        if self.ward is not None and kind in self.ward.empty:
            return []
        return super().search(kind, query)

    def put(self, resource: Resource, body: Body | None = None) -> Entry:
        if self.ward is not None and self.ward.ahead:
            when = stamp(datetime.now(UTC) + timedelta(seconds=self.ward.ahead))
            resource, body = {**resource, "meta": {"lastUpdated": when}}, None
        return super().put(resource, body)


class _Moody(Handler):
    def answer(self, work: Callable[[], tuple[int, Body | Resource | None]]) -> None:
        ward = getattr(self.server.shelf, "ward", None)
        assert ward is not None
        ward.asked += 1
        if ward.hangs_up_after is not None and ward.asked > ward.hangs_up_after:
            self.close_connection = True
        elif ward.instead:
            self.send_response(200)
            self.send_header("Content-Length", str(len(ward.instead)))
            self.end_headers()
            self.wfile.write(ward.instead)
        else:
            super().answer(work)

    def date_time_string(self, timestamp: float | None = None) -> str:
        ward = getattr(self.server.shelf, "ward", None)
        now = datetime.now(UTC).timestamp() if timestamp is None else timestamp
        return super().date_time_string(now + (ward.ahead if ward is not None else 0))


@contextmanager
def _served(shelf: Shelf, port: int = 0) -> Iterator[str]:
    """The shelf as a server, until the end; gives its FHIR base."""
    server = Endpoint(shelf, port)
    server.RequestHandlerClass = _Moody
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.base_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def ward() -> Iterator[Ward]:
    """A served hospital with two recipients, one of whom died of infection, and a neighbour."""
    shelf = _Grumpy()
    shelf.ward = Ward(shelf)
    shelf.ward.put(
        *recipient("synthetic-0001"),
        *recipient("synthetic-0002", sepsis(), died="2025-06-21"),
        *about("synthetic-0003", patient(), condition("cm|I10", on="2025-01-15")),
    )
    shelf.ward.begin()
    try:
        yield shelf.ward
    finally:
        shelf.ward.answer.set()
        shelf.ward.open.close()


def settings(folder: Path, base: str, **nightly: Any) -> Settings:
    """Everything in one folder; a server that fails is not waited for."""
    told = {"folder": folder / "nights", "heartbeat": folder / "beat.json", "free_mb": 0,
            "metrics": folder / "night.prom"}  # fmt: skip
    return Settings(
        store=folder / "cart.db",
        server=base,
        connection=Connection(retries=0, longest_wait_seconds=0.1),
        nightly=Nightly(**{**told, **nightly}),
    )


def outcome(night: Night) -> tuple[str, int]:
    """How a night ended."""
    return night.state, night.exit_code
