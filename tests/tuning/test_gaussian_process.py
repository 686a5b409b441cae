"""Bayesian optimisation on the unit cube: against closed forms, and against random search."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.gaussian_process.kernels import Matern

from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.gaussian_process import (
    Axis,
    Space,
    believe,
    expected_improvement,
    fit,
    posterior,
    propose,
    tamed,
)
from cnn_jax.tuning.search.search_space import SearchSpace
from tests.support.search_functions import FUNCTIONS, best_by_bayes, best_by_random, sweep_over

PLANE = Space((Axis(), Axis()))
NOTHING = np.zeros((0, 2))


def observed(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane and a smooth function's values."""
    points = np.random.default_rng(seed).random((count, 2))
    return points, np.sin(5 * points[:, 0]) + (points[:, 1] - 0.3) ** 2


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.3, 0.2, 0.1), (-1.0, 0.5, 0.4), (2.0, 1.5, -1.0)])
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    def improvement(y: float) -> float:
        return (best - y) * float(stats.norm.pdf(y, mean, deviation))

    expected, _ = integrate.quad(improvement, mean - 12 * deviation, best, epsabs=1e-12)
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert found == pytest.approx(expected, rel=1e-7)


def test_expected_improvement_without_uncertainty() -> None:
    found = expected_improvement(np.array([0.0, 2.0]), np.zeros(2), 1.0)
    np.testing.assert_allclose(found, [1.0, 0.0], atol=1e-9)


def test_posterior_is_the_direct_formula() -> None:
    """k_*^T (K + s I)^-1 y, with the hyperparameters that were found (Rasmussen & Williams 2006, equations 2.25-26)."""
    points, values = observed(12)
    process = fit(points, values, seed=0)
    amplitude, lengths, noise = (
        math.exp(process.kernel_.theta[0]), np.exp(process.kernel_.theta[1:3]), math.exp(process.kernel_.theta[3])
    )  # fmt: skip
    new = np.random.default_rng(1).random((5, 2))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        distance = math.sqrt(5) * np.linalg.norm((a[:, None, :] - b[None, :, :]) / lengths, axis=-1)
        return amplitude * (1 + distance + distance**2 / 3) * np.exp(-distance)  # Matérn 5/2, equation 4.17

    np.testing.assert_allclose(kernel(new, points), amplitude * Matern(lengths, nu=2.5)(new, points))
    centre, scale = values.mean(), values.std()
    inverse = np.linalg.inv(kernel(points, points) + noise * np.eye(12) + 1e-10 * np.eye(12))
    mean = kernel(new, points) @ inverse @ ((values - centre) / scale) * scale + centre
    variance = amplitude - np.diag(kernel(new, points) @ inverse @ kernel(points, new))
    found, deviation = posterior(process, new)
    np.testing.assert_allclose(found, mean, rtol=1e-5)
    np.testing.assert_allclose(deviation, np.sqrt(variance) * scale, rtol=1e-4)


def test_a_believer_keeps_its_mean_and_loses_uncertainty() -> None:
    points, values = observed(10)
    process = fit(points, values, seed=0)
    pending = np.array([[0.5, 0.5], [0.9, 0.1]])
    mean, before = posterior(process, pending)
    believer = believe(process, pending)
    found, after = posterior(believer, pending)
    np.testing.assert_allclose(found, mean, atol=2e-2 * values.std())
    assert (after < before).all()
    np.testing.assert_allclose(believer.kernel_.theta, process.kernel_.theta)


def test_a_diverged_trial_does_not_drown_the_others() -> None:
    points, values = observed(12)
    worst = int(np.argmax(values))
    found = [
        propose(PLANE, points, np.where(np.arange(12) == worst, huge, values), NOTHING, seed=0, number=12)
        for huge in (1e4, 1e9)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(tamed(np.array([1.0, 2.0, 1e9, 3.0, 0.0])), [1.0, 2.0, 22.0, 3.0, 0.0])
    np.testing.assert_array_equal(tamed(values), values)


def test_pending_points_are_avoided() -> None:
    points, values = observed(12)
    first = propose(PLANE, points, values, NOTHING, seed=3, number=12)
    second = propose(PLANE, points, values, first[None], seed=3, number=12)
    assert np.linalg.norm(first - second) > 0.02


def test_proposals_are_functions_of_seed_and_number() -> None:
    points, values = observed(8)
    first = propose(PLANE, points, values, NOTHING, seed=1, number=8)
    np.testing.assert_array_equal(first, propose(PLANE, points, values, NOTHING, seed=1, number=8))
    starts = [propose(PLANE, NOTHING, np.zeros(0), NOTHING, seed=1, number=number) for number in range(4)]
    again = propose(PLANE, points, values, NOTHING, seed=1, number=2)  # whatever others have found
    np.testing.assert_array_equal(starts[2], again)
    assert len({tuple(start) for start in starts}) == 4
    assert not np.array_equal(starts[0], propose(PLANE, NOTHING, np.zeros(0), NOTHING, seed=2, number=0))


def mixed_space() -> SearchSpace:
    return SearchSpace.of(
        sweep_over(
            a=Distribution("int_uniform", min=1, max=2),
            b=Distribution("categorical", values=("x", [1, 2], True, 1)),
            c=Distribution("q_uniform", min=0.0, max=0.5, q=0.25),
            d=Distribution("constant", values=(7,)),
        )
    )


def test_a_finite_space_is_walked_without_a_repetition() -> None:
    """24 points: each is proposed once, and only then one a second time."""
    space = mixed_space()
    points, values, seen = np.zeros((0, 3)), np.zeros(0), []
    for number in range(24):
        pending = points[-3:]
        point = propose(space.space, points[:-3], values[:-3], pending, seed=0, number=number)
        at = space.values(point)
        assert at["d"] == 7
        seen.append(repr(at))
        np.testing.assert_allclose(space.point(at), point, atol=1e-12)
        points = np.concatenate([points, point[None]])
        values = np.append(values, at["a"] + at["c"])
    assert len(set(seen)) == 24
    propose(space.space, points, values, points[:0], seed=0, number=24)


def test_the_kernel_sees_what_values_will_be() -> None:
    space = mixed_space().space
    points = np.array([[0.01, 0.3, 0.1], [0.3, 0.45, 0.2], [0.6, 0.9, 0.9]])
    snapped = space.snapped(points)
    np.testing.assert_allclose(snapped[:, 0], [1 / 4, 1 / 4, 3 / 4])  # the middle of each half
    np.testing.assert_array_equal(snapped[0, 1], snapped[1, 1])
    features = space.features(snapped)
    assert features.shape == (3, 1 + 4 + 1)
    np.testing.assert_array_equal(features[:, 1:5], [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(features[0, :5], features[1, :5])


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1e9, 1.0, 2.0, 1e9]])
def test_points_that_repeat_and_values_that_do_not_vary(values: list[float]) -> None:
    points = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9], [0.2, 0.2], [0.5, 0.5]])
    point = propose(PLANE, points, np.array(values), NOTHING, seed=0, number=9)
    assert np.isfinite(point).all()
    assert ((point > 0) & (point < 1)).all()


@pytest.mark.parametrize(("name", "trials"), [("branin", 24), ("mixed", 26)])
def test_better_than_random(name: str, trials: int) -> None:
    """Three seeds and fewer trials; tests/tools/bayes_against_random.py compares twenty, trial for trial."""
    sweep, function = FUNCTIONS[name]
    random = [best_by_random(sweep, function, seed, trials=30) for seed in range(20)]
    bayes = [best_by_bayes(sweep, function, seed, trials) for seed in range(3)]
    assert np.median(bayes) < 0.7 * np.median(random)
