"""Every scheduler is PyTorch's: recorded curves, live ones where torch is installed, and what float32 must not lose."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config import default_config, override
from cnn_jax.config_keys import SCHEDULES
from cnn_jax.errors import InputError
from cnn_jax.schedules import (
    PlateauState,
    check_rates,
    make_momentum,
    make_schedule,
    plateau_arguments,
    plateau_start,
    plateau_step,
)

BASE, MOMENTUM, TOLERANCE = 0.4, 0.7, 1e-6
Curves = list[tuple[dict[str, Any], np.ndarray]]


def block(name: str, **arguments: Any) -> dict[str, Any]:
    """A validated `schedule` block; what is not given has its default."""
    config = default_config(schedule=name)
    config.optimizer.learning_rate = BASE
    config = override(config, [(f"schedule.{key}", value) for key, value in arguments.items()])
    return dict(config.schedule)


def read_curves(path: Path) -> Curves:
    with np.load(path, allow_pickle=False) as stored:
        return [(json.loads(str(name)), value) for name, value in zip(stored["names"], stored["values"], strict=True)]


@pytest.fixture(scope="module")
def recorded() -> Curves:
    """See tests/tools/make_schedule_fixtures.py."""
    return read_curves(ROOT / "tests/fixtures/torch_schedules.npz")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Curves]:
    """Curves of arguments that are drawn anew; torch is here or in the interpreter CNN_JAX_TORCH_PYTHON names."""
    python = os.environ.get("CNN_JAX_TORCH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        pytest.skip("torch is not installed (CNN_JAX_TORCH_PYTHON may name an interpreter that has it)")
    path = tmp_path_factory.mktemp("torch") / "curves.npz"
    subprocess.run([python, str(ROOT / "tests/tools/make_schedule_fixtures.py"), str(path), "1"], check=True)
    yield read_curves(path)


def assert_curves(curves: Curves, name: str, steps_per_epoch: int) -> None:
    """The rates and momenta of one scheduler's cases, compiled as one program, at whole units."""
    cases = [(case, expected) for case, expected in curves if case["name"] == name]
    assert len(cases) >= 3
    unit = "steps" if steps_per_epoch == 1 else "epochs"
    blocks = [block(unit=unit, **case) for case, _ in cases]
    count = len(cases[0][1][0])
    assert count >= 100
    rates = [make_schedule(one, BASE, steps_per_epoch, count) for one in blocks]
    momenta = [make_momentum(one, steps_per_epoch, count) or (lambda t: jnp.full(t.shape, MOMENTUM)) for one in blocks]
    t = jnp.arange(count) * steps_per_epoch
    ours = jax.jit(lambda t: [(rate(t), momentum(t)) for rate, momentum in zip(rates, momenta, strict=True)])(t)
    for (case, expected), (rate, momentum) in zip(cases, ours, strict=True):
        peak = np.abs(expected[0]).max()
        np.testing.assert_allclose(rate, expected[0], rtol=0, atol=TOLERANCE * peak, err_msg=str(case))
        np.testing.assert_allclose(momentum, expected[1], rtol=0, atol=TOLERANCE, err_msg=str(case))


CURVES = [name for name in SCHEDULES if name not in ("constant", "ReduceLROnPlateau")]


@pytest.mark.parametrize("name", CURVES)
def test_recorded_curves(recorded: Curves, name: str) -> None:
    assert_curves(recorded, name, steps_per_epoch=1)


@pytest.mark.parametrize("name", CURVES)
def test_epochs_are_steps_of_pytorch(recorded: Curves, name: str) -> None:
    """PyTorch's schedulers are stepped once an epoch; only OneCycleLR means updates, whatever the unit."""
    cases = [case for case in recorded if "OneCycleLR" not in str(case[0])]
    if name != "OneCycleLR":
        assert_curves(cases, name, steps_per_epoch=7)


@pytest.mark.parametrize("name", CURVES)
def test_live_curves(live: Curves, name: str) -> None:
    assert_curves(live, name, steps_per_epoch=1)
