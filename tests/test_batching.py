"""Concurrent callers share batches, and each gets its own result."""

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from drr_agent.batching import Batcher


def test_what_waits_is_served_as_one_batch():
    gate, batches = threading.Event(), []

    def double(items):
        batches.append(list(items))
        gate.wait(5)
        return [2 * item for item in items]

    batcher = Batcher(double, max_batch=4)
    futures = [batcher.submit(0)]
    while not batches:
        time.sleep(0.001)
    futures += [batcher.submit(item) for item in range(1, 7)]
    gate.set()
    assert [future.result(5) for future in futures] == [0, 2, 4, 6, 8, 10, 12]
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_an_error_reaches_every_caller_of_its_batch_and_no_other():
    def fail_on_odd(items):
        if any(item % 2 for item in items):
            raise ValueError(f"odd in {list(items)}")
        return items

    batcher = Batcher(fail_on_odd, max_batch=1)
    futures = [batcher.submit(item) for item in (1, 2)]
    with pytest.raises(ValueError, match=r"odd in \[1\]"):
        futures[0].result(5)
    assert futures[1].result(5) == 2


def test_a_function_that_loses_results_is_an_error():
    with pytest.raises(RuntimeError, match="expected 1 results"):
        Batcher(lambda items: []).submit(1).result(5)


def test_a_cancelled_item_is_not_served():
    gate, served = threading.Event(), []

    def take(items):
        served.extend(items)
        gate.wait(5)
        return items

    batcher = Batcher(take)
    first = batcher.submit("first")
    while not served:
        time.sleep(0.001)
    second = batcher.submit("second")
    assert second.cancel()
    third = batcher.submit("third")
    gate.set()
    assert (first.result(5), third.result(5)) == ("first", "third")
    assert served == ["first", "third"]


def test_many_threads_get_their_own_results():
    batcher = Batcher(lambda items: [item * item for item in items], max_batch=8)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: batcher.submit(n).result(5), range(500))) == [n * n for n in range(500)]


def test_the_worker_ends_when_idle_and_starts_again(monkeypatch):
    monkeypatch.setattr("drr_agent.batching._IDLE_SECONDS", 0.01)
    batcher = Batcher(lambda items: items)
    assert batcher.submit(1).result(5) == 1
    deadline = time.monotonic() + 5
    while batcher._running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not batcher._running
    assert batcher.submit(2).result(5) == 2


def test_a_forgotten_batcher_is_collected(monkeypatch):
    monkeypatch.setattr("drr_agent.batching._IDLE_SECONDS", 0.01)
    batcher = Batcher(lambda items: items)
    batcher.submit(1).result(5)
    alive = weakref.ref(batcher)
    del batcher
    deadline = time.monotonic() + 5
    while alive() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
        gc.collect()
    assert alive() is None
