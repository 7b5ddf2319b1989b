"""Ask the server: own redirects, patience, politeness, one renewal of the token, no secrets told.

Every message names the kind of request ("Observation search"), never its URL, which may hold
patient ids. What the server writes into an error is not repeated, only the codes of FHIR's lists.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from adapter.config import Settings
from adapter.errors import UNREADABLE, AuthorisationError, CartNrmError, ConfigError, SliceFailed
from adapter.fhir.auth import Credentials
from adapter.fhir.gate import Gate, Way
from adapter.fhir.quirks import Quirks, load_quirks
from adapter.fhir.transport import Broken, Form, Reply, Streamed, Transport

T = TypeVar("T")
log = logging.getLogger("cart_nrm.fhir")

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
_SKEW = 30.0  # seconds; a busy server writes its Date header late, and the overlap covers less


class Request(msgspec.Struct, frozen=True):
    """One question: `what` is how messages call it; `way.token` says whether to identify us."""

    what: str
    way: Way
    method: str = "GET"
    form: Form = None
    headers: dict[str, str] = {}


class Refused(SliceFailed):
    """The server answered, and the answer is no."""

    def __init__(self, what: str, status: int, codes: str = "", hint: str = "") -> None:
        super().__init__(f"{what}: the server answered {status}{codes}.", hint)
        self.status = status
        self.smaller_may_help = status in (400, 404, 413, 414, 422)


class Client:
    """One server, spoken to by several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not settings.server:
            raise ConfigError("No server is set.", "Set `server` in study.toml to its FHIR base.")
        self.settings = settings
        self.quirks: Quirks = load_quirks(settings.connection.quirks)
        own = (*settings.connection.own_paths, *self.quirks.own_paths)
        self.gate = Gate(settings.server, own, settings.connection.bulk_hosts)
        self.transport = Transport(settings.connection)
        self.credentials = Credentials(settings, self.transport, sleep=sleep, clock=clock)
        self.throttle = Throttle(settings.connection.parallel)
        self.requests = 0
        self._sleep, self._clock = sleep, clock
        self._count = threading.Lock()
        self._deadline = clock() + settings.connection.deadline_hours * 3600
        chosen = self.quirks.retries
        self.retries = settings.connection.retries if chosen is None else chosen
        client_id = settings.auth.client_id
        self._extra = {
            name: value.replace("{client_id}", client_id)
            for name, value in self.quirks.headers.items()
        }

    @property
    def base(self) -> str:
        """The FHIR base without a slash at the end."""
        return self.gate.base

    def now(self) -> float:
        """This instant on the server's clock, seconds since 1970."""
        return self._clock() + self.credentials.skew

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def url(self, path: str, params: tuple[tuple[str, str], ...] = ()) -> Way:
        """A URL of ours: path below the base and parameters."""
        query = f"?{urlencode(params, safe='|,:$')}" if params else ""
        return Way(f"{self.base}/{path}{query}", token=True)

    # -- asking with patience --------------------------------------------------------------

    def ask(self, request: Request, read: Callable[[Reply], T]) -> T:
        """The answer as `read` understands it; `read` raises Broken to have the question repeated.

        SliceFailed when patience is at an end, Refused when the answer is no.
        """
        return self.patiently(request.what, lambda: read(self._answer(request)))

    def patiently(self, what: str, act: Callable[[], T]) -> T:
        """Repeat `act` while it is Broken, with growing pauses or as the server asks."""
        attempt = 0
        while True:
            try:
                self.check_deadline(what)
                with self.throttle:
                    return act()
            except Broken as problem:
                self.give_up_or_pause(what, problem, attempt)
                attempt += 1

    def give_up_or_pause(self, what: str, problem: Broken, attempt: int) -> None:
        """SliceFailed after the last try; otherwise wait before the next."""
        if attempt >= self.retries:
            tried = f" (asked {attempt + 1} times)" if attempt else ""
            raise SliceFailed(f"{what}: {problem.message}{tried}", problem.hint) from None
        self._pause(what, problem, attempt)

    def rest(self, seconds: float, what: str) -> None:
        """Wait because the server asked us to."""
        self.check_deadline(what)
        self._sleep(min(seconds, self.settings.connection.longest_wait_seconds))

    def asked_to_wait(self, reply: Reply) -> float | None:
        """What Retry-After says, in seconds."""
        return retry_after(reply.headers.get("Retry-After", ""), self._clock())

    def check_deadline(self, what: str) -> None:
        """SliceFailed when the run has had its time."""
        if self._clock() > self._deadline:
            raise SliceFailed(
                f"{what}: the time for this run is over.",
                "It goes on next time; connection.deadline-hours sets the limit.",
            )

    def _pause(self, what: str, problem: Broken, attempt: int) -> None:
        wish = getattr(problem, "wait", None)
        grown = self.quirks.first_wait_seconds * 2**attempt
        jitter = 0.5 + random.random()  # noqa: S311 - so that threads do not come back together
        wait = grown * jitter if wish is None else wish
        capped = min(wait, self.settings.connection.longest_wait_seconds)
        note = " (the server asked for longer)" if capped < wait else ""
        log.warning("%s: %s Waiting %.0f s%s.", what, problem.message, capped, note)
        self._sleep(capped)

    def _answer(self, request: Request) -> Reply:
        """Send, follow redirects, renew the token once; a Reply with a 2xx status."""
        way, method, form = request.way, request.method, request.form
        renewed = False
        for _ in range(_MOST_REDIRECTS + 2):
            headers = self.headers(way, request.headers)
            reply = self._counted(method, way.url, headers, form)
            if reply.status == 401 and way.token:
                used = headers.get("Authorization", "")
                if renewed or not self.credentials.renew(used):
                    raise _not_let_in(request.what, reply.status)
                renewed = True
            elif reply.status in _REDIRECTS:
                way = self._redirected(request, reply, way)
                if reply.status not in (307, 308) and method != "HEAD":
                    method, form = "GET", None
            else:
                return self._judged(request.what, reply)
        raise SliceFailed(f"{request.what}: the server redirects in circles.")

    def headers(self, way: Way, more: Mapping[str, str]) -> dict[str, str]:
        """Our headers; credentials and site headers only when the URL is on our own service."""
        headers = {"Accept": "application/fhir+json", "User-Agent": "cart-nrm", **more}
        if way.token and self.gate.is_ours(way.url):
            headers |= {**self._extra, **self.credentials.header()}
        return headers

    def _counted(self, method: str, url: str, headers: dict[str, str], form: Form) -> Reply:
        with self._count:
            self.requests += 1
        reply = self.transport.exchange(method, url, headers, form)
        self._set_clock(reply.headers.get("Date", ""))
        return reply

    def _redirected(self, request: Request, reply: Reply, way: Way) -> Way:
        if location := reply.headers.get("Location"):
            return self.gate.admit(location, way.url, "redirect")
        raise SliceFailed(f"{request.what}: the server redirects to nowhere.")

    def _judged(self, what: str, reply: Reply) -> Reply:
        """The reply when it is good; otherwise the right kind of failure."""
        if reply.status < 300:
            self.throttle.went_well()
            return reply
        if reply.status in AGAIN:
            if reply.status in (429, 503):
                self.throttle.slow_down()
            raise Later(reply, self._clock())
        if reply.status in (401, 403):
            raise _not_let_in(what, reply.status)
        raise Refused(what, reply.status, issue_codes(reply.body))

    def _set_clock(self, date: str) -> None:
        """Learn the server's clock from its Date header, when it differs from ours."""
        try:
            difference = parsedate_to_datetime(date).timestamp() - self._clock()
        except (TypeError, ValueError):
            return
        self.credentials.skew = difference if abs(difference) > _SKEW else 0.0

    # -- files -----------------------------------------------------------------------------

    def open_stream(self, what: str, way: Way) -> Streamed:
        """A bulk file, opened; a redirect to a file store is followed without the token."""
        renewed = False
        for _ in range(_MOST_REDIRECTS + 2):
            headers = self.headers(way, {"Accept": "application/fhir+ndjson"})
            with self._count:
                self.requests += 1
            answer = self.transport.stream(way.url, headers)
            if answer.status == 200:
                return answer
            reply = Reply(answer.status, answer.headers, way.url, b"")
            answer.close()
            if reply.status in _REDIRECTS and reply.headers.get("Location"):
                location = reply.headers["Location"]
                there = self.gate.admit(location, way.url, "file", open_file=True)
                way = Way(there.url, there.token and way.token)
            elif reply.status == 401 and way.token and not renewed:
                renewed = self.credentials.renew(headers.get("Authorization", ""))
                if not renewed:
                    raise _not_let_in(what, 401)
            else:
                self._judged(what, reply)
        raise SliceFailed(f"{what}: the server redirects in circles.")


class Later(Broken):
    """The server is busy or ill; `wait` is how long it asked us to stay away."""

    def __init__(self, reply: Reply, now: float) -> None:
        super().__init__(f"The server answered {reply.status}{issue_codes(reply.body)}.")
        self.wait = retry_after(reply.headers.get("Retry-After", ""), now)


class Throttle:
    """At most so many requests at once: halved when the server complains, grown back slowly."""

    def __init__(self, most: int) -> None:
        self._most, self.limit, self._busy, self._good = most, float(most), 0, 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._busy >= max(1, int(self.limit)):
                self._changed.wait()
            self._busy += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def slow_down(self) -> None:
        """The server is overloaded: half as many at once."""
        with self._changed:
            self.limit, self._good = max(1.0, self.limit / 2), 0

    def went_well(self) -> None:
        """After twenty good answers one more request at once is tried."""
        with self._changed:
            self._good += 1
            if self._good >= 20 and self.limit < self._most:
                self.limit, self._good = min(float(self._most), self.limit + 1), 0
                self._changed.notify_all()


def retry_after(text: str, now: float) -> float | None:
    """Seconds to wait from Retry-After: seconds, an HTTP date, or (seen in life) an epoch time."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (TypeError, ValueError):
            return None
    if seconds > 1e12:
        seconds /= 1000.0  # epoch in milliseconds
    return max(0.0, seconds - now if seconds > 1e9 else seconds)


class _Issue(msgspec.Struct):
    severity: Any = None
    code: Any = None


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


def issues_of(body: bytes) -> list[tuple[str, str]]:
    """(severity, code) of each issue of an OperationOutcome; free text is left out on purpose."""
    try:
        issues = msgspec.json.decode(body, type=_Outcome).issue
    except UNREADABLE:
        return []
    return [(_plain(issue.severity), _plain(issue.code)) for issue in issues]


def issue_codes(body: bytes) -> str:
    """ " (not-supported, invalid)", or nothing."""
    codes = [code for _, code in issues_of(body) if code]
    return f" ({', '.join(dict.fromkeys(codes))})" if codes else ""


def _plain(text: object) -> str:
    """FHIR's codes are lower-case words with hyphens; anything else could be a name."""
    fits = isinstance(text, str) and len(text) <= 20 and text.replace("-", "").isascii()
    return text if fits and isinstance(text, str) and text.replace("-", "").islower() else ""


def _not_let_in(what: str, status: int) -> CartNrmError:
    if status == 401:
        return AuthorisationError(
            f"{what}: the server does not accept our credentials.",
            "Check [auth] in study.toml; `cart-nrm check` says more.",
        )
    return Refused(
        what,
        status,
        hint="The account may not read this; ask for the scope, or leave the type out of "
        "connection.types.",
    )
