"""What one walk over pages has seen, and what follows from it."""

import msgspec

from adapter.dates import seconds_of
from adapter.errors import SliceFailed
from adapter.fhir.pages import Page, Query

_CLOCKS_DIFFER = 30.0  # seconds between the server's clock and what we take it for


class Walk:
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
    def total(self) -> int | None:
        """What the server says there is, as of the last page."""
        return self._total

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
