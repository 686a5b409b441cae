"""Bayesian optimisation on the unit cube: a Gaussian process, expected improvement, and the next point to try.

Pure functions of what is known and a seed. A point is a row of coordinates in [0, 1], one per axis of the `Space`;
values are minimised. An axis says what its coordinate will really become: an integer or a stepped value is rounded
before the kernel sees it, and a category becomes a one-hot block, so that the process is constant where the function
is (Garrido-Merchán & Hernández-Lobato 2020).

Pending points (trials that still run) are added with the process's own mean as their value ("kriging believer",
Ginsbourger et al. 2010): it needs no made-up constant, as the constant liar does, and takes the uncertainty away from
where a trial is already looking.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

_SCREENED = 1024  # points that fill the cube; a power of two, as Sobol's sequence wants
_NEAR = 256  # points about the best ones known
_ROUNDS, _EACH_ROUND = 5, 128  # of refinement about the best candidate
_ENUMERABLE = 4096  # spaces with no more points than this are candidates as a whole
_SAME = 1e-9  # coordinates that are nearer than this are one


@dataclasses.dataclass(frozen=True)
class Axis:
    """One coordinate.

    Attributes:
      choices: the number of categories, which share the interval evenly; 0 where the axis is ordered.
      snap: rounds coordinates [n] to those of the values that they stand for; None where the axis is continuous.
      levels: all coordinates that there are, where they are finitely many; None otherwise.
    """

    choices: int = 0
    snap: Callable[[np.ndarray], np.ndarray] | None = None
    levels: np.ndarray | None = None

    @classmethod
    def categorical(cls, choices: int) -> "Axis":
        def snap(u: np.ndarray) -> np.ndarray:
            return (np.minimum(np.floor(u * choices), choices - 1) + 0.5) / choices

        return cls(choices, snap, (np.arange(choices) + 0.5) / choices)


@dataclasses.dataclass(frozen=True)
class Space:
    axes: tuple[Axis, ...]

    def snapped(self, points: np.ndarray) -> np.ndarray:
        """The points [n, axes] as what they will really be."""
        columns = [axis.snap(column) if axis.snap else column for axis, column in zip(self.axes, points.T, strict=True)]
        return np.stack(columns, axis=1)

    def features(self, points: np.ndarray) -> np.ndarray:
        """What the kernel sees [n, features] of snapped points: ordered coordinates, and one-hot blocks."""
        blocks = []
        for axis, column in zip(self.axes, points.T, strict=True):
            if axis.choices:
                index = np.minimum((column * axis.choices).astype(int), axis.choices - 1)
                blocks.append(np.eye(axis.choices)[index])
            else:
                blocks.append(column[:, None])
        return np.concatenate(blocks, axis=1)

    def all_points(self) -> np.ndarray | None:
        """Every point there is [n, axes], where they are few; None otherwise."""
        levels = [axis.levels for axis in self.axes]
        finite = [axis_levels for axis_levels in levels if axis_levels is not None]
        if len(finite) < len(levels) or math.prod(map(len, finite)) > _ENUMERABLE:
            return None
        return np.stack([grid.ravel() for grid in np.meshgrid(*finite, indexing="ij")], axis=1)


def first_points(space: Space) -> int:
    """How many trials fill the space before the process is asked: it has that many length scales and two more."""
    return len(space.axes) + 2


def propose(
    space: Space, points: np.ndarray, values: np.ndarray, pending: np.ndarray, seed: int, number: int
) -> np.ndarray:
    """The next point to try.

    The first trials are points of a scrambled Sobol sequence, a function of (seed, number) alone.

    Args:
      space: the axes.
      points: finished [n, axes].
      values: theirs [n], finite, to be minimised.
      pending: points [m, axes] that are being tried.
      seed: of everything random here.
      number: of the trial, from 0.

    Returns:
      A point [axes], neither finished nor pending unless there is no other.
    """
    generator = np.random.default_rng([seed, number])
    if number < first_points(space) or len(points) < 2:
        start = space.snapped(_sobol(space, 1, [seed], skip=number))
        candidates = np.concatenate([start, space.snapped(_screen(space, generator))])
        return _untaken(candidates, np.concatenate([points, pending]))[0]
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # these matrices are small, and the cores are the trials'
        return _best_candidate(space, points, values, pending, seed, generator)


def _best_candidate(
    space: Space, points: np.ndarray, values: np.ndarray, pending: np.ndarray, seed: int,
    generator: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Where the expected improvement is largest among many candidates, refined about the best of them."""
    taken = np.concatenate([points, pending])
    candidates = _candidates(space, points, values, generator)
    process = fit(space.features(points), tamed(values), seed)
    if len(pending):
        process = believe(process, space.features(pending))
    best = float(process.predict(process.X_train_).min())  # the process's own, which noise in a value cannot lower

    def score(rows: np.ndarray) -> np.ndarray:
        return expected_improvement(*posterior(process, space.features(rows)), best)

    pool = _untaken(candidates, taken)
    scores = score(pool)
    for i in range(_ROUNDS):
        near = _perturbed(space, pool[np.argsort(-scores)[:4]], 0.1 / 2**i, _EACH_ROUND, generator)
        more = _untaken(space.snapped(near), taken, or_any=False)
        if len(more):
            pool, scores = np.concatenate([pool, more]), np.concatenate([scores, score(more)])
    return pool[np.argmax(scores)]


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """E[max(best - Y, 0)] for Y ~ N(mean, deviation^2); Jones, Schonlau & Welch 1998, equation 15."""
    from scipy.special import ndtr

    deviation = np.maximum(deviation, 1e-12)
    z = (best - mean) / deviation
    return (best - mean) * ndtr(z) + deviation * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def tamed(values: np.ndarray) -> np.ndarray:
    """Values [n] without extremes at the bad end: how bad a diverged trial was would drown what tells good ones apart.

    What is worse than the median by more than ten times the median's distance from the best is cut off there.
    """
    middle, best = float(np.median(values)), float(values.min())
    return np.minimum(values, middle + 10 * (middle - best)) if middle > best else values


def fit(features: np.ndarray, values: np.ndarray, seed: int) -> Any:
    """A fitted GaussianProcessRegressor: Matérn 5/2 with a length scale for each feature, and white noise.

    Length scales are bounded, so that a handful of points can claim neither that a feature is all that matters nor,
    beyond doubt, that it matters not at all. Noise keeps it sound where points repeat.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    count = features.shape[1]
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(np.full(count, 0.5), [(0.05, 5.0)] * count, nu=2.5)
    kernel += WhiteKernel(1e-3, (1e-6, 0.5))
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=seed)
    return _fitted(process, features, values)


def posterior(process: Any, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [n] of the function itself: noise is no hope of improvement."""
    mean, deviation = process.predict(features, return_std=True)
    noise = process.kernel_.k2.noise_level * process._y_train_std**2
    return mean, np.sqrt(np.maximum(deviation**2 - noise, 0.0))


def believe(process: Any, pending: np.ndarray) -> Any:
    """The process with its own mean as the value of pending features [m, features]; the kernel stays."""
    from sklearn.base import clone

    values = process.y_train_ * process._y_train_std + process._y_train_mean
    believer = clone(process).set_params(kernel=process.kernel_, optimizer=None)
    features = np.concatenate([process.X_train_, pending])
    return _fitted(believer, features, np.concatenate([values, process.predict(pending)]))


def _fitted(process: Any, features: np.ndarray, values: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # length scales that end at their bounds, which is what bounds are for
        return process.fit(features, values)


def _candidates(space: Space, points: np.ndarray, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Snapped points all over the space, and near the best ones known."""
    everything = space.all_points()
    if everything is not None:
        return everything
    best = points[np.argsort(values, kind="stable")[:4]]
    near = [_perturbed(space, best, scale, _NEAR, generator) for scale in (0.1, 0.02)]
    return space.snapped(np.concatenate([_screen(space, generator), *near]))


def _screen(space: Space, generator: np.random.Generator) -> np.ndarray:
    everything = space.all_points()
    if everything is not None:
        return generator.permutation(everything)
    return _sobol(space, _SCREENED, generator.integers(2**32, size=4).tolist())


def _sobol(space: Space, count: int, seed: list[int], skip: int = 0) -> np.ndarray:
    from scipy.stats import qmc

    engine = qmc.Sobol(len(space.axes), scramble=True, rng=np.random.default_rng(seed))
    if skip:
        engine.fast_forward(skip)
    return np.clip(engine.random(count), 1e-6, 1 - 1e-6)


def _perturbed(
    space: Space, centres: np.ndarray, scale: float, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Points [count, axes] about the centres: some of the coordinates move, categories are drawn anew."""
    rows = centres[np.arange(count) % len(centres)]
    axes = len(space.axes)
    moved = generator.random((count, axes)) < max(0.5, 1 / axes)
    moved[np.arange(count), generator.integers(axes, size=count)] = True
    steps = rows + generator.normal(0, scale, rows.shape)
    for i, axis in enumerate(space.axes):
        if axis.choices:
            moved[:, i] &= generator.random(count) < 0.5
            steps[:, i] = generator.random(count)
        elif axis.levels is not None and len(axis.levels) > 1:  # at least one step, whatever the scale
            width = 1 / len(axis.levels)
            wide = generator.normal(0, max(scale, width), count)
            steps[:, i] = rows[:, i] + wide
    return np.clip(np.where(moved, steps, rows), 1e-6, 1 - 1e-6)


def _untaken(candidates: np.ndarray, taken: np.ndarray, or_any: bool = True) -> np.ndarray:
    """The candidates that were not tried, each once; all of them where all were and `or_any`."""
    rows = np.round(candidates / _SAME).astype(np.int64)
    _, first = np.unique(rows, axis=0, return_index=True)
    used = {row.tobytes() for row in np.round(taken / _SAME).astype(np.int64)}
    kept = [i for i in sorted(first) if rows[i].tobytes() not in used]
    return candidates[kept] if kept or not or_any else candidates
