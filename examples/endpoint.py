"""A small FHIR R4 server on loopback, for the demo and for benchmarks. Not for real data.

    with serving("study/fhir") as base_url: ...        # or an iterable of resources
    python -m examples.endpoint study/fhir --port 8080

It pages by opaque next links, and lets resources be changed (PUT) and deleted (DELETE), so that a
second synchronisation has something to find. It knows no security and no terminology.
"""

import argparse
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from examples.shelf import SEARCHES, Body, Json, Key, Refused, Shelf, stamp

SNAPSHOTS = 500  # searches whose next links stay valid
PAGE, LONGEST_PAGE = 50, 1000


class Endpoint(ThreadingHTTPServer):
    """The server: a shelf, the searches still being paged, and an optional delay."""

    daemon_threads = True

    def __init__(self, shelf: Shelf, port: int = 0, latency_ms: float = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.shelf = shelf
        self.latency = latency_ms / 1000
        self.snapshots: OrderedDict[str, list[Key]] = OrderedDict()
        self.base_url = f"http://127.0.0.1:{self.server_port}/fhir"

    def remember(self, keys: list[Key]) -> str:
        """A token for the rest of a search; old ones are forgotten."""
        with self.shelf.lock:
            token = f"{time.monotonic_ns():x}"
            self.snapshots[token] = keys
            while len(self.snapshots) > SNAPSHOTS:
                self.snapshots.popitem(last=False)
        return token

    def capabilities(self) -> Json:
        """The CapabilityStatement."""
        searches = [
            {"name": name, "type": "date" if name == "_lastUpdated" else "token"}
            for name in SEARCHES
        ]
        for search in searches:
            if search["name"] in ("patient", "subject"):
                search["type"] = "reference"
        verbs = [{"code": code} for code in ("read", "search-type", "update", "delete")]
        return {
            "resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
            "date": "2026-01-01", "fhirVersion": "4.0.1", "format": ["json"],
            "software": {"name": "Synthetic demo endpoint"},
            "implementation": {"description": "Synthetic data only", "url": self.base_url},
            "rest": [{"mode": "server", "resource": [
                {"type": kind, "interaction": verbs, "searchParam": searches}
                for kind in sorted(self.shelf.entries)
            ]}],
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Endpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def do_GET(self) -> None:
        """Read, search, next page or capabilities."""
        self.answer(self._get)

    def do_POST(self) -> None:
        """POST _search."""
        self.answer(self._post)

    def do_PUT(self) -> None:
        """Create or replace a resource."""
        self.answer(self._put)

    def do_DELETE(self) -> None:
        """Delete a resource."""
        self.answer(self._delete)

    def answer(self, work: Callable[[], tuple[int, Body | Json | None]]) -> None:
        """Run one request and send what it gives, or an OperationOutcome."""
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.server.latency)
        try:
            status, found = work()
        except Refused as refusal:
            status, found = refusal.status, refusal.outcome
        except Exception as error:  # a fault of ours must still be an answer
            status, found = 500, Refused(500, "exception", type(error).__name__).outcome
        body = json.dumps(found).encode() if isinstance(found, dict) else found or b""
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self) -> tuple[int, Body | Json]:
        parts, query = self._request()
        match parts:
            case ["metadata"]:
                return 200, self.server.capabilities()
            case [kind] | [kind, "_search"]:
                return 200, self._page(kind, query)
            case [kind, name]:
                return 200, self.server.shelf.get((kind, name)).body
        raise Refused(404, "not-found", "no such address")

    def _post(self) -> tuple[int, Body | Json]:
        parts, query = self._request()
        if len(parts) != 2 or parts[1] != "_search":
            raise Refused(405, "not-supported", "POST is only for _search")
        form = parse_qsl(self.sent.decode("utf-8", "replace"), keep_blank_values=True)
        return 200, self._page(parts[0], query + form)

    def _put(self) -> tuple[int, Body]:
        parts, _ = self._request()
        try:
            resource = json.loads(self.sent)
        except ValueError:
            raise Refused(400, "structure", "the body is no JSON") from None
        same = isinstance(resource, dict) and [resource.get("resourceType"), resource.get("id")]
        if same != parts:
            raise Refused(400, "invalid", "resourceType and id must be those of the address")
        old = self.server.shelf.entries.get(parts[0], {}).get(parts[1])
        meta = json.loads(bytes(old.body)).get("meta", {}) if old else {}
        now = max(datetime.now(UTC).timestamp(), old.updated + 0.001 if old else 0)
        version = str(int(meta.get("versionId", "1")) + 1) if old else "1"
        when = stamp(datetime.fromtimestamp(now, UTC))
        resource["meta"] = {**resource.get("meta", {}), "versionId": version, "lastUpdated": when}
        return 200 if old else 201, self.server.shelf.put(resource).body

    def _delete(self) -> tuple[int, None]:
        parts, _ = self._request()
        if len(parts) != 2:
            raise Refused(405, "not-supported", "delete one resource at a time")
        self.server.shelf.delete((parts[0], parts[1]))
        return 204, None

    def _request(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Path below the base, and query."""
        url = urlsplit(self.path)
        root, *parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if root != "fhir":
            raise Refused(404, "not-found", "the base address ends in /fhir")
        return parts, parse_qsl(url.query, keep_blank_values=True)

    def _page(self, kind: str, query: list[tuple[str, str]]) -> Body:
        """A searchset: the first page of a search, or a later one by its token."""
        options = dict(query)
        if kind not in self.server.shelf.entries:
            raise Refused(404, "not-supported", f"resource type {kind} is not known here")
        if token := options.get("_page"):
            keys = self.server.snapshots.get(token)
            if keys is None:
                raise Refused(410, "expired", "this search has expired, start again")
        else:
            keys = [entry.key for entry in self.server.shelf.search(kind, query)]
        size, start = (_number(options, "_count", PAGE), _number(options, "_offset", 0))
        size = min(size, LONGEST_PAGE)
        if options.get("_summary") == "count":
            size = 0
        links = [{"relation": "self", "url": f"{self.server.base_url}/{kind}"}]
        if size and start + size < len(keys):
            token = token or self.server.remember(keys)
            rest = urlencode({"_page": token, "_offset": start + size, "_count": size})
            links.append({"relation": "next", "url": f"{self.server.base_url}/{kind}?{rest}"})
        return self._bundle(kind, len(keys), links, keys[start : start + size])

    def _bundle(self, kind: str, total: int, links: list[Json], keys: list[Key]) -> bytes:
        known = self.server.shelf.entries[kind]
        head = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links}
        base = f"{self.server.base_url}/{kind}".encode()
        entries = b",".join(
            b'{"fullUrl":"%s/%s","resource":%s,"search":{"mode":"match"}}'
            % (base, name.encode(), known[name].body)
            for _, name in keys
            if name in known
        )
        tail = b',"entry":[' + entries + b"]}" if entries else b"}"
        return json.dumps(head).encode()[:-1] + tail

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses may hold identifiers."""


def _number(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit():
        raise Refused(400, "invalid", f"{name}={text} is no number")
    return int(text)


@contextmanager
def serving(
    source: Path | str | Iterable[Json], port: int = 0, latency_ms: float = 0
) -> Iterator[str]:
    """Serve a folder of NDJSON or resources in memory; gives the base URL."""
    shelf = Shelf()
    if isinstance(source, (str, Path)):
        shelf.load(Path(source))
    else:
        for resource in source:
            shelf.put(resource)
    server = Endpoint(shelf, port, latency_ms)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.base_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait() -> None:
    """Until the process is interrupted."""
    threading.Event().wait()


def main(arguments: list[str] | None = None) -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.endpoint", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    options = parser.parse_args(arguments)
    with serving(options.folder, options.port, options.latency_ms) as base_url:
        print(base_url, flush=True)
        try:
            wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
