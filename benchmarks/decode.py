"""The rival of every stage: read all lines of an export and decode them with msgspec, no more.

python -m benchmarks.decode FOLDER
"""

import sys
from pathlib import Path

import msgspec

from benchmarks.peers.stopwatch import BUFFER


def decode(folder: Path) -> int:
    """How many lines there were; each was made into dicts and lists, and forgotten."""
    plain = msgspec.json.Decoder().decode
    count = 0
    for file in sorted(folder.glob("*.ndjson")):
        with file.open("rb", buffering=BUFFER) as lines:
            for line in lines:
                plain(line)
                count += 1
    return count


if __name__ == "__main__":
    print(decode(Path(sys.argv[1])))
