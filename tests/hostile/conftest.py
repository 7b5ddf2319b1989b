"""Fixtures of the hostile suite: an honest server, a stranger, and a night between them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from adapter.codes import Codes, load_codes
from adapter.config import Settings
from adapter.errors import CartNrmError
from adapter.store import Store
from adapter.sync import SyncReport, sync
from tests.hostile.little import TYPES, Little

TOKEN = "planted-bearer-token-0123456789"
NAME = "Planted-Family-Name"


@dataclass
class Night:
    """How one sync ended: the report or the error, what the user reads, what the store holds."""

    report: SyncReport | None
    error: CartNrmError | None
    code: int
    says: str
    holds: set[str]


@dataclass
class World:
    """Everything a hostile test needs."""

    server: Little
    stranger: HTTPServer
    codes: Codes
    folder: Path
    slept: list[float] = field(default_factory=list)
    connection: dict[str, Any] = field(default_factory=dict)
    auth: dict[str, Any] = field(default_factory=dict)
    nights: list[Night] = field(default_factory=list)
    clock: float | None = None

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / "store.db"

    def settings(self) -> Settings:
        """Small pages, few retries, our planted token."""
        connection = {
            "find": "all", "types": TYPES, "page_size": 5, "retries": 2, "parallel": 2,
            "timeout_seconds": 5, **self.connection,
        }  # fmt: skip
        auth = self.auth or {"kind": "bearer", "secret_env": "CART_NRM_TEST_TOKEN"}
        return Settings(server=self.server.base, connection=connection, auth=auth)  # type: ignore[arg-type]

    def night(self, **more: Any) -> Night:
        """One sync, seen as the user sees it."""
        report = error = None
        with Store(self.store) as store:
            try:
                report = sync(store, self.settings(), self.codes, sleep=self.slept.append, **more)
                report.raise_if_incomplete()
            except CartNrmError as problem:
                error = problem
            holds = {f"{kind}/{id_}" for kind in store.counts() for id_ in store.ids(kind)}
        code = error.exit_code if error else 0
        says = f"{error or ''} {' '.join(report.notes) if report else ''}"
        self.nights.append(Night(report, error, code, says, holds))
        return self.nights[-1]

    def complete(self) -> None:
        """After healing, the next night is complete and the store equals the server."""
        self.server.heal()
        night = self.night()
        assert (0, self.server.ids()) == (night.code, night.holds)

    def due(self) -> set[tuple[str, str]]:
        """(patient, type) of what the store says is due."""
        with Store(self.store) as store:
            rows = store.db.execute("SELECT patient, type FROM slice WHERE due IS NOT NULL")
            return set(rows.fetchall())


@pytest.fixture(scope="session")
def codes() -> Codes:
    return load_codes()


@pytest.fixture
def stranger() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0) as server:
        server.expect_request("/anything").respond_with_data("")
        yield server


@pytest.fixture
def world(
    httpserver: HTTPServer,
    stranger: HTTPServer,
    codes: Codes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[World]:
    """A world; afterwards, whatever happened: no token at the stranger's, no secret told."""
    monkeypatch.setenv("CART_NRM_TEST_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    made = World(Little(httpserver).people(), stranger, codes, tmp_path)
    yield made
    assert all(night.report.account_holds for night in made.nights if night.report)
    for request, _ in stranger.log:
        said = f"{request.url} {dict(request.headers)} {request.get_data()!r}"
        assert TOKEN not in said
        assert "Authorization" not in request.headers
    told = "".join(
        record.getMessage() for record in caplog.records if record.name != "werkzeug"
    ) + "".join(night.says for night in made.nights)
    assert TOKEN not in told
    assert NAME not in told
    assert "patient=" not in told
