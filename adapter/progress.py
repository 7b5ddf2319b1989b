"""What a person sees while a command works."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_EVERY_SECONDS = 60.0


class Progress:
    """A moving line on a terminal; elsewhere (cron, systemd, CI) one plain line a minute."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream = stream or sys.stderr
        self.clock = clock
        self.live = self.stream.isatty()
        self.told = clock()

    def __call__(self, what: str, done: int, of: int = 0) -> None:
        """Say how far it is, not more often than a reader can follow."""
        now = self.clock()
        if now - self.told < (0.1 if self.live else _EVERY_SECONDS):
            return
        self.told = now
        line = f"{what}: {done:,}" + (f" of {of:,}" if of else "")
        self.stream.write(f"\r\x1b[2K{line}" if self.live else f"{line}\n")
        self.stream.flush()

    def clear(self) -> None:
        """Take the moving line away."""
        if self.live:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
