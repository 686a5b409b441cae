"""Exact evaluation: every example counts once; the last batch is padded and masked, so that one program serves all."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax

from cnn_jax.data.reading import padded_batches
from cnn_jax.data.splits import Split
from cnn_jax.metrics import add, averages

T = TypeVar("T")


def lagging(values: Iterable[T], lag: int = 2) -> Iterator[T]:
    """The values on the host, each one `lag` later: the device always has work queued, yet never runs far ahead."""
    queue: deque[T] = deque()
    for value in values:
        queue.append(value)
        if len(queue) > lag:
            yield jax.device_get(queue.popleft())
    while queue:
        yield jax.device_get(queue.popleft())


def evaluate(
    eval_step: Callable[[Any, Mapping[str, Any]], Any],
    variables: Any,
    examples: Split,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda count: None,
) -> dict[str, float]:
    """{"loss", "accuracy", "balanced_accuracy", and "top5_accuracy" where there are more than 5 classes}.

    Sums are added on the host in float64. `on_batch` is told the number of examples after each batch; it may raise.
    """
    totals: dict[str, float] = {}
    for sums in lagging(eval_step(variables, batch) for batch in padded_batches(examples, batch_size)):
        totals = add(totals, sums)
        on_batch(int(sums["count"]))
    return averages(totals)
