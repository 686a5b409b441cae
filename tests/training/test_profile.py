"""A trace holds the compiled step, as often as was asked for, and is closed however training ends."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.experiment.compile import make_training
from cnn_jax.experiment.fitting import build, initial_state
from cnn_jax.training.profile import WARM_UP, profiled
from tests.support.helpers import tiny_config


@jax.jit
def counting_step(state: jax.Array, work: jax.Array) -> tuple[jax.Array, jax.Array]:
    return state + jnp.tanh(work @ work).mean(), state


def run(step: Callable[..., Any], calls: int) -> jax.Array:
    state, work = jnp.zeros(()), jnp.ones((50, 50))
    for _ in range(calls):
        state, _ = step(state, work)
    return state


def events(folder: Path) -> list[str]:
    """The names of all that happened in the one trace of a folder."""
    (trace,) = folder.rglob("perfetto_trace.json.gz")
    assert list(folder.rglob("*.xplane.pb"))
    with gzip.open(trace) as file:
        return [event["name"] for event in json.load(file)["traceEvents"] if event.get("ph") == "X"]


def calls_of(names: list[str], program: str) -> int:
    return sum(name.startswith(f"PjitFunction({program})") for name in names)


def test_a_trace_holds_the_training_step_of_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = build(tiny_config())
    train_step, feed = make_training(experiment)
    state = initial_state(experiment)
    with feed(0, 5) as works, profiled(train_step, tmp_path / "profile", 2, warm_up=2) as step:
        for work, _ in works:
            state, _ = step(state, work)
    assert int(state.step) == 5
    names = events(tmp_path / "profile")
    assert names.count("train") == 2
    assert any("conv" in name for name in names)
    assert f"--logdir={tmp_path / 'profile'}" in capsys.readouterr().err


def test_the_calls_that_were_asked_for(tmp_path: Path) -> None:
    expected = run(counting_step, WARM_UP + 7)
    with profiled(counting_step, tmp_path, 3) as step:
        np.testing.assert_array_equal(run(step, WARM_UP + 7), expected)
    names = events(tmp_path)
    assert names.count("train") == 3
    assert calls_of(names, "counting_step") >= 3
    assert sum(bool(re.fullmatch(r"(wrapped_)?tanh(\.\d+)?", name)) for name in names) == 3


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_a_run_that_ends_early_closes_its_trace(tmp_path: Path, error: type[BaseException] | None) -> None:
    def interrupted() -> None:
        with profiled(counting_step, tmp_path / "first", 100) as step:
            run(step, WARM_UP + 2)
            if error is not None:
                raise error

    if error is None:
        interrupted()
    else:
        with pytest.raises(error):
            interrupted()
    assert events(tmp_path / "first").count("train") == 2
    with profiled(counting_step, tmp_path / "second", 1) as step:  # the profiler is free again
        run(step, WARM_UP + 1)
    assert events(tmp_path / "second").count("train") == 1


def test_a_run_that_is_too_short_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with profiled(counting_step, tmp_path / "profile", 3) as step:
        run(step, 2)
    assert "nothing was traced" in capsys.readouterr().err
    assert not (tmp_path / "profile").exists()


def test_without_a_profile_the_step_stays_what_it_is(tmp_path: Path) -> None:
    with profiled(counting_step, tmp_path / "profile", 0) as step:
        assert step is counting_step


@pytest.mark.parametrize("moment", ["start_trace", "stop_trace"])
def test_a_profiler_that_fails_does_not_stop_training(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = jax.profiler.stop_trace

    def failing(*arguments: Any, **settings: Any) -> None:
        if moment == "stop_trace":
            stop()
        raise OSError("no space left\non device")

    monkeypatch.setattr(jax.profiler, moment, failing)
    with profiled(counting_step, tmp_path, 1) as step:
        run(step, WARM_UP + 4)
    assert capsys.readouterr().err.endswith("  no trace: no space left on device; training goes on\n")
