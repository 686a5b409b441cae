"""The best of several configs with several seeds each: by mean, with a test, and what one run is worth."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from cnn_jax.runs.best_config import Tried, describe_best
from cnn_jax.runs.noise import mean_difference

STEADY, LUCKY = Tried("steady", (0.90, 0.91, 0.92)), Tried("lucky", (0.80, 0.84, 0.96))


def test_means_differ_by_more_than_noise() -> None:
    """As SciPy's Welch test has it; without any spread each difference is one."""
    random = np.random.default_rng(0)
    for shift, counts in ((0.0, (3, 5)), (2.0, (4, 3)), (9.0, (2, 6))):
        first, second = random.normal(shift, 1, counts[0]), random.normal(0, 2, counts[1])
        found, expected = mean_difference(first, second), ttest_ind(first, second, equal_var=False)
        assert found.method == f"Welch's t test of the means, p = {expected.pvalue:.2g}"
        assert found.is_noise == (expected.pvalue >= 0.05)
        assert found.value == pytest.approx(first.mean() - second.mean())
    assert not mean_difference([0.5, 0.5], [0.4, 0.4]).is_noise
    assert mean_difference([0.5, 0.5], [0.5, 0.5]).is_noise


@pytest.mark.parametrize(("goal", "best"), [("maximize", "steady"), ("minimize", "lucky")])
def test_the_best_mean_is_named(goal: str, best: str) -> None:
    lines = describe_best([LUCKY, STEADY], "accuracy", goal, "lucky2, 96 %")
    assert lines[0].startswith(f"best config by mean accuracy: {best}: ")
    assert "is 0.0433 behind, less than noise" in lines[1]
    assert lines[2] == "one run is luck: the best single one is lucky2, 96 %"


def test_single_runs_beside_repeated_ones() -> None:
    """A single run may have the best figure, but that is no mean; folds have no test of independent runs."""
    once = Tried("once", (0.95,), "")
    lines = describe_best([LUCKY, STEADY, once], "accuracy", "maximize", "once, 95 %")
    assert lines[0] == "best accuracy: once, 95 %"
    assert "one run is luck; of the configs with several seeds the best by mean accuracy is steady: 0.9100" in lines[1]
    (mean, luck) = describe_best([LUCKY], "accuracy", "maximize", "lucky2, 96 %")
    assert mean.startswith(
        "mean accuracy of this config: 0.8667 over 3 seeds (std 0.0833; 95 % interval of the mean 0."
    )
    assert luck == "the best single run, lucky2, 96 %, is the luckiest of its seeds, not a better config"
    folds = [STEADY._replace(over="folds"), LUCKY._replace(over="folds")]
    assert describe_best(folds, "accuracy", "maximize", "x")[1] == "the next one, lucky, is 0.0433 behind"
    assert describe_best([STEADY, once._replace(values=(0.5,))], "accuracy", "maximize", "x")[1].endswith(
        "trained once"
    )
