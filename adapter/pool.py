"""Work spread over processes: answers in order, few at a time, so that memory stays flat."""

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from typing import Any, TypeVar

from adapter.errors import StoreError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 2  # tasks waiting for each process: enough to keep it busy


def cores() -> int:
    """Processors this process may use; inside a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_numbers = count()
_held: tuple[int, Callable[[Any], Any]] = (-1, id)  # in a process: the work it was last given


def _do(number: int, packed: bytes, task: Any) -> Any:
    """Keeps the work from task to task, with all that it has come to know (met codes, a store)."""
    global _held
    if _held[0] != number:
        # packed by the process that started this one, a moment ago
        _held = number, pickle.loads(packed)  # noqa: S301  # nosec B301
    return _held[1](task)


class Pool:
    """Processes that share work; a context manager. With one worker it is this process.

    They start afresh (spawn), because an open store must not be carried into a forked one.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        spawn = multiprocessing.get_context("spawn")
        self._processes = ProcessPoolExecutor(workers, spawn) if workers > 1 else None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.shutdown(wait=True, cancel_futures=True)

    def spread(self, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
        """`work` of each task, in their order, a few tasks ahead.

        `work` is packed once; a process keeps it, and what it has learned, for all its tasks.
        StoreError when a process is killed, which usually means that memory ran out.
        """
        if self._processes is None:
            yield from map(work, tasks)
            return
        waiting: deque[Future[Answer]] = deque()
        number, packed = next(_numbers), pickle.dumps(work)
        try:
            for task in tasks:
                waiting.append(self._processes.submit(_do, number, packed, task))
                if len(waiting) > self._workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise StoreError(
                "A worker process was ended from outside, perhaps because memory ran out.",
                "Run again with fewer --workers; what was stored is kept.",
            ) from None
