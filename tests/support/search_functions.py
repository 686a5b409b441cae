"""Functions to search, whose minima are known, and searches over them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.search.gaussian_process import propose
from cnn_jax.tuning.search.search_space import SearchSpace
from cnn_jax.tuning.sweeps.types import Metric, Parameter, Sweep

Function = Callable[[dict[str, Any]], float]


def sweep_over(**distributions: Distribution) -> Sweep:
    parameters = tuple(Parameter((name,), distribution) for name, distribution in distributions.items())
    return Sweep(Path("x.yaml"), {}, "x.py", "bayes", Metric("value", "minimize"), parameters, None, (), None, None)


BRANIN = sweep_over(x=Distribution("uniform", min=-5.0, max=10.0), y=Distribution("uniform", min=0.0, max=15.0))


def branin(at: dict[str, Any]) -> float:
    """Minimum 0.397887 at three points (Dixon & Szegö 1978)."""
    x, y = at["x"], at["y"]
    curve = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


MIXED = sweep_over(
    learning_rate=Distribution("log_uniform_values", min=1e-5, max=1.0),
    weight_decay=Distribution("log_uniform_values", min=1e-6, max=1e-1),
    momentum=Distribution("uniform", min=0.5, max=0.99),
    depth=Distribution("int_uniform", min=1, max=8),
    width=Distribution("q_log_uniform_values", min=8, max=256, q=8),
    optimizer=Distribution("categorical", values=("sgd", "adam", "lion")),
)


def mixed(at: dict[str, Any]) -> float:
    """An error as training has it, at least 0: what is best for one parameter depends on others.

    The best rate depends on the optimizer, the momentum (the effective rate) and the depth; the best weight decay on
    the rate; the best depth on the width. The rate matters most; optimizers differ little once it is right.
    """
    log_rate, log_decay, size = math.log10(at["learning_rate"]), math.log10(at["weight_decay"]), math.log2(at["width"])
    centre = {"sgd": -0.7, "adam": -2.5, "lion": -3.5}[at["optimizer"]]
    if at["optimizer"] == "sgd":
        centre += 0.7 * (math.log10(1 - at["momentum"]) + 1)
    centre -= 0.06 * (at["depth"] - 3)
    away = log_rate - centre
    rate = 0.25 * (1 - math.exp(-(away**2) / (0.5 if away > 0 else 1.2)))  # too large is worse than too small
    decay = 0.012 * (log_decay + 3.5 + 0.4 * away) ** 2
    shape = 0.02 * (at["depth"] - 2 - 0.5 * (size - 4)) ** 2 / 4 + 0.01 * (8 - size) ** 1.5 / 4
    momentum = 0.3 * (at["momentum"] - 0.9) ** 2
    return rate + decay + shape + momentum + {"sgd": 0.0, "adam": 0.01, "lion": 0.02}[at["optimizer"]]


FUNCTIONS: dict[str, tuple[Sweep, Function]] = {"branin": (BRANIN, branin), "mixed": (MIXED, mixed)}


def best_by_random(sweep: Sweep, function: Function, seed: int, trials: int) -> float:
    return min(function(draw(sweep, seed, number)) for number in range(trials))


def best_by_bayes(sweep: Sweep, function: Function, seed: int, trials: int) -> float:
    space = SearchSpace.of(sweep)
    points, values = np.zeros((0, len(space.axes))), np.zeros(0)
    for number in range(trials):
        point = propose(space.space, points, values, points[:0], seed, number)
        points = np.concatenate([points, point[None]])
        values = np.append(values, function(space.values(point)))
    return float(values.min())
