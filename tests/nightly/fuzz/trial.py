"""Many inputs of one kind: drawn by hypothesis, or made by atheris; what they gave, what failed."""

import importlib
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.nightly.fuzz import disk, server, site, worklists
from tests.nightly.fuzz.bench import Bench, Kind

KINDS: dict[str, Kind] = {**disk.KINDS, **server.KINDS, **site.KINDS, **worklists.KINDS}
SLOW = 60.0  # seconds for one input, also on a busy machine
_CHUNK = 1_000  # inputs that hypothesis draws under one seed
_FIRST = 150  # documents that atheris starts from
_LONGEST = 8_192
_WORDS = (
    "resourceType", "Bundle", "Patient", "Procedure", "OperationOutcome", "entry", "resource",
    "subject", "reference", "urn:uuid:", "fullUrl", "valueQuantity", "coding", "issue", "contained",
    "SUBSETTED", "link", "relation", "next", "1e999", "2021-02-30",
)  # fmt: skip


class Trial:
    """Inputs of one kind, what they gave, and every way in which it went wrong."""

    def __init__(self, name: str, folder: Path) -> None:
        self.kind, self.folder, self.bench = KINDS[name], folder, Bench(folder)
        self.done = 0
        self.said: Counter[str] = Counter()
        self.found: dict[str, bytes] = {}

    def take(self, data: bytes) -> None:
        """Read one input."""
        began, self.done = time.monotonic(), self.done + 1
        try:
            self.said[self.kind.run(data, self.bench)[:60]] += 1
        except Exception as problem:
            self._note(_place(problem), data)
        if time.monotonic() - began > SLOW:
            self._note("slow", data)

    def _note(self, what: str, data: bytes) -> None:
        if what not in self.found or len(data) < len(self.found[what]):
            self.found[what] = data
        if self.bench.store.db.in_transaction:
            self.bench.store.db.execute("ROLLBACK")

    def draw(self, inputs: int, first: int) -> None:
        """Inputs drawn by hypothesis."""
        for number, start in enumerate(range(0, inputs, _CHUNK)):
            drawn(self.kind, min(_CHUNK, inputs - start), first * 100_003 + number, self.take)

    def guide(self, inputs: int, first: int) -> None:
        """Inputs made by atheris from some that hypothesis drew; ends the process."""
        atheris: Any = importlib.import_module("atheris")
        some: list[bytes] = []
        drawn(self.kind, _FIRST, first, some.append)
        corpus, words = self.folder / "corpus", self.folder / "words"
        corpus.mkdir()
        for number, data in enumerate(some):
            (corpus / str(number)).write_bytes(data[:_LONGEST])
        words.write_text("".join(f'"{word}"\n' for word in _WORDS))

        def once(data: bytes) -> None:
            self.take(data)
            if self.done == inputs:
                self.tell()

        options = (f"-runs={inputs}", f"-seed={first}", f"-max_len={_LONGEST}", f"-dict={words}")
        quiet = ("-rss_limit_mb=0", "-timeout=120", "-verbosity=0")
        atheris.Setup([sys.argv[0], *options, *quiet, str(corpus)], once)
        atheris.Fuzz()

    def tell(self) -> None:
        """What came of it, for the process that started this one."""
        found = {what: data.hex() for what, data in self.found.items()}
        told = {"done": self.done, "found": found, "said": self.said.most_common()}
        (self.folder / "told.json").write_text(json.dumps(told))


def drawn(kind: Kind, inputs: int, first: int, take: Callable[[bytes], None]) -> None:
    """So many documents of a kind, always the same for the same seed."""

    @seed(first)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.make)
    def one(data: bytes) -> None:
        take(data)

    one()


def _place(problem: Exception) -> str:
    """What went wrong and in which line of ours."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [f for f in frames if "/adapter/" in f.filename or f.filename.endswith("cli.py")]
    last = (ours or frames)[-1]
    said = str(problem)[:90] if isinstance(problem, AssertionError) else ""
    return f"{type(problem).__name__} {Path(last.filename).name}:{last.lineno} {said}".rstrip()
