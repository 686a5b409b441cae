"""Whole trainings of several seeds in one process: the accuracy that they reach, and the seconds that they take."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.timing import Settings
from cnn_jax.cli.progress import announce
from cnn_jax.config.tree import load_config, override
from cnn_jax.errors import InputError
from cnn_jax.experiment.compile import compile_initial_state, make_evaluation, make_seeded_training
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.training.evaluation import evaluate


def measure_cifar10(settings: Settings) -> list[dict[str, Any]]:
    """Two tables: each seed's accuracy and seconds, and of each config their means.

    As airbench counts them, seconds are of the first weights (whitening included), of training and of one evaluation
    with the config's `eval_tta`; loading the data, compiling and a first step, the warm-up, are told apart. Only
    configs whose model is `speednet` are trained. Nothing is saved.

    Raises:
      InputError: none of the configs has that model, or one has no test data.
    """
    paths = settings.chosen("cifar10_94.py", "cifar10_96.py")
    configs = {Path(path).stem: load_config(path) for path in paths}
    chosen = {name: config for name, config in configs.items() if config.model.name == "speednet"}
    if not chosen:
        raise InputError(f"--configs={','.join(paths)}: none has model.name='speednet', which cifar10 trains")
    runs, means = [], []
    for name, config in chosen.items():
        warm_up, results = _train_seeds(name, config, settings.seeds)
        runs += [[name, seed, f"{accuracy:.2%}", seconds] for seed, accuracy, seconds in results]
        accuracies = [accuracy for _, accuracy, _ in results]
        seconds = float(np.mean([seconds for _, _, seconds in results]))
        means.append([name, len(results), f"{np.mean(accuracies):.2%}", _interval(accuracies), seconds, warm_up])
    return [
        {"title": "trainings", "columns": ["config", "seed", "test accuracy", "seconds"], "rows": runs},
        {
            "title": "their means",
            "columns": ["config", "trainings", "test accuracy", "95 % interval", "seconds", "compiling, warm-up"],
            "rows": means,
        },
    ]


def student_interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """Where the mean lies, of two or more values with errors of a normal distribution (Student 1908)."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(stats.t.ppf((1 + share) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def _interval(accuracies: Sequence[float]) -> str:
    if len(accuracies) < 2:
        return "-"
    low, high = student_interval(accuracies)
    return f"{low:.2%} to {high:.2%}"


def _train_seeds(name: str, config: Any, seeds: int) -> tuple[float, list[tuple[int, float, float]]]:
    """Seconds of compiling and warming up; and of each seed (seed, accuracy, seconds)."""
    experiment = build(config)
    if experiment.splits.test is None:
        raise InputError(f"{name}: {experiment.splits.name} has no test data to measure an accuracy on; set data.test")
    if experiment.devices.platform != "cpu" and experiment.splits.loading == "resident":
        # As few calls as there are epochs, and none of them waits for the one before.
        experiment = build(override(config, [("steps_per_call", experiment.steps_per_epoch)]))
    train = _make_run(experiment)
    begun = time.perf_counter()
    train(config.seed, 1)
    warm_up = time.perf_counter() - begun
    results = []
    for seed in range(config.seed, config.seed + seeds):
        begun = time.perf_counter()
        accuracy = train(seed, experiment.steps_per_epoch * config.num_epochs)
        results.append((seed, accuracy, time.perf_counter() - begun))
        announce(f"{name}, seed {seed}: test accuracy {accuracy:.2%} in {results[-1][2]:.2f} s")
    return warm_up, results


def _make_run(experiment: Experiment) -> Callable[[int, int], float]:
    """(seed, steps, rounded up to whole calls) -> test accuracy. Programs are compiled in the first call of it."""
    init, (step, feed) = compile_initial_state(experiment), make_seeded_training(experiment)
    program, test = make_evaluation(experiment), experiment.splits.test
    assert test is not None
    batch_size = min(experiment.config.eval_batch_size, len(test))
    batch_size += -batch_size % experiment.devices.count

    def run(seed: int, steps: int) -> float:
        state = init(np.uint32(seed))
        with feed(seed)(0, experiment.steps_per_epoch * experiment.config.num_epochs) as works:
            done = 0
            for work, count in works:
                state, _ = step(state, work, np.uint32(seed))
                done += count
                if done >= steps:
                    break
        return evaluate(program, state.variables, test, batch_size)["accuracy"]

    return run
