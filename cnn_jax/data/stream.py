"""Batches of pictures that are decoded while training runs, by threads or worker processes.

What a step sees is a function of its number alone. So the order does not depend on the number of workers, and a run
that goes on from a checkpoint asks for the steps that it has not made.
"""

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection, get_context, parent_process
from typing import Any

import numpy as np

from cnn_jax import host_random
from cnn_jax.data.ahead import ahead
from cnn_jax.data.images import quiet
from cnn_jax.data.order import epoch_order
from cnn_jax.data.pictures import Pictures
from cnn_jax.errors import InputError

Batch = dict[str, np.ndarray]

_CORES_FOR_THREADS = 8


@dataclasses.dataclass(frozen=True)
class Batches:
    """The batches of training by step: {image uint8 [b, H, W, C], label int32 [b], index int32 [b], mask bool [b]}.

    Attributes:
      pictures: of the training split.
      batch_size: of all hosts together; each reads its part b.
      balanced: see `order.epoch_order`.
      crop: of random-resized-crop: its (least, most) share of the area and its position among the augmentations.
      host, hosts: which part of each batch is read here.
    """

    pictures: Pictures
    seed: int
    batch_size: int
    balanced: bool = False
    crop: tuple[tuple[float, float], int] | None = None
    host: int = 0
    hosts: int = 1
    _orders: dict[int, np.ndarray] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def __call__(self, step: int) -> Batch:
        index = self.index(step)
        images = self.pictures.read(index, self._regions(step, index))
        return {
            "image": images,
            "label": self.pictures.labels[index],
            "index": index,
            "mask": np.ones(len(index), bool),
        }

    def index(self, step: int) -> np.ndarray:
        """Which examples the step sees here: int32 [batch_size / hosts]."""
        count = len(self.pictures)
        epoch, position = divmod(step, count // self.batch_size)
        row = self._order(epoch)[position]
        share = self.batch_size // self.hosts
        return row[self.host * share : (self.host + 1) * share]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            order = epoch_order(
                self.seed, epoch, len(self.pictures), self.batch_size, self.pictures.labels if self.balanced else None
            )
            self._orders.clear()
            self._orders[epoch] = order
        return self._orders[epoch]

    def _regions(self, step: int, index: np.ndarray) -> Any:
        if self.crop is None:
            return None
        from cnn_jax.data.augment.boxes import resized_crop_boxes

        area, position = self.crop
        keys = host_random.fold_in(host_random.stream_key(self.seed, "augment", step), index)
        uniforms = host_random.uniform(host_random.fold_in(keys, position), (10, 4))

        def region(i: int, height: int, width: int) -> tuple[float, float, float, float]:
            sizes = np.array([height], np.float32), np.array([width], np.float32)
            top, left, tall, wide = (float(v[0]) for v in resized_crop_boxes(uniforms[i : i + 1], *sizes, area, xp=np))
            return top / height, left / width, tall / height, wide / width

        return [partial(region, i) for i in range(len(index))]


@contextlib.contextmanager
def stream(batches: Batches, first: int, end: int, workers: int | None = None) -> Iterator[Iterator[Batch]]:
    """The batches of the steps first, first + 1, ..., end - 1, decoded ahead.

    Args:
      workers: how many processes decode; 0: threads of this process; None: threads where they do as well (decoders
        let go of Python's lock, so up to some eight cores), else a process per core but one.

    Raises (from the iterator):
      InputError: a picture cannot be read any more, or a process was killed.
    """
    cores = os.cpu_count() or 1
    count = workers if workers is not None else 0 if cores <= _CORES_FOR_THREADS else cores - 1
    with quiet(), _pool(batches, count, max(2, cores)) as (submit, hands):
        yield _in_order(submit, first, end, hands + 1)


Submit = Callable[[int], Future[Batch]]


@contextlib.contextmanager
def _pool(batches: Batches, processes: int, threads: int) -> Iterator[tuple[Submit, int]]:
    """What reads a step's batch in the background, and how many it reads at once."""
    if processes:
        # Spawned: to fork a process in which JAX runs would be to copy its locks. Batches come back through pipes; a
        # program that is killed leaves no named shared memory behind.
        context = get_context("spawn")
        pool: Executor = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(batches,))
    else:
        pool = ThreadPoolExecutor(threads)
    read = _read if processes else batches
    try:
        yield lambda step: pool.submit(read, step), processes or threads
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(submit: Submit, first: int, end: int, count: int) -> Iterator[Batch]:
    try:
        yield from ahead(submit, range(first, end), count)
    except BrokenProcessPool as error:
        raise InputError(
            "a process that decodes images ended: killed, out of memory (choose fewer data.workers), or started by a "
            "program without `if __name__ == '__main__':`"
        ) from error


# In a worker process: what it reads from.
_batches: Batches | None = None


def _read(step: int) -> Batch:
    assert _batches is not None
    return _batches(step)


def _start_worker(batches: Batches) -> None:
    """Ctrl-C is the trainer's business; a trainer that is gone, however it went, takes its workers with it."""
    global _batches
    _batches = batches
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trainer = parent_process()
    assert trainer is not None

    def follow() -> None:
        connection.wait([trainer.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    quiet().__enter__()
