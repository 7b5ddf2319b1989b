"""What a server answers: pages, refusals, statements, manifests, export files, tokens."""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import strategies as st

from adapter.codes import Codes
from adapter.config import Auth, Connection, Settings
from adapter.errors import CartNrmError
from adapter.fhir.auth import Credentials, smart_configuration
from adapter.fhir.bulk import Exporter, File, Job, Manifest, deleted_in, errors_in
from adapter.fhir.capabilities import read_capabilities
from adapter.fhir.client import Client, Request
from adapter.fhir.pages import Query, read_page
from adapter.fhir.search import Searcher
from adapter.fhir.terminology import asking, expand
from adapter.fhir.transport import Reply
from tests.nightly.fuzz import odd
from tests.nightly.fuzz.bench import Bench, Kind, is_json, line_of, quiet
from tests.nightly.fuzz.disk import ENTRIES, NDJSON, PAGE
from tests.nightly.fuzz.odd import DOCUMENTS

BASE = "http://127.0.0.1:9/fhir"
SERVER = Settings(server=BASE, connection=Connection(retries=0, longest_wait_seconds=0.1))


class Answers:
    """A transport to a server that always says the same."""

    def __init__(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.body, self.status, self.headers = body, status, headers or {}

    def exchange(self, method: str, url: str, headers: Any, form: Any = None) -> Reply:
        """One whole answer."""
        return Reply(self.status, self.headers, url, self.body)

    def stream(self, url: str, headers: Any) -> "Answers":
        """The same, piece by piece."""
        return self

    def chunks(self, limit: float) -> Iterator[bytes]:
        """Pieces that end anywhere."""
        for at in range(0, len(self.body), 97):
            yield self.body[at : at + 97]

    def close(self) -> None:
        """Nothing is open."""


def client(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Client:
    """A real client of such a server; it neither waits nor asks twice."""
    made = Client(SERVER, sleep=lambda seconds: None, clock=lambda: 1_700_000_000.0)
    made.transport = cast(Any, Answers(body, status, headers))
    return made


def page(data: bytes, bench: Bench) -> None:
    """An odd entry between two good ones on a search page; then the walk of a whole odd answer."""
    there, query = client(b""), Query("Procedure")
    if is_json(data):
        body = b'{"resourceType":"Bundle","entry":[{"resource":%b},%b,{"resource":%b}]}'
        whole = body % (line_of("one"), data, line_of("two"))
        with suppress(CartNrmError):  # e.g. "the search was not understood"; never when rows came
            read = read_page(query, Reply(200, {}, BASE, whole), there.gate)
            quiet(*read.messages, *(reject.reason for reject in read.rejects))
            if {"one-proc2", "two-proc2"} - {row.id for row in read.rows}:
                raise AssertionError("a valid neighbour was lost")
            return
        raise AssertionError("a page with good rows was refused")
    for read in islice(Searcher(client(data)).walk(query), 40):
        quiet(*read.messages, *(reject.reason for reject in read.rejects))


STATUS = (200, 201, 202, 301, 302, 307, 400, 401, 403, 404, 410, 422, 429, 500, 503, 599)


def outcome(data: bytes, bench: Bench) -> None:
    """A refusal: status by the first byte, header by the second line, then an OperationOutcome."""
    first, _, body = data.partition(b"\n")
    status, header = STATUS[first[0] % len(STATUS)] if first else 500, first[1:].decode("latin-1")
    named = ("Retry-After", "Date", "Location", "Content-Location", "Content-Type")
    quiet(*errors_in(body))
    there = client(body, status, dict.fromkeys(named, header))
    there.ask(Request("patients", there.url("Patient")), lambda reply: reply.body)
    Exporter(there).kick_off("$export", ["Patient"], None)


def capability(data: bytes, bench: Bench) -> None:
    """A CapabilityStatement."""
    found = read_capabilities(client(data))
    quiet(found.fhir_version) if odd.CANARY not in found.software else None
    found.software.encode()


def manifest(data: bytes, bench: Bench) -> None:
    """What a bulk export says it made, and where its files lie."""
    there = client(data)
    exporter = Exporter(there)
    found = exporter.wait(Job(f"{BASE}/job", 0.0, ["Patient"]))
    for file in (*found.output, *found.deleted, *found.error):
        file.key.encode()
        with suppress(CartNrmError):
            next(exporter.rows(found, file), None)


def bulk_file(data: bytes, bench: Bench) -> None:
    """Odd lines of an export between good ones; whole odd bytes, packed or not; deletions."""
    deleted_in(data)
    made = Manifest(2e9, False, BASE)
    plain = b"\n".join((line_of("one"), data, line_of("two")))
    for body in (plain, data):
        file = File("Procedure", f"{BASE}/file")
        pages = list(Exporter(client(body)).rows(made, file))
        quiet(*(reject.reason for one in pages for reject in one.rejects))
        kept = {row.id for one in pages for row in one.rows}
        if body is plain and {"one-proc2", "two-proc2"} - kept:
            raise AssertionError("a valid neighbour was lost")


def login(data: bytes, bench: Bench) -> None:
    """.well-known/smart-configuration and the answer of a token end point."""
    auth = Auth(kind="client-secret", client_id="x", secret_env="PATH")
    settings = SERVER.model_copy(update={"auth": auth})
    with suppress(CartNrmError):
        smart_configuration(settings, cast(Any, Answers(data)))
    for status in (200, 400, 500):
        told = cast(Any, Answers(data, status))
        url = {"token_url": "http://127.0.0.1:9/token"}
        asked = settings.model_copy(update={"auth": auth.model_copy(update=url)})
        for one in (settings, asked):
            with suppress(CartNrmError):
                Credentials(one, told, sleep=lambda seconds: None).header()


def terminology(data: bytes, bench: Bench) -> None:
    """The answer of a terminology server."""
    rows = [SimpleNamespace(match="descendants", code="1", system="http://snomed.info/sct")]
    expand(asking(client(data)), cast(Codes, SimpleNamespace(rows=rows)), bench.folder)


KINDS = {
    "page": Kind(odd.documents(*ENTRIES, PAGE), page, 7),
    "outcome": Kind(
        st.builds(
            lambda head, body: head + b"\n" + body,
            st.binary(max_size=30)
            | st.sampled_from((b"\x0cThu, 01 Jan 1970 99:99:99 GMT", b"\x0d1e999")),
            odd.documents(DOCUMENTS["OperationOutcome"]),
        ),
        outcome,
        8,
    ),
    "capability": Kind(odd.documents(DOCUMENTS["CapabilityStatement"]), capability, 8, True),
    "manifest": Kind(odd.documents(DOCUMENTS["manifest"]), manifest, 7),
    "bulk_file": Kind(NDJSON | st.binary() | NDJSON.map(gzip.compress), bulk_file, 5),
    "login": Kind(odd.documents(DOCUMENTS["token"]), login, 6),
    "terminology": Kind(
        odd.documents(DOCUMENTS["expanded"], DOCUMENTS["OperationOutcome"]), terminology, 8
    ),
}
