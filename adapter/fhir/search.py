"""Search and walk the pages to the true end.

A page that fails must never look like the end. So a walk knows the instants it has seen and can ask
again from the last one (an expired search, a server that stops at 10 000 rows, a server without
next links), counts what it received, and says whether the ground moved under it.
"""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from adapter.dates import instant_of
from adapter.errors import SliceFailed
from adapter.fhir.client import Client, Refused, Request
from adapter.fhir.gate import Way
from adapter.fhir.pages import Page, Params, Query, read_page
from adapter.fhir.walk import Walk

_MOST_PAGES = 100_000
_LONGEST_URL = 1_800  # beyond 2 kB some servers and proxies answer 404 or 414
_LARGEST_PAGE = 10_000
_EARLIEST = -2_208_988_800.0  # 1900-01-01: nothing clinical is older
_SHORTEST_PERIOD = 0.002  # seconds: instants are written in milliseconds
_SORT = ("_sort", "_lastUpdated")


class StoppedEarly(SliceFailed):
    """The server gave fewer rows than it has, and no way to the others."""

    smaller_may_help = True

    def __init__(self, query: Query, seen: int, total: int | None) -> None:
        super().__init__(
            f"{query.what}: the server stopped after {seen} rows, and there must be more.",
            "It stays due; a smaller connection.page-size may help.",
        )
        self.total = total or 0


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
        """Every page of a search; the last one says whether rows moved meanwhile.

        A server that stops at a limit, and gives no way on, is asked period by period.
        """
        parameter = "_lastUpdated" if query.sorted else ""
        parameter = parameter or self.client.quirks.clinical_dates.get(query.type, "")
        try:
            yield from self._walk(query)
        except StoppedEarly as stopped:
            if not parameter:
                raise
            seen = set[str]()
            high = self.client.now() + 86_400.0
            for page in self._by_period(query, parameter, _EARLIEST, high):
                seen.update(row.id for row in page.rows)
                yield page
            if len(seen) < stopped.total:  # rows without a date lie in no period
                raise

    def _by_period(self, query: Query, parameter: str, low: float, high: float) -> Iterator[Page]:
        """Both halves of a period, each halved again while the server stops early."""
        for start, end in ((low, (low + high) / 2), ((low + high) / 2, high)):
            bounds = (f"ge{instant_of(start)}", f"lt{instant_of(end)}")
            part = query.also((parameter, bounds[0]), (parameter, bounds[1]))
            try:
                yield from self._walk(part)
            except StoppedEarly:
                if end - start < _SHORTEST_PERIOD:
                    raise
                yield from self._by_period(query, parameter, start, end)

    def _walk(self, query: Query) -> Iterator[Page]:
        walk = Walk(query, self.client.now())
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

    def _following(self, walk: Walk, page: Page) -> Page | None:
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
        if not page.rows:
            raise StoppedEarly(walk.query, len(walk.seen), page.total)
        if walk.ordered:
            return self._restarted(walk)
        return self._skipped(walk)

    def _restarted(self, walk: Walk) -> Page:
        """From the last instant seen; with larger pages when a whole page shares that instant."""
        since = instant_of(walk.last)
        stuck = since == walk.since
        if stuck and walk.page >= _LARGEST_PAGE:
            return self._skipped(walk)
        walk.begin_again(since, min(_LARGEST_PAGE, walk.page * 4) if stuck else walk.query.page)
        return self._page(walk.query, self._params(walk.current))

    def _skipped(self, walk: Walk) -> Page:
        """The last resort: a parameter that skips rows, where the quirk file knows one."""
        parameter = self.client.quirks.offset_param
        if not parameter or not walk.segment:
            raise StoppedEarly(walk.query, len(walk.seen), walk.total)
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
        page = self.client.ask(request, lambda reply: read_page(query, reply, self.client.gate))
        if request.method == "POST" and self._post is None:
            self._post = True
        return page
