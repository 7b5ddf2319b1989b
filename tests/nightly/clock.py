"""The command line under a clock that is wrong, or that jumps while it is read.

python -m tests.nightly.clock SECONDS READINGS nightly --config study.toml

After so many readings of the clock it is so many seconds ahead (or behind). Everything is patched
before the program is imported, so that it has no other clock.
"""

import datetime as calendar
import sys
import time

_true = time.time


def main() -> None:
    """Patch the clock, then be `cart-nrm`."""
    ahead, readings = float(sys.argv[1]), int(sys.argv[2])
    read = [0]

    def now() -> float:
        read[0] += 1
        return _true() + (ahead if read[0] > readings else 0.0)

    class Shifted(calendar.datetime):
        @classmethod
        def now(cls, tz: calendar.tzinfo | None = None) -> "Shifted":
            return cls.fromtimestamp(now(), tz)

    time.time = now
    calendar.datetime = Shifted  # type: ignore[misc]
    from cli import main as cart_nrm

    cart_nrm(sys.argv[3:])


if __name__ == "__main__":
    main()
