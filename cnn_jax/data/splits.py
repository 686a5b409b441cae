"""Examples, and how a set of them is split: deterministic, stratified, exact."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.data.group_split import group_split
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.errors import InputError

# Splits must not move when a run's seed does: accuracies of different seeds would not be comparable.
_SPLIT_SEED = 20_040_229


@dataclasses.dataclass(frozen=True)
class Examples:
    """Decoded examples: images uint8 [N, H, W, C] and labels int32 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "Examples":
        return Examples(self.images[indices], self.labels[indices])

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, C]; what `ImageDataset.read` does for those that are not decoded yet."""
        return self.images[indices]


Split = Examples | ImageDataset


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source holds.

    Attributes:
      name: for people.
      class_names: label k means class_names[k].
      splits: by name; `train` is always there.
      place: where the data are; with `fingerprint` it names them in the cache.
      fingerprint: changes when the data do, or are written again.
      identity: the same for a copy of the data.
      states: uint64 [files, 3], a hash of each file's name, one of its label and size, and its time; None where the
        source is not made of files.
      empty: classes without any image, which were left out.
      skipped: a line for each row of a manifest that was left out.
      groups: int64 [N] by split, equal for pictures that no split may part; None where there are none.
      read_off: which of the keys image_size and channels were read off some pictures; all others must agree.
    """

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, ImageDataset]
    place: str
    fingerprint: str
    identity: str
    read_off: tuple[str, ...] = ()
    states: np.ndarray | None = None
    empty: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    groups: dict[str, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Splits:
    """What an experiment uses.

    Attributes:
      loading: "resident": the splits are decoded `Examples`; "streamed": they are `ImageDataset`.
      mean, std: per channel, of the training split, of pixels in [0, 1].
      fingerprint: the source's identity: changes when the data do, not when they are copied.
      skipped: a line for each picture, or row of a manifest, that was left out because it cannot be used.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Split
    validation: Split | None
    test: Split | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    loading: str = "resident"
    fingerprint: str = ""
    skipped: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def make_indices(
    labels: dict[str, np.ndarray],
    validation: float | int,
    test: float | int,
    groups: Mapping[str, np.ndarray] | None = None,
) -> dict[str, tuple[str, np.ndarray]]:
    """{split: (split of the source, indices in it)}: what the source lacks is taken from its training data.

    Args:
      labels: of the source's splits; "train" is among them.
      validation: the share of the training data (what is left of it after `test`), or a count; 0 leaves it out.
      test: likewise.
      groups: of the source's splits, as `Source` has them: those of the training data stay whole.

    Raises:
      InputError: a share that leaves nothing to train on, or one for which all groups are too large.
    """
    parts = {split: (split, np.arange(len(of_split))) for split, of_split in labels.items()}
    for name, share in (("test", test), ("validation", validation)):
        if name in labels or share == 0:
            continue
        rest = parts["train"][1]
        if groups is None:
            kept, taken = stratified_split(labels["train"][rest], share, f"data.{name}")
        else:
            kept, taken = whole_groups(labels["train"][rest], groups["train"][rest], share, f"data.{name}")
        parts[name], parts["train"] = ("train", rest[taken]), ("train", rest[kept])
    return parts


def stratified_split(labels: np.ndarray, share: float | int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (kept, taken); each class gives its share, rounded so that the total is exact.

    No class gives its last example, even where the total falls short of the share by that.

    Args:
      labels: [N] integers.
      share: a fraction below 1, or a count.
      key: the config key that the share comes from, for the error.
    """
    total = _total(len(labels), share, key)
    classes, counts = np.unique(labels, return_counts=True)
    quotas = counts * total / len(labels)
    take = np.floor(quotas).astype(np.int64)
    # Largest remainders get what rounding down left over; the stable sort settles ties by class. A class keeps one
    # example to train on, though.
    first_choice = np.argsort(take - quotas, kind="stable")
    while total > take.sum():
        open_classes = [i for i in first_choice if take[i] < counts[i] - 1][: total - take.sum()]
        if not open_classes:
            break
        take[open_classes] += 1
    if not take.any():
        raise InputError(f"config.{key}={share}: no class has an example to spare; add some, or set it to 0")
    # RandomState's stream is frozen by NumPy's policy; Generator's may change from version to version.
    random = np.random.RandomState(_SPLIT_SEED)
    taken = np.concatenate([
        random.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, take, strict=True)
    ])  # fmt: skip
    mask = np.zeros(len(labels), bool)
    mask[taken] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def whole_groups(labels: np.ndarray, groups: np.ndarray, share: float | int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (kept, taken), each group on one side; the share is met as nearly as groups allow.

    Args:
      labels, share, key: as in `stratified_split`.
      groups: [N] integers, equal within a group.

    Raises:
      InputError: nothing can be taken.
    """
    total = _total(len(labels), share, key)
    taken = group_split(labels, groups, total, _SPLIT_SEED)
    if not len(taken):
        smallest = np.unique(groups, return_counts=True)[1].min()
        raise InputError(
            f"config.{key}={share}: no group of data.group can be spared for {total} of {len(labels)} images (the "
            f"smallest has {smallest}, and each class keeps one to train on); take a larger share, or 0"
        )
    return np.setdiff1d(np.arange(len(labels)), taken), taken


def _total(count: int, share: float | int, key: str) -> int:
    """How many of so many examples a share is."""
    total = round(share * count) if isinstance(share, float) else share
    if not 0 < total < count:
        raise InputError(f"config.{key}={share}: it takes {total} of {count} examples; leave some on both sides")
    return total


def check_labels(source: Source, split: str) -> None:
    """Raises InputError where a split is empty, or has labels outside 0..K-1."""
    examples = source.splits[split]
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
