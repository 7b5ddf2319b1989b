"""What changed since last time, from the server into the store, and an honest account of the rest.

Nothing is called done that was not walked to the end and compared with what the server says it
has. What failed stays due and is named; what vanished in a mass pulls a brake.
"""

import time
from collections.abc import Callable

import msgspec

from adapter.codes import Codes
from adapter.config import Connection, Settings
from adapter.errors import CartNrmError, StoreError
from adapter.fhir.check import Line, check
from adapter.fhir.connect import Server, connect
from adapter.fhir.group import group_members, listed_patients
from adapter.fhir.plan import Planned, describe_plan
from adapter.ledger import Ledger
from adapter.store import Store
from adapter.sync.base import known_style
from adapter.sync.export import ExportNight
from adapter.sync.intake import Tell
from adapter.sync.night import Night
from adapter.sync.report import Due, SyncReport

__all__ = ["Due", "Line", "Planned", "SyncReport", "Tell", "check", "plan", "sync"]


def plan(settings: Settings, codes: Codes, store: Store | None = None) -> list[Planned]:
    """What a sync would ask, why, and how many rows to expect; pulls nothing."""
    server = connect(settings)
    try:
        patients, typed = _known_patients(server, settings.connection, store)
        count = server.searcher.count
        return describe_plan(server.planner, codes, count, sorted(patients), typed=typed)
    finally:
        server.client.close()


def _known_patients(
    server: Server, asked: Connection, store: Store | None
) -> tuple[set[str], bool]:
    """Whom a plan can count before anything is pulled, and how this server names them."""
    style = known_style(store) if store is not None else None
    typed = style is not None and style.typed
    if asked.find == "patients":
        return listed_patients(asked.patients), typed
    if asked.find == "group":
        return group_members(server.client, asked.group), typed
    return (Ledger(store).patients() if store is not None else set()), typed


def sync(
    store: Store,
    settings: Settings,
    codes: Codes,
    *,
    progress: Tell | None = None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
    accept_vanished: bool = False,
) -> SyncReport:
    """Bring the store up to date with the server.

    Raises when nothing can be done at all (no entry, no server, wrong settings, wrong store).
    Otherwise returns a report; `report.exit_code` says complete, partial or alarm.
    """
    _same_server(store, settings.server)
    report = SyncReport(run=store.begin("sync", settings.server))
    began = time.monotonic()
    try:
        server = connect(settings, sleep=sleep, now=now)
        # only a server that answered gives the store its name: a typing error must not
        store.set_meta("server", settings.server.rstrip("/"))
        try:
            kind = ExportNight if settings.connection.mode == "bulk" else Night
            night = kind(store, settings, codes, server, report)
            night.intake.tell = progress or night.intake.tell
            night.comparison.accept_vanished = accept_vanished
            night.go()
        finally:
            report.requests = server.client.requests
            server.client.close()
    except BaseException as problem:
        report.state = "failed"
        report.note(problem.message if isinstance(problem, CartNrmError) else "stopped by a fault")
        raise
    finally:
        report.seconds = round(time.monotonic() - began, 3)
        store.end(report.run, report.state, msgspec.to_builtins(report))
    return report


def _same_server(store: Store, server: str) -> None:
    """Two hospitals in one store could give one patient id to two people."""
    known, base = store.meta("server"), server.rstrip("/")
    if known is not None and known != base:
        raise StoreError(
            "This store was filled from another server.",
            "Use another --store for this one, or correct `server`.",
        )
