"""Exact evaluation: every example counts once; the last batch is padded and masked, so that one program serves all."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.splits import Split
from cnn_jax.training.metrics import add, averages

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Between:
    """What happens between two batches.

    Attributes:
      ask: gives what is to be agreed on by all hosts (see `Plan.ask`); it goes the way of the batch's sums.
      act: is told the answer when the sums are on the host; it may raise.
    """

    ask: Callable[[], Any] = lambda: 0
    act: Callable[[int], None] = lambda answer: None


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
    between: Between = Between(),
) -> dict[str, float]:
    """{"loss", "accuracy", "balanced_accuracy", and "top5_accuracy" where there are more than 5 classes}.

    `batch_size` is that of all hosts together; the step is given this host's part. Sums are added in float64.
    """
    totals: dict[str, float] = {}
    batches = padded_batches(examples, batch_size, jax.process_index(), jax.process_count())
    for sums, answer in lagging((eval_step(variables, batch), between.ask()) for batch in batches):
        totals = add(totals, sums)
        between.act(int(answer))
    return averages(totals)


def compile_evaluation(
    eval_step: Callable[[Any, Mapping[str, Any]], Any],
    variables: Any,
    image_shape: tuple[int, int, int],
    batch_size: int,
) -> None:
    """Runs the step once on a batch of nothing, so that no later evaluation has to wait for the compiler."""
    batch = {
        "image": np.zeros((batch_size, *image_shape), np.uint8),
        "label": np.zeros(batch_size, np.int32),
        "index": np.zeros(batch_size, np.int32),
        "mask": np.zeros(batch_size, bool),
    }
    jax.device_get(eval_step(variables, batch))
