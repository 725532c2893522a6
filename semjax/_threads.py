"""Work side by side in threads: compiled kernels, NumPy and OpenCV let other threads run meanwhile."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A, B = TypeVar("A"), TypeVar("B")

WORKERS = 2  # results never depend on it, only memory and time do


def in_order(
    function: Callable[[A], B], items: Iterable[A], workers: int = WORKERS, ahead: int = WORKERS
) -> Iterator[B]:
    """As map(function, items), but up to `workers` calls run at a time, ahead of what is asked for.

    `items` is read in the caller's thread, at most `ahead` items further than results were taken. With one worker the
    calls come one after the other, so that `function` may remember things. An exception is raised where its result
    would have come; calls that have begun are waited for in any case.
    """
    with ThreadPoolExecutor(workers) as pool:
        running: collections.deque[Future[B]] = collections.deque()
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
