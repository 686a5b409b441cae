"""Does the answer stay when a picture is moved, turned or scaled? Shares of images with 95 % intervals (Wilson)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnn_jax.analysis import views
from cnn_jax.runs.noise import wilson_interval

Predict = Callable[[np.ndarray], np.ndarray]  # images uint8 [N, H, W, C] -> probabilities [N, K]

_DIRECTIONS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


class Share(NamedTuple):
    """A share of images and its 95 % interval."""

    value: float
    low: float
    high: float


class Moved(NamedTuple):
    """What a network makes of images that were all moved by the same amount.

    Attributes:
      amount: pixels, degrees, or a factor.
      accuracy: on the moved images.
      top1_change: the share whose class is another one than before (Azulay & Weiss 2019: P(top-1 change)).
      mean_absolute_change: of the probability of the class that came first before (there: MAC).
    """

    amount: float
    accuracy: Share
    top1_change: Share
    mean_absolute_change: float


class Consistency(NamedTuple):
    """How often two views of the same image get the same class, and what that is worth.

    A network with few errors must agree with itself, for what is right twice is the same: of views with accuracies a
    and b at least a + b - 1 of the images are right in both (Fréchet 1935). `excess` is how much of the rest agrees.

    Attributes:
      consistency: the share of agreements (Zhang 2019, section 4.1).
      of_correct: the same, among the images whose first view is right.
      accuracy: the mean of both views'.
      forced: max(0, a + b - 1).
      excess: (consistency - forced) / (1 - forced); None where all is forced.
      chance: of views whose classes are as frequent and independent of each other (Cohen 1960).
      error_consistency: Cohen's kappa of right and wrong in both views (Geirhos, Meding & Wichmann 2020, eq. 3): 1
        where they err on the same images, 0 where they do so by chance; None where both are right always, or never.
    """

    consistency: Share
    of_correct: Share | None
    accuracy: float
    forced: float
    excess: float | None
    chance: float
    error_consistency: float | None


def share_of(hits: np.ndarray) -> Share:
    """The share of hits [N], bool, one of each image."""
    return Share(float(np.mean(hits)), *wilson_interval(int(np.sum(hits)), len(hits)))


def measure_shifts(
    predict: Predict, images: np.ndarray, labels: np.ndarray, amounts: Sequence[int], protocol: str, seed: int
) -> list[Moved]:
    """Images moved by each of the amounts: up, down, left or right, as is drawn for each image.

    Args:
      predict: gives probabilities.
      images, labels: uint8 [N, H, W, C] and [N].
      amounts: pixels; less than H and W.
      protocol: one of `views.PROTOCOLS`. With "crop" a picture is enlarged by the largest amount, and of two windows in
        it, the amount apart, the first counts as not moved.
    """
    random = np.random.default_rng(seed)
    directions = _DIRECTIONS[random.integers(len(_DIRECTIONS), size=len(images))]
    if protocol != "crop":
        before = predict(images)
        after = (predict(views.shift(images, amount * directions, protocol)) for amount in amounts)
        return [_compare(amount, before, other, labels) for amount, other in zip(amounts, after, strict=True)]
    margin = max(amounts)
    canvas, size = views.enlarge(images, margin), (images.shape[1], images.shape[2])
    moved = []
    for amount in amounts:
        step = amount * directions
        start = random.integers(margin + 1 - np.abs(step)) + np.maximum(-step, 0)
        before, other = (predict(views.cut(canvas, place, size)) for place in (start, start + step))
        moved.append(_compare(amount, before, other, labels))
    return moved


def measure_rotations(
    predict: Predict, images: np.ndarray, labels: np.ndarray, degrees: Sequence[float], seed: int
) -> list[Moved]:
    """Images turned by each angle, left or right, as is drawn for each image; black comes in."""
    signs = np.random.default_rng(seed).choice([-1, 1], size=len(images))
    before = predict(images)
    return [_compare(each, before, predict(views.rotate(images, each * signs)), labels) for each in degrees]


def measure_scales(predict: Predict, images: np.ndarray, labels: np.ndarray, factors: Sequence[float]) -> list[Moved]:
    """Images made larger by each factor about their centre; around smaller ones it is black."""
    before = predict(images)
    return [_compare(factor, before, predict(views.scale(images, factor)), labels) for factor in factors]


def measure_consistency(
    predict: Predict, images: np.ndarray, labels: np.ndarray, protocol: str, most: int, seed: int
) -> Consistency:
    """Two views of each image, whose offsets along both axes are drawn from 0 .. most - 1.

    With "crop" pictures are enlarged by `most` pixels: 224 by 32 as in Zhang 2019, and 32 by 4, as is done on CIFAR-10.

    Args:
      predict, images, labels, protocol: as in `measure_shifts`.
      most: pixels, at least 2.
    """
    random = np.random.default_rng(seed)
    size = (images.shape[1], images.shape[2])
    canvas = views.enlarge(images, most) if protocol == "crop" else images
    classes = []
    for _ in range(2):
        offsets = random.integers(most, size=(len(images), 2))
        if protocol == "crop":
            seen = views.cut(canvas, offsets, size)
        else:
            seen = views.shift(images, offsets - most // 2, protocol)
        classes.append(predict(seen).argmax(axis=1))
    return compare_views(classes[0], classes[1], labels)


def compare_views(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> Consistency:
    """The figures of two views' classes [N]."""
    agree, right, also_right = first == second, first == labels, second == labels
    accuracies = float(right.mean()), float(also_right.mean())
    forced, consistency = max(0.0, sum(accuracies) - 1), share_of(agree)
    count = int(max(first.max(), second.max())) + 1
    frequencies = (np.bincount(view, minlength=count) / len(view) for view in (first, second))
    by_chance = accuracies[0] * accuracies[1] + (1 - accuracies[0]) * (1 - accuracies[1])
    return Consistency(
        consistency,
        share_of(agree[right]) if right.any() else None,
        sum(accuracies) / 2,
        forced,
        (consistency.value - forced) / (1 - forced) if forced < 1 else None,
        float(np.dot(*frequencies)),
        float(((right == also_right).mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else None,
    )


def _compare(amount: float, before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Moved:
    classes = before.argmax(axis=1)
    rows = np.arange(len(labels))
    return Moved(
        amount,
        share_of(after.argmax(axis=1) == labels),
        share_of(after.argmax(axis=1) != classes),
        float(np.abs(after[rows, classes] - before[rows, classes]).mean()),
    )
