"""A little honest FHIR server in the test's own process, and traps that make it lie.

The server does what R4 says: searches, counts, pages with offsets, POST _search, exports. A trap
answers instead of it, for as many requests as the test wants.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

Row = dict[str, Any]
Answer = Callable[["Asked"], Response | None]
TYPES = ("Patient", "Condition", "Observation")


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    url: str

    def get(self, name: str) -> str:
        """The last value of a parameter, "" when it is absent."""
        return dict(self.params).get(name, "")

    @property
    def counting(self) -> bool:
        """Is this a question for a number only?"""
        return self.get("_summary") == "count"


@dataclass
class Trap:
    """Answers instead of the honest server where `where` matches the path, `times` times."""

    where: re.Pattern[str]
    answer: Answer
    times: int
    skip: int = 0


@dataclass
class Little:
    """The server's rows, its traps, and what it was asked."""

    server: HTTPServer
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    traps: list[Trap] = field(default_factory=list)
    log: list[Asked] = field(default_factory=list)
    total: bool = True
    links: bool = True
    types: tuple[str, ...] = TYPES
    page_limit: int = 1000
    clock: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=2))
    live: bool = False  # rows are stamped with this very moment
    ignored: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server.expect_request(re.compile(".*")).respond_with_handler(self._handle)

    @property
    def base(self) -> str:
        """The FHIR base."""
        return self.server.url_for("/fhir")

    # -- rows --------------------------------------------------------------------------------

    def put(
        self, kind: str, id_: str, patient: str = "p1", *, tick: float = 1.0, **more: Any
    ) -> Row:
        """Store a resource; its version and instant move on."""
        self.clock = datetime.now(UTC) if self.live else self.clock + timedelta(seconds=tick)
        old = self.rows.get((kind, id_), {"meta": {"versionId": "0"}})
        row: Row = {"resourceType": kind, "id": id_, **more}
        if kind != "Patient":
            row.setdefault("subject", {"reference": f"Patient/{patient}"})
        row["meta"] = {
            "versionId": str(int(old["meta"]["versionId"]) + 1),
            "lastUpdated": self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self.rows[kind, id_] = row
        return row

    def people(self, patients: int = 3, each: int = 4) -> "Little":
        """Patients p1.. with `each` conditions and observations."""
        for number in range(1, patients + 1):
            self.put("Patient", f"p{number}")
            for i in range(each):
                self.put("Condition", f"c{number}-{i}", f"p{number}")
                self.put("Observation", f"o{number}-{i}", f"p{number}")
        return self

    def remove(self, kind: str, id_: str) -> None:
        """Delete a resource."""
        del self.rows[kind, id_]
        self.deleted.append(f"{kind}/{id_}")

    def ids(self, kind: str | None = None) -> set[str]:
        """Type/id of everything."""
        return {f"{k}/{i}" for k, i in self.rows if kind in (None, k)}

    # -- traps -------------------------------------------------------------------------------

    def trap(self, where: str, answer: Answer, times: int = 10**6, skip: int = 0) -> None:
        """Answer so wherever the path matches; `skip` matching requests pass first."""
        self.traps.append(Trap(re.compile(where), answer, times, skip))

    def heal(self) -> None:
        """Become honest again."""
        self.traps.clear()
        self.total = self.links = True

    def asked(self, where: str) -> list[Asked]:
        """Requests whose path matches."""
        return [one for one in self.log if re.search(where, one.path)]

    # -- answers -----------------------------------------------------------------------------

    def _handle(self, request: Request) -> Response:
        body = request.get_data()
        params = parse_qsl(request.query_string.decode(), keep_blank_values=True)
        if "form-urlencoded" in (request.content_type or ""):
            params += parse_qsl(body.decode(), keep_blank_values=True)
        headers = dict(request.headers)
        asked = Asked(request.method, request.path, params, headers, body, request.url)
        self.log.append(asked)
        for trap in self.traps:
            if trap.times > 0 and trap.where.search(asked.path):
                if trap.skip > 0:
                    trap.skip -= 1
                    continue
                if (answer := trap.answer(asked)) is not None:
                    trap.times -= 1
                    return answer
        return self.honest(asked)

    def honest(self, asked: Asked) -> Response:
        """What the specification says."""
        path = asked.path.removeprefix("/fhir").strip("/")
        if path == "metadata":
            return as_json(self._metadata())
        if "$export" in path or path.startswith(("job/", "files/")):
            return self._export(asked, path)
        kind = path.removesuffix("/_search")
        if kind in self.types:
            return as_json(self.bundle(kind, asked))
        kind, _, id_ = path.partition("/")
        found = self.rows.get((kind, id_))
        return as_json(found) if found else problem(404, "not-found")

    def _metadata(self) -> Row:
        params = ["_id", "_lastUpdated", "code", "patient"]
        resource = [{"type": t, "searchParam": [{"name": p} for p in params]} for t in self.types]
        return {
            "resourceType": "CapabilityStatement",
            "fhirVersion": "4.0.1",
            "software": {"name": "Little"},
            "rest": [{"resource": resource, "operation": [{"name": "export"}]}],
        }

    def matching(self, kind: str, asked: Asked) -> list[Row]:
        """All rows that the parameters ask for, oldest first."""
        rows = [row for (k, _), row in self.rows.items() if k == kind]
        for name, value in asked.params:
            if name in self.ignored:
                continue
            if name == "_id":
                rows = [row for row in rows if row["id"] in value.split(",")]
            elif name == "patient":
                wanted = {v.removeprefix("Patient/") for v in value.split(",")}
                rows = [r for r in rows if r["subject"]["reference"].split("/")[-1] in wanted]
            elif name == "code":
                codes = set(value.split(","))
                rows = [r for r in rows if codes & {c["code"] for c in r["code"]["coding"]}]
            elif name == "_lastUpdated":
                rows = [r for r in rows if _instant_fits(r["meta"]["lastUpdated"], value)]
        return sorted(rows, key=lambda row: row["meta"]["lastUpdated"])

    def bundle(self, kind: str, asked: Asked) -> Row:
        """One page."""
        rows = self.matching(kind, asked)
        bundle: Row = {"resourceType": "Bundle", "type": "searchset"}
        if self.total or asked.counting:
            bundle["total"] = len(rows)
        if asked.counting:
            return bundle
        count = min(int(asked.get("_count") or 20), self.page_limit)
        offset = int(asked.get("_offset") or 0)
        page = rows[offset : offset + count]
        if asked.get("_elements"):
            page = [{key: row[key] for key in ("resourceType", "id", "meta")} for row in page]
        bundle["entry"] = [{"resource": row, "search": {"mode": "match"}} for row in page]
        if self.links and offset + count < len(rows):
            params = [p for p in asked.params if p[0] != "_offset"]
            query = urlencode([*params, ("_offset", str(offset + count))])
            bundle["link"] = [{"relation": "next", "url": f"{self.base}/{kind}?{query}"}]
        return bundle

    # -- export ------------------------------------------------------------------------------

    def _export(self, asked: Asked, path: str) -> Response:
        if "$export" in path:
            name = str(len(self.jobs) + 1)
            self.jobs[name] = {"types": asked.get("_type").split(","), "since": asked.get("_since")}
            self.jobs[name]["at"] = _now()
            where = {"Content-Location": f"{self.base}/job/{name}"}
            return Response(status=202, headers=where)
        _, name, *rest = path.split("/")
        job = self.jobs.get(name)
        if job is None:
            return problem(404, "not-found")
        if path.startswith("job/"):
            if asked.method == "DELETE":
                del self.jobs[name]
                return Response(status=202)
            return as_json(self.manifest(name))
        kind = rest[0].removesuffix(".ndjson")
        lines = [json.dumps(row) for row in self.exported(name, kind)]
        return Response("\n".join(lines) + "\n", content_type="application/fhir+ndjson")

    def exported(self, name: str, kind: str) -> list[Row]:
        """The rows of one type in one job."""
        since = self.jobs[name]["since"]
        rows = [row for (k, _), row in self.rows.items() if k == kind]
        return [
            r for r in rows if not since or _instant_fits(r["meta"]["lastUpdated"], f"ge{since}")
        ]

    def manifest(self, name: str) -> Row:
        """The finished job."""
        job = self.jobs[name]
        output = [
            {
                "type": kind,
                "url": f"{self.base}/files/{name}/{kind}.ndjson",
                "count": len(self.exported(name, kind)),
            }
            for kind in job["types"]
            if self.exported(name, kind)
        ]
        return {
            "transactionTime": job["at"],
            "requiresAccessToken": True,
            "output": output,
            "error": [],
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant_fits(have: str, asked: str) -> bool:
    when, wanted = datetime.fromisoformat(have), datetime.fromisoformat(asked[2:])
    return {
        "ge": when >= wanted, "gt": when > wanted, "le": when <= wanted, "lt": when < wanted,
    }[asked[:2]]  # fmt: skip


def as_json(body: Any, status: int = 200, **headers: str) -> Response:
    """A FHIR answer."""
    return Response(json.dumps(body), status, {**headers}, content_type="application/fhir+json")


def problem(status: int, code: str = "exception", text: str = "", **headers: str) -> Response:
    """An OperationOutcome."""
    issue = [{"severity": "error", "code": code, "diagnostics": text}]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return as_json({"resourceType": "OperationOutcome", "issue": issue}, status, **named)
