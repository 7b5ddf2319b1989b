"""Several questions at once, one answer after another: threads ask, the caller alone writes."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, NamedTuple, TypeVar

from adapter.errors import CartNrmError, SliceFailed

Task = TypeVar("Task")
Item = TypeVar("Item")
_WAITING = 8  # pieces for each thread: enough to go on asking while a transaction is written


class Answer(NamedTuple, Generic[Task, Item]):
    """One piece of a task's answer; the last one has `ended`, with the problem if there was one."""

    task: Task
    item: Item | None = None
    ended: bool = False
    problem: SliceFailed | None = None


class Pool(Generic[Task, Item]):
    """Runs `work` over tasks in `size` threads; only some pieces wait, so memory stays flat."""

    def __init__(self, work: Callable[[Task], Iterator[Item]], size: int) -> None:
        self._work, self._size = work, size
        self._stop = threading.Event()
        self._out: Queue[Answer[Task, Item] | BaseException] = Queue(maxsize=_WAITING * size)

    def run(self, tasks: Iterable[Task]) -> Generator[Answer[Task, Item], None, None]:
        """Yield pieces as they come; a failed slice is reported, any other error stops all."""
        todo = deque(tasks)
        left = len(todo)
        threads = [
            threading.Thread(target=self._labour, args=(todo,), daemon=True)
            for _ in range(min(self._size, left))
        ]
        for thread in threads:
            thread.start()
        try:
            while left:
                answer = self._out.get()
                if isinstance(answer, BaseException):
                    raise answer
                left -= answer.ended
                yield answer
        finally:
            self._stop.set()
            self._drain()

    def _labour(self, todo: deque[Task]) -> None:
        while not self._stop.is_set():
            try:
                task = todo.popleft()
            except IndexError:
                return
            try:
                for item in self._work(task):
                    self._put(Answer(task, item))
                self._put(Answer(task, ended=True))
            except CartNrmError as problem:
                failed = self._as_failure(problem)
                self._put(problem if failed is None else Answer(task, None, True, failed))
            except BaseException as problem:  # a fault of ours: the caller must see it
                self._put(problem)

    @staticmethod
    def _as_failure(problem: CartNrmError) -> SliceFailed | None:
        """Faults of one question fail one slice; refused credentials and bad settings stop all."""
        if problem.exit_code != SliceFailed.exit_code:
            return None
        if isinstance(problem, SliceFailed):
            return problem
        return SliceFailed(problem.message, problem.hint)

    def _put(self, answer: Answer[Task, Item] | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._out.put(answer, timeout=0.2)
                return
            except Full:
                continue

    def _drain(self) -> None:
        try:
            while True:
                self._out.get_nowait()
        except Empty:
            return
