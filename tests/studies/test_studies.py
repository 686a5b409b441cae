"""Studies: the images that they draw, and what makes their comparisons fair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models import make_model
from cnn_jax.ops import conv
from studies import blur_pool, mlp_and_cnn, red_green


@pytest.fixture(scope="module")
def boxes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return red_green.draw(400, seed=0)


def centres(images: np.ndarray, color: int) -> np.ndarray:
    """Row and column of a colour's middle: [N, 2]."""
    weights = images[..., color] / images[..., color].sum(axis=(1, 2), keepdims=True)
    places = np.arange(red_green.SIZE)
    return np.stack([weights.sum(2) @ places, weights.sum(1) @ places], axis=1)


def test_boxes_stand_as_the_label_says(boxes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Red left of green is class 0; in the upper half where places are as in training, else in the lower one."""
    similar, dissimilar, labels = boxes
    for images, upper in ((similar, 0), (dissimilar, 1)):
        red, green = centres(images, 0), centres(images, 1)
        np.testing.assert_array_equal(red[:, 1] < green[:, 1], labels == 0)
        np.testing.assert_array_equal(red[:, 0] < 16, labels == upper)
        np.testing.assert_array_equal(green[:, 0] < 16, labels == upper)
        assert np.abs(red[:, 1] - green[:, 1]).min() == red_green.LEAST_STEP
        assert ((images == 255).sum(axis=(1, 2)) == [16, 16, 0]).all()
    np.testing.assert_array_equal(np.roll(similar[labels == 0], 16, axis=1), dissimilar[labels == 0])


def test_full_padding_moves_with_the_boxes() -> None:
    """Four convolutions with stride 8 in all: what is moved by 16 pixels has the same maxima with `full` alone."""
    similar, dissimilar, _ = red_green.draw(8, seed=1)
    kernels = [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(3, 3, 3, 8), (3, 3, 8, 8)])]

    def maxima(images: np.ndarray, padding_mode: str) -> np.ndarray:
        x = jnp.asarray(images, jnp.float32) / 255
        for kernel, stride in zip(kernels, (1, 2), strict=True):
            x = jax.nn.relu(conv(x, kernel, (stride, stride), padding_mode))
        return np.asarray(x.max(axis=(1, 2)))

    np.testing.assert_allclose(maxima(similar, "full"), maxima(dissimilar, "full"), rtol=1e-5)
    edge = np.zeros((1, 32, 32, 3), np.uint8)
    edge[0, :4, :4, 0] = 255
    inside = np.roll(edge, 16, axis=(1, 2))
    np.testing.assert_allclose(maxima(edge, "full"), maxima(inside, "full"), rtol=1e-5)
    assert not np.allclose(maxima(edge, "crop"), maxima(inside, "crop"))


def test_networks_have_as_many_parameters() -> None:
    mlp, cnn = (mlp_and_cnn.parameters(mlp_and_cnn.make_config(name, 0)) for name in ("mlp", "cnn"))
    assert abs(mlp / cnn - 1) < 0.01


def test_a_perceptron_knows_no_neighbours() -> None:
    """With its first weights exchanged as the pixels are, a perceptron gives the same logits."""
    config = mlp_and_cnn.make_config("mlp", 0)
    model = make_model(config.model, 10)
    images = np.random.RandomState(0).randint(0, 256, (4, 28, 28, 1)).astype(np.uint8)
    order = mlp_and_cnn.permuted((np.arange(784).reshape(1, 28, 28, 1), np.zeros(1)))[0].reshape(-1)
    assert sorted(order) == list(range(784))
    params = model.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    first = params["hidden1"] | {"kernel": params["hidden1"]["kernel"][order]}
    exchanged, _ = mlp_and_cnn.permuted((images, np.zeros(4)))
    logits = [
        model.apply({"params": weights}, jnp.asarray(seen) / 255)
        for weights, seen in ((params, images), (params | {"hidden1": first}, exchanged))
    ]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-5)


def test_poolings_have_the_same_parameters() -> None:
    counts = {mlp_and_cnn.parameters(blur_pool.make_config(pooling, 0)) for pooling in blur_pool.POOLINGS}
    assert len(counts) == 1
