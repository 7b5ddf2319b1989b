"""What one kind of server does otherwise than FHIR R4 says, as data with reasons.

A quirk file is TOML: `[set]` holds the differences, and every key that is set must have a `[[why]]`
with the reason, where it is known from, and when. A site can write its own and name its path.
The capability statement is asked first; a quirk is for what asking cannot find out.
"""

import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec

from adapter.errors import UNREADABLE, ConfigError


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to speak to the server; the defaults are a plain R4 server."""

    headers: dict[str, str] = {}
    """Extra headers; `{client_id}` is filled in."""
    categories: dict[str, tuple[str, ...]] = {}
    """Types that must be asked category by category."""
    no_last_updated: tuple[str, ...] = ()
    """Types that cannot be searched by _lastUpdated; "*" means all."""
    sort: bool = True
    """_sort=_lastUpdated gives rows in that order."""
    elements: bool = True
    """_elements=id,meta gives small rows."""
    counts: bool = True
    """_summary=count gives the exact number."""
    post_search: bool | None = None
    """POST _search works; None: find out by trying."""
    clinical_dates: dict[str, str] = {}
    """Date parameter by type, for types without _lastUpdated."""
    batch_patients: int = 50
    batch_codes: int = 60
    largest_page: int = 1000
    token_with_system: bool = False
    """A code search must name the system too."""
    offset_param: str = ""
    """Parameter that skips rows, on servers that send no next links."""
    ask_total: bool = False
    """Send _total=accurate, because the server counts only when asked."""
    own_paths: tuple[str, ...] = ()
    retries: int | None = None
    first_wait_seconds: float = 1.0
    export_by_post: bool = False
    name: str = "plain"


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reason for one difference: what was seen, where that is written, when."""

    key: str
    reason: str
    source: str
    seen: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    about: str
    set: Quirks = Quirks()
    why: tuple[Why, ...] = ()


def known() -> list[str]:
    """Names of the quirk files that come along."""
    return sorted(p.name[:-5] for p in files(__package__).joinpath("quirks").iterdir())


def load_quirks(name: str) -> Quirks:
    """The quirks of that name or path; plain R4 when the name is empty."""
    return _read(name)[0]


def reasons(name: str) -> tuple[Why, ...]:
    """Why the quirks of that name are as they are."""
    return _read(name)[1]


def _read(name: str) -> tuple[Quirks, tuple[Why, ...]]:
    if name.endswith(".toml"):
        place, label = Path(name).expanduser(), Path(name).stem
        text = place.read_bytes() if place.is_file() else None
    else:
        label = name or "plain"
        text = (
            files(__package__).joinpath("quirks", f"{label}.toml").read_bytes()
            if label in known()
            else None
        )
    if text is None:
        raise ConfigError(
            f"There is no quirk file {name!r}.",
            f"Known: {', '.join(known())}; or give a path ending in .toml.",
        )
    return _checked(text, label)


def _checked(text: bytes, label: str) -> tuple[Quirks, tuple[Why, ...]]:
    try:
        raw = tomllib.loads(text.decode())
        file = msgspec.convert(raw, _File)
    except UNREADABLE as problem:
        hint = "Compare it with one that comes along, as epic.toml."
        raise ConfigError(f"The quirk file {label} is wrong: {problem}.", hint) from None
    unexplained = set(raw.get("set", {})) - {why.key for why in file.why}
    if unexplained:
        raise ConfigError(
            f"The quirk file {label} gives no reason for {', '.join(sorted(unexplained))}.",
            "Add a [[why]] with key, reason, source and seen.",
        )
    return msgspec.structs.replace(file.set, name=label), file.why
