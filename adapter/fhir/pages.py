"""One question and one page of its answer, read from a bundle without trusting it."""

from typing import Any

import msgspec

from adapter.envelope import Envelope, Reject, open_envelope
from adapter.errors import UNREADABLE, SliceFailed
from adapter.fhir.client import issues_of
from adapter.fhir.gate import Gate, Way
from adapter.fhir.transport import Broken, Reply

Params = tuple[tuple[str, str], ...]

#: Issue codes which say that a search was not understood, so that zero rows mean nothing.
NOT_UNDERSTOOD = frozenset(
    {"not-supported", "invalid", "required", "value", "structure", "security", "forbidden"}
)


class Query(msgspec.Struct, frozen=True):
    """One search: `light` asks for id and meta only; `page` is rows per page.

    `keyset`: each page is asked for anew from the last instant seen. Behind a server's next links
    with offsets, a row deleted during the walk shifts another past us; behind instants it cannot.
    """

    type: str
    params: Params = ()
    light: bool = False
    page: int = 200
    sorted: bool = True
    keyset: bool = False

    def also(self, *more: tuple[str, str]) -> "Query":
        """The same search with more conditions."""
        return msgspec.structs.replace(self, params=(*self.params, *more))

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"{self.type} search"


class Page(msgspec.Struct):
    """One page of matches. `light` rows hold id and meta only and are never stored."""

    query: Query
    rows: list[Envelope] = []
    rejects: list[Reject] = []
    messages: list[str] = []
    total: int | None = None
    next: Way | None = None
    moved: bool = False  # rows moved since the walk began
    shortened: bool = False  # whole rows were asked for, and parts came


class _Search(msgspec.Struct):
    mode: Any = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")
    search: _Search | None = None


class _Link(msgspec.Struct):
    relation: Any = None
    url: Any = None


class _Bundle(msgspec.Struct):
    resourceType: str
    total: Any = None
    link: list[_Link] = []
    entry: list[msgspec.Raw] = []


_bundle, _entry = msgspec.json.Decoder(_Bundle), msgspec.json.Decoder(_Entry)


def read_page(query: Query, reply: Reply, gate: Gate) -> Page:
    """A bundle as a page; Broken when it is none, SliceFailed when nothing was understood."""
    try:
        reply.body.decode()  # the decoder does not look at letters in fields that it skips
        bundle = _bundle.decode(reply.body)
    except UNREADABLE:
        raise Broken("The answer is cut off or not a FHIR bundle.") from None
    if bundle.resourceType != "Bundle":
        raise Broken("The answer is not a FHIR bundle.")
    total = bundle.total if isinstance(bundle.total, int) and bundle.total >= 0 else None
    page = Page(query, total=total)
    whole = query.light or b"SUBSETTED" not in reply.body
    bad = 0
    for number, one in enumerate(bundle.entry, 1):
        entry = _opened(one)
        filed = open_envelope(bytes(entry.resource))
        plain = whole and (entry.search is None or entry.search.mode == "match")
        if plain and isinstance(filed, Envelope) and filed.type == query.type:
            page.rows.append(filed)
        else:
            bad += _look_closer(page, entry, filed, f"{query.what}, entry {number}")
    if bad and not page.rows:
        codes = ", ".join(dict.fromkeys(page.messages))
        raise SliceFailed(f"{query.what}: the server did not understand the search ({codes}).")
    for link in bundle.link:
        if link.relation == "next" and isinstance(link.url, str):
            page.next = gate.admit(link.url, reply.url, "link")
    return page


def _opened(raw: msgspec.Raw) -> _Entry:
    try:
        return _entry.decode(raw)
    except UNREADABLE:  # one odd entry must not cost the page: it will be a reject
        return _Entry(resource=raw)


def _look_closer(page: Page, entry: _Entry, filed: Envelope | Reject, where: str) -> bool:
    """Sort an odd entry into rows, rejects and messages; True when it says "not understood"."""
    raw, query = filed.body, page.query
    if not raw:
        return False
    mode = entry.search.mode if entry.search else None
    asked = isinstance(filed, Envelope) and filed.type == query.type
    if mode == "outcome" or (not asked and b'"OperationOutcome"' in raw[:2000]):
        issues = issues_of(raw)
        page.messages += [code for _, code in issues if code]
        return any(code in NOT_UNDERSTOOD for _, code in issues)
    if isinstance(filed, Envelope) and not query.light and b"SUBSETTED" in raw:
        filed, page.shortened = Reject("", "only a part of this resource was sent", raw), True
    if isinstance(filed, Reject):
        page.rejects.append(Reject(where, filed.reason, raw))
    elif filed.type == query.type:
        page.rows.append(filed)
    return False
