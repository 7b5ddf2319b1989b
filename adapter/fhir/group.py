"""Patients by name: the members of a Group on the server, or a list in a file."""

from pathlib import Path
from typing import Any

import msgspec

from adapter.envelope import split_reference
from adapter.errors import UNREADABLE, ConfigError, ServerError
from adapter.fhir.client import Client, Request
from adapter.fhir.transport import Broken, Reply


class _Member(msgspec.Struct):
    entity: dict[str, Any] = {}
    inactive: Any = False


class _Group(msgspec.Struct):
    resourceType: str
    member: list[_Member] = []


def group_members(client: Client, group: str) -> set[str]:
    """The patients of a Group, those marked inactive left out."""
    if not group:
        raise ConfigError("No group is named.", "Set connection.group to the Group's id.")
    found = client.ask(Request("Group", client.url(f"Group/{group}")), _read_group)
    members = set[str]()
    for member in found.member:
        kind, id_ = split_reference(str(member.entity.get("reference", "")))
        if kind == "Patient" and member.inactive is not True:
            members.add(id_)
    if not members:
        raise ServerError("The group has no patients.", "Check connection.group and the scopes.")
    return members


def _read_group(reply: Reply) -> _Group:
    try:
        return msgspec.json.decode(reply.body, type=_Group)
    except UNREADABLE:
        raise Broken("The group cannot be read.") from None


def listed_patients(path: Path | None) -> set[str]:
    """The ids in a file, one a line."""
    if path is None:
        raise ConfigError("No patient list is named.", "Set connection.patients to a file.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path} cannot be read.", "Save it as UTF-8 text.") from None
    return {line.strip() for line in lines if line.strip()}
