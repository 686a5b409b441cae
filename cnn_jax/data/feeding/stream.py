"""Batches of pictures that are decoded while training runs, by threads or worker processes.

What a step sees is a function of its number alone. So the order does not depend on the number of workers, and a run
that goes on from a checkpoint asks for the steps that it has not made.
"""

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection, get_context, parent_process

import numpy as np

from cnn_jax.data.augment.boxes import ATTEMPTS, resized_crop_boxes
from cnn_jax.data.feeding.order import epoch_order, unique_example_ids
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.images import Box, ignore_pillows_warnings, quiet
from cnn_jax.data.reading.memory import cores
from cnn_jax.errors import InputError
from cnn_jax.random import host as host_random
from cnn_jax.runtime.prefetch import prefetch

Batch = dict[str, np.ndarray]

_CORES_FOR_THREADS = 8


@dataclasses.dataclass(frozen=True)
class BatchTask:
    """All that a worker needs to read one batch, and no more: it is sent to the worker.

    Attributes:
      pictures: those of the batch, in its order.
      index: int32 [b], their global indices.
      uniforms: float32 [b, 10, 4], the draws of random-resized-crop; None without it.
      area: its least and most share of the area.
    """

    pictures: ImageDataset
    index: np.ndarray
    uniforms: np.ndarray | None
    area: tuple[float, float]

    def read(self) -> Batch:
        """{image uint8 [b, H, W, C], label int32 [b], index int32 [b], mask bool [b]}"""
        regions = None if self.uniforms is None else [partial(self._region, i) for i in range(len(self.index))]
        images = self.pictures.read(np.arange(len(self.index)), regions)
        mask = np.ones(len(self.index), bool)
        return {"image": images, "label": self.pictures.labels, "index": self.index, "mask": mask}

    def _region(self, i: int, height: int, width: int) -> Box:
        assert self.uniforms is not None
        box = resized_crop_boxes(self.uniforms[i : i + 1], [height], [width], self.area, xp=np)
        top, left, tall, wide = (float(value[0]) for value in box)
        return top / height, left / width, tall / height, wide / width


@dataclasses.dataclass(frozen=True)
class Batches:
    """The batches of training by step.

    Attributes:
      pictures: of the training split.
      batch_size: of all hosts together; each reads its part b.
      balanced: see `order.epoch_order`.
      crop: of random-resized-crop: its (least, most) share of the area and its position among the augmentations.
      host, hosts: which part of each batch is read here.

    Raises:
      InputError: the hosts cannot share a batch evenly.
    """

    pictures: ImageDataset
    seed: int
    batch_size: int
    balanced: bool = False
    crop: tuple[tuple[float, float], int] | None = None
    host: int = 0
    hosts: int = 1
    _orders: dict[int, np.ndarray] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size % self.hosts:
            raise InputError(f"config.batch_size={self.batch_size}: {self.hosts} hosts must be able to share it evenly")

    def task(self, step: int) -> BatchTask:
        """What this host reads for a step."""
        row = self._row(step)
        share = self.batch_size // self.hosts
        own = slice(self.host * share, (self.host + 1) * share)
        uniforms, area = None, (0.0, 1.0)
        if self.crop is not None:
            area, position = self.crop
            numbers = unique_example_ids(row, len(self.pictures), np)[own]
            keys = host_random.fold_in(host_random.stream_key(self.seed, "augment", step), numbers)
            uniforms = host_random.uniform(host_random.fold_in(keys, position), (ATTEMPTS, 4))
        return BatchTask(self.pictures.detach(row[own]), row[own], uniforms, area)

    def _row(self, step: int) -> np.ndarray:
        """Which examples the step sees: int32 [batch_size]."""
        epoch, position = divmod(step, len(self.pictures) // self.batch_size)
        if epoch not in self._orders:
            labels = self.pictures.labels if self.balanced else None
            order = epoch_order(self.seed, epoch, len(self.pictures), self.batch_size, labels)
            self._orders.clear()
            self._orders[epoch] = order
        return self._orders[epoch][position]


@contextlib.contextmanager
def stream(batches: Batches, first: int, end: int, workers: int | None = None) -> Iterator[Iterator[Batch]]:
    """The batches of the steps first, first + 1, ..., end - 1, decoded ahead.

    Args:
      workers: how many processes decode; 0: threads of this process; None: threads where they do as well (decoders
        let go of Python's lock, so up to some eight cores), else a process per core but one.

    Raises (from the iterator):
      InputError: a picture cannot be read any more, or a process was killed.
    """
    count = cores()
    processes = workers if workers is not None else 0 if count <= _CORES_FOR_THREADS else count - 1
    threads = max(2, count)
    with quiet(), _pool(processes, threads) as pool:
        yield _in_order(pool, batches, range(first, end), (processes or threads) + 1)


@contextlib.contextmanager
def _pool(processes: int, threads: int) -> Iterator[Executor]:
    if processes:
        # Spawned: to fork a process in which JAX runs would be to copy its locks. Batches come back through pipes; a
        # program that is killed leaves none of them in shared memory.
        pool: Executor = ProcessPoolExecutor(processes, get_context("spawn"), initializer=start_worker)
    else:
        pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Executor, batches: Batches, steps: range, count: int) -> Iterator[Batch]:
    def submit(step: int) -> Future[Batch]:
        task = batches.task(step)
        # A process that this may start must not be hit by Ctrl-C before it has learnt to ignore it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return pool.submit(BatchTask.read, task)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        for future in prefetch(map(submit, steps), count):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process that decodes images ended: killed, out of memory (choose fewer data.workers), or started by a "
            "program without `if __name__ == '__main__':`"
        ) from error


def start_worker() -> None:
    """Ctrl-C is the trainer's business; a trainer that is gone, however it went, takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trainer = parent_process()
    assert trainer is not None

    def follow() -> None:
        connection.wait([trainer.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    ignore_pillows_warnings()
