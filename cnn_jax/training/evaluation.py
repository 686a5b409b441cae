"""Exact evaluation: every example counts once; the last batch is padded and masked, so that one program serves all."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.splits import Split
from cnn_jax.distributed import hosts
from cnn_jax.runtime.prefetch import prefetch
from cnn_jax.training.metrics import add, finalize

T = TypeVar("T")

# Takes the results of calls, on the devices, and gives them on the host, in order; it may raise between two of them.
Fetch = Callable[[Iterable[Any]], Iterator[Any]]


def device_get_delayed(values: Iterable[T], delay: int = 2) -> Iterator[T]:
    """The values on the host, each one `delay` later: the device always has work queued, yet never runs far ahead."""
    return map(jax.device_get, prefetch(values, delay))


def evaluate(
    eval_step: Callable[[Any, Mapping[str, Any]], Any],
    variables: Any,
    examples: Split,
    batch_size: int,
    fetch: Fetch = device_get_delayed,
) -> dict[str, float]:
    """{"loss", "accuracy", "balanced_accuracy", and "top5_accuracy" where there are more than 5 classes}.

    `batch_size` is that of all hosts together; the step is given this host's part. Sums are added in float64. `fetch`
    brings the sums of each batch to the host; a loop passes one that stops when a signal came.
    """
    totals: dict[str, float] = {}
    batches = padded_batches(examples, batch_size, hosts.index(), hosts.count())
    for sums in fetch(eval_step(variables, batch) for batch in batches):
        totals = add(totals, sums)
    return finalize(totals)


def compile_evaluation(
    eval_step: Callable[[Any, Mapping[str, Any]], Any],
    variables: Any,
    image_shape: tuple[int, int, int],
    batch_size: int,
) -> None:
    """Compiles the evaluation step by running it once on zeros, so that no later evaluation waits for the compiler."""
    batch = {
        "image": np.zeros((batch_size, *image_shape), np.uint8),
        "label": np.zeros(batch_size, np.int32),
        "index": np.zeros(batch_size, np.int32),
        "mask": np.zeros(batch_size, bool),
    }
    jax.device_get(eval_step(variables, batch))
