"""One HTTP exchange: no redirects, no retries, no token of its own, nothing from the environment.

`requests` would read ~/.netrc and replace our bearer, take proxies from the environment, and carry
secret headers across redirects. So every session is told to trust nothing, and redirects are ours
to judge.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple

import requests

from adapter.config import Connection
from adapter.errors import ServerError

# urllib3 writes whole URLs into its debug and warning lines, and a URL may hold patient ids.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

Form = tuple[tuple[str, str], ...] | bytes | None

_CHUNK = 65_536
_SLOWEST = 10  # a whole answer may take this many times the time-out between two bytes


class Reply(NamedTuple):
    """What came back; `url` is where from."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes


class Broken(ServerError):
    """The exchange failed on the way (refused, cut off, too slow); asking again may help."""


class Transport:
    """Sessions (one per thread), proxies, certificates and size limits."""

    def __init__(self, settings: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._local = threading.local()
        self._open: list[requests.Session] = []
        self._limit = settings.longest_answer_mb * 2**20

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Form = None,
    ) -> Reply:
        """Send one request and read the whole answer."""
        with closing(self._send(method, url, headers, form)) as response:
            body = b"".join(self._chunks(response))
            return Reply(response.status_code, response.headers, url, body)

    def stream(self, url: str, headers: Mapping[str, str]) -> "Streamed":
        """Send a GET and hand out the answer in pieces (bulk files)."""
        return Streamed(self._send("GET", url, headers, None), url)

    def close(self) -> None:
        """Close every connection of every thread."""
        for session in self._open:
            session.close()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Form,
    ) -> requests.Response:
        limit = self.settings.timeout_seconds
        try:
            return self._session().request(
                method,
                url,
                headers=dict(headers),
                data=list(form) if isinstance(form, tuple) else form,
                timeout=(min(limit, 30), limit),
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, OSError, UnicodeError) as problem:
            raise _in_words(problem, limit) from None

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        limit, size, started = self.settings.timeout_seconds, 0, self._clock()
        for chunk in pieces(response, limit):
            size += len(chunk)
            if size > self._limit:
                raise ServerError(
                    f"One answer is larger than {self.settings.longest_answer_mb} MB.",
                    "Lower connection.page-size, or raise connection.longest-answer-mb.",
                )
            if self._clock() - started > _SLOWEST * limit:
                raise Broken(f"The server took more than {_SLOWEST * limit:.0f} s for one answer.")
            yield chunk

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.trust_env = False
            proxy = self.settings.proxy
            session.proxies = {"http": proxy, "https": proxy} if proxy else {}
            session.verify = str(self.settings.ca_file) if self.settings.ca_file else True
            self._local.session = session
            self._open.append(session)
        session_: requests.Session = self._local.session
        return session_


class Streamed:
    """An answer that is read piece by piece."""

    def __init__(self, response: requests.Response, url: str) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = url

    def chunks(self, limit: float) -> Iterator[bytes]:
        """The decoded bytes; Broken when the connection ends early."""
        return pieces(self._response, limit)

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()


def pieces(response: requests.Response, limit: float) -> Iterator[bytes]:
    """The body in decoded pieces, with network faults in our words."""
    try:
        yield from response.iter_content(_CHUNK)
    except (requests.RequestException, OSError) as problem:
        raise _in_words(problem, limit) from None


def _in_words(problem: Exception, limit: float) -> ServerError:
    """The fault without the URL that `requests` puts into its messages."""
    if isinstance(problem, requests.exceptions.SSLError):
        return ServerError(
            "The server's TLS certificate was not accepted.",
            "Name your hospital's certificate authority in connection.ca-file.",
        )
    if isinstance(problem, requests.exceptions.ProxyError):
        return Broken("The proxy could not be used.", "Check connection.proxy.")
    if isinstance(problem, requests.Timeout):
        return Broken(f"The server did not answer within {limit:g} s.")
    if isinstance(problem, requests.exceptions.ContentDecodingError):
        return Broken("The server's compressed answer cannot be unpacked.")
    if isinstance(problem, requests.exceptions.ChunkedEncodingError):
        return Broken("The server's answer was cut off.")
    if isinstance(problem, requests.ConnectionError):
        return Broken("The server cannot be reached.", "Check `server`, the network and the proxy.")
    return Broken("The connection to the server failed.")
