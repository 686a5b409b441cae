"""The network of the fastest trainings, and the weights that it takes from data."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.normalize import normalize
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build, fit, initial_state
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.speednet import SpeedNet
from cnn_jax.models.whitening import whitening_kernel
from tests.support.helpers import tiny_config


def speednet_config(**changes: Any) -> Any:
    """Digits are 8x8 images: two groups leave a single pixel."""
    config = tiny_config(num_epochs=1)
    from cnn_jax.config.tree import default_config, override

    fresh = default_config(model="speednet", optimizer="sgd", schedule="constant")
    fresh.model.filters = (8, 8)
    fresh.batch_size, fresh.num_epochs = config.batch_size, config.num_epochs
    fresh.freeze, fresh.parallel.devices = "whiten/kernel", 1
    return override(fresh, [(key.replace("__", "."), value) for key, value in changes.items()])


def test_whitened_patches_have_the_identity_for_a_covariance() -> None:
    draw = np.random.default_rng(0)
    smooth = np.cumsum(draw.standard_normal((300, 9, 7, 3)), axis=2) @ draw.standard_normal((3, 3))
    kernel = whitening_kernel([jnp.asarray(part, jnp.float32) for part in (smooth[:200], smooth[200:])], 1e-9)
    windows = np.lib.stride_tricks.sliding_window_view(smooth, (2, 2), (1, 2))  # [N, 8, 6, C, 2, 2]
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12)
    filters = kernel.reshape(12, 24).astype(np.float64)
    white = patches @ filters[:, :12]
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(12), atol=1e-3)
    np.testing.assert_array_equal(filters[:, 12:], -filters[:, :12])
    lengths = np.linalg.norm(filters, axis=0)[:12]
    assert (np.diff(lengths) >= 0).all()  # the largest eigenvalue first
    shrunk = np.linalg.norm(whitening_kernel([jnp.asarray(smooth, jnp.float32)], 1e3).reshape(12, 24), axis=0)[:12]
    eigenvalues = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    np.testing.assert_allclose(shrunk, 1 / np.sqrt(eigenvalues + 1e3), rtol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (3, 3, 6, 4), (2, 2, 3, 5)])
def test_dirac_hands_the_channels_on(shape: tuple[int, ...]) -> None:
    kernel = np.asarray(INITIALIZATIONS["dirac"].kernel(jax.random.key(0), shape, jnp.float32))
    handed, centre = min(shape[2:]), (shape[0] // 2, shape[1] // 2)
    expected = np.zeros((*shape[:3], handed), np.float32)
    expected[centre] = np.eye(shape[2], handed)
    np.testing.assert_array_equal(kernel[..., :handed], expected)
    torch = np.asarray(INITIALIZATIONS["torch"].kernel(jax.random.key(0), shape, jnp.float32))
    np.testing.assert_array_equal(kernel[..., handed:], torch[..., handed:])


def test_the_third_convolution_is_added_to_what_enters_the_second() -> None:
    """With a third norm that gives zero, a group hands on what it had behind its first convolution."""
    images = jax.random.normal(jax.random.key(0), (4, 9, 9, 1))
    net = SpeedNet(3, filters=(8,), convs_per_group=3, activation=jax.nn.relu)
    variables = net.init(jax.random.key(1), images)
    assert set(variables["params"]["group1"]) == {f"{kind}{i}" for kind in ("conv", "norm") for i in (1, 2, 3)}
    variables["params"]["group1"]["conv3"]["kernel"] *= 0
    outputs: dict[str, Any] = net.apply(variables, images, capture_intermediates=True)[1]["intermediates"]["group1"]
    np.testing.assert_allclose(outputs["__call__"][0], jax.nn.relu(outputs["norm1"]["__call__"][0]), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "groups", "layer"), [((1, 5), 1, "whiten: a 2x2 kernel"), ((8, 8), 3, "group3/pool"), ((28, 28), 4, None)]
)
def test_any_number_of_groups_that_the_image_has_room_for(size: Any, groups: int, layer: str | None) -> None:
    images = jnp.zeros((1, *size, 1))
    net = SpeedNet(3, filters=(4,) * groups)
    if layer is None:
        assert jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), images)[0]).shape == (1, 3)
        return
    with pytest.raises(ValueError, match=layer):
        jax.eval_shape(lambda: net.init(jax.random.key(0), images))


def test_a_group_too_many_is_said_before_training() -> None:
    with pytest.raises(InputError, match=r"images of 8x8 are too small for the model 'speednet' \(group3/pool"):
        build(speednet_config(model__filters=(4, 4, 4)))


def test_the_first_kernel_is_made_of_the_data() -> None:
    experiment = build(speednet_config(ema_decay=0.9))
    state = initial_state(experiment)
    images = normalize(jnp.asarray(experiment.splits.train.read(np.arange(len(experiment.splits.train)))),
                       experiment.normalization)  # fmt: skip
    kernel = whitening_kernel([images])
    np.testing.assert_allclose(state.params["whiten"]["kernel"], kernel, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(state.ema["params"]["whiten"]["kernel"], state.params["whiten"]["kernel"])
    drawn = initial_state(build(speednet_config(model__whitening=False))).params
    assert not np.allclose(drawn["whiten"]["kernel"], kernel, atol=0.1)
    np.testing.assert_array_equal(drawn["group1"]["conv1"]["kernel"], state.params["group1"]["conv1"]["kernel"])


def test_another_runs_kernel_wins_over_the_data(tmp_path: Path) -> None:
    fit(speednet_config(), tmp_path / "first")
    from cnn_jax.inference.run import load_run

    kernel = load_run(tmp_path / "first").variables["params"]["whiten"]["kernel"]
    other = speednet_config(init_from=str(tmp_path / "first"), data__normalization="unit")
    assert not np.allclose(initial_state(build(other)).params["whiten"]["kernel"], kernel, atol=0.1)
    fit(other, tmp_path / "second")
    np.testing.assert_array_equal(load_run(tmp_path / "second").variables["params"]["whiten"]["kernel"], kernel)


def test_running_statistics_keep_their_share_unless_the_compute_config_says_another() -> None:
    """Averaged weights take their statistics with a share of zero, whatever the network's own is."""
    images = jax.random.normal(jax.random.key(0), (4, 6, 6, 1)) + 3
    network = SpeedNet(num_classes=3, filters=(4,), norm_momentum=0.6)
    variables = network.init(jax.random.key(1), images)

    def after_one_step(model: SpeedNet) -> np.ndarray:
        _, updated = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return np.asarray(updated["batch_stats"]["group1"]["norm1"]["mean"])

    taken_anew = after_one_step(network.clone(compute=dataclasses.replace(network.compute, norm_momentum=0.0)))
    np.testing.assert_allclose(after_one_step(network), 0.4 * taken_anew, rtol=1e-5)
    assert np.abs(taken_anew).max() > 0.1
