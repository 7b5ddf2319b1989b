"""Work spread over processes: answers in order, few at a time, so that memory stays flat.

`concurrent.futures` would do, but for two things: a thread of its own competes with the one that
writes the store for the interpreter (a third of the time of a load), and its processes wait for
ever when this one is ended by `kill -9`.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple, TypeVar

from adapter.errors import StoreError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 2  # tasks for each process: one in work, one waiting
_IN_THE_PIPE = 32 * 2**10  # bytes of a waiting task; more might not fit, and both would wait
_EARLY, _EARLY_BYTES = 64, 8 * 2**20  # answers that wait for one before them, and what they hold


def cores() -> int:
    """Processors this process may use; inside a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Processes that share work; a context manager. With one worker it is this process.

    They start from nothing, because an open store must not be carried into a copy of a process;
    `copied` promises that none is open, nor any thread running.
    """

    def __init__(self, workers: int, *, copied: bool = False) -> None:
        self._size = workers if workers > 1 else 0
        self._context = multiprocessing.get_context("fork" if copied else "spawn")
        self._workers: list[_Worker] = []
        if copied:
            self._start()

    def _start(self) -> None:
        while len(self._workers) < self._size:
            self._workers.append(_Worker(self._context, self._workers))

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()

    @property
    def alone(self) -> bool:
        """Is this process the only one?"""
        return not self._size

    def spread(self, work: Callable[[Task], Answer], tasks: Iterable[Task]) -> Iterator[Answer]:
        """`work` of each task, in their order, a few tasks ahead; to be walked to its end.

        Each process gets `work` once and keeps it, and what it has learned, for all its tasks; what
        it holds open there it lets go in `close`, if it has that.
        StoreError when a process is killed, which usually means that memory ran out.
        """
        if not self._size:
            yield from map(work, tasks)
            return
        self._start()
        try:
            for worker in self._workers:
                worker.pipe.send(work)
            yield from self._answers(
                (number, ForkingPickler.dumps(_Task(task))) for number, task in enumerate(tasks)
            )
        except (EOFError, ConnectionError):
            raise StoreError(
                "A worker process was ended from outside, perhaps because memory ran out.",
                "Run again with fewer --workers; what was stored is kept.",
            ) from None

    def _answers(self, tasks: Iterator[tuple[int, memoryview]]) -> Iterator[Any]:
        by_pipe = {worker.pipe: worker for worker in self._workers}
        early = dict[int, _Answer]()
        task, following = next(tasks, None), 0
        while True:
            # while one is long at a task, the others do not pile up what comes after it
            full = len(early) >= _EARLY or sum(a.size for a in early.values()) >= _EARLY_BYTES
            for worker in [] if full else self._workers * _AHEAD:
                if task is not None and worker.accepts(task[1]):
                    worker.give(*task)
                    task = next(tasks, None)
            busy = [worker.pipe for worker in self._workers if worker.tasks]
            if not busy and not early:
                return
            # who asks takes its time over an answer: meanwhile the others are to work on
            for pipe in wait(busy, 0 if following in early else None):
                number, answer = by_pipe[pipe].take()  # type: ignore[index]
                early[number] = answer
            if following in early:
                yield early.pop(following).answer
                following += 1


class _Task(NamedTuple):
    task: Any


class _Answer(NamedTuple):
    answer: Any
    size: int  # bytes, as it was sent


class _Worker:
    """A process at the other end of a pipe."""

    def __init__(self, context: BaseContext, elders: list["_Worker"]) -> None:
        self.pipe, theirs = context.Pipe()
        # a copy has our ends of all pipes; while one is open nobody is told that we ended
        ours = [elder.pipe for elder in elders] + [self.pipe]
        copied = context.get_start_method() == "fork"
        self.process = context.Process(  # type: ignore[attr-defined]
            target=_labour, args=(theirs, ours if copied else ()), daemon=True
        )
        self.process.start()
        theirs.close()
        self.tasks: list[int] = []  # their numbers, as they were given

    def accepts(self, task: memoryview) -> bool:
        """May it have this one already? While it is at work nobody reads what fills the pipe."""
        return not self.tasks or (len(self.tasks) < _AHEAD and len(task) <= _IN_THE_PIPE)

    def give(self, number: int, task: memoryview) -> None:
        """Hand over a task."""
        self.pipe.send_bytes(task)
        self.tasks.append(number)

    def take(self) -> tuple[int, _Answer]:
        """The answer to the first task it has; raises what went wrong with it."""
        try:
            message = self.pipe.recv_bytes()
        except OSError:  # ended in the middle of it
            raise EOFError from None
        answer, problem = ForkingPickler.loads(message)
        if problem is not None:
            raise problem
        return self.tasks.pop(0), _Answer(answer, len(message))


def _labour(pipe: Connection, ours: Iterable[Connection]) -> None:
    """Answers tasks until nobody asks any more; what is no task is the work to do on them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    os.nice(5)  # who waits for answers goes first: it has the store to write
    for end in ours:
        end.close()
    work: Any = None
    with suppress(EOFError, ConnectionError):
        while True:
            message = pipe.recv()
            if isinstance(message, _Task):
                pipe.send(_answer(work, message.task))
            else:
                _let_go(work)
                work = message
    _let_go(work)


def _let_go(work: Any) -> None:
    getattr(work, "close", lambda: None)()


def _answer(work: Callable[[Any], Any], task: Any) -> tuple[Any, Exception | None]:
    try:
        return work(task), None
    except Exception as problem:
        return None, problem


def early_pool(workers: int) -> Pool | None:
    """A pool that is there at once, for the beginning of a command, before a store is opened.

    None where one process is enough, or copying one is not safe: elsewhere than on Linux, or
    beside threads.
    """
    can = sys.platform == "linux" and threading.active_count() == 1
    return Pool(workers, copied=True) if can and workers > 1 else None


@contextmanager
def this_or_new(pool: Pool | None, workers: int) -> Iterator[Pool]:
    """The pool that is there, or one of `workers` for the time being."""
    if pool is not None:
        yield pool
    else:
        with Pool(workers) as new:
            yield new
