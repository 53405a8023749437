"""Concurrent callers share batches: whatever waits when the worker is free is served as one batch.

No timer and no tuning: a single caller is served at once, and under load the batch grows by itself. Both the DM and the
in-process Reasoner sit behind one of these, so concurrent graph runs share their forward passes.
"""

import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_IDLE_SECONDS = 5.0


class Batcher(Generic[T, R]):
    """Runs `function` over batches of submitted items on one daemon thread.

    Args:
        function: takes a batch, returns as many results in the same order.
        max_batch: the most items given to one call.

    The thread starts with the first item and ends after some idle seconds, or with the batcher.
    """

    def __init__(self, function: Callable[[Sequence[T]], Sequence[R]], *, max_batch: int = 64) -> None:
        self._function = function
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[tuple[T, Future[R]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = False

    def submit(self, item: T) -> Future[R]:
        """Queue one item; the future carries its result, or the exception its batch raised."""
        future: Future[R] = Future()
        with self._lock:
            self._queue.put((item, future))
            if not self._running:
                self._running = True
                threading.Thread(target=_work, args=(weakref.ref(self),), daemon=True, name="drr-batcher").start()
        return future

    def _take(self) -> list[tuple[T, Future[R]]]:
        """The waiting items, at most a batch of them; empty once nothing came for a while."""
        try:
            taken = [self._queue.get(timeout=_IDLE_SECONDS)]
        except queue.Empty:
            return []
        while len(taken) < self._max_batch:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return [(item, future) for item, future in taken if future.set_running_or_notify_cancel()]

    def _stop_if_empty(self) -> bool:
        with self._lock:
            self._running = not self._queue.empty()
            return not self._running

    def _serve(self, batch: list[tuple[T, Future[R]]]) -> None:
        try:
            results = self._results([item for item, _ in batch])
        except BaseException as error:  # the callers own it: every one of them is waiting on its future
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _results(self, items: list[T]) -> Sequence[R]:
        results = self._function(items)
        if len(results) != len(items):
            raise RuntimeError(f"expected {len(items)} results from {self._function!r}, got {len(results)}")
        return results


def _work(reference: "weakref.ref[Batcher[Any, Any]]") -> None:
    """The worker: holds the batcher only while serving, so that a forgotten one can be collected."""
    while (batcher := reference()) is not None:
        batch = batcher._take()
        if batch:
            batcher._serve(batch)
        elif batcher._stop_if_empty():
            return
        del batcher
