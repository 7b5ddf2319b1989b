"""Where one odd input is read: a folder, a store, names nobody has used yet, and what is checked.

A reader gives a result or raises one of our own errors. Beside that: valid neighbours in the same
file or page are kept, every result can be printed, and no message repeats a planted text.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from adapter.codes import Codes
from adapter.errors import CartNrmError
from adapter.load import load
from adapter.store import Store
from cli import _as_json
from tests.nightly.fuzz import odd
from tests.nightly.ward import recipient

_RENEW = 300  # inputs after which a fresh store is begun


class Bench:
    """A folder, a store, and names nobody has used yet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        self.store = Store(folder / "0.db")

    def name(self) -> str:
        """A patient of this input alone."""
        self.number += 1
        if self.number % _RENEW == 0:
            self.store.db.close()
            for old in self.folder.glob("*.db*"):
                old.unlink()
            self.store = Store(self.folder / f"{self.number}.db")
        return f"n{self.number}"

    def file(self, name: str, content: bytes) -> Path:
        """That content in a file; one name after the other lies there."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def take(self, path: Path, kept: tuple[str, ...], sift: Codes | None = None) -> None:
        """Load a file; the infusions of these patients must be in the store afterwards."""
        report = load(self.store, [path], recipients=sift)
        for name in kept:
            if f"{name}-proc2" not in self.store.ids("Procedure", name):
                raise AssertionError("a valid neighbour was lost")
        told = self.store.reject_reasons(report.run)
        quiet(_as_json(report), str(told))
        if sum(told.values()) != report.rejected:
            raise AssertionError("rejects were not counted")
        known = report.stored + report.unchanged + report.rejected
        if report.read != known + sum(report.not_used.values()):
            raise AssertionError("the account does not add up")


def quiet(*texts: str) -> None:
    """What we say can be printed and repeats no planted text."""
    for text in texts:
        text.encode()
        if odd.CANARY in text:
            raise AssertionError("the planted text is repeated")


def line_of(name: str) -> bytes:
    """The infusion of a neighbour."""
    return json.dumps(recipient(name)[2]).encode()


def lines_of(name: str) -> bytes:
    """All resources of a neighbour."""
    return b"\n".join(json.dumps(one).encode() for one in recipient(name))


def is_json(raw: bytes) -> bool:
    """Is this one JSON value by RFC 8259, not nested deeper than anybody would?"""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.dumps(json.loads(raw.decode(), parse_constant=refuse), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return max(raw.count(b"["), raw.count(b"{")) < 500


class Kind(NamedTuple):
    """One kind of input: how it is drawn, what reads it, its part of a campaign (quick ones more).

    `open_`: a person of the site wrote it and may be shown what it says.
    """

    make: st.SearchStrategy[bytes]
    read: Callable[[bytes, Bench], None]
    share: float
    open_: bool = False

    def run(self, data: bytes, bench: Bench) -> str:
        """The message of our own error, or ""; anything else is raised."""
        try:
            self.read(data, bench)
        except CartNrmError as problem:
            if not 2 <= problem.exit_code <= 21 or not problem.message:
                raise AssertionError("an error without a message or exit code") from None
            str(problem).encode()
            header = data.lstrip().partition(b"\n")[0]  # names of columns are shown
            if not self.open_ and odd.CANARY.encode() not in header:
                quiet(str(problem))
            return problem.message if problem.hint else f"(no hint) {problem.message}"
        return ""
