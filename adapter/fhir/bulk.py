"""FHIR Bulk Data: ask for an export, wait for it, check that it is ours and whole, read its files.

Servers hand out old or other people's finished jobs for the same request, lose the last type, count
wrongly, and put files on other hosts. So: the export must not be older than our question, every
file's lines are counted against the manifest, and every URL passes the gate. Files are streamed
line by line; nothing the server sends becomes a path.
"""

import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from adapter.dates import instant_of, seconds_of
from adapter.envelope import Envelope, Reject, open_envelope
from adapter.errors import UNREADABLE, ServerError, SliceFailed
from adapter.fhir.client import Client, Refused, Request, issues_of
from adapter.fhir.gate import Way
from adapter.fhir.pages import Page, Query
from adapter.fhir.transport import Broken, Reply

_OLDER = 5.0  # seconds an export's own time may precede our question: clocks and rounding
_BATCH = 1_000  # lines handed on at once
_POLL_FIRST, _POLL_MOST = 1.0, 60.0
_MOST_MANIFESTS = 10_000
_NDJSON = "application/fhir+ndjson"


class Job(msgspec.Struct):
    """One export we started; saved, so that a killed night takes it up again."""

    poll: str
    kicked: float
    types: list[str]
    since: float | None = None
    done: list[str] = []


class File(msgspec.Struct, frozen=True):
    """One file of the manifest; `count` is what the server says it holds."""

    type: str
    url: str
    count: int | None = None

    @property
    def key(self) -> str:
        """Its name without the signature in the query, which changes."""
        try:
            return f"{self.type} {urlsplit(self.url).path}"
        except ValueError:  # no URL at all, as "http://[": the gate will refuse it
            return f"{self.type} {self.url}"


class Manifest(msgspec.Struct):
    """A finished export."""

    at: float
    open_files: bool
    place: str  # where the manifest came from: relative file URLs start there
    output: list[File] = []
    deleted: list[File] = []
    error: list[File] = []


class JobGone(SliceFailed):
    """The server no longer knows the export."""


class NotOurs(SliceFailed):
    """The export cannot be used; another must be asked for."""


class _Page(msgspec.Struct):
    transactionTime: Any = None
    requiresAccessToken: Any = True
    output: list[dict[str, Any]] = []
    deleted: list[dict[str, Any]] = []
    error: list[dict[str, Any]] = []
    link: list[dict[str, Any]] = []


class Exporter:
    """Runs exports on one server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    # -- the job ---------------------------------------------------------------------------

    def kick_off(self, path: str, types: list[str], since: float | None) -> Job:
        """Start `[base]/path` (`$export`, `Patient/$export`, `Group/7/$export`)."""
        kicked = self.client.now()
        params = [("_outputFormat", _NDJSON), ("_type", ",".join(types))]
        if since is not None:
            params.append(("_since", instant_of(since)))
        get = Request("export", self.client.url(path, tuple(params)), headers=_ASYNC)
        post = self._posted(path, params)
        first, second = (post, get) if self.client.quirks.export_by_post else (get, post)
        try:
            poll = self.client.ask(first, self._location)
        except Refused as refused:
            if refused.status not in (404, 405, 414, 501):
                raise
            poll = self.client.ask(second, self._location)
        return Job(poll, kicked, types, since)

    def _posted(self, path: str, params: list[tuple[str, str]]) -> Request:
        parameter = [
            {"name": name, ("valueInstant" if name == "_since" else "valueString"): value}
            for name, value in params
        ]
        body = msgspec.json.encode({"resourceType": "Parameters", "parameter": parameter})
        headers = {**_ASYNC, "Content-Type": "application/fhir+json"}
        return Request("export", self.client.url(path), "POST", body, headers)

    def _location(self, reply: Reply) -> str:
        location = reply.headers.get("Content-Location", "")
        if reply.status != 202 or not location:
            raise SliceFailed("export: the server did not say where the export will be.")
        return self.client.gate.admit(location, reply.url, "link").url

    def wait(self, job: Job) -> Manifest:
        """Poll until the export is finished; checks that it is not an older one."""
        pause = _POLL_FIRST
        while True:
            page, reply = self._poll(Way(job.poll, token=True))
            if page is not None:
                return self._whole(job, page, reply.url)
            asked = self.client.asked_to_wait(reply)
            self.client.rest(pause if asked is None else asked, "export")
            pause = min(_POLL_MOST, pause * 1.5)

    def _poll(self, way: Way) -> tuple[_Page | None, Reply]:
        try:
            return self.client.ask(Request("export status", way), _manifest)
        except Refused as refused:
            if refused.status in (404, 410):
                raise JobGone("export: the server no longer knows it.") from None
            raise

    def _whole(self, job: Job, page: _Page, place: str) -> Manifest:
        """All pages of the manifest as one."""
        at = seconds_of(str(page.transactionTime))
        if at is None or at < job.kicked - _OLDER:
            raise NotOurs(
                "export: the server handed out an export that is older than our question.",
                "Nothing of it was taken. Ask the server's administrator to turn reuse off.",
            )
        whole = Manifest(at, page.requiresAccessToken is False, place)
        seen = {job.poll}
        for _ in range(_MOST_MANIFESTS):
            for name in ("output", "deleted", "error"):
                getattr(whole, name).extend(_file(item) for item in getattr(page, name))
            following = [str(x.get("url")) for x in page.link if x.get("relation") == "next"]
            if not following:
                return whole
            way = self.client.gate.admit(following[0], place, "link")
            if way.url in seen:
                break
            seen.add(way.url)
            found, reply = self._poll(way)
            if found is None:
                raise NotOurs("export: a page of the manifest is missing.")
            page, place = found, reply.url
        raise NotOurs("export: the pages of the manifest go in circles.")

    def finish(self, job: Job) -> None:
        """Delete our own export; a server that has already done so is right, too."""
        try:
            self.client.ask(Request("export", Way(job.poll, token=True), "DELETE"), lambda _: None)
        except ServerError:
            return

    # -- files -----------------------------------------------------------------------------

    def rows(self, manifest: Manifest, file: File) -> Iterator[Page]:
        """The resources of one file in batches; started again when it breaks off."""
        what = f"{file.type} export file"
        way = self.client.gate.admit(
            file.url, manifest.place, "file", open_file=manifest.open_files
        )
        if manifest.open_files:
            way = Way(way.url, token=False)
        for attempt in range(self.client.retries + 1):
            try:
                number = 0
                for page in self._pages(what, way, file.type):
                    number += len(page.rows) + len(page.rejects)
                    yield page
                if file.count is not None and number != file.count:
                    raise Broken(f"it holds {number} lines, the server said {file.count}.")
                return
            except Broken as problem:
                self.client.give_up_or_pause(what, problem, attempt)

    def _pages(self, what: str, way: Way, kind: str) -> Iterator[Page]:
        page, number = Page(Query(kind)), 0
        longest = self.client.settings.connection.longest_line_mb * 2**20
        for line in _lines(self._chunks(what, way), longest):
            if not line.strip():
                continue
            number += 1
            if number % _BATCH == 0:
                self.client.check_deadline(what)  # a file need not end
            _add(page, kind, line, f"{what}:{number}", longest)
            if len(page.rows) + len(page.rejects) >= _BATCH:
                yield page
                page = Page(Query(kind))
        yield page

    def _chunks(self, what: str, way: Way) -> Iterator[bytes]:
        """The bytes of a file, unpacked also where a .gz comes without saying so."""
        stream = self.client.patiently(what, lambda: self.client.open_stream(what, way))
        try:
            chunks = stream.chunks(self.client.settings.connection.timeout_seconds)
            first = next(chunks, b"")
            unpack = zlib.decompressobj(31) if first[:2] == b"\x1f\x8b" else None
            while first:
                yield from _unpacked(unpack, first)
                first = next(chunks, b"")
            if unpack is not None and not unpack.eof:
                raise Broken("the compressed file is cut off.")
        except zlib.error:
            raise Broken("the compressed file is damaged.") from None
        finally:
            stream.close()


_ASYNC = {"Prefer": "respond-async", "Cache-Control": "no-cache"}


def _unpacked(unpack: Any, chunk: bytes) -> Iterator[bytes]:
    """In pieces of bounded size, so that a compressed bomb cannot fill the memory."""
    if unpack is None:
        yield chunk
        return
    while chunk:
        yield unpack.decompress(chunk, 2**20)
        chunk = unpack.unconsumed_tail


def _lines(chunks: Iterator[bytes], longest: int) -> Iterator[bytes]:
    """Whole lines from pieces that end anywhere; of an endless line only its beginning."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield b"".join([*parts, piece])
            parts, size = [], 0
        size += len(rest)
        if size <= longest + 1:
            parts.append(rest)
        elif sum(map(len, parts)) <= longest:
            parts.append(rest[: longest + 1])  # one byte too many marks it as too long
    yield b"".join(parts)


def _add(page: Page, kind: str, line: bytes, where: str, longest: int) -> None:
    if len(line) > longest:
        page.rejects.append(Reject(where, "the line is too long for a resource", line[:1000]))
        return
    filed = open_envelope(line.strip(), where)
    if isinstance(filed, Envelope) and filed.type != kind:
        filed = Reject(where, f"a {filed.type} in a file of another type", line)
    if isinstance(filed, Reject):
        page.rejects.append(filed)
    else:
        page.rows.append(filed)


def _manifest(reply: Reply) -> tuple[_Page | None, Reply]:
    """The manifest, or None while the export is being made."""
    if reply.status == 202:
        return None, reply
    try:
        return msgspec.json.decode(reply.body, type=_Page), reply
    except UNREADABLE:
        raise Broken("The export's list of files cannot be read.") from None


def _file(item: dict[str, Any]) -> File:
    count = item.get("count")
    return File(
        str(item.get("type")), str(item.get("url")), count if isinstance(count, int) else None
    )


class _Request(msgspec.Struct):
    method: Any = None
    url: Any = None


class _DeletedEntry(msgspec.Struct):
    request: _Request | None = None


class _Deleted(msgspec.Struct):
    entry: list[_DeletedEntry] = []


def deleted_in(bundle: bytes) -> list[tuple[str, str]]:
    """(type, id) of each DELETE in a bundle of a `deleted` file."""
    try:
        entries = msgspec.json.decode(bundle, type=_Deleted).entry
    except UNREADABLE:
        return []
    pairs = [
        str(entry.request.url).rsplit("/", 2)[-2:]
        for entry in entries
        if entry.request is not None and entry.request.method == "DELETE"
    ]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def errors_in(outcome: bytes) -> list[str]:
    """Codes of the errors (not of the warnings) in one OperationOutcome."""
    return [code for severity, code in issues_of(outcome) if severity in ("error", "fatal")]
