"""Examples, and how a set of them is split: deterministic, stratified, exact."""

import dataclasses

import numpy as np

from cnn_jax.errors import InputError

# Splits must not move when a run's seed does: accuracies of different seeds would not be comparable.
_SPLIT_SEED = 20_040_229


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images uint8 [N, H, W, C] and labels int32 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "Examples":
        return Examples(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source holds: named splits, of which `train` is always there."""

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, Examples]


@dataclasses.dataclass(frozen=True)
class Splits:
    """What an experiment uses. `mean` and `std` are per channel, of the training split, of pixels in [0, 1]."""

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Examples
    validation: Examples | None
    test: Examples | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def make_splits(source: Source, validation: float | int, test: float | int) -> Splits:
    """Takes the splits that the source lacks from its training data; a share of 0 leaves one out.

    Raises:
      InputError: labels outside 0..K-1, or a share that leaves nothing to train on.
    """
    for split, examples in source.splits.items():
        _check_labels(source, split, examples)
    train = source.splits["train"]
    parts: dict[str, Examples | None] = {}
    for name, share in (("test", test), ("validation", validation)):
        if name in source.splits or share == 0:
            parts[name] = source.splits.get(name)
            continue
        kept, taken = stratified_split(train.labels, share, f"data.{name}")
        parts[name], train = train.subset(taken), train.subset(kept)
    mean, std = channel_statistics(train.images)
    height, width, channels = (int(n) for n in train.images.shape[1:])
    return Splits(
        source.name, source.class_names, (height, width, channels), train, parts["validation"], parts["test"], mean, std
    )


def stratified_split(labels: np.ndarray, share: float | int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (kept, taken); each class gives its share, rounded so that the total is exact.

    Args:
      labels: [N] integers.
      share: a fraction below 1, or a count.
      key: the config key that the share comes from, for the error.
    """
    total = round(share * len(labels)) if isinstance(share, float) else share
    if not 0 < total < len(labels):
        raise InputError(f"config.{key}={share}: it takes {total} of {len(labels)} examples; leave some on both sides")
    classes, counts = np.unique(labels, return_counts=True)
    quotas = counts * total / len(labels)
    take = np.floor(quotas).astype(np.int64)
    # Largest remainders get what rounding down left over; the stable sort settles ties by class.
    for i in np.argsort(take - quotas, kind="stable")[: total - take.sum()]:
        take[i] += 1
    # RandomState's stream is frozen by NumPy's policy; Generator's may change from version to version.
    random = np.random.RandomState(_SPLIT_SEED)
    taken = np.concatenate([
        random.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, take, strict=True)
    ])  # fmt: skip
    mask = np.zeros(len(labels), bool)
    mask[taken] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], exact: from counts of the 256 values.

    A channel that never changes gets a standard deviation of 1, so that normalising it gives zeros.
    """
    values = np.arange(256) / 255.0
    means, stds = [], []
    for channel in range(images.shape[-1]):
        # bincount makes 8-byte integers of what it counts: a part at a time
        parts = (images[start : start + 4096, ..., channel] for start in range(0, len(images), 4096))
        counts = sum((np.bincount(part.reshape(-1), minlength=256) for part in parts), np.zeros(256, np.int64))
        mean = float(counts @ values / counts.sum())
        std = float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
        means.append(mean)
        stds.append(std if std > 0 else 1.0)
    return tuple(means), tuple(stds)


def _check_labels(source: Source, split: str, examples: Examples) -> None:
    if len(examples) == 0:
        raise InputError(f"{source.name}: its split '{split}' is empty")
    low, high = int(examples.labels.min()), int(examples.labels.max())
    last = len(source.class_names) - 1
    if low < 0 or high > last:
        wrong = low if low < 0 else high
        count = int(((examples.labels < 0) | (examples.labels > last)).sum())
        raise InputError(
            f"{source.name}: {count} labels of split '{split}' lie outside 0..{last}, the first of them {wrong}; "
            f"labels must be 0..K-1 for K classes"
        )
