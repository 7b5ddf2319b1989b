"""A small synthetic hospital whose data the tests change between nights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapter.config import Connection, Nightly, Settings
from adapter.tell import Night
from examples.endpoint import Endpoint
from examples.shelf import Refused, Shelf
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
    """The server's shelf, its address, and the types it refuses or gives too late."""

    def __init__(self, shelf: Shelf, base: str) -> None:
        self.shelf, self.base = shelf, base
        self.refused: set[str] = set()
        self.says = "not tonight"
        self.slow: set[str] = set()
        self.answer = threading.Event()

    def put(self, *resources: Resource) -> None:
        """New or changed resources."""
        for resource in resources:
            self.shelf.put({**resource, "meta": {}})

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
        return super().search(kind, query)


@contextmanager
def ward() -> Iterator[Ward]:
    """A served hospital with two recipients, one of whom died of infection, and a neighbour."""
    shelf = _Grumpy()
    server = Endpoint(shelf)
    shelf.ward = Ward(shelf, server.base_url)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    shelf.ward.put(
        *recipient("synthetic-0001"),
        *recipient("synthetic-0002", sepsis(), died="2025-06-21"),
        *about("synthetic-0003", patient(), condition("cm|I10", on="2025-01-15")),
    )
    try:
        yield shelf.ward
    finally:
        shelf.ward.answer.set()
        server.shutdown()
        server.server_close()
        thread.join()


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
