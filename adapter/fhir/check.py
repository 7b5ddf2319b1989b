"""`cart-nrm check`: will tonight's sync work? Green, amber and red lines with what to do.

Asks the server a handful of tiny questions; nothing of a patient is shown or stored.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from adapter.codes import load_codes
from adapter.codes.prophylaxis import prophylaxis_rules
from adapter.config import RuleChange, Settings
from adapter.errors import CartNrmError, ServerError
from adapter.fhir.capabilities import Capabilities, read_capabilities
from adapter.fhir.client import Client
from adapter.fhir.plan import FINDERS, Planner
from adapter.fhir.quirks import known
from adapter.fhir.search import Searcher

Colour = Literal["green", "amber", "red"]
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_SKEW_AMBER, _SKEW_RED = 30.0, 240.0  # seconds; an assertion lives 240 s
_OLD_KEY_DAYS = 365  # convention: SMART asks for rotation, without a number
_LITTLE_SPACE = 2 * 2**30


class Line(msgspec.Struct, frozen=True):
    """One finding: what was looked at and how it is, and what to do about it."""

    colour: Colour
    what: str
    todo: str = ""
    exit_code: int = ServerError.exit_code  # what a command that needs this would end with


def check(
    settings: Settings,
    store: Path | None = None,
    check_rules: Callable[[Mapping[str, RuleChange]], None] = lambda changes: None,
) -> list[Line]:
    """Look at the way to the server, our credentials, what it offers, and this machine.

    `check_rules` refuses changes of cause rules as `classify` would: it knows which there are.
    """
    patient = settings.connection.model_copy(update={"retries": 1, "longest_wait_seconds": 5.0})
    quick = settings.model_copy(update={"connection": patient})
    lines = list(_machine(settings, store or settings.store))
    lines += _tried(lambda: _code_lists(settings))
    lines += _tried(lambda: _rules(settings, check_rules))
    try:
        client = Client(quick)
    except CartNrmError as problem:
        return [*lines, _red(problem)]
    try:
        lines += _encrypted(settings.server)
        lines += _tried(lambda: _server(client, quick))
    finally:
        client.close()
    return lines


def _code_lists(settings: Settings) -> Iterator[Line]:
    codes = load_codes(settings.site_mappings, include_unverified=settings.include_unverified)
    overlay = " with the site overlay" if settings.site_mappings else ""
    yield Line("green", f"The code lists load{overlay}: {len(codes.rows):,} rows.")
    for note in codes.notes:
        yield Line("amber", note.what, note.todo)


def _rules(
    settings: Settings, check_rules: Callable[[Mapping[str, RuleChange]], None]
) -> Iterator[Line]:
    check_rules(settings.rules)
    told = len(prophylaxis_rules(settings.prophylaxis))
    changed = len(settings.rules)
    yield Line("green", f"The rules load: {changed} changed for causes, {told} for prophylaxis.")


def _server(client: Client, settings: Settings) -> Iterator[Line]:
    offers = read_capabilities(client)
    name = f" ({offers.software})" if offers.software else ""
    yield Line("green", f"The server answers and speaks FHIR {offers.fhir_version}{name}.")
    yield _clock(client.credentials.skew)
    yield from _tried(lambda: _token(client, settings))
    yield from _quirks(settings, offers)
    planner = Planner(settings.connection, client.quirks, offers)
    yield from _offers(planner)
    searcher = Searcher(client)
    for kind in planner.types():
        yield from _tried(lambda kind=kind: _tiny_search(planner, searcher, kind))  # type: ignore[misc]


def _tried(look: Callable[[], Iterator[Line]]) -> list[Line]:
    """The lines, and a red one where looking failed."""
    lines: list[Line] = []
    try:
        lines.extend(look())
    except CartNrmError as problem:
        lines.append(_red(problem))
    return lines


def _red(problem: CartNrmError) -> Line:
    return Line("red", problem.message, problem.hint, problem.exit_code)


def _encrypted(server: str) -> list[Line]:
    parts = urlsplit(server)
    if parts.scheme == "https":
        return [Line("green", "The way to the server is encrypted.")]
    if parts.hostname in _LOCAL:
        return [Line("green", "The server is on this machine.")]
    return [Line("red", "The way to the server is not encrypted.", "Use its https address.")]


def _clock(skew: float) -> Line:
    if abs(skew) < _SKEW_AMBER:
        return Line("green", "The server's clock and ours agree.")
    colour: Colour = "amber" if abs(skew) < _SKEW_RED else "red"
    return Line(
        colour, f"The server's clock differs from ours by {skew:.0f} s.", "Set both by NTP."
    )


def _token(client: Client, settings: Settings) -> Iterator[Line]:
    kind = settings.auth.kind
    if kind == "none":
        yield Line("green", "No credentials are used.")
        return
    client.credentials.header()
    yield Line("green", f"Credentials are there ({kind}).")
    granted = client.credentials.granted().split()
    lacking = [
        kind
        for kind in settings.connection.types
        if granted and not any(_allows(scope, kind) for scope in granted)
    ]
    if lacking:
        yield Line(
            "amber",
            f"The token does not allow reading {', '.join(lacking)}.",
            "Ask for these scopes, or leave the types out of connection.types.",
        )


def _allows(scope: str, kind: str) -> bool:
    """SMART version 1 (`system/Patient.read`) and 2 (`system/Patient.rs`)."""
    _, _, rest = scope.partition("/")
    named, _, may = rest.partition(".")
    may = may.partition("?")[0]
    return named in ("*", kind) and (may in ("read", "*") or {"r", "s"} <= set(may))


def _quirks(settings: Settings, offers: Capabilities) -> Iterator[Line]:
    chosen = settings.connection.quirks
    named = offers.software.lower()
    likely = next((name for name in known() if name != "plain" and name in named), "")
    if chosen:
        yield Line("green", f"Quirks: {chosen}.")
    elif likely:
        yield Line(
            "amber",
            f"The server looks like one of the kind {likely}.",
            f'Set connection.quirks = "{likely}".',
        )


def _offers(planner: Planner) -> Iterator[Line]:
    for kind in planner.missing_types():
        yield Line("amber", f"{kind}: the server does not offer it.", "Rules that need it abstain.")
    offers, settings = planner.offers, planner.connection
    for kind in planner.types():
        if not planner.by_instant(kind) or not offers.has(kind, "_lastUpdated"):
            yield Line(
                "amber",
                f"{kind}: the server does not say that it searches by _lastUpdated.",
                "If it really cannot, name the type under no_last_updated in a quirk file.",
            )
    if settings.find in ("auto", "procedures", "medications"):
        cannot = [k for k in FINDERS if k in planner.types() and not offers.has(k, "code")]
        if cannot:
            yield Line("amber", f"Recipients cannot be found by code in {', '.join(cannot)}.")
    if settings.mode == "bulk" and not offers.exports:
        yield Line("red", "The server does not offer $export.", 'Set connection.mode = "search".')


def _tiny_search(planner: Planner, searcher: Searcher, kind: str) -> Iterator[Line]:
    query = msgspec.structs.replace(planner.query(kind), page=1, light=True)
    searcher.peek(query)
    yield Line("green", f"{kind}: can be searched.")


def _machine(settings: Settings, store: Path) -> Iterator[Line]:
    folder = store.resolve().parent
    if folder.is_dir():
        free = shutil.disk_usage(folder).free
        needed = max(_LITTLE_SPACE, store.stat().st_size if store.exists() else 0)
        enough = free > needed
        yield Line(
            "green" if enough else "amber",
            f"{free / 2**30:.0f} GB are free where the store is.",
            "" if enough else "Make room: a full disk stops the night.",
        )
        yield from _closed(folder)
    else:
        yield Line("red", f"The folder {folder} does not exist.", "Create it, or set --store.")
    if settings.nightly.folder.is_dir():
        yield from _closed(settings.nightly.folder)
    for secret in (settings.auth.key_file, settings.auth.secret_file):
        if secret is not None and secret.exists():
            yield from _secret_file(secret)


def _closed(path: Path) -> Iterator[Line]:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Line("amber", f"Others on this machine can read {path.name}.", f"chmod go= {path}")


def _secret_file(path: Path) -> Iterator[Line]:
    yield from _closed(path)
    days = int((time.time() - path.stat().st_mtime) / 86_400)
    if days > _OLD_KEY_DAYS:
        yield Line("amber", f"{path.name} is {days} days old.", "Replace it and register the new.")
