"""What the server says it can do, so that we ask before we assume."""

from typing import Any

import msgspec

from adapter.errors import UNREADABLE, ServerError
from adapter.fhir.client import Client, Request
from adapter.fhir.transport import Broken, Reply

_EXPORTS = {"export", "group-export", "patient-export", "system-export"}


class _Named(msgspec.Struct):
    name: Any = None
    code: Any = None
    type: Any = None


class _Resource(msgspec.Struct):
    type: Any = None
    interaction: list[_Named] = []
    searchParam: list[_Named] = []
    operation: list[_Named] = []


class _Rest(msgspec.Struct):
    searchParam: list[_Named] = []
    resource: list[_Resource] = []
    operation: list[_Named] = []


class _Software(msgspec.Struct):
    name: Any = None
    version: Any = None


class _Statement(msgspec.Struct):
    resourceType: Any = None
    fhirVersion: Any = None
    software: _Software | None = None
    rest: list[_Rest] = []


class Capabilities(msgspec.Struct, frozen=True):
    """Search parameters by type, exports offered, FHIR version, what the software calls itself."""

    params: dict[str, frozenset[str]]
    exports: frozenset[str] = frozenset()
    fhir_version: str = ""
    software: str = ""

    def has(self, kind: str, param: str) -> bool:
        """Does the server say that this type can be searched by this parameter?"""
        return param in self.params.get(kind, ())


def read_capabilities(client: Client) -> Capabilities:
    """[base]/metadata, judged: it must be a FHIR R4 server."""
    request = Request("capability statement", client.url("metadata"))
    statement = client.ask(request, _statement)
    version = str(statement.fhirVersion or "")
    if statement.resourceType != "CapabilityStatement" or not version.startswith("4."):
        raise ServerError(
            f"The server does not say that it speaks FHIR R4 (it says {_short(version)!r}).",
            "Set `server` to the base URL of the R4 end point.",
        )
    return _read(statement)


def _statement(reply: Reply) -> _Statement:
    try:
        return msgspec.json.decode(reply.body, type=_Statement)
    except UNREADABLE:
        hint = "Is `server` the FHIR base, and not a page to log in?"
        raise Broken("The answer is not a readable capability statement.", hint) from None


def _read(statement: _Statement) -> Capabilities:
    params: dict[str, frozenset[str]] = {}
    exports = set[str]()
    for rest in statement.rest:
        if any(str(operation.name).lstrip("$") in _EXPORTS for operation in rest.operation):
            exports.add("system")
        for resource in rest.resource:
            kind = str(resource.type)
            names = {str(p.name) for p in (*resource.searchParam, *rest.searchParam)}
            params[kind] = params.get(kind, frozenset()) | names
            if any(str(operation.name).lstrip("$") in _EXPORTS for operation in resource.operation):
                exports.add(kind.lower())
    software = statement.software or _Software()
    return Capabilities(
        params,
        frozenset(exports),
        str(statement.fhirVersion or ""),
        _short(f"{software.name or ''} {software.version or ''}".strip()),
    )


def _short(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:60]
