"""Every error a user can meet, one exit code per branch.

    CartNrmError                      exit code
    ├── UsageError                     2   the command was called wrongly
    │   ├── TableError                 2   a table handed to `incidence` or `pool` cannot be read
    │   └── ReviewError                2   a worklist cannot be taken in
    ├── ConfigError                   10   study.toml or a setting is wrong
    ├── MappingError                  11   a code list or site overlay is wrong
    ├── AuthorisationError            12   the server does not let us in
    ├── ServerError                   13   the server cannot be reached or answers wrongly
    │   ├── GateError                 13   the server sent us to a place we must not go
    │   └── SliceFailed               13   one request plan slice failed and stays due
    ├── StoreError                    14   the store cannot be opened, read or written
    ├── LockedError                   15   another run holds the lock
    ├── Partial                       20   kept what came; what is missing stays due
    └── Alarm                         21   a brake was pulled; nothing was overwritten

Each message says what happened and what to do next, and never holds patient data or secrets.
"""

from typing import ClassVar

#: What readers of JSON and TOML raise: odd bytes, numbers without end, brackets without end.
UNREADABLE = (ValueError, RecursionError)


class CartNrmError(Exception):
    """The root: `exit_code` is what the command line returns, `hint` is what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(CartNrmError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class TableError(UsageError):
    """A table of times, events or sites cannot be used as it is."""


class ReviewError(UsageError):
    """A worklist is corrupted, foreign or contradicts itself; nothing was imported."""


class ConfigError(CartNrmError):
    """A setting is unknown, missing or impossible."""

    exit_code = 10


class MappingError(CartNrmError):
    """A code list or a site overlay cannot be loaded."""

    exit_code = 11


class AuthorisationError(CartNrmError):
    """The server refuses our credentials, or we have none."""

    exit_code = 12


class ServerError(CartNrmError):
    """The server is away or its answer cannot be used."""

    exit_code = 13


class GateError(ServerError):
    """The server handed us a URL that we must not follow."""


class SliceFailed(ServerError):
    """A part of the plan failed; its old watermark is kept and it is due next time."""


class StoreError(CartNrmError):
    """The store cannot be opened, read or written."""

    exit_code = 14


class LockedError(CartNrmError):
    """Another run is working on this store; `hours`: since when."""

    exit_code = 15
    hours: float = 0.0


class Partial(CartNrmError):
    """The night is incomplete: what came is kept, what is missing is listed and due."""

    exit_code = 20


class Alarm(CartNrmError):
    """Something vanished that should not have; nothing was overwritten."""

    exit_code = 21
