"""The batch-size finder: the largest batch that fits a device, and from which size on more batch no longer pays.

What a step takes is read off the compiled program. So nothing has to run out of memory, which on a card that others use
would be their loss, too.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.tree import override, validate
from cnn_jax.data.feeding.device_dataset import put_on_device
from cnn_jax.data.feeding.order import epoch_order
from cnn_jax.data.reading.memory import free_device_bytes
from cnn_jax.errors import InputError
from cnn_jax.experiment.costs import compile_with_costs
from cnn_jax.experiment.fitting import initial_state
from cnn_jax.experiment.out_of_memory import explain_out_of_memory
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.experiment.warm_start import read_start
from cnn_jax.runtime.sizes import describe_size
from cnn_jax.tuning.finders.batch_report import BatchFinding, overrides, write
from cnn_jax.tuning.finders.batch_search import first_size, largest_fitting, pays, recommend, rule_of
from cnn_jax.tuning.finders.output import check_output, writing

_MOST_COMPILED = 24
_MOST_TIMED = 14  # from 8 to 65,536
_MARGIN = 0.9
_MARGIN_OF_SHARED = 0.5  # a host whose memory is full slows everybody down, or kills
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 10, 2.0


def find_batch_size(
    config: ml_collections.ConfigDict,
    output: str | Path,
    most: int | None = None,
    memory: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> BatchFinding:
    """Compiles training steps of several sizes, times them, and writes OUTPUT/batch_size.png and .json.

    Args:
      config: devices, precision, accumulation and rematerialisation are as it says.
      output: a folder.
      most: no larger batch is tried; None: the training split.
      memory: bytes that each device is taken to have; None: what is free there now.
      clock: in seconds.

    Raises:
      InputError: the settings or the config cannot work, or not even the smallest batch fits.
      SaveError: the files cannot be written.
    """
    if most is not None and most < 1:
        raise InputError(f"--max={most}: must be at least 1")
    folder, config = check_output(output), validate(config)
    experiment = build(config, fit_batch=True)  # its own batch need not be one that can be trained with
    read_start(experiment)  # for what it refuses
    unit = experiment.devices.count * config.accumulate_steps
    top = min(most or len(experiment.splits.train), len(experiment.splits.train)) // unit * unit
    if top < unit:
        raise InputError(f"--max={most}: {experiment.devices.count} devices with {config.accumulate_steps} parts each "
                         f"share batches of at least {unit}")  # fmt: skip
    device = experiment.devices.mesh.devices.flat[0]
    margin = _MARGIN if device.memory_stats() else _MARGIN_OF_SHARED
    there = free_device_bytes(device) * margin
    budget = there if memory is None else memory * _MARGIN
    with explain_out_of_memory(config), progress_bar(_MOST_COMPILED, "compiling batch sizes", "size") as bar:
        trials = _Trials(experiment, min(there, budget), clock, bar)
        rates, ended = _throughput(trials, unit, top, budget)
        fine = math.lcm(8 * experiment.devices.count, unit)
        tries = max(_MOST_COMPILED - len(trials.memory), 4)
        largest, proven = largest_fitting(trials.peak, trials.memory, budget, unit, fine, top, tries)
        checked = trials.memory[largest] <= there
        if checked and largest not in rates:
            trials.run(largest, rounds=1)
    chosen = recommend(rates)
    finding = BatchFinding(
        chosen, largest, proven, checked, rates, {size: trials.quartiles[size] for size in rates},
        dict(sorted(trials.memory.items())), budget, ended, rule_of(config.optimizer.name),
        overrides(config, chosen),
        (len(experiment.splits.train) // config.batch_size, len(experiment.splits.train) // chosen),
        folder / "batch_size.png", folder / "batch_size.json",
    )  # fmt: skip
    with writing(folder):
        write(finding, config)
    return finding


class _Trials:
    """Compiled programs of an experiment with other batch sizes, what they take, and how quick they are.

    `quartiles` are those of the images a second of the calls, the lower one first, of every size that was run.
    """

    def __init__(self, experiment: Experiment, there: float, clock: Callable[[], float], bar: Any):
        self.memory: dict[int, float] = {}
        self.quartiles: dict[int, tuple[float, float]] = {}
        self._experiment, self._there, self._clock, self._bar = experiment, there, clock, bar
        self._compiled: tuple[int, Any] | None = None  # the last one: each may be large
        self._state: Any = None
        self._resident: Any = None

    def peak(self, size: int) -> float:
        """Bytes of each device; infinite where the compiler finds that they are too many."""
        if size not in self.memory:
            self._compile(size)
            self._bar.update(1)
        return self.memory[size]

    def _compile(self, size: int) -> Any:
        try:
            compiled, costs = compile_with_costs(resized(self._experiment, size))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            self.memory[size] = math.inf
            return None
        self.memory[size] = float(costs.peak)
        self._compiled = (size, compiled)
        return compiled

    def run(self, size: int, rounds: int | None = None) -> float | None:
        """Images a second, or None where this device has less memory than is pretended; rounds=1: one call."""
        if self.peak(size) > self._there:
            return None
        compiled = self._compiled[1] if self._compiled and self._compiled[0] == size else self._compile(size)
        experiment = resized(self._experiment, size)
        work = self._work(experiment)
        seed = np.uint32(experiment.config.seed)
        if self._state is None:
            self._state = initial_state(experiment)
        times: list[float] = []
        images = 0
        while len(times) < (rounds or _MOST_ROUNDS + 1):
            start = self._clock()
            self._state, sums = compiled(self._state, *work, seed)
            images = len(jax.block_until_ready(sums)["count"]) * size
            times.append(self._clock() - start)
            if rounds is None and len(times) > _LEAST_ROUNDS and sum(times[1:]) > _SECONDS:
                break
        rates = images / np.maximum(times[1:] or times, 1e-9)  # the first one warms up
        low, rate, high = map(float, np.quantile(rates, (0.25, 0.5, 0.75)))
        self.quartiles[size] = (low, high)
        return rate

    def _work(self, experiment: Experiment) -> tuple[Any, ...]:
        """What a call takes beside the state and the seed: real images, in memory already."""
        config, devices, train = experiment.config, experiment.devices, experiment.splits.train
        size = config.batch_size
        if isinstance(train, data.ImageDataset):
            batch = {
                "image": np.zeros((size, *experiment.splits.image_shape), np.uint8),
                "label": np.asarray(train.labels[:size], np.int32),
                "index": np.arange(size, dtype=np.int32),
                "mask": np.ones(size, bool),
            }
            return (devices.spread(batch, devices.folded),)
        if self._resident is None:
            self._resident = put_on_device(train, devices)
        return self._resident, devices.copy(epoch_order(config.seed, 0, len(train), size))


def resized(experiment: Experiment, size: int) -> Experiment:
    """The experiment with another batch size; the data are not read again."""
    config = override(experiment.config, [("batch_size", size)])
    return dataclasses.replace(experiment, config=config, steps_per_epoch=len(experiment.splits.train) // size)


def _throughput(trials: _Trials, unit: int, top: int, budget: float) -> tuple[dict[int, float], str]:
    """{batch size: images a second} of doubled sizes, and why they end."""
    size = first_size(unit, top)
    while trials.peak(size) > budget:
        if size == unit:
            raise InputError(_too_small(trials.memory[unit], unit, budget))
        size //= 2
    rates: dict[int, float] = {}
    while True:
        rate = trials.run(size)
        if rate is None and not rates:
            raise InputError(f"a batch of {size} takes {describe_size(trials.memory[size])} of each device, which has "
                             f"less than that free: --memory cannot be timed here")  # fmt: skip
        if rate is None:
            return rates, f"a batch of {size} fits what is pretended, but not this device"
        rates[size] = rate
        if not pays(rates):
            return rates, "the last two doublings gained less than 5 %"
        size *= 2
        if size > top:
            return rates, f"a batch of {size} would be above {top}, the most that --max and the training split allow"
        if len(trials.memory) >= _MOST_TIMED:
            return rates, f"{len(trials.memory)} sizes were compiled"
        if trials.peak(size) > budget:
            return rates, f"a batch of {size} does not fit"


def _too_small(taken: float, unit: int, budget: float) -> str:
    return (
        f"not even a batch of {unit}, the smallest that the devices can share, fits: it takes {describe_size(taken)} "
        f"of each device and {describe_size(budget)} may be used; ways out: config.precision=bfloat16, "
        f"config.remat=stage, config.data.loading=streamed, a smaller data.image_size or model"
    )
