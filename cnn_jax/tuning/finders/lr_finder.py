"""The learning-rate finder: a training step at each of exponentially rising rates, all else as configured."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.tree import override, to_json
from cnn_jax.errors import InputError
from cnn_jax.experiment.compile import compile_initial_state, make_seeded_training
from cnn_jax.experiment.out_of_memory import explain_out_of_memory
from cnn_jax.experiment.probe import check_probe, with_probe
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.experiment.warm_start import read_start, warm_start
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.optimization.schedules import Schedule
from cnn_jax.runs.directory import write_json
from cnn_jax.runs.environment import describe_environment
from cnn_jax.training.state import TrainState
from cnn_jax.tuning.finders.lr_curve import (
    LABELS,
    LEAST_STEPS,
    MOST_STEPS,
    SUGGESTIONS,
    Reading,
    make_rates,
    read_sweep,
    sweep_rates,
)
from cnn_jax.tuning.finders.output import check_output, writing
from cnn_jax.tuning.finders.pictures import plot_lr_sweeps

_DISAGREEMENT = 10.0
_SPARE_STEPS = 40  # float16 leaves steps out until its loss scale fits


@dataclasses.dataclass(frozen=True)
class LrSettings:
    """Of the sweep.

    Attributes:
      start, end: the first and the last rate.
      steps: how many rates, each for one training step.
      seeds: how many sweeps; they begin with the config's seed and count up.
      suggestion: which one is recommended, "valley", "steepest" or "minimum".
    """

    start: float = 1e-7
    end: float = 10.0
    steps: int = 100
    seeds: int = 3
    suggestion: str = "valley"

    def check(self) -> None:
        """Raises InputError for what cannot be swept."""
        if not (math.isfinite(self.start) and self.start > 0):
            raise InputError(f"--start={self.start:g}: must be a number above 0")
        if not (math.isfinite(self.end) and self.end > self.start):
            raise InputError(f"--start={self.start:g} must be below --end={self.end:g}")
        if self.steps < LEAST_STEPS:
            raise InputError(f"--steps={self.steps}: must be at least {LEAST_STEPS}; fewer show no curve")
        if self.steps > MOST_STEPS:
            raise InputError(f"--steps={self.steps}: must be at most {MOST_STEPS}; a curve wants no more points")
        if self.seeds < 1:
            raise InputError(f"--seeds={self.seeds}: must be at least 1")
        if self.suggestion not in SUGGESTIONS:
            raise InputError(f"--suggestion={self.suggestion}: must be one of {', '.join(SUGGESTIONS)}")


@dataclasses.dataclass(frozen=True)
class LrFinding:
    """What was found; rates are medians over the seeds.

    Attributes:
      learning_rate: the one that is recommended.
      suggestion: which of the suggestions that is.
      before: what the config has.
      overrides: what sets it, as flags; with a second base rate (muon) both.
      readings: {seed: what its sweep says}.
      warning: a line, where the seeds do not agree.
    """

    learning_rate: float
    suggestion: str
    before: float
    overrides: tuple[str, ...]
    readings: dict[int, Reading]
    suggestions: dict[str, float]
    divergence: float | None
    warning: str | None
    picture: Path
    json: Path


def find_learning_rate(config: ml_collections.ConfigDict, settings: LrSettings, output: str | Path) -> LrFinding:
    """Sweeps the rate and writes OUTPUT/lr_finder.png and OUTPUT/lr_finder.json.

    Raises:
      InputError: the settings or the config cannot work, or the sweeps of half of the seeds suggest nothing; then the
        two files are there, and show why.
      SaveError: the files cannot be written.
    """
    settings.check()
    folder = check_output(output)
    rates = make_rates(settings.start, settings.end, settings.steps)
    with explain_out_of_memory(config):
        losses = sweep_config(config, rates, settings.seeds)
    readings = {seed: read_sweep(rates, found) for seed, found in losses.items()}
    suggestions = _suggestions(readings.values())
    usable = settings.suggestion in suggestions
    diverged = [each.divergence for each in readings.values() if each.divergence is not None]
    divergence = _median(diverged) if diverged else None
    rate = float(f"{suggestions[settings.suggestion]:.3g}") if usable else None
    named = [each.suggestions[settings.suggestion] for each in readings.values() if usable and each.suggestions]
    warning = _disagreement(named, settings) if usable else None
    picture, written = folder / "lr_finder.png", folder / "lr_finder.json"
    content = {
        "learning_rate": rate,
        "suggestion": settings.suggestion,
        "suggestions": suggestions,
        "divergence": divergence,
        "warning": warning,
        "rates": rates.tolist(),
        "seeds": {str(seed): _seed_json(losses[seed], reading) for seed, reading in readings.items()},
        "settings": dataclasses.asdict(settings),
        "config": to_json(config),
        "config_sha256": hashlib.sha256(json.dumps(to_json(config), sort_keys=True).encode()).hexdigest(),
        "environment": describe_environment(),
    }
    with writing(folder):
        plot_lr_sweeps(rates, losses, readings, suggestions, divergence, picture)
        write_json(written, content)
    if rate is None:
        problems = [reading.problem for reading in readings.values() if reading.problem is not None]
        problems.append(f"a tenth of the rate of the lowest loss is below the first rate: lower --start={rates[0]:g}")
        raise InputError(f"no rate can be suggested: {problems[0]}; the curve is in {picture}")
    return LrFinding(
        rate, settings.suggestion, float(config.optimizer.learning_rate), _overrides(config, rate), readings,
        suggestions, divergence, warning, picture, written,
    )  # fmt: skip


def sweep_config(config: ml_collections.ConfigDict, rates: np.ndarray, seeds: int) -> dict[int, np.ndarray]:
    """{seed: losses [n]} of so many seeds from the config's on; compiled once for all."""
    experiment = prepare(config, rates)
    sweep = make_sweep(experiment, rates)
    init = compile_initial_state(experiment)
    check_probe(experiment)
    start = read_start(experiment)
    if start is not None:
        start = with_probe(experiment, start, init(np.uint32(config.seed)).params["head"])
    losses: dict[int, np.ndarray] = {}
    with progress_bar(seeds * len(rates), "sweeping the learning rate", "step") as bar:
        for seed in range(config.seed, config.seed + seeds):
            state: TrainState = init(np.uint32(seed))
            if start is not None:
                state = warm_start(state, experiment.optimizer, start)
            losses[seed] = sweep(state, seed, bar.update)
            bar.update(len(rates) - len(losses[seed]))  # those that an early end leaves out
    return losses


def prepare(config: ml_collections.ConfigDict, rates: np.ndarray) -> Experiment:
    """The config's experiment with the sweep for its schedule.

    Other base rates (muon's `adam_learning_rate`) and rate_multipliers keep their ratio to `learning_rate`. A schedule
    that cycles the momentum is left out with it: the optimizer's own momentum is constant.
    """
    plain = {"schedule.name": "constant", "steps_per_call": 1, "ema_decay": None, "swa_start": None, "patience": None}
    experiment = build(override(config, plain.items()))
    optimizer = experiment.config.optimizer
    swept = jnp.asarray(rates, jnp.float32)

    def scheduled(base: float) -> Schedule:
        ratio = base / optimizer.learning_rate
        return lambda step: ratio * swept[jnp.minimum(step, len(rates) - 1)]

    return dataclasses.replace(
        experiment,
        optimizer=make_optimizer(
            optimizer, scheduled, experiment.config.freeze, steps=len(rates), layers=experiment.table.names
        ),
        schedule=scheduled(optimizer.learning_rate),
    )


def make_sweep(experiment: Experiment, rates: np.ndarray) -> Callable[..., np.ndarray]:
    """A function (state, seed, update=None) -> losses [n] of an experiment of `prepare`.

    It takes the parameters and batch statistics of the state, and leaves it as it is, to the bit: the compiled step
    overwrites what it is given, so it is given copies. The optimizer is new, and the data are those of the seed's first
    epochs. `update` is called with 1 after each step.
    """
    program, feed = make_seeded_training(experiment)
    fresh = compile_initial_state(experiment)

    def sweep(state: TrainState, seed: int, update: Callable[[int], Any] | None = None) -> np.ndarray:
        begin = fresh(np.uint32(seed)).replace(
            params=jax.tree.map(jnp.copy, state.params), batch_stats=jax.tree.map(jnp.copy, state.batch_stats)
        )
        with feed(seed)(0, len(rates) + _SPARE_STEPS) as works:

            def step(state: TrainState, _: int) -> tuple[TrainState, float]:
                loss: float | None = None
                while loss is None:
                    work = next(works, None)
                    if work is None:
                        return state, math.nan
                    state, sums = program(state, work[0], np.uint32(seed))
                    loss = _loss(jax.device_get(sums))
                if update is not None:
                    update(1)
                return state, loss

            return sweep_rates(step, begin, rates.tolist())

    return sweep


def _loss(sums: dict[str, np.ndarray]) -> float | None:
    """The mean loss of a step; NaN where a gradient is not finite; None where float16 left it out for its scale."""
    if sums["nonfinite"].any():
        return math.nan
    count = float(sums["count"].sum())
    return float(sums["loss"].sum()) / count if count else None


def _suggestions(readings: Collection[Reading]) -> dict[str, float]:
    """Medians of what more than half of the seeds suggest."""
    every = {name: [each.suggestions[name] for each in readings if name in each.suggestions] for name in SUGGESTIONS}
    return {name: _median(rates) for name, rates in every.items() if 2 * len(rates) > len(readings)}


def _median(values: Sequence[float]) -> float:
    return float(np.exp(np.median(np.log(values))))


def _disagreement(values: Sequence[float], settings: LrSettings) -> str | None:
    if max(values) <= _DISAGREEMENT * min(values):
        return None
    return (
        f"the seeds disagree by a factor of {max(values) / min(values):.0f} ({min(values):.2g} to {max(values):.2g}): "
        f"take more --seeds={settings.seeds} or --steps={settings.steps}, and look at the curves"
    )


def _overrides(config: ml_collections.ConfigDict, rate: float) -> tuple[str, ...]:
    flags = [f"--config.optimizer.learning_rate={rate:g}"]
    second = config.optimizer.get("adam_learning_rate")
    if second is not None:
        flags.append(f"--config.optimizer.adam_learning_rate={second * rate / config.optimizer.learning_rate:.3g}")
    return tuple(flags)


def _seed_json(losses: np.ndarray, reading: Reading) -> dict[str, Any]:
    return {
        "losses": [float(loss) if math.isfinite(loss) else None for loss in losses],
        "smoothed": list(reading.smoothed),
        "suggestions": reading.suggestions,
        "divergence": reading.divergence,
        "problem": reading.problem,
    }


def report(finding: LrFinding) -> str:
    """A table for people: a row for each seed, then the medians; the last line is what to paste."""
    columns = (*(LABELS.get(name, name) for name in SUGGESTIONS), "divergence")
    rows = [
        [f"seed {seed}", *_cells(reading.suggestions, reading.divergence), reading.problem or ""]
        for seed, reading in finding.readings.items()
    ]
    rows.append(["median", *_cells(finding.suggestions, finding.divergence), ""])
    lines = [["", *columns, ""], *rows]
    table = "\n".join(f"{row[0]:<8}" + "".join(f"{cell:>14}" for cell in row[1:5]) + f"  {row[5]}" for row in lines)
    notes = [finding.warning] if finding.warning else []
    limit = "the loss did not blow up at any of these rates"
    if finding.divergence is not None:
        limit = f"training becomes unstable near {finding.divergence:.3g}"
    which = LABELS.get(finding.suggestion, finding.suggestion)
    notes.append(f"recommended: {finding.learning_rate:g} ({which}); the config has {finding.before:g}; {limit}")
    notes += [f"written: {finding.picture}, {finding.json}", "to train with it, add:"]
    return "\n".join([*(line.rstrip() for line in table.split("\n")), *notes, " ".join(finding.overrides)])


def _cells(suggestions: dict[str, float], divergence: float | None) -> list[str]:
    rates = [suggestions.get(name) for name in SUGGESTIONS] + [divergence]
    return ["-" if rate is None else f"{rate:.3g}" for rate in rates]
