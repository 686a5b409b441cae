"""Items that are made before they are asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], size: int) -> Iterator[Item]:
    """The items in order; when one is handed out, the next `size` have been taken from `items` already.

    Work that goes on in the background is begun early in this way: futures, transfers to a device, compiled calls. An
    error of `items` is raised after the items before it.
    """
    queue: deque[Item] = deque()
    try:
        for item in items:
            queue.append(item)
            if len(queue) > size:
                yield queue.popleft()
    except Exception:
        yield from queue
        raise
    yield from queue
