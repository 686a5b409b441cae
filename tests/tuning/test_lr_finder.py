"""The learning-rate finder with networks: states stay as they are, what is found is written, mistakes are said."""

import dataclasses
import errno
import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.tree import override
from cnn_jax.errors import InputError, SaveError
from cnn_jax.experiment.fitting import build, initial_state
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.training.loss_scale import init_loss_scale
from cnn_jax.tuning.finders import lr_finder
from cnn_jax.tuning.finders.batch_size import find_batch_size
from cnn_jax.tuning.finders.lr_curve import make_rates
from cnn_jax.tuning.finders.lr_finder import LrFinding, LrSettings, find_learning_rate, make_sweep, prepare, report
from cnn_jax.tuning.finders.output import check_output, writing
from tests.support.helpers import read_json, script, tiny_config


def settings(**changes: Any) -> LrSettings:
    return LrSettings(**{"steps": 25, "seeds": 2, "start": 1e-5, **changes})


def bits(state: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def small_config(**changes: Any) -> Any:
    """2 steps an epoch, each of a millisecond."""
    return tiny_config(**{"model__filters": (4,), "batch_size": 512, **changes})


STREAMED = {
    "data__loading": "streamed", "data__source": "synthetic", "data__examples": 100, "data__workers": 0,
    "data__image_size": (8, 8), "batch_size": 20,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.9, "schedule__name": "ReduceLROnPlateau"},  # the state holds more than a sweep wants
        {"parallel__devices": 2, "accumulate_steps": 2},
        {"parallel__devices": 2, "parallel__strategy": "pmap", **STREAMED},
    ],
)
def test_the_state_is_left_as_it_is(changes: dict[str, Any]) -> None:
    config = small_config(**changes)
    experiment = build(config)
    state = initial_state(experiment)
    before = bits(state)
    rates = make_rates(1e-4, 1.0, 8)
    assert experiment.steps_per_epoch < len(rates)  # it goes round
    sweep = make_sweep(prepare(config, rates), rates)
    first, second = sweep(state, 3), sweep(state, 3)
    assert bits(state) == before
    np.testing.assert_array_equal(first, second)
    assert len(first) == 8
    assert not np.array_equal(sweep(state, 4), first)


def test_a_suggestion_below_the_first_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The valley is named, a tenth of the best rate is not."""
    curve = 0.3 + np.abs(np.linspace(-2, 1, 100))
    monkeypatch.setattr(lr_finder, "sweep_config", lambda config, rates, seeds: dict.fromkeys(range(seeds), curve))
    far = settings(start=1.0, end=10.0, steps=100)
    finding = find_learning_rate(small_config(), far, tmp_path)
    assert finding.learning_rate > 1
    assert report(finding).splitlines()[1].split()[4] == "-"
    with pytest.raises(InputError, match=r"a tenth of .* is below the first rate: lower --start=1"):
        find_learning_rate(small_config(), dataclasses.replace(far, suggestion="minimum"), tmp_path)


def test_the_sweep_is_compiled_once() -> None:
    config, rates = small_config(), make_rates(1e-4, 1.0, 8)
    sweep, state = make_sweep(prepare(config, rates), rates), initial_state(build(config))
    sweep(state, 0)
    names: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        listener := lambda name, *_, **__: names.append(name) if "backend_compile" in name else None
    )
    try:
        sweep(state, 1)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert not names


@functools.cache
def moved(name: str) -> tuple[Any, Any, np.ndarray]:
    """An optimizer's updates at every rate of a sweep, and with the last rate as its base."""
    rates = make_rates(1e-4, 1.0, 20)
    pairs = [("optimizer.name", name), ("optimizer.rate_multipliers", (("bias", 0.5),))]
    config = override(tiny_config(), pairs)
    experiment = prepare(config, rates)
    return experiment, config, rates


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_all_base_rates_scale_together(name: str) -> None:
    experiment, config, rates = moved(name)
    params = initial_state(experiment).params
    gradients = jax.tree.map(lambda leaf: 0.1 + 0.0 * leaf, params)
    factor = rates[0] / config.optimizer.learning_rate
    block = config.optimizer.to_dict()
    for key in ("learning_rate", "adam_learning_rate"):
        if key in block:
            block[key] *= factor
    constant = make_optimizer(block, lambda base: optax.constant_schedule(base))
    update = jax.jit(lambda optimizer: optimizer.update(gradients, optimizer.init(params), params)[0], static_argnums=0)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-9),
        update(experiment.optimizer), update(constant),
    )  # fmt: skip
    np.testing.assert_allclose(
        [float(experiment.schedule(k)) for k in (0, 7, 19, 30)], rates[[0, 7, 19, 19]], rtol=1e-6
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> LrFinding:
    config = tiny_config(optimizer__name="muon", batch_size=64)
    return find_learning_rate(
        config, settings(steps=50, seeds=3, end=1e3), tmp_path_factory.mktemp("found") / "new" / "folder"
    )


def test_what_is_written_and_printed(found: LrFinding) -> None:
    written = read_json(found.json)
    assert written["learning_rate"] == found.learning_rate
    assert set(written["seeds"]) == {"0", "1", "2"}
    middle = sorted(seed["suggestions"]["valley"] for seed in written["seeds"].values())[1]
    assert found.learning_rate == pytest.approx(middle, rel=0.01)
    assert written["config"]["optimizer"]["name"] == "muon"
    assert len(written["config_sha256"]) == 64
    assert report(found).split("\n", 1)[0].split() == ["valley", "steepest", "minimum", "/", "10", "divergence"]
    assert found.picture.stat().st_size > 10_000
    lines = report(found).splitlines()
    assert lines[-4].startswith(f"recommended: {found.learning_rate:g} (valley); the config has 0.02; ")
    assert lines[-2] == "to train with it, add:"
    assert lines[1].startswith("seed 0")
    second = found.learning_rate * 1e-3 / 0.02
    assert lines[-1] == (
        f"--config.optimizer.learning_rate={found.learning_rate:g} --config.optimizer.adam_learning_rate={second:.3g}"
    )
    assert 1e-3 < found.learning_rate < 1


def test_a_network_that_learns_nothing_is_said_and_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not fall .*config.freeze"):
        find_learning_rate(small_config(), settings(steps=20, seeds=1, start=1e-12, end=1e-10), tmp_path)
    assert read_json(tmp_path / "lr_finder.json")["learning_rate"] is None
    assert (tmp_path / "lr_finder.png").exists()


def test_steps_that_float16_leaves_out_use_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that overflows is halved until it fits; a rate is swept only by a step that is made."""
    begin = {**init_loss_scale(), "scale": jnp.float32(2.0**24)}
    monkeypatch.setattr("cnn_jax.experiment.compile.init_loss_scale", lambda: begin)
    rates = make_rates(1e-3, 10.0, 5)
    config = small_config(precision="float16", batch_size=64)
    experiment, made = prepare(config, rates), []
    losses = make_sweep(experiment, rates)(initial_state(build(config)), 0, made.append)
    assert np.isfinite(losses).all()
    assert len(losses) == len(made) == 5


def test_disagreeing_seeds_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    falls, rates = (1e-2, 1e-5, 1e-2), make_rates(1e-7, 10, 100)
    curves = {
        seed: np.interp(np.log(rates), np.log([fall / 100, fall, 10]), [2.3, 0.3, 1]) for seed, fall in enumerate(falls)
    }
    monkeypatch.setattr("cnn_jax.tuning.finders.lr_finder.sweep_config", lambda *_: curves)
    finding = find_learning_rate(tiny_config(), LrSettings(), tmp_path)
    assert finding.warning is not None
    assert "disagree by a factor of" in report(finding)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": 0.0}, "--start=0: must be a number above 0"),
        ({"start": float("nan")}, "--start=nan"),
        ({"start": 1.0, "end": 1.0}, "--start=1 must be below --end=1"),
        ({"steps": 9}, "--steps=9: must be at least 20"),
        ({"steps": 10**6}, "--steps=1000000: must be at most 5000"),
        ({"seeds": 0}, "--seeds=0: must be at least 1"),
        ({"suggestion": "best"}, "must be one of valley, steepest, minimum"),
    ],
)
def test_bad_settings(changes: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnn_jax.tuning.finders.lr_finder.build", lambda _: pytest.fail("data were loaded"))
    with pytest.raises(InputError, match=words.replace("-", r"\-")):
        find_learning_rate(tiny_config(), settings(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_refused_later_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config.batch_size=5000"):
        find_learning_rate(tiny_config(batch_size=5000), settings(), tmp_path / "new" / "out")
    with pytest.raises(InputError, match=r"patience=2: it watches validation data"):
        find_batch_size(tiny_config(patience=2, data__validation=0), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    folder = check_output(tmp_path / "new")
    with (
        pytest.raises(SaveError, match=r"--output=.*new: .* \(No space left on device\)"),
        writing(folder),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    (tmp_path / "late").write_text("")
    with pytest.raises(SaveError, match="--output="), writing(tmp_path / "late" / "out"):
        pytest.fail("there is no folder")


def test_the_script_says_mistakes_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = script("find_lr.py", f"--output={tmp_path / 'file'}")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--output=" in result.stderr
