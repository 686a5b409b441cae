"""What is lowered on CPU in ways of its own, against XLA's: Winograd, rows, planes, tiles; gradients of gradients."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from cnn_jax import ops
from cnn_jax.models.cnn import CNN
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.speednet import SpeedNet
from cnn_jax.ops import convolution, planes, pooling, rows, winograd
from cnn_jax.ops.geometry import Geometry
from cnn_jax.runtime.compilation import counted


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def normal(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def geometry(strides: tuple[int, int] = (1, 1), **more: Any) -> Geometry:
    return Geometry(strides, ((0, 0), (0, 0)), **more)


def xla(x: jax.Array, k: jax.Array, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(x, k, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 9)] * 2), channels=st.integers(1, 4), features=st.integers(1, 4),
    amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_winograds_convolution_is_exact(
    size: tuple[int, int], channels: int, features: int, amounts: tuple[int, int, int, int]
) -> None:
    """In float64, so that nothing hides in the rounding; padding on all sides by itself."""
    padding = (amounts[:2], amounts[2:])
    with jax.enable_x64(True):
        x, k = normal(0, 2, *size, channels), normal(1, 3, 3, channels, features)

        @jax.jit
        def pairs(x: jax.Array, k: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
            y, pull_back = jax.vjp(lambda x, k: xla(x, k, padding), x, k)
            g = jnp.sin(y + jnp.arange(y.size).reshape(y.shape))
            of_images, of_kernel = pull_back(g)
            return [
                (winograd.conv(x, k, padding), y),
                (winograd.images_gradient(g, k, padding, size), of_images),
                (winograd.kernel_gradient(x, g, padding), of_kernel),
            ]

        for ours, theirs in pairs(x, k):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


def test_wide_layers_take_it_and_round_as_xla_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_LEAST_WORK", 0)
    x, k = normal(0, 2, 6, 6, 128, dtype=np.float32), normal(1, 3, 3, 128, 130, dtype=np.float32) / 34
    assert winograd.pays(x.shape, k, (1, 1))
    text = jax.jit(jax.grad(lambda x, k: (ops.conv(x, k) ** 2).sum(), (0, 1))).lower(x, k).as_text()
    assert text.count("dot_general") == 3 * 16, "outputs, the gradient of the images and that of the kernel"
    ours, pull_back = jax.vjp(ops.conv, x, k)
    theirs, their_pull_back = jax.vjp(lambda x, k: xla(x, k, ((1, 1), (1, 1))), x, k)
    exact = np.zeros(ours.shape)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i in range(3):
        for j in range(3):
            exact += padded[:, i : i + 6, j : j + 6] @ np.asarray(k[i, j], np.float64)
    assert np.abs(ours - exact).max() < 4 * np.abs(theirs - exact).max() < 1e-5
    g = normal(2, *ours.shape, dtype=np.float32)
    for mine, other in zip(pull_back(g), their_pull_back(g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=2e-6 * float(jnp.abs(other).max()))


def test_narrower_layers_take_their_kernel_gradient_from_patches() -> None:
    k = jnp.zeros((3, 3, 64, 64))
    assert winograd.pays((64, 32, 32, 64), k, (1, 1))
    assert not winograd.pays_for_kernels((64, 32, 32, 64), k, (1, 1))


def assert_chosen_way_is_xlas(
    size: tuple[int, int], kernel: tuple[int, int], channels: int, features: int, padding: Any
) -> None:
    """Through the one function that chooses: in float64 all three results of what it takes and of XLA agree."""
    x, k = normal(0, 2, *size, channels), normal(1, *kernel, channels, features)

    @jax.jit
    def pairs(x: jax.Array, k: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        y, pull_back = jax.vjp(lambda x, k: xla(x, k, padding), x, k)
        ours, mine = jax.vjp(lambda x, k: convolution._conv(x, k, Geometry((1, 1), padding), False), x, k)
        g = jnp.sin(y + jnp.arange(y.size).reshape(y.shape))
        return [(ours, y), *zip(mine(g), pull_back(g), strict=True)]

    for ours, theirs in pairs(x, k):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(st.integers(4, 7), st.integers(4, 12)), kernel=st.tuples(*[st.integers(2, 4)] * 2),
    channels=st.integers(1, 3), features=st.integers(1, 3), amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
@example(size=(5, 12), kernel=(3, 5), channels=2, features=3, amounts=(1, 0, 2, 2))  # two stretches of 6
def test_rows_give_the_same(
    size: tuple[int, int], kernel: tuple[int, int], channels: int, features: int, amounts: tuple[int, int, int, int]
) -> None:
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_LEAST_OUTPUTS", 0)
        assert rows.pays((2, *size, features), jnp.zeros((*kernel, channels, features)), (1, 1))
        assert_chosen_way_is_xlas(size, kernel, channels, features, (amounts[:2], amounts[2:]))


@settings(max_examples=4, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 8)] * 2), kernel=st.tuples(*[st.integers(2, 3)] * 2),
    amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_planes_give_the_same(
    size: tuple[int, int], kernel: tuple[int, int], amounts: tuple[int, int, int, int]
) -> None:
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "_LEAST_OUTPUTS", 0)
        k = jnp.zeros((*kernel, 1, 17))
        assert planes.pays((2, *size, 17), k, (1, 1))
        assert convolution._as_product((2, *size, 17), k, geometry()) is planes.conv
        assert_chosen_way_is_xlas(size, kernel, 1, 17, (amounts[:2], amounts[2:]))


@pytest.mark.parametrize(
    ("outputs", "kernel", "strides", "way"),
    [
        ((256, 28, 28, 6), (5, 5, 1, 6), (1, 1), rows.conv),
        ((256, 28, 28, 16), (3, 3, 1, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 6, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 8, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 9, 16), (1, 1), None),  # channels enough
        ((256, 10, 10, 17), (5, 5, 8, 17), (1, 1), None),
        ((256, 10, 10, 8), (5, 5, 64, 8), (1, 1), rows.conv),
        ((256, 28, 28, 32), (3, 3, 1, 32), (1, 1), planes.conv),
        ((256, 28, 28, 32), (5, 5, 1, 32), (1, 1), None),  # 25 planes
        ((256, 28, 28, 32), (3, 3, 3, 32), (1, 1), None),  # channels enough
        ((256, 29, 29, 6), (3, 3, 1, 6), (1, 1), planes.conv),  # 31 pixels a row for 3 columns: mostly zeros
        ((256, 29, 29, 6), (3, 3, 2, 6), (1, 1), None),
        ((256, 14, 14, 6), (5, 5, 1, 6), (2, 2), None),
        ((1, 28, 28, 6), (5, 5, 1, 6), (1, 1), None),
        ((3000, 64, 64, 32), (3, 3, 1, 32), (1, 1), None),  # planes would fill the memory
    ],
)
def test_which_layers_are_one_product(outputs: Any, kernel: Any, strides: Any, way: Any) -> None:
    assert convolution._as_product(outputs, jnp.zeros(kernel), geometry(strides)) is way
    assert convolution._as_product(outputs, jnp.zeros(kernel, jnp.bfloat16), geometry(strides)) is None
    assert convolution._as_product(outputs, jnp.zeros(kernel), geometry(strides, dilation=(1, 2))) is None


def test_the_gradient_of_images_asks_for_the_stretches_of_the_outputs() -> None:
    """25 columns of an image have stretches of 5; the 23 of its outputs only one, most of it zeros."""
    kernel = jnp.zeros((3, 3, 8, 6))
    assert rows.pays((64, 25, 25, 8), kernel, (1, 1))
    assert not rows.pays_for_images((64, 23, 23, 6), kernel, (1, 1))
    assert rows.pays_for_images((64, 25, 25, 99), jnp.zeros((3, 3, 8, 99)), (1, 1)), "to few channels, from many"


@pytest.mark.parametrize(
    ("shape", "strides", "dtype"),
    [
        ((3, 3, 16, 128), (1, 1), jnp.float32),
        ((3, 3, 128, 128), (2, 2), jnp.float32),
        ((1, 1, 128, 128), (1, 1), jnp.float32),
        ((5, 5, 128, 128), (1, 1), jnp.float32),
        ((3, 3, 128, 128), (1, 1), jnp.bfloat16),
    ],
)
def test_other_layers_do_not(shape: tuple[int, ...], strides: tuple[int, int], dtype: Any) -> None:
    wide = (64, 16, 16)
    assert winograd.pays((*wide, 128), jnp.zeros((3, 3, 128, 128)), (1, 1))
    assert not winograd.pays((*wide, shape[2]), jnp.zeros(shape, dtype), strides)
    assert not winograd.pays((2, 8, 8, 128), jnp.zeros((3, 3, 128, 128)), (1, 1)), "too little work"
    assert not winograd.pays((10_000, 8, 8, 128), jnp.zeros((3, 3, 128, 128)), (1, 1)), "tiles would fill the memory"


def products_and_convolutions(function: Any, *arguments: Any) -> tuple[int, int]:
    lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cpu",)).as_text()
    return lowered.count("stablehlo.dot_general"), lowered.count("stablehlo.convolution")


def test_without_a_gradient_xla_gets_the_convolutions_before_a_maximum() -> None:
    """Both of `cnn`, the first of each group of speednet; not LeNet-5's, which by rows are faster still."""
    images = jax.ShapeDtypeStruct((256, 28, 28, 1), jnp.float32)
    for model, expected in (
        (CNN(), (2, 2)),  # the head
        (SpeedNet(filters=(32, 64, 128)), (1 + 3 * 16 + 1, 3)),  # the first layer, Winograd's, the head
        (LeNet5(activation="relu", pooling="max"), (2 + 3, 0)),
    ):
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        assert products_and_convolutions(model.apply, variables, images) == expected
    x, k = jax.ShapeDtypeStruct((256, 14, 14, 32), jnp.float32), jax.ShapeDtypeStruct((3, 3, 32, 64), jnp.float32)
    for pooled, expected in ((True, (0, 1)), (False, (16, 0))):
        conv = functools.partial(ops.conv, pooled=pooled)
        assert products_and_convolutions(conv, x, k) == expected
        assert products_and_convolutions(lambda x, k, conv=conv: jax.vjp(conv, x, k)[0], x, k) == (16, 0)


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 4, 4, 1), (1, 5, 4, 17)])
@pytest.mark.parametrize("window", [(2, 2), (2, 4), (3, 3), (4, 4), (5, 5), (1, 2)])
def test_pooling_of_tiles_where_they_do_not_fit_evenly(shape: tuple[int, ...], window: tuple[int, int]) -> None:
    if window[0] > shape[1] or window[1] > shape[2]:
        pytest.skip("it does not fit")
    x = normal(0, *shape, dtype=np.float32)
    expected, pull_back = jax.vjp(
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *window, 1), "VALID"), x
    )
    y, ours = jax.vjp(lambda x: ops.max_pool(x, window, window), x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(ops.max_pool(x, window, window), expected)  # without a gradient: another way
    g = normal(1, *y.shape, dtype=np.float32)
    np.testing.assert_array_equal(ours(g)[0], pull_back(g)[0])


@pytest.mark.parametrize("channels", [1, 17])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.uint8, jnp.int32])
def test_maximum_pooling_without_a_gradient_takes_every_type(dtype: Any, channels: int) -> None:
    x = (100 + 50 * normal(0, 2, 4, 6, channels)).astype(dtype)
    y = ops.max_pool(x, (2, 2), (2, 2))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x.reshape(2, 2, 2, 3, 2, channels).max((2, 4)))


def maximum_of_tiles(x: jax.Array) -> jax.Array:
    y = ops.max_pool(x, (2, 2), (2, 2))
    return (y * jnp.flip(y)).sum()


def maximum_of_normalized(x: jax.Array) -> jax.Array:
    y = ops.batch_norm(x, jnp.ones(x.shape[3]), jnp.zeros(x.shape[3]), 1e-5, None, (2, 2))[0]
    return (y * jnp.flip(y)).sum()


def convolution_by_rows(x: jax.Array) -> jax.Array:
    return jnp.sin(ops.conv(x, jnp.ones((5, 5, x.shape[3], 2)))).sum()


@pytest.mark.parametrize(
    ("function", "size", "count"),
    [
        (maximum_of_tiles, 4, 3),  # maxima, where they are, and the way back
        (maximum_of_normalized, 4, 2),  # the way back is read once
        (convolution_by_rows, 28, 1),  # the image with its border
    ],
)
def test_what_several_places_read_is_computed_once(function: Any, size: int, count: int) -> None:
    x = jnp.zeros((32, size, size, 3))
    traced = jax.jit(jax.value_and_grad(function)).trace(x)
    on_cpu = traced.lower(lowering_platforms=("cpu",))
    compiled = on_cpu.compile().as_text()
    assert len(re.findall(r" call\(", compiled)) == count
    assert len(re.findall("inlineable", on_cpu.as_text())) == count, "and nothing within is kept from being written out"
    assert "inlineable" not in traced.lower(lowering_platforms=("cuda",)).as_text(), "elsewhere it is left to XLA"


def test_outside_of_jit_nothing_is_compiled_twice() -> None:
    x, k, scale = jnp.ones((8, 12, 12, 4)), jnp.ones((3, 3, 4, 8)), jnp.ones(4)
    for call in (
        lambda x: ops.conv(x, k), lambda x: ops.conv(jnp.tile(x, (2, 8, 1, 1)), k),
        lambda x: ops.max_pool(x, (2, 2), (2, 2)),
        lambda x: ops.batch_norm(x, scale, scale, 1e-5, None, (2, 2))[0],
    ):  # fmt: skip
        for function in (call, jax.grad(lambda x, call=call: call(x).sum())):
            function(x)
            with counted() as names:
                function(x)
            assert not names


def test_gradients_of_gradients(float64: None) -> None:
    """Against XLA's; of equal pixels, of which rounding makes some, the first counts as the maximum."""
    x, k, scale = np.round(normal(0, 2, 4, 4, 2)), normal(1, 3, 3, 2, 3), normal(2, 2)

    def first_maximum(x: jax.Array) -> jax.Array:
        tiles = x.reshape(2, 2, 2, 2, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 2, 2, 2, 4)
        return jnp.take_along_axis(tiles, jnp.argmax(tiles, -1, keepdims=True), -1)[..., 0]

    def normalized(x: jax.Array, scale: jax.Array) -> jax.Array:
        return (x - x.mean((0, 1, 2), keepdims=True)) / jnp.sqrt(x.var((0, 1, 2), keepdims=True) + 1e-5) * scale

    def second(f: Any) -> Any:
        def first(*arguments: jax.Array) -> jax.Array:
            return (jax.grad(lambda *a: (f(*a) ** 3).sum())(*arguments) ** 2).sum()

        return jax.jit(jax.grad(first, argnums=(0, 1)))

    pairs = [
        (ops.conv, lambda x, k: xla(x, k, ((1, 1), (1, 1))), k),
        (lambda x, s: ops.max_pool(x, (2, 2), (2, 2)) * s.reshape(1, 1, 1, -1),
         lambda x, s: first_maximum(x) * s.reshape(1, 1, 1, -1), scale),
        (lambda x, s: ops.batch_norm(x, s, 0 * s, 1e-5)[0], lambda x, s: normalized(x, s.reshape(1, 1, 1, -1)), scale),
        (lambda x, s: ops.batch_norm(x, s, 0 * s, 1e-5, None, (2, 2))[0],
         lambda x, s: first_maximum(normalized(x, s.reshape(1, 1, 1, -1))), scale),
    ]  # fmt: skip
    for ours, theirs, other in pairs:
        for mine, expected in zip(second(ours)(x, other), second(theirs)(x, other), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-9)


def test_forward_mode_raises_instead_of_being_wrong() -> None:
    x = jnp.ones((1, 4, 4, 1))
    for call in (
        lambda x: ops.max_pool(x, (2, 2), (2, 2)),
        lambda x: ops.conv(x, jnp.ones((3, 3, 1, 1))),
        lambda x: ops.batch_norm(x, jnp.ones(1), jnp.zeros(1), 1e-5)[0],
    ):
        with pytest.raises(TypeError, match="forward-mode"):
            jax.jvp(call, (x,), (x,))


def test_overlapping_windows_are_left_to_xla_but_on_cpu() -> None:
    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: ops.max_pool(x, (3, 3), (2, 2), (1, 1)).sum())(x)

    for platform, is_xlas in (("cpu", False), ("cuda", True), ("tpu", True)):
        program = jax.export.export(jax.jit(gradient), platforms=[platform])(jnp.zeros((1, 8, 8, 2)))
        assert ("select_and_scatter" in program.mlir_module()) == is_xlas


def test_ways_of_overlapping_windows_agree() -> None:
    x = normal(0, 2, 9, 8, 3)
    windows = ((3, 3), (2, 1), (1, 0), (1, 1))
    (by_slices, of_slices), (by_xla, of_xla) = (
        jax.vjp(functools.partial(way, windows=windows), x) for way in (pooling._by_slices, pooling._by_xla)
    )
    np.testing.assert_array_equal(by_slices, by_xla)
    np.testing.assert_allclose(of_slices(by_slices)[0], of_xla(by_xla)[0], rtol=1e-6)
