"""May we go there, and may the token come along? Every URL a server hands us passes `Gate.admit`.

Servers behind proxies hand out next links with internal host names, http instead of https,
`:443:443`, or a doubled path. Those point at our own service and are rewritten to the configured
base. Anything else that leaves the service stops loudly: a bearer token sent to a stranger's host
gives the hospital's records away. URLs are compared by their parsed parts, never as text, because
`https://fhir.example.org.evil.test/` begins like the right one.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from adapter.errors import ConfigError, GateError

Purpose = Literal["link", "redirect", "file"]
_PORTS = {"http": 80, "https": 443}
_TWICE = re.compile(r"^(?P<host>.*?):(?P<port>\d+):(?P=port)$")
_BAD = re.compile(r"[\x00-\x20\x7f\\]")


class Way(NamedTuple):
    """Where to go, and whether the token may come along."""

    url: str
    token: bool


class Gate:
    """Knows the one service we talk to: scheme, host, port and base path."""

    def __init__(
        self, base: str, own_paths: Iterable[str] = (), file_hosts: Iterable[str] = ()
    ) -> None:
        parts = urlsplit(base.strip())
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(
                "The setting server is not the base URL of a FHIR server.",
                "It looks like https://fhir.example.org/r4, without ? or #.",
            )
        self.base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._parts = urlsplit(self.base)
        paths = (urlsplit(urljoin(f"{self.base}/", path)).path for path in own_paths)
        self._paths = (self._parts.path, *(path.rstrip("/") for path in paths))
        self._file_hosts = frozenset(host.lower() for host in file_hosts)

    def is_ours(self, url: str) -> bool:
        """The last check before a token is attached: same scheme, host, port and path."""
        parts = urlsplit(url)
        return _authority(parts) == _authority(self._parts) and self._own_path(parts.path)

    def admit(self, url: str, at: str, purpose: Purpose, *, open_file: bool = False) -> Way:
        """The way to a URL found in the answer from `at`; GateError when there is none.

        `open_file`: the manifest says that files need no token.
        """
        parts = _resolve(url, at)
        if self.is_ours(urlunsplit(parts)):
            return Way(urlunsplit(parts), token=True)
        if purpose == "link" and (path := self._undoubled(parts.path)) is not None:
            ours = self._parts
            return Way(urlunsplit((ours.scheme, ours.netloc, path, parts.query, "")), token=True)
        if purpose == "file":
            return self._file(parts, open_file)
        raise GateError(
            f"The server sent us to another place ({_shown(parts)}) for a {purpose}.",
            "Nothing was sent there. If that is the server's right name, set `server` to it; "
            "if it is a path of the same service, add it to connection.own-paths.",
        )

    def _file(self, parts: SplitResult, open_file: bool) -> Way:
        """A file elsewhere: only without token, from this origin or an allowed host over https."""
        same_origin = _authority(parts) == _authority(self._parts)
        allowed = {parts.hostname or "", f"{parts.hostname}:{parts.port}"} & self._file_hosts
        if open_file and (same_origin or (allowed and parts.scheme == "https")):
            return Way(urlunsplit(parts), token=False)
        raise GateError(
            f"An export file lies on another service ({_shown(parts)}).",
            "If that is right, name the host in connection.bulk-hosts; it must speak https and "
            "the export must say requiresAccessToken: false.",
        )

    def _own_path(self, path: str) -> bool:
        return any(path == own or path.startswith(f"{own}/") for own in self._paths)

    def _undoubled(self, path: str) -> str | None:
        """The path below our base, also when a proxy put the base path there twice."""
        base = self._parts.path
        while base and path.startswith(f"{base}{base}/"):
            path = path[len(base) :]
        return path if self._own_path(path) else None


def _authority(parts: SplitResult) -> tuple[str, str, int | None]:
    try:
        port = parts.port
    except ValueError:
        return (parts.scheme, "", -1)
    return (parts.scheme, (parts.hostname or "").rstrip("."), port or _PORTS.get(parts.scheme))


def _resolve(url: str, at: str) -> SplitResult:
    """The parts of an http URL without tricks: no user part, no dot segments, no odd letters."""
    text = url.strip().replace(" ", "%20")  # blanks in a query occur and mean no harm
    try:
        given = urlsplit(text)
        # `https://host:443:443/x` occurs behind two proxies that both add the port
        if twice := _TWICE.match(given.netloc):
            text = given._replace(netloc=f"{twice['host']}:{twice['port']}").geturl()
        parts = urlsplit(urljoin(at, text))
        odd = parts.port == 0
    except ValueError:
        odd, parts = True, urlsplit("")
    segments = unquote(unquote(parts.path)).replace("\\", "/").split("/")
    if (
        odd
        or _BAD.search(text)
        or parts.scheme not in _PORTS
        or not parts.hostname
        or "@" in parts.netloc
        or {"..", "."} & set(segments)
    ):
        raise GateError("The server handed us a URL that no honest server writes; not followed.")
    return parts._replace(fragment="")


def _shown(parts: SplitResult) -> str:
    """Scheme and host only: paths and queries may hold patient identifiers."""
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
