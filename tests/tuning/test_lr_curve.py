"""What is read off a loss over rising rates: a known stability limit is found, nonsense is not suggested."""

import numpy as np
import pytest

from cnn_jax.tuning.finders.lr_curve import find_divergence, make_rates, read_sweep, smooth, sweep_rates

RATES = make_rates(1e-7, 10, 100)


def quadratic(
    curvature: float, rates: np.ndarray, seed: int, gradient_noise: float, loss_noise: float, directions: int = 1
) -> np.ndarray:
    """Losses of plain SGD on a noisy quadratic whose largest curvature is given: it is stable below 2 / curvature."""
    random = np.random.default_rng(seed)
    curvatures = curvature * np.geomspace(1 if directions == 1 else 0.01, 1, directions)

    def step(weights: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        loss = curvature * (0.1 + loss_noise * random.normal()) + 0.5 * float(curvatures @ weights**2)
        gradient = curvatures * weights + gradient_noise * curvature * random.normal(size=directions)
        return weights - rates[k] * gradient, loss

    return sweep_rates(step, np.ones(directions), rates.tolist())


# The divergence of a problem whose limit is known


# (curvature, where the limit lies in the range, directions): round and long valleys, far from each other.
QUADRATICS = [(1000.0, 0.65, 1), (0.2, 0.55, 10)]


@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.5, 0.03)], ids=["plain", "noisy"])
@pytest.mark.parametrize("steps", [100, 400])
def test_divergence_of_a_quadratic(steps: int, noise: tuple[float, float]) -> None:
    """Few steps and many, without noise of gradients and losses and with the most: within a factor of two."""
    for curvature, place, directions in QUADRATICS:
        limit = 2 / curvature
        start = limit / 10 ** (4 * place)
        rates = make_rates(start, start * 1e4, steps)
        for seed in range(5 if any(noise) else 1):
            losses = quadratic(curvature, rates, seed, *noise, directions)
            found, _ = find_divergence(rates, losses)
            assert found is not None
            assert limit / 2 < found < limit * 2, (curvature, seed)


def test_without_noise_the_limit_is_exact() -> None:
    """The pace of the climb gives it, however far the rate has gone on while the loss was still tiny."""
    rates = make_rates(1e-3, 10, 400)

    def step(weight: float, k: int) -> tuple[float, float]:
        return weight - rates[k] * 5 * weight, 2.5 * weight**2

    losses = sweep_rates(step, 1e-3, rates.tolist())
    assert find_divergence(rates, losses)[0] == pytest.approx(0.4, rel=0.01)


# The sweep


def test_a_sweep_ends_where_the_loss_blows_up() -> None:
    losses = [2.0] * 10 + [1.0] * 10 + [3.0] * 10 + [50.0] * 30
    seen = sweep_rates(lambda state, k: (state, losses[k]), None, [1.0] * 60)
    assert 31 <= len(seen) < 35
    assert len(sweep_rates(lambda state, k: (state, np.nan if k == 7 else 1.0), None, [1.0] * 60)) == 8
    assert len(sweep_rates(lambda state, k: (state, 1.0), None, [1.0] * 60)) == 60


def test_smoothing_has_no_lag_and_no_bias() -> None:
    np.testing.assert_allclose(smooth(np.full(50, 3.0)), 3.0)
    line = np.arange(101.0)
    np.testing.assert_allclose(smooth(line)[50], 50, atol=1e-6)
    weights = 0.8 ** np.arange(50)
    assert smooth(line[:50])[0] == pytest.approx(weights @ line[:50] / weights.sum())


def valley(low: float = 1e-4, high: float = 1e-2, noise: float = 0.02, blow_up: float | None = 0.3) -> np.ndarray:
    """2.3 before `low`, linear in the log of the rate to 0.3 at `high`, then flat, then 4-fold at each step."""
    random = np.random.default_rng(0)
    share = np.clip((np.log(RATES) - np.log(low)) / (np.log(high) - np.log(low)), 0, 1)
    losses = 2.3 - 2 * share + noise * random.normal(size=len(RATES))
    if blow_up is not None:
        losses *= 4.0 ** np.maximum(0, np.arange(len(RATES)) - np.searchsorted(RATES, blow_up))
    return sweep_rates(lambda state, k: (state, losses[k]), None, RATES.tolist())


def test_suggestions_of_a_known_curve() -> None:
    reading = read_sweep(RATES, valley())
    assert reading.problem is None
    # From half to 98 % of the fall, which is linear in log rate, and two thirds of that.
    begin, end = 1e-4 * 100**0.5, 1e-4 * 100**0.98
    expected = begin ** (1 / 3) * end ** (2 / 3)
    assert expected / 2 < reading.suggestions["valley"] < expected * 2.5  # smoothing rounds the corner at the bottom
    assert 1e-4 < reading.suggestions["steepest"] < 1e-2
    assert 1e-3 * 0.7 < reading.suggestions["minimum"] < 0.3 / 10
    assert reading.divergence == pytest.approx(0.3, rel=0.7)


def test_a_curve_that_ends_in_constant_answers_diverged() -> None:
    """As a network does whose units have died: the loss is back at about what it was, and goes no higher."""
    losses = valley(blow_up=None)
    losses[RATES > 0.5] = 2.2
    found, count = find_divergence(RATES, losses)
    assert found == pytest.approx(0.5, rel=0.3)
    assert count < 90
    assert read_sweep(RATES, losses).problem is None


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (2.3 + 0.1 * np.random.default_rng(1).normal(size=100), "does not fall at any rate from 1e-07 to 10"),
        (np.full(100, 2.3), "does not fall"),
        (valley(low=0.5, high=1e3, blow_up=None), "still falling at the last rate: raise --end=10"),
        (2.3 + 0.1 * np.random.default_rng(1).normal(size=100), "beyond the noise: raise --end, or look"),
        (np.array([np.nan]), "at the very first step"),
        (2.3 * 2.0 ** np.arange(6), "blows up at a rate of"),
        (np.array([2.3, np.inf]), "before it has fallen: lower --start=1e-07"),
        (np.r_[2.3 * np.ones(40), 9.0, 40.0, np.nan], "before it has fallen"),
    ],
)  # fmt: skip
def test_nonsense_is_not_suggested(losses: np.ndarray, words: str) -> None:
    reading = read_sweep(RATES, losses)
    assert reading.suggestions == {}
    assert reading.problem is not None
    assert words in reading.problem


def test_only_rates_that_were_tried_are_named() -> None:
    """A tenth of the best rate may lie below the first one, and the limit of stability, too."""
    rates = make_rates(1e3, 1e5, 100)
    for factor in (3.0, 1e6):
        reading = read_sweep(rates, 2.3 * factor ** np.arange(6))
        assert reading.divergence == rates[0]
        assert "blows up at the first rate before it has fallen: lower --start=1000" in (reading.problem or "")
    late = read_sweep(rates := make_rates(1.0, 10, 100), 0.3 + np.abs(np.linspace(-2, 1, 100)))
    assert late.problem is None
    assert set(late.suggestions) == {"valley", "steepest"}
    assert all(rates[0] <= rate <= rates[-1] for rate in late.suggestions.values())


def test_too_few_steps_are_said_to_be_few() -> None:
    rates, noise = make_rates(1e-7, 10, 30), 0.1 * np.random.default_rng(1).normal(size=30)
    assert "beyond the noise: raise --steps=30 or --end, or" in (read_sweep(rates, 2.3 + noise).problem or "")
    assert "lower --start=1e-07 or raise --steps=30" in (read_sweep(rates, np.array([2.3, np.inf])).problem or "")


def test_noise_alone_suggests_nothing() -> None:
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=100)
        assert read_sweep(RATES, 2.3 + 0.1 * noise).problem is not None
