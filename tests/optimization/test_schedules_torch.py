"""Every scheduler is PyTorch's: recorded curves, and live ones where torch is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.keys import SCHEDULES
from cnn_jax.optimization.schedules import (
    make_momentum,
    make_schedule,
)
from tests.support.schedules import BASE, Curves, schedule_block

MOMENTUM, TOLERANCE = 0.7, 1e-6


def assert_curves(curves: Curves, name: str, steps_per_epoch: int) -> None:
    """The rates and momenta of one scheduler's cases, compiled as one program, at whole units."""
    cases = [(case, expected) for case, expected in curves if case["name"] == name]
    assert len(cases) >= 3
    unit = "steps" if steps_per_epoch == 1 else "epochs"
    blocks = [schedule_block(unit=unit, **case) for case, _ in cases]
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
