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


CURVES = [name for name in SCHEDULES if name not in ("constant", "ReduceLROnPlateau")]


def assert_curves(curves: Curves, name: str) -> None:
    """The rates and momenta of one scheduler's cases, in steps and in epochs of 7, compiled as one program.

    PyTorch's schedulers are stepped once an epoch; only OneCycleLR means updates, whatever the unit.
    """
    cases = [(case, expected) for case, expected in curves if case["name"] == name]
    assert len(cases) >= 3
    count = len(cases[0][1][0])
    assert count >= 100
    t = jnp.arange(count)
    functions = []
    for case, _ in cases:
        for unit, length in (("steps", 1), ("epochs", 1 if "OneCycleLR" in str(case) else 7)):
            block = schedule_block(unit=unit, **case)
            rate = make_schedule(block, BASE, length, count)
            momentum = make_momentum(block, length, count) or (lambda t: jnp.full(t.shape, MOMENTUM))
            functions.append((rate, momentum, length))
    ours = jax.jit(lambda t: [(rate(t * n), momentum(t * n)) for rate, momentum, n in functions])(t)
    for i, (rate, momentum) in enumerate(ours):
        case, expected = cases[i // 2]
        peak = np.abs(expected[0]).max()
        np.testing.assert_allclose(rate, expected[0], rtol=0, atol=TOLERANCE * peak, err_msg=str(case))
        np.testing.assert_allclose(momentum, expected[1], rtol=0, atol=TOLERANCE, err_msg=str(case))


@pytest.mark.parametrize("name", CURVES)
def test_recorded_curves(recorded: Curves, name: str) -> None:
    assert_curves(recorded, name)


@pytest.mark.slow
def test_live_curves(live: Curves) -> None:
    for name in CURVES:
        assert_curves(live, name)
