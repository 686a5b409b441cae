"""Convolution and pooling against XLA's own, over random shapes; gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import convolution, patches
from cnn_jax.ops.geometry import Geometry


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def assert_close(ours: jax.Array, theirs: jax.Array, tolerance: float = 2e-6) -> None:
    scale = float(jnp.abs(theirs).max()) + 1e-9
    np.testing.assert_allclose(np.asarray(ours) / scale, np.asarray(theirs) / scale, rtol=0, atol=tolerance)


@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 6), size=st.tuples(*[st.integers(3, 12)] * 2), kernel=st.tuples(*[st.integers(1, 4)] * 2),
    strides=st.tuples(*[st.integers(1, 3)] * 2), channels=st.integers(1, 4), features=st.integers(1, 4),
    padding_mode=st.sampled_from(["zero", "crop", "same", "full"]), dilation=st.tuples(*[st.integers(1, 2)] * 2),
    groups=st.integers(1, 3),
)  # fmt: skip
@example(
    batch=12, size=(9, 8), kernel=(3, 2), strides=(2, 1), channels=3, features=4, padding_mode="zero", dilation=(2, 3),
    groups=1,
)  # fmt: skip
@example(
    batch=2, size=(5, 8), kernel=(3, 4), strides=(2, 1), channels=2, features=3, padding_mode="full", dilation=(1, 2),
    groups=1,
)  # fmt: skip
@example(  # of 5 pixels of padding across, 3 come last
    batch=2, size=(9, 8), kernel=(3, 4), strides=(3, 2), channels=2, features=2, padding_mode="same", dilation=(1, 2),
    groups=2,
)  # fmt: skip
def test_convolution_is_xlas(
    batch: int, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], channels: int, features: int,
    padding_mode: str, dilation: tuple[int, int], groups: int,
) -> None:  # fmt: skip
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if padding_mode == "crop" and any(span > n for span, n in zip(spans, size, strict=True)):
        return
    x, w = normal(0, batch, *size, channels * groups), normal(1, *kernel, channels, features * groups)
    symmetric = [((span - 1) // 2, span // 2) for span in spans]
    full = [(span - 1, span - 1) for span in spans]
    padding = {"crop": "VALID", "same": "SAME", "zero": symmetric, "full": full}[padding_mode]

    def theirs(x: jax.Array, w: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x, w, strides, padding, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )  # fmt: skip

    expected, their_pull_back = jax.vjp(theirs, x, w)
    y, pull_back = jax.vjp(lambda x, w: ops.conv(x, w, strides, padding_mode, dilation, groups), x, w)
    cotangent = normal(2, *y.shape)
    assert_close(y, expected)
    for ours, other in zip(pull_back(cotangent), their_pull_back(cotangent), strict=True):
        assert_close(ours, other)


@pytest.mark.parametrize(
    "shape", [(16, 14, 3, 8, 3), (12, 9, 4, 8, 5), (7, 9, 3, 4, 3), (6, 8, 8, 8, 1), (24, 28, 8, 4, 3)]
)
def test_the_kernel_gradient_by_patches_is_taken_and_right(shape: tuple[int, int, int, int, int]) -> None:
    batch, size, channels, features, side = shape
    x, w = normal(0, batch, size, size, channels), normal(1, side, side, channels, features)
    chunk = patches.chunk_of((batch, size, size, features), w)
    assert chunk == (6 if shape == (24, 28, 8, 4, 3) else batch)  # one shape takes four products, to be added up
    ours = jax.grad(lambda w: (ops.conv(x, w) ** 2).sum())(w)
    geometry = Geometry((1, 1), ops.same_padding((side, side)))
    theirs = jax.grad(lambda w: (convolution._xla_conv(x, w, geometry) ** 2).sum())(w)
    assert_close(ours, theirs, 5e-6)


def test_patches_stay_in_the_cache_and_huge_kernels_go_to_xla() -> None:
    small, huge = jnp.zeros((3, 3, 32, 64)), jnp.zeros((3, 3, 512, 512))
    chunk = patches.chunk_of((256, 14, 14, 64), small)
    assert chunk is not None
    assert 256 % chunk == 0
    assert chunk * 14 * 14 * 9 * 32 * 4 <= patches._PATCH_BYTES
    assert patches.chunk_of((64, 4, 4, 512), huge) is None
    assert patches.chunk_of((251, 2, 2, 8), jnp.zeros((3, 3, 4, 8))) == 251


def test_half_precision_sums_the_kernel_gradient_in_float32() -> None:
    x, w = normal(0, 64, 16, 16, 4), normal(1, 3, 3, 4, 8)

    def f(w: jax.Array) -> jax.Array:
        return ops.conv(x.astype(w.dtype), w).astype(jnp.float32).sum()

    exact, half = jax.grad(f)(w), jax.grad(f)(w.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), exact, rtol=0.02, atol=2.0)


@settings(max_examples=8, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 11)] * 2), window=st.tuples(*[st.integers(1, 3)] * 2),
    strides=st.tuples(*[st.integers(1, 3)] * 2), padding=st.tuples(*[st.integers(0, 1)] * 2),
    dilation=st.tuples(*[st.integers(1, 2)] * 2), kind=st.sampled_from(["max", "mean"]),
)  # fmt: skip
@example(size=(7, 8), window=(3, 2), strides=(2, 2), padding=(1, 1), dilation=(2, 3), kind="max")
@example(size=(7, 8), window=(2, 3), strides=(2, 2), padding=(1, 1), dilation=(3, 2), kind="mean")
@example(size=(7, 8), window=(2, 2), strides=(2, 2), padding=(1, 0), dilation=(2, 1), kind="max")  # not tiles
def test_pooling_is_xlas(
    size: tuple[int, int], window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], kind: str,
) -> None:  # fmt: skip
    each = list(zip(window, dilation, size, padding, strict=True))
    if any((w - 1) * d >= n + 2 * p or (w == 1 and p) for w, d, n, p in each):  # too large, or of nothing but padding
        return
    x = normal(0, 2, *size, 3)
    around = ((0, 0), *((p, p) for p in padding), (0, 0))

    def theirs(x: jax.Array) -> jax.Array:
        if kind == "max" and dilation != (1, 1):  # of which XLA has no gradient
            patches = lax.conv_general_dilated_patches(
                jnp.pad(x, around, constant_values=-1e9), window, strides, "VALID", rhs_dilation=dilation,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            return patches.reshape(*patches.shape[:3], 3, -1).max(-1)
        start, combine = (-jnp.inf, lax.max) if kind == "max" else (0.0, lax.add)
        y = lax.reduce_window(
            x, start, combine, (1, *window, 1), (1, *strides, 1), around, window_dilation=(1, *dilation, 1)
        )
        return y if kind == "max" else y / (window[0] * window[1])

    def ours(x: jax.Array) -> jax.Array:
        return (ops.max_pool if kind == "max" else ops.mean_pool)(x, window, strides, padding, dilation)

    expected, their_pull_back = jax.vjp(theirs, x)
    y, pull_back = jax.vjp(ours, x)
    cotangent = normal(1, *y.shape)
    assert_close(y, expected)
    assert_close(pull_back(cotangent)[0], their_pull_back(cotangent)[0])


@pytest.mark.parametrize(("window", "strides"), [((2, 3), (2, 3)), ((3, 3), (2, 2))])
def test_at_ties_the_weights_of_maximum_pooling_sum_to_one(window: tuple[int, int], strides: tuple[int, int]) -> None:
    x = jnp.ones((2, 5, 7, 2))
    y, pull_back = jax.vjp(lambda x: ops.max_pool(x, window, strides), x)
    g = normal(0, *y.shape)
    np.testing.assert_allclose(pull_back(g)[0].sum((1, 2)), g.sum((1, 2)), rtol=1e-5)


def test_of_equal_pixels_of_a_tile_the_first_is_the_maximum_as_it_is_for_xla() -> None:
    x = jnp.round(normal(0, 4, 7, 6, 3))
    y, ours = jax.vjp(lambda x: ops.max_pool(x, (3, 2), (3, 2)), x)
    _, theirs = jax.vjp(lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 3, 2, 1), "VALID"), x)
    g = normal(1, *y.shape)
    np.testing.assert_array_equal(ours(g)[0], theirs(g)[0])


def test_maximum_pooling_lets_nan_through() -> None:
    for channels in (1, 17):
        image = jnp.zeros((1, 4, 2, channels)).at[0, 1, 1].set(jnp.nan)
        trained, _ = jax.vjp(lambda x: ops.max_pool(x, (2, 2), (2, 2)), image)
        for pooled in (ops.max_pool(image, (2, 2), (2, 2)), trained):
            assert jnp.isnan(pooled[0, 0]).all()
            assert not jnp.isnan(pooled[0, 1]).any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.max_pool(x, (4, 4), (4, 4)), "4x4 pooling window does not fit into a map of 3x3"),
        (
            lambda x: ops.max_pool(x, (2, 2), (2, 2), (0, 0), (3, 1)),
            "4x2 pooling window does not fit into a map of 3x3",
        ),
        (
            lambda x: ops.conv(x, jnp.zeros((5, 5, 1, 1)), padding_mode="crop"),
            "5x5 kernel does not fit into a map of 3x3",
        ),
        (
            lambda x: ops.conv(x, jnp.zeros((3, 3, 1, 1)), padding_mode="crop", dilation=(1, 2)),
            "3x5 kernel does not fit into",
        ),
        (lambda x: ops.conv(x, jnp.zeros((3, 3, 2, 4))), "from 2 to 4 channels does not fit to 1 channels in 1 group$"),
        (lambda x: ops.conv(x, jnp.zeros((3, 3, 1, 3)), groups=2), "from 1 to 3 channels .* 1 channels in 2 groups"),
        (lambda x: ops.conv(x, jnp.zeros((9, 9, 1, 1)), padding_mode="reflect"), "cannot add 4 pixels to a map of 3"),
    ],
)
def test_what_does_not_fit_is_said(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(jnp.zeros((1, 3, 3, 1)))  # type: ignore[operator]
