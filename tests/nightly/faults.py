"""What can go wrong with disks, files, clocks and servers, each for the length of one night.

A fault takes a site, does its damage, lets the night run, heals what an operator would heal, and
says how the night ended. `can_mount` tells which kind of full and read-only disk is used.
"""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.nightly.site import Ended, Site, Wrong

Fault = Callable[[Site], Ended]
_NOBODY = 65_534
_TOGETHER = 3


# -- disks -----------------------------------------------------------------------------------


@cache
def can_mount() -> bool:
    """May this process make a small memory disk?"""
    if os.geteuid() != 0:
        return False
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and _runs(probe)


def _runs(command: list[str]) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


@contextmanager
def small_disk(place: Path, megabytes: int = 8) -> Iterator[None]:
    """A memory disk of its own at this place, where `can_mount`; else the folder itself."""
    place.mkdir(parents=True, exist_ok=True)
    size = f"size={megabytes}m"
    mounted = can_mount() and _runs(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)])
    try:
        yield
    finally:
        if mounted:
            _runs(["umount", "-l", str(place)])


def full_disk(left: int) -> Fault:
    """A night with so many bytes left on the disk (or in any one file, where no disk is small)."""

    def fault(site: Site) -> Ended:
        if not can_mount():
            return _with_short_files(site, site.chosen.store.stat().st_size + left)
        filler = site.folder / "filler"
        disk = os.statvfs(site.folder)
        filler.write_bytes(b"x" * max(0, disk.f_bavail * disk.f_bsize - left))
        try:
            return site.night()
        finally:
            filler.unlink()

    return fault


def _with_short_files(site: Site, most: int) -> Ended:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        return site.night()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def read_only_disk(site: Site) -> Ended:
    """The whole disk cannot be written."""
    if not _runs(["mount", "-o", "remount,ro", str(site.folder)]):
        raise Wrong("the disk cannot be made read-only")
    try:
        return site.night()
    finally:
        _runs(["mount", "-o", "remount,rw", str(site.folder)])


def forbidden(name: str, mode: int) -> Fault:
    """A night of an account that may not write this file or folder (root becomes nobody)."""

    def fault(site: Site) -> Ended:
        path, root = site.folder / name, os.geteuid() == 0
        before = path.stat().st_mode
        if root:
            for one in (site.folder, *site.folder.rglob("*")):
                os.chown(one, _NOBODY, _NOBODY, follow_symlinks=False)
        path.chmod(mode)
        try:
            if root:
                os.seteuid(_NOBODY)
            return site.night()
        finally:
            if root:
                os.seteuid(0)
            path.chmod(before)

    return fault


# -- clocks, and two at once -----------------------------------------------------------------


def wrong_clock(ahead: float, readings: int = 0, zone: str = "UTC") -> Fault:
    """A night of a machine whose clock is wrong, or jumps after so many readings."""

    def fault(site: Site) -> Ended:
        clock = [sys.executable, "-m", "tests.nightly.clock", str(ahead), str(readings)]
        command = [*clock, "nightly", "--config", str(site.config)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": zone}
        )
        return Ended(done.returncode, done.stdout.strip() or done.stderr.strip())

    return fault


def at_once(site: Site) -> Ended:
    """Three nights begin together: at least one is complete, the others stop or come after it."""
    command = [sys.executable, "cli.py", "nightly", "--config", str(site.config)]
    begun = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(_TOGETHER)
    ]
    ended = [Ended(one.wait(), (one.communicate()[0] or "").strip()) for one in begun]
    codes = sorted(one.code for one in ended)
    if codes[0] != 0 or not {*codes} <= {0, 15}:
        raise Wrong(f"nights at once ended with {codes}")
    return max(ended)


# -- files -----------------------------------------------------------------------------------


def cut(name: str, keep: Callable[[bytes], bytes], *, mend: bool = False) -> Fault:
    """A night that finds this file changed; `mend` puts the good one back afterwards."""

    def fault(site: Site) -> Ended:
        path = (site.folder / name).resolve()
        whole = path.read_bytes()
        path.write_bytes(keep(whole))
        try:
            return site.night()
        finally:
            if mend:
                put_back(path, whole)

    return fault


def cut_output(name: str) -> Fault:
    """A file of the last night is cut in half; the operator throws that night's folder away."""

    def fault(site: Site) -> Ended:
        path = (site.chosen.nightly.folder / "latest" / name).resolve()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        try:
            return site.night()
        finally:
            shutil.rmtree(path.parent)

    return fault


def gone(name: str) -> Fault:
    """A night that does not find this file; afterwards it is there again."""

    def fault(site: Site) -> Ended:
        path = site.folder / name
        whole = path.read_bytes()
        path.unlink()
        try:
            return site.night()
        finally:
            put_back(path, whole)

    return fault


def put_back(path: Path, content: bytes) -> None:
    """Restore a backup as an operator does: without the journal that lies beside a store."""
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    path.write_bytes(content)
    path.chmod(0o600)


# -- the store's pages -----------------------------------------------------------------------

PAGE = 4096


def overwrite(whole: bytes, start: int, length: int, value: bytes = b"\xff") -> bytes:
    """The file's bytes with some of them turned into nonsense."""
    return whole[:start] + value * length + whole[start + length :]


def turned(whole: bytes, page: int, chance: random.Random, many: int = 16) -> bytes:
    """The file's bytes with some neighbouring ones of one page turned into others."""
    start = page * PAGE + chance.randrange(PAGE - many)
    turn = bytes(byte ^ chance.randrange(1, 256) for byte in whole[start : start + many])
    return whole[:start] + turn + whole[start + many :]


def kinds_of_pages(store: Path) -> dict[int, str]:
    """What each page holds: `header`, or the kind of tree and page that SQLite reports."""
    db = sqlite3.connect(store)
    try:
        indexes = {
            row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='index'")
        }
        rows = db.execute("SELECT pageno, name, pagetype FROM dbstat").fetchall()
    finally:
        db.close()
    kinds = {n - 1: f"{'index ' * (name in indexes)}{kind}" for n, name, kind in rows}
    return {**kinds, 0: "header"}


def left_by_a_kill(keep: Callable[[bytes], bytes]) -> Fault:
    """A night that finds the store's write-ahead log as a kill left it, then damaged."""

    def fault(site: Site) -> Ended:
        store, log = site.chosen.store, site.chosen.store.with_name("cart.db-wal")
        db = sqlite3.connect(store, isolation_level=None)
        for n in range(20):  # as many transactions that were not yet moved into the store
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"synthetic {n}", "x" * 900))
        whole, written = store.read_bytes(), log.read_bytes()
        db.close()
        put_back(store, whole)
        log.write_bytes(keep(written))
        return site.night()

    return fault
