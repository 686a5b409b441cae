"""The batch-size finder: the largest batch that fits a device, and from which size on more batch no longer pays.

What a step takes is read off the compiled program. So nothing has to run out of memory, which on a card that others use
would be their loss, too.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import progress_bar
from cnn_jax.cli.text_table import format_table
from cnn_jax.config.tree import override, to_json
from cnn_jax.data.feeding.device_dataset import put_on_device
from cnn_jax.data.feeding.order import epoch_order
from cnn_jax.data.reading.memory import free_device_bytes
from cnn_jax.errors import InputError
from cnn_jax.experiment.costs import compile_with_costs
from cnn_jax.experiment.fitting import initial_state, read_start
from cnn_jax.experiment.out_of_memory import explain_out_of_memory
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.runs.directory import write_json
from cnn_jax.runs.environment import describe_environment
from cnn_jax.runtime.sizes import describe_size
from cnn_jax.tuning.finders.batch_search import first_size, largest_fitting, pays, recommend, rule_of, scaled_rate
from cnn_jax.tuning.finders.output import check_output, writing
from cnn_jax.tuning.finders.pictures import plot_batch_sizes

_MOST_COMPILED = 24
_MOST_TIMED = 14  # from 8 to 65,536
_MARGIN = 0.9
_MARGIN_OF_SHARED = 0.5  # a host whose memory is full slows everybody down, or kills
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 10, 2.0


@dataclasses.dataclass(frozen=True)
class BatchFinding:
    """What was found.

    Attributes:
      recommended: the smallest batch with 95 % of the best throughput.
      largest: the largest that fits; `proven` if the next one was seen not to fit, or there is none.
      checked: whether one real step was made with it.
      images_per_second: {batch size: rate}.
      memory: {batch size: bytes of a device at the peak}, of all sizes that were compiled.
      budget: bytes of a device that may be used.
      ended: why no larger batch was timed.
      overrides: flags for the recommended size, with the learning rate that belongs to it.
    """

    recommended: int
    largest: int
    proven: bool
    checked: bool
    images_per_second: dict[int, float]
    memory: dict[int, float]
    budget: float
    ended: str
    rule: str
    overrides: tuple[str, ...]
    updates: tuple[int, int]
    picture: Path
    json: Path


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
    folder = check_output(output)
    experiment = build(config)
    read_start(experiment)  # for what it refuses
    config, unit = experiment.config, experiment.devices.count * experiment.config.accumulate_steps
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
        chosen, largest, proven, checked, rates, dict(sorted(trials.memory.items())), budget, ended,
        rule_of(config.optimizer.name), _overrides(config, chosen),
        (experiment.steps_per_epoch, len(experiment.splits.train) // chosen),
        folder / "batch_size.png", folder / "batch_size.json",
    )  # fmt: skip
    with writing(folder):
        _write(finding, config)
    return finding


class _Trials:
    """Compiled programs of an experiment with other batch sizes, what they take, and how quick they are."""

    def __init__(self, experiment: Experiment, there: float, clock: Callable[[], float], bar: Any):
        self.memory: dict[int, float] = {}
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
        return images / max(float(np.median(times[1:] or times)), 1e-9)  # the first one warms up

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


def _learning_rate(finding: BatchFinding, batch: int) -> str:
    if finding.recommended == batch:
        return "that is the config's own batch: its learning rate stays"
    before, after = finding.updates
    advice = ", so that more epochs, or a warm-up, may be needed" if after < before else ""
    return (
        f"learning rate by the {finding.rule} rule, from batch {batch}; an epoch has then {after:,} "
        f"updates instead of {before:,}{advice}"
    )


def _too_small(taken: float, unit: int, budget: float) -> str:
    return (
        f"not even a batch of {unit}, the smallest that the devices can share, fits: it takes {describe_size(taken)} "
        f"of each device and {describe_size(budget)} may be used; ways out: config.precision=bfloat16, "
        f"config.remat=stage, config.data.loading=streamed, a smaller data.image_size or model"
    )


def _overrides(config: ml_collections.ConfigDict, size: int) -> tuple[str, ...]:
    flags = [f"--config.batch_size={size}"]
    for key in ("learning_rate", "adam_learning_rate"):
        if key in config.optimizer:
            rate = scaled_rate(config.optimizer.name, config.optimizer[key], config.batch_size, size)
            flags.append(f"--config.optimizer.{key}={rate:.3g}")
    return tuple(flags)


def _write(finding: BatchFinding, config: ml_collections.ConfigDict) -> None:
    rates = finding.images_per_second
    known = {size: int(taken) for size, taken in finding.memory.items() if math.isfinite(taken)}
    plot_batch_sizes(list(rates), list(rates.values()), known, finding.budget, finding.recommended, finding.picture)
    content: Mapping[str, Any] = {
        "recommended": finding.recommended,
        "largest": finding.largest,
        "proven": finding.proven,
        "checked_by_a_step": finding.checked,
        "images_per_second": {str(size): rate for size, rate in rates.items()},
        "peak_bytes": {str(size): known.get(size) for size in finding.memory},
        "budget_bytes": finding.budget,
        "ended": finding.ended,
        "overrides": list(finding.overrides),
        "config": to_json(config),
        "environment": describe_environment(),
    }
    write_json(finding.json, content)


def report(finding: BatchFinding, config: ml_collections.ConfigDict) -> str:
    """Tables and sentences for people; the last line is what to paste."""
    rows = [("batch", "images/s", "ms a step", "memory of each device")]
    for size, rate in finding.images_per_second.items():
        rows.append((str(size), f"{rate:,.0f}", f"{1e3 * size / rate:.3g}", describe_size(finding.memory[size])))
    lines = format_table(rows, [True] * len(rows[0]))
    lines.append(f"not further: {finding.ended}")
    all_fit = max(finding.memory.values()) <= finding.budget
    bound = (
        " or more" if not finding.proven else ", the most that --max and the training split allow" if all_fit else ""
    )
    lines.append(
        f"largest that fits: {finding.largest}{bound}, with "
        f"{describe_size(finding.memory[finding.largest])} of the {describe_size(finding.budget)} that may be used; "
        + ("a real step was made with it" if finding.checked else "not tried: this device has less than was said")
    )
    lines.append(f"recommended: {finding.recommended}, the smallest with 95 % of the best throughput")
    lines.append(_learning_rate(finding, config.batch_size))
    return "\n".join([*lines, f"written: {finding.picture}, {finding.json}", " ".join(finding.overrides)])
