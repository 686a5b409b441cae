"""Work that is begun before its result is asked for, and handed out in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(submit: Callable[[Item], Future[Result]], items: Iterable[Item], count: int) -> Iterator[Result]:
    """The results for all items in order; up to `count` more than the one that is waited for are under way."""
    waiting: collections.deque[Future[Result]] = collections.deque()
    for item in items:
        waiting.append(submit(item))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
