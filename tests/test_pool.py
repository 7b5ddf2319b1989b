"""Work is spread over processes: in order, without losing a fault, and nobody is left behind."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.errors import StoreError, UsageError
from adapter.pool import Pool, early_pool

ROOT = Path(__file__).parent.parent


class Adds:
    """Adds to each number; knows how often it was asked in this process."""

    def __init__(self, more: int) -> None:
        self.more, self.asked = more, 0

    def __call__(self, number: int) -> tuple[int, int, int]:
        self.asked += 1
        return number + self.more, self.asked, os.getpid()


def refuses(number: int) -> int:
    if number == 7:
        raise UsageError("Seven is not allowed.")
    return number


def is_killed(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(params=[False, True], ids=["spawned", "copied"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Two processes, started either way."""
    if request.param and sys.platform != "linux":
        pytest.skip("processes are copied on Linux only")
    with Pool(2, copied=request.param) as opened:
        yield opened


def test_answers_come_in_order_from_all_processes(pool: Pool) -> None:
    """Each process keeps the work with what it has learned, and takes the next when it is new."""
    first = list(pool.spread(Adds(100), range(50)))
    assert [100 + n for n in range(50)] == [answer for answer, _, _ in first]
    assert 2 == len({pid for _, _, pid in first})
    assert 50 == sum({pid: asked for _, asked, pid in first}.values())
    assert [(5, 1)] == [(answer, asked) for answer, asked, _ in pool.spread(Adds(5), [0])]


class FirstWaitsForLast:
    """The first task is not done before the last one, unless that does not come for a second."""

    def __init__(self, fifo: Path) -> None:
        self.fifo = fifo

    def __call__(self, number: int) -> int:
        handle = os.open(self.fifo, os.O_RDWR)
        if number == 0:
            select.select([handle], [], [], 1.0)
        if number == 399:
            os.write(handle, b"!")
        os.close(handle)
        return number


def test_one_long_task_piles_up_nothing(tmp_path: Path) -> None:
    """While one process is long at the first task, the other gets a few tasks ahead, not all."""
    os.mkfifo(tmp_path / "fifo")
    tasks = iter(range(400))
    with Pool(2) as pool:
        answers = pool.spread(FirstWaitsForLast(tmp_path / "fifo"), tasks)
        assert 0 == next(answers)
        assert 80 > next(tasks)
        assert 398 == len(list(answers))


def much(number: int) -> bytes:
    """The first answer comes late, the others are large."""
    if number == 0:
        select.select([], [], [], 0.3)
    return bytes(2**20)


def test_large_answers_pile_up_less(pool: Pool) -> None:
    """Memory is bounded in bytes, whatever an answer holds."""
    tasks = iter(range(100))
    answers = pool.spread(much, tasks)
    assert 2**20 == len(next(answers))
    assert 16 > next(tasks)
    assert 98 == len(list(answers))


def test_large_tasks_with_large_answers_wait_for_nobody(pool: Pool) -> None:
    """A pipe holds little: who writes a task must not wait for somebody who writes an answer."""
    tasks = [bytes(2**20) for _ in range(8)]
    assert tasks == list(pool.spread(bytes, tasks))


class Opens:
    """Writes a line when it is let go of."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, number: int) -> int:
        return number

    def close(self) -> None:
        with self.file.open("a") as file:
            file.write("closed\n")


def test_what_a_process_holds_is_let_go(tmp_path: Path) -> None:
    """By each process, for the next work or at the end; here it is whose it was."""
    with Pool(2) as pool:
        list(pool.spread(Opens(tmp_path / "said"), range(4)))
        list(pool.spread(Adds(0), range(4)))
        list(pool.spread(Opens(tmp_path / "said"), range(4)))
    assert 4 == len((tmp_path / "said").read_text().splitlines())
    with Pool(1) as alone:
        list(alone.spread(Opens(tmp_path / "none"), range(4)))
    assert not (tmp_path / "none").exists()


def test_who_asks_takes_its_time_and_the_others_work_on(tmp_path: Path) -> None:
    """While one answer is looked at, the processes come ahead by more than they were given."""
    tasks = iter(range(100))
    with Pool(2) as pool:
        answers = pool.spread(Adds(0), tasks)
        for _ in range(10):
            next(answers)
            select.select([], [], [], 0.01)
        assert 20 < next(tasks)
        assert 89 == len(list(answers))


def test_a_fault_in_a_process_is_the_fault_of_the_run(pool: Pool) -> None:
    """What one task raises is raised here, after the answers before it."""
    answers = pool.spread(refuses, range(20))
    with pytest.raises(UsageError, match="Seven"):
        list(answers)


def test_a_killed_process_is_told(pool: Pool) -> None:
    """The kernel ends who takes too much memory: no half an answer, and no waiting for ever."""
    with pytest.raises(StoreError, match="ended from outside"):
        list(pool.spread(is_killed, range(20)))


def test_one_worker_is_this_process() -> None:
    """Nothing is started where nothing is shared."""
    with Pool(1) as alone:
        assert [os.getpid()] == [pid for _, _, pid in alone.spread(Adds(0), [1])]
    assert early_pool(1) is None


def test_a_process_with_threads_is_not_copied() -> None:
    """A lock that another thread holds would be held for ever in the copy."""
    done = threading.Event()
    waiting = threading.Thread(target=done.wait)
    waiting.start()
    try:
        assert early_pool(2) is None
    finally:
        done.set()
        waiting.join()


@pytest.mark.parametrize("start", ["Pool(2)", "Pool(2, copied=True)"])
def test_nobody_outlives_who_started_it(start: str) -> None:
    """After `kill -9` of a night its processes end too, instead of waiting for tasks for ever."""
    script = (
        "import os, time\nfrom adapter.pool import Pool\nfrom tests.test_pool import Adds\n"
        "if __name__ == '__main__':\n"
        f"    with {start} as pool:\n"
        "        print(*{p for *_, p in pool.spread(Adds(0), range(50))}, flush=True)\n"
        "        time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout is not None
        workers = [int(pid) for pid in night.stdout.readline().split()]
        assert 2 == len(workers)
        handles = [os.pidfd_open(pid) for pid in workers]
        night.kill()
    for handle in handles:
        assert _ended(handle)
        os.close(handle)


def _ended(handle: int) -> bool:
    """Readable once the process has ended."""
    return bool(select.select([handle], [], [], 30)[0])
