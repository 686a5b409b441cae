"""What XLA is told before it starts, and that sums are right with it."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.runtime import startup
from tests.support.helpers import ROOT

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


@pytest.mark.parametrize("rows", [32_768, 32_769, 40_000, 65_537])
def test_sums_of_rows_are_right(rows: int) -> None:
    """jax#39103: with the pinned 0.10.2 as it comes, relative errors are up to 0.9."""
    draw = np.random.default_rng(0)
    matrix, x = draw.normal(size=(3, 3)).astype(np.float32), draw.normal(size=(rows, 3)).astype(np.float32)
    sums = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(x)
    expected = ((x.astype(np.float64) @ matrix.T.astype(np.float64)) ** 2).sum(1)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [16_385, 20_000])
def test_sums_of_rows_are_right_in_float64(rows: int) -> None:
    with jax.enable_x64(True):
        draw = np.random.default_rng(0)
        matrix, x = draw.normal(size=(3, 3)), draw.normal(size=(rows, 3))
        sums = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(x)
        np.testing.assert_allclose(sums, ((x @ matrix.T) ** 2).sum(1), rtol=1e-12)


@pytest.mark.parametrize(
    ("version", "given", "flags"),
    [
        ((0, 10, 1), "", ""),
        ((0, 10, 2), "", f"{FLAG}=-reduce"),
        ((0, 10, 2), "--xla_other=1", f"--xla_other=1 {FLAG}=-reduce"),
        ((0, 10, 2), f"{FLAG}=dot", f"{FLAG}=dot"),
        ((0, 11, 1), "", f"{FLAG}=-reduce"),
        ((0, 11, 2), "", ""),
        ((0, 12, 0), "", ""),
        ((), "", ""),
    ],
)
def test_flags(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], given: str, flags: str) -> None:
    monkeypatch.setattr(startup, "jaxlib_version", lambda: version)
    monkeypatch.setenv("XLA_FLAGS", given)
    startup.set_flags()
    assert os.environ["XLA_FLAGS"] == flags


def test_flags_are_set_by_the_import() -> None:
    """Of any room, in a process that knows nothing yet; JAX is not imported for it."""
    code = "import cnn_jax.config, os, sys; print(os.environ.get('XLA_FLAGS', ''), 'jax' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    wrong = (0, 10, 2) <= startup.jaxlib_version() < (0, 11, 2)
    assert result.stdout.split() == [f"{FLAG}=-reduce", "False"] if wrong else ["False"]
