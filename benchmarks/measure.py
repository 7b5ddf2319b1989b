"""What a command costs: a fresh process for each, so that memory and time are its own."""

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
_LOOK = 0.05  # seconds between two looks at the memory of a command and its workers


class Cost(msgspec.Struct, frozen=True):
    """CPU and wall seconds, and bytes of memory, workers included."""

    cpu: float
    wall: float
    peak: int

    def least(self, other: "Cost") -> "Cost":
        """The better time of two rounds and the larger memory."""
        return Cost(
            min(self.cpu, other.cpu), min(self.wall, other.wall), max(self.peak, other.peak)
        )


class Failed(RuntimeError):
    """A command ended badly; the message ends with what it said."""


def cost_of(command: Sequence[str], more: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command from the root of the project; its cost and what it printed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=said, env=_environment() | dict(more or {})
        )
        memory = _Memory(child.pid)
        memory.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        memory.done.set()
        memory.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said.seek(0)
        if child.returncode:
            raise Failed(
                f"{' '.join(command)}\nexit code {child.returncode}\n{said.read()[-2000:]}"
            )
        return Cost(used.ru_utime + used.ru_stime, wall, memory.peak), out.read()


def _environment() -> dict[str, str]:
    """Ours; but a program that is installed is not compiled anew at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class _Memory(threading.Thread):
    """Watches a process and its descendants.

    Alone, a process has a peak that the kernel keeps; with workers it is the largest sum of their
    shares, shared pages once. What wait4 tells is of no use: it starts with the parent's memory.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.peak, self.done = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(_LOOK):
            family = _family(self._pid)
            alone = len(family) == 1
            now = _own_peak(self._pid) if alone else sum(map(_share, family))
            self.peak = max(self.peak, now)


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(map(int, _text(task).split()))
    return found


def _own_peak(pid: int) -> int:
    return _bytes(Path(f"/proc/{pid}/status"), "VmHWM:")


def _share(pid: int) -> int:
    return _bytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _bytes(path: Path, field: str) -> int:
    """A field of a file of the kernel, given in kB; 0 for a process that has just ended."""
    lines = _text(path).splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def cart_nrm(*arguments: object) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "cli.py", *map(str, arguments)]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = _text(Path("/proc/cpuinfo")).splitlines()
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(pages / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": round(os.getloadavg()[0], 1),  # of other work, when this began
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("msgspec", "numpy", "zstandard")},
    }


def keep(figures: msgspec.Struct, file: Path | None) -> None:
    """Write figures as JSON that differs little from run to run, where they are wanted."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
