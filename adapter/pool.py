"""Work spread over processes: answers in order, few at a time, so that memory stays flat."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from adapter.errors import StoreError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 2  # tasks waiting for each process: enough to keep it busy


def cores() -> int:
    """Processors this process may use; inside a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[Task], Answer], tasks: Iterable[Task], workers: int) -> Iterator[Answer]:
    """`work` of each task, in their order; with one worker in this process.

    `work` is sent with every task: make tasks of a tenth of a second or more. Processes start
    afresh (spawn), because an open store must not be carried into a forked one. StoreError when one
    of them is killed, which usually means that memory ran out.
    """
    if workers <= 1:
        yield from map(work, tasks)
        return
    waiting: deque[Future[Answer]] = deque()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise StoreError(
            "A worker process was ended from outside, perhaps because memory ran out.",
            "Run again with fewer --workers; what was stored is kept.",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
