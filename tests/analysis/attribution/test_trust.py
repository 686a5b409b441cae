"""The checks of maps: each passes what is good and fails what is not."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnn_jax.analysis import attribution
from cnn_jax.analysis.attribution.deletion import area_under, deletion_and_insertion, random_maps, ranks_of
from cnn_jax.analysis.attribution.sanity import Sanity, cascade, check_sanity, rank_correlation
from cnn_jax.analysis.attribution.trust import compare, has_no_evidence, share_in_border
from cnn_jax.analysis.layers import list_layers
from cnn_jax.inference.run import load_run, make_apply
from cnn_jax.models import make_model


@pytest.fixture(scope="module")
def digits(trained: Path) -> Any:
    """(apply, variables, images, targets) of a trained network."""
    run = load_run(trained)
    model = make_model(run.config.model, len(run.class_names), in_order=True)
    images = (load_digits().images[:16, :, :, None] * 255 / 16).astype(np.float32)
    return make_apply(model, run.normalization), run.variables, images, np.asarray(load_digits().target[:16])


@pytest.mark.parametrize(
    ("name", "passes"),
    [("saliency", True), ("smoothgrad", True), ("grad_cam", True), ("guided_backpropagation", False)],
)
def test_sanity_check_tells_methods_apart(digits: Any, name: str, passes: bool) -> None:
    """Adebayo et al. 2018: gradients and Grad-CAM depend on the weights, guided backpropagation hardly does."""
    apply, variables, images, targets = digits
    layers = list(list_layers(apply, variables, images.shape[1:]))
    method, options = getattr(attribution, name), {"layer": "block1"} if name == "grad_cam" else {}
    found = check_sanity(lambda weights: method(apply, weights, images, targets, **options), variables, layers)
    assert found.passes is passes
    assert found.layers[0] == "head/logits"
    again = check_sanity(lambda weights: method(apply, weights, images, targets, **options), variables, layers)
    np.testing.assert_array_equal(found.signed, again.signed)


def test_sanity_needs_images_enough() -> None:
    """Correlations of 0.2 and 0.8 lie on both sides: with two images that is not decided, with 200 it is."""
    few = np.array([[0.1, 0.7]])
    none_flat = np.zeros(1)
    assert Sanity(("a",), few, few, none_flat).passes is None
    many = np.tile(few, 100)
    assert Sanity(("a",), many, many, none_flat).passes is True
    assert Sanity(("a",), many + 0.3, many, none_flat).passes is False


def test_flat_maps_do_not_pass_sanity(digits: Any) -> None:
    """A map that is flat as soon as weights are shuffled is not told to depend on them: the network may be dead."""
    apply, variables, images, _ = digits
    layers = list(list_layers(apply, variables, images.shape[1:]))
    found = check_sanity(lambda weights: images * (weights is variables), variables, layers)
    assert found.flat.tolist() == [1, 1, 1]
    assert found.passes is None


def test_cascade_shuffles_from_the_top(digits: Any) -> None:
    apply, variables, images, _ = digits
    layers = list(list_layers(apply, variables, images.shape[1:]))
    stages = list(cascade(variables, layers, 3))
    kernels = [weights["params"]["block1"]["conv1"]["kernel"] for _, weights in stages]
    logits = [weights["params"]["head"]["logits"]["kernel"] for _, weights in stages]
    own = variables["params"]
    assert (np.asarray(logits[0]) != np.asarray(own["head"]["logits"]["kernel"])).any()
    np.testing.assert_array_equal(kernels[0], own["block1"]["conv1"]["kernel"])
    assert (np.asarray(kernels[-1]) != np.asarray(own["block1"]["conv1"]["kernel"])).any()
    sizes = [np.sort(np.abs(kernel), axis=None) for kernel in (kernels[-1], own["block1"]["conv1"]["kernel"])]
    np.testing.assert_array_equal(*sizes)
    negative = {"params": {"head": {"logits": {"kernel": -jnp.ones((50, 2))}}}}
    [(_, shuffled), *_] = cascade(negative, layers, 1)
    signs = shuffled["params"]["head"]["logits"]["kernel"]
    assert 20 < (signs > 0).sum() < 80, "no layer is left dead"


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    random = np.random.RandomState(0)
    one, other = random.randint(0, 5, (2, 3, 4, 5)).astype(float)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), expected, rtol=0, atol=1e-12)
    assert rank_correlation(np.zeros((1, 4, 5)), one[:1]).tolist() == [0.0]


def _of_corner(variables: Any, images: Any) -> Any:
    """A network whose logits are the mean of the left upper 2x2 pixels of 4x4, and 0."""
    mean = images[:, :2, :2].mean(axis=(1, 2, 3)) / 10
    return jnp.stack([mean, jnp.zeros_like(mean)], axis=1)


def test_deletion_and_insertion_of_a_corner() -> None:
    """The map that knows the four pixels falls at once and comes at once; the one that knows the rest does neither."""
    images = np.zeros((2, 4, 4, 1), np.float32)
    images[:, :2, :2] = 100.0
    right = np.zeros((2, 4, 4))
    right[:, :2, :2] = 1
    curves = deletion_and_insertion(_of_corner, {}, images, right, 0, steps=4)
    share = 1 / (1 + np.exp(-np.array([10.0, 2.5])))  # all of the corner, and none: the mean colour, 25
    np.testing.assert_allclose(curves.deletion[0], [share[0], *[share[1]] * 4], rtol=0, atol=1e-6)
    np.testing.assert_allclose(curves.insertion[0, 1:], [share[0]] * 4, rtol=0, atol=1e-6)
    assert curves.insertion[0, 0] < share[0]
    wrong = deletion_and_insertion(_of_corner, {}, images, -right, 0, steps=4)
    np.testing.assert_allclose(wrong.deletion[0], [*[share[0]] * 4, share[1]], rtol=0, atol=1e-6)


def test_area_is_that_of_rise() -> None:
    """`(sum - first / 2 - last / 2) / (n - 1)`."""
    np.testing.assert_allclose(area_under(np.array([[1.0, 0.5, 0.0], [1, 1, 1]])), [0.5, 1.0])


def test_ties_are_broken_by_chance() -> None:
    maps = np.zeros((2, 4, 4))
    maps[0, 3, 3] = 1
    ranks = ranks_of(maps, seed=3)
    assert ranks[0, 3, 3] == 0
    assert sorted(ranks[1].ravel()) == list(range(16))
    assert (np.diff(ranks[1].ravel()) != 1).any()


def test_random_maps_do_not_pass() -> None:
    """Of 40 comparisons between random and random maps about two pass, one for each side of 5 %."""
    random = np.random.RandomState(0)
    passed = [compare(random.normal(0.5, 0.1, (2, 16)), random.normal(0.5, 0.1, (2, 16))) for _ in range(40)]
    assert sum(each.deletion.passes for each in passed) <= 4
    good = compare(np.stack([np.full(16, 0.2), np.full(16, 0.8)]), random.normal(0.5, 0.1, (2, 16)))
    assert good.deletion.passes
    assert good.insertion.passes
    bad = compare(np.stack([np.full(16, 0.8), np.full(16, 0.2)]), random.normal(0.5, 0.1, (2, 16)))
    assert not bad.deletion.passes
    assert not bad.insertion.passes


def test_share_in_border() -> None:
    """A flat map has the border's share of the area, one in the middle nothing, random ones about the area."""
    middle = np.zeros((16, 16))
    middle[4:12, 4:12] = 1
    shares, area = share_in_border(np.stack([np.ones((16, 16)), middle, -middle + 0.5 * (middle == 0)]))
    assert area == 1 - (12 / 16) ** 2
    np.testing.assert_allclose(shares[:2], [area, 0.0])
    assert shares[2] > area
    assert has_no_evidence(np.stack([middle, -middle])).tolist() == [False, True]
    assert abs(share_in_border(random_maps(200, (16, 16), (4, 4), 0))[0].mean() - area) < 0.02
