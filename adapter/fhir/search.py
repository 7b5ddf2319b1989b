"""Search and walk the pages to the true end.

A page that fails must never look like the end. So a walk knows the instants it has seen and can ask
again from the last one (an expired search, a server that stops at 10 000 rows, a server without
next links), counts what it received, and says whether the ground moved under it.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from adapter.dates import instant_of, seconds_of
from adapter.envelope import Envelope, Reject, open_envelope
from adapter.errors import SliceFailed
from adapter.fhir.client import Client, Refused, Request, issues_of
from adapter.fhir.gate import Way
from adapter.fhir.transport import Broken, Reply

Params = tuple[tuple[str, str], ...]

_MOST_PAGES = 100_000
_LONGEST_URL = 1_800  # beyond 2 kB some servers and proxies answer 404 or 414
_LARGEST_PAGE = 10_000
_CLOCKS_DIFFER = 2.0  # seconds between the server's clock and what we take it for
_SORT = ("_sort", "_lastUpdated")
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
    entry: list[_Entry] = []


_bundle = msgspec.json.Decoder(_Bundle)


class Searcher:
    """Searches one server; remembers whether POST _search works there."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._post = client.quirks.post_search

    def count(self, query: Query) -> int | None:
        """How many there are, or None when the server does not count exactly."""
        if not self.client.quirks.counts:
            return None
        page = self._page(query, self._params(query, ("_summary", "count")))
        return page.total

    def peek(self, query: Query) -> Page:
        """The first page only: does the server understand this search?"""
        return self._page(query, self._params(query))

    def walk(self, query: Query) -> Iterator[Page]:
        """Every page of a search; the last one says whether rows moved meanwhile."""
        walk = _Walk(query, self.client.now())
        page = self._page(query, self._params(query))
        for _ in range(_MOST_PAGES):
            walk.saw(page)
            page.moved = walk.moved
            yield page
            following = self._following(walk, page)
            if following is None:
                return
            page = following
        raise SliceFailed(f"{query.what}: more than {_MOST_PAGES} pages.")

    # -- one page --------------------------------------------------------------------------

    def _following(self, walk: "_Walk", page: Page) -> Page | None:
        """The next page; None at the true end."""
        if page.next is not None:
            if walk.query.keyset and walk.ordered and instant_of(walk.last) != walk.since:
                return self._restarted(walk)
            walk.guard(page.next.url)
            try:
                return self._linked(walk.query, page.next)
            except Refused as refused:
                # 400, 404, 410: the server has forgotten the search (or never knew its own link)
                if refused.status not in (400, 404, 410) or not walk.ordered:
                    raise
                return self._restarted(walk)
        if not walk.short_of(page):
            return None
        if walk.ordered:
            return self._restarted(walk)
        return self._skipped(walk)

    def _restarted(self, walk: "_Walk") -> Page:
        """From the last instant seen; with larger pages when a whole page shares that instant."""
        since = instant_of(walk.last)
        stuck = since == walk.since
        if stuck and walk.page >= _LARGEST_PAGE:
            return self._skipped(walk)
        walk.begin_again(since, min(_LARGEST_PAGE, walk.page * 4) if stuck else walk.query.page)
        return self._page(walk.query, self._params(walk.current))

    def _skipped(self, walk: "_Walk") -> Page:
        """The last resort: a parameter that skips rows, where the quirk file knows one."""
        parameter = self.client.quirks.offset_param
        if not parameter or not walk.segment:
            raise SliceFailed(
                f"{walk.query.what}: the server stopped after {len(walk.seen)} rows, "
                "and there must be more.",
                "The slice stays due; a smaller connection.page-size may help.",
            )
        skip = (parameter, str(walk.segment_rows))
        return self._page(walk.query, self._params(walk.current, skip))

    def _params(self, query: Query, *more: tuple[str, str]) -> Params:
        quirks = self.client.quirks
        params = [*query.params]
        if ("_summary", "count") not in more:
            params.append(("_count", str(query.page)))
            if query.sorted and quirks.sort:
                params.append(_SORT)
            if query.light and quirks.elements:
                params.append(("_elements", "id,meta"))
        if quirks.ask_total:
            params.append(("_total", "accurate"))
        return (*params, *more)

    def _page(self, query: Query, params: Params) -> Page:
        """A page by POST when the question holds patient ids or is long, else by GET."""
        private = any(name in ("patient", "_id") for name, _ in params)
        way = self.client.url(query.type, params)
        if self._post is not False and (private or len(way.url) > _LONGEST_URL):
            try:
                return self._ask(query, self._posted(query, params))
            except Refused as refused:
                if self._post or refused.status not in (400, 404, 405, 415, 501):
                    raise
            page = self._ask(query, Request(query.what, way))
            self._post = False  # GET works where POST was refused: this server has no _search
            return page
        return self._ask(query, Request(query.what, way))

    def _posted(self, query: Query, params: Params) -> Request:
        way = self.client.url(f"{query.type}/_search")
        return Request(query.what, way, "POST", params)

    def _linked(self, query: Query, way: Way) -> Page:
        """A next link; one too long for a URL is asked as POST when it is a plain search."""
        parts = urlsplit(way.url)
        if len(way.url) > _LONGEST_URL and parts.path.endswith(f"/{query.type}"):
            form = tuple(parse_qsl(parts.query, keep_blank_values=True))
            return self._ask(query, self._posted(query, form))
        return self._ask(query, Request(query.what, way))

    def _ask(self, query: Query, request: Request) -> Page:
        page = self.client.ask(request, lambda reply: self._read(query, reply))
        if request.method == "POST" and self._post is None:
            self._post = True
        return page

    def _read(self, query: Query, reply: Reply) -> Page:
        try:
            reply.body.decode()  # the decoder does not look at letters in fields that it skips
            bundle = _bundle.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Broken("The answer is cut off or not a FHIR bundle.") from None
        if bundle.resourceType != "Bundle":
            raise Broken("The answer is not a FHIR bundle.")
        total = bundle.total if isinstance(bundle.total, int) and bundle.total >= 0 else None
        page = Page(query, total=total)
        bad = 0
        for number, entry in enumerate(bundle.entry):
            bad += _file(page, entry, f"{query.what}, entry {number + 1}")
        if bad and not page.rows:
            codes = ", ".join(dict.fromkeys(page.messages))
            raise SliceFailed(f"{query.what}: the server did not understand the search ({codes}).")
        for link in bundle.link:
            if link.relation == "next" and isinstance(link.url, str):
                page.next = self.client.gate.admit(link.url, reply.url, "link")
        return page


def _file(page: Page, entry: _Entry, where: str) -> bool:
    """Sort one entry into rows, rejects and messages; True when it says "not understood"."""
    raw = bytes(entry.resource)
    if not raw:
        return False
    filed = open_envelope(raw, where)
    mode = entry.search.mode if entry.search else None
    if mode == "outcome" or b'"OperationOutcome"' in raw[:2000]:
        issues = issues_of(raw)
        page.messages += [code for _, code in issues if code]
        return any(code in NOT_UNDERSTOOD for _, code in issues)
    if isinstance(filed, Envelope) and not page.query.light and b"SUBSETTED" in raw:
        filed, page.shortened = Reject(where, "only a part of this resource was sent", raw), True
    if isinstance(filed, Reject):
        page.rejects.append(filed)
    elif filed.type == page.query.type:
        page.rows.append(filed)
    return False


class _Walk:
    """What one walk has seen. A segment is the part since the last restart from an instant."""

    def __init__(self, query: Query, started: float) -> None:
        self.query, self.current = query, query
        self.started = started
        self.since = ""
        self.seen: set[str] = set()
        self.ordered = query.sorted
        self.moved = False
        self.last = float("-inf")
        self._links: set[str] = set()
        self._start_segment()

    def _start_segment(self) -> None:
        self.segment: set[str] = set()
        self.segment_rows = 0
        self._lowest = float("-inf")
        self._total: int | None = None
        self._pages, self._rejects, self._linked, self._news = 0, 0, False, 0

    @property
    def page(self) -> int:
        """Rows per page asked for at present."""
        return self.current.page

    def begin_again(self, since: str, page: int) -> None:
        """Go on from an instant: earlier lower bounds are replaced, the upper one stays."""
        kept = tuple(
            (name, value)
            for name, value in self.query.params
            if not (name == "_lastUpdated" and value[:2] in ("ge", "gt"))
        )
        params = (*kept, ("_lastUpdated", f"ge{since}"))
        self.current = msgspec.structs.replace(self.query, params=params, page=page)
        self.since, self.moved = since, self.moved or not self.query.keyset
        self._start_segment()

    def saw(self, page: Page) -> None:
        """Note a page: ids, order, and whether anything moved since the walk began."""
        known = len(self.seen)
        for row in page.rows:
            self.segment.add(row.id)
            when = seconds_of(row.last_updated)
            if when is None or when < self._lowest:
                self.ordered = False
            else:
                self._lowest = when
        self.seen |= self.segment
        self.last = max(self.last, self._lowest)
        self._news = len(self.seen) - known
        self.segment_rows += len(page.rows) + len(page.rejects)
        self._rejects += len(page.rejects)
        self._notice_moves(page)

    def _notice_moves(self, page: Page) -> None:
        """Behind an offset, one deleted or updated row shifts all others by one, unseen."""
        self._pages += 1
        if self._pages > 1:
            uncounted = page.total is None
            changed = page.total != self._total or self.last >= self.started - _CLOCKS_DIFFER
            self.moved = self.moved or uncounted or changed
        self._total = page.total

    def short_of(self, page: Page) -> bool:
        """No next link, and yet there must be more."""
        if not page.rows:
            return False
        if page.total is not None:
            return len(self.segment) + self._rejects < page.total
        # no total, no links, and the page is full: this server does not say whether that was all
        return not self._linked and self._news > 0 and len(page.rows) >= self.page

    def guard(self, url: str) -> None:
        """A next link that was followed before leads in circles."""
        if url in self._links:
            raise SliceFailed(f"{self.query.what}: the server's pages go in circles.")
        self._links.add(url)
        self._linked = True
