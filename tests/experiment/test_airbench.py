"""The configs of airbench's recipes against the numbers in its code, and the benchmark that trains them."""

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import cifar10, timing
from cnn_jax.config.tree import load_config, validate
from cnn_jax.errors import InputError
from cnn_jax.models import make_model, variable_shapes
from cnn_jax.models.parameter_names import frozen, parameter_names
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.optimization.schedules import make_schedule
from tests.support.helpers import ROOT, script

STEPS_PER_EPOCH = 48  # 50,000 // 1,024
# Of airbench94 and airbench96 (legacy): lr, weight_decay, the share of rising steps, the last factor.
RECIPES = {"cifar10_94": (11.5, 0.0153, 0.23, 0.07), "cifar10_96": (9.0, 0.012, 0.1, 0.0)}


def recipe(name: str) -> Any:
    return validate(load_config(str(ROOT / "configs" / f"{name}.py")))


def factor(step: int, steps: int, rising: float, last: float) -> float:
    """airbench's get_lr."""
    up = int(steps * rising)
    if step < up:
        return 0.2 * (1 - step / up) + step / up
    share = (step - up) / (steps - up)
    return 1 - share + last * share


@pytest.mark.parametrize(("name", "trained"), [("cifar10_94", 1_971_352), ("cifar10_96", None)])
def test_the_network_is_airbenchs(name: str, trained: int | None) -> None:
    config = recipe(name)
    params = variable_shapes(make_model(config.model, 10), (32, 32, 3))["params"]
    sizes = {"still": 0, "trained": 0}
    for leaf, still in zip(jax.tree.leaves(params), jax.tree.leaves(frozen(params, config.freeze)), strict=True):
        sizes["still" if still else "trained"] += leaf.size
    widths = (24, *config.model.filters)
    convs = config.model.convs_per_group
    groups = sum(9 * a * b + (convs - 1) * 9 * b * b + convs * b for a, b in itertools.pairwise(widths))
    assert sizes == {"still": 288, "trained": groups + 24 + widths[-1] * 10}
    assert trained in (None, sizes["trained"])


@pytest.mark.parametrize("name", RECIPES)
def test_rates_and_decay_are_airbenchs(name: str) -> None:
    """One step from rest of PyTorch's SGD with airbench's numbers, of a loss that is summed over 1,024 examples."""
    lr, decay, rising, last = RECIPES[name]
    config = recipe(name)
    steps = STEPS_PER_EPOCH * config.num_epochs
    kilostep = 1024 * (1 + 1 / (1 - 0.85))
    rate, decay = lr / kilostep, decay * 1024 / kilostep

    def scheduled(base: float) -> Any:
        return make_schedule(config.schedule, base, STEPS_PER_EPOCH, config.num_epochs, peak=base)

    schedule = scheduled(config.optimizer.learning_rate)
    for step in (0, 40, int(steps * rising), steps // 2, steps - 1):
        assert float(schedule(step)) / 1024 == pytest.approx(rate * factor(step, steps, rising, last), abs=0.01 * rate)
    params = jax.tree.map(
        lambda leaf: jnp.full(leaf.shape, 0.5), variable_shapes(make_model(config.model, 10), (32, 32, 3))["params"]
    )
    optimizer = make_optimizer(config.optimizer, scheduled, config.freeze, steps=steps)
    mean_gradient = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-3), params)
    updates = (
        jax.eval_shape(optimizer.init, params),
        jax.jit(lambda params: optimizer.update(mean_gradient, optimizer.init(params), params)[0])(params),
    )
    names = dict(zip(jax.tree.leaves(parameter_names(params)), jax.tree.leaves(updates[1]), strict=True))

    def moved(rate: float, decay: float) -> float:
        gradient = 1.024 + decay / rate * 0.5
        return -0.2 * rate * (gradient + 0.85 * gradient)

    expected = {
        "whiten/kernel": 0.0, "whiten/bias": moved(rate, 0), "group1/conv1/kernel": moved(rate, decay),
        "group3/norm2/bias": moved(64 * rate, 0), "head/logits/kernel": moved(rate, decay),
    }  # fmt: skip
    for key, value in expected.items():
        np.testing.assert_allclose(np.unique(names[key]), value, rtol=1e-4, err_msg=key)


TINY = """
import sys
sys.path.insert(0, {root!r})
from tests.models.test_speednet import speednet_config
def get_config():
    return speednet_config(optimizer__learning_rate=0.05, eval_tta="flip")
"""


def test_the_benchmark_trains_each_seed_as_a_run_does(tmp_path: Path) -> None:
    from cnn_jax.experiment.fitting import fit

    path = tmp_path / "tiny.py"
    path.write_text(TINY.format(root=str(ROOT)))
    each, means = cifar10.measure_cifar10(timing.Settings([str(path)], 1, seeds=2))
    assert [row[:2] for row in each["rows"]] == [["tiny", 0], ["tiny", 1]]
    config = load_config(str(path))
    config.seed = 1
    assert each["rows"][1][2] == f"{fit(config, tmp_path / 'run')['test_accuracy']:.2%}"
    name, count, mean, interval, seconds, _ = means["rows"][0]
    accuracies = [float(row[2].rstrip("%")) for row in each["rows"]]
    assert (name, count) == ("tiny", 2)
    assert float(mean.rstrip("%")) == pytest.approx(np.mean(accuracies), abs=0.02)
    assert seconds == pytest.approx(np.mean([row[3] for row in each["rows"]]))
    assert " to " in interval


def test_the_interval_is_students() -> None:
    """Table of Student's t: 12.706 for 1 degree of freedom, 2.776 for 4."""
    assert cifar10.student_interval([0.0, 2.0]) == pytest.approx((1 - 12.706, 1 + 12.706), abs=1e-3)
    low, high = cifar10.student_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 2.776 * (2.5 / 5) ** 0.5, 3 + 2.776 * (2.5 / 5) ** 0.5), abs=1e-3)


def test_what_the_benchmark_cannot_train_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none has model"):
        cifar10.measure_cifar10(timing.Settings([str(ROOT / "configs/digits.py")], 1))
    result = script("benchmark.py", "--only=cifar10", "--seeds=0", f"--output={tmp_path}")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--seeds=0: it must be at least 1" in result.stderr
