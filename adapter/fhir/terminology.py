"""Ask a terminology server for the descendants of our SNOMED CT codes (`mappings expand`).

A row with match `descendants` knows its children only when an expansion is loaded. The result is
a CSV in the site's own folder: SNOMED CT content needs the site's licence and is not ours to ship.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from adapter.atomic import write_atomically
from adapter.codes import Codes, short_name
from adapter.codes.systems import SNOMED
from adapter.errors import UNREADABLE, ServerError, SliceFailed
from adapter.fhir.client import Client, Request
from adapter.model import Note

_PAGE = 1000
_MOST = 100_000  # codes below one parent; infectious disease has some ten thousand

#: Path below the server's base and parameters in, the decoded answer out.
Ask = Callable[[str, tuple[tuple[str, str], ...]], Any]


def asking(client: Client) -> Ask:
    """How `expand` asks a real server."""

    def ask(path: str, params: tuple[tuple[str, str], ...]) -> Any:
        request = Request("terminology $expand", client.url(path, params))
        return client.ask(request, lambda reply: msgspec.json.decode(reply.body))

    return ask


def expand(ask: Ask, codes: Codes, site: Path) -> list[Note]:
    """Write `site`/expansions/snomed.csv; a parent that cannot be expanded is a note.

    ServerError when no parent at all could be expanded: an older file is then left as it is.
    """
    asked = [row for row in codes.rows if row.match == "descendants"]
    parents = sorted({row.code for row in asked if row.system == SNOMED})
    notes = [
        Note(f"{short_name(system)} has no hierarchy that $expand could follow.", system,
             "Add the product codes your server sends to the site overlay.", "no_expansion")
        for system in sorted({row.system for row in asked} - {SNOMED})
    ]  # fmt: skip
    below: dict[str, list[str]] = {}
    for parent in parents:
        try:
            below[parent] = _descendants(ask, parent)
        except SliceFailed as problem:
            what = f"SNOMED CT {parent} was not expanded: {problem.message}"
            notes.append(Note(what, kind="no_expansion"))
    if parents and not below:
        raise ServerError("The terminology server expanded nothing.", notes[-1].what)
    lines = [f"{SNOMED},{parent},{code}" for parent, found in below.items() for code in found]
    path = site / "expansions" / "snomed.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(("system,parent,code", *lines, "")).encode())
    return notes


class _Member(msgspec.Struct):
    code: Any = None


class _Expansion(msgspec.Struct, frozen=True):
    total: int | None = None
    contains: list[_Member] = []


class _ValueSet(msgspec.Struct):
    expansion: _Expansion = _Expansion()


def _descendants(ask: Ask, parent: str) -> list[str]:
    """The parent's descendants by ECL `<<` (SNOMED CT in FHIR, implicit value sets)."""
    found: list[str] = []
    while len(found) < _MOST:
        url, offset = f"{SNOMED}?fhir_vs=ecl/<<{parent}", str(len(found))
        params = (("url", url), ("count", str(_PAGE)), ("offset", offset))
        try:
            expansion = msgspec.convert(ask("ValueSet/$expand", params), _ValueSet).expansion
        except UNREADABLE:
            raise SliceFailed("the answer is not an expansion") from None
        page = [str(one.code) for one in expansion.contains]
        found += page
        if not page or len(found) >= (expansion.total or 0):
            return sorted({code for code in found if code != parent and code.isdigit()})
    raise SliceFailed(f"more than {_MOST} descendants")
