"""The baseline: read every line and decode it to plain objects with msgspec."""

from pathlib import Path

import msgspec

from benchmarks.peers.stopwatch import BUFFER, Found, main


def decode(file: Path) -> Found:
    """Decode and forget."""
    plain = msgspec.json.Decoder().decode
    with file.open("rb", buffering=BUFFER) as lines:
        return Found(sum(1 for line in lines if plain(line) is not None))


if __name__ == "__main__":
    main("msgspec", {"decode": decode})
