"""Whole splits in order, in batches of one shape: what evaluations go through."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cnn_jax.data.feeding.order import in_order
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.images import quiet
from cnn_jax.data.reading.memory import cores
from cnn_jax.data.splits import Split
from cnn_jax.runtime.prefetch import prefetch

_PICTURES_AT_ONCE = 16
_BATCHES_AHEAD = 2


def padded_batches(split: Split, batch_size: int, host: int = 0, hosts: int = 1) -> Iterator[dict[str, np.ndarray]]:
    """All examples in order; {image, label, index, mask}, mask False where the last batch is padded.

    Args:
      batch_size: of all hosts together, a multiple of their number.
      host, hosts: which part of each batch is read here; together they are the whole batch, in order.
    """
    orders = np.split(in_order(len(split), batch_size), hosts, axis=1)[host]
    padded = [np.where(index < len(split), index, 0) for index in orders]
    for index, safe, images in zip(orders, padded, read_ahead(split, padded), strict=True):
        yield {"image": images, "label": split.labels[safe], "index": index, "mask": index < len(split)}


def read_ahead(split: Split, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The images uint8 [B, H, W, C] of each batch of indices; pictures are decoded ahead, by a thread for each core.

    Raises:
      InputError: a picture cannot be read any more.
    """
    if not isinstance(split, ImageDataset):
        yield from map(split.read, batches)
        return
    with quiet(), ThreadPoolExecutor(cores()) as pool:

        def submit(indices: np.ndarray) -> list[Future[np.ndarray]]:
            parts = np.split(indices, range(_PICTURES_AT_ONCE, len(indices), _PICTURES_AT_ONCE))
            return [pool.submit(split.read, part) for part in parts]

        try:
            for parts in prefetch(map(submit, batches), _BATCHES_AHEAD):
                yield np.concatenate([part.result() for part in parts])
        finally:
            pool.shutdown(cancel_futures=True)
