"""Images and labels that a Python program holds, as a source: what `fit(..., data=)` is given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from cnn_jax.data.labels import as_labels, number_labels
from cnn_jax.data.reading.as_uint8 import as_uint8, range_of
from cnn_jax.data.reading.memory import bytes_at_hand
from cnn_jax.data.sources.arrays import source_from_arrays
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown
from cnn_jax.runtime.sizes import describe_size

_NAMED_AT_MOST = 5


def load_arrays(data: Any) -> Source:
    """What a config of such a run gives where the arrays themselves are not at hand; raises InputError."""
    raise InputError(
        "config.data.source=arrays: these data are arrays of a Python program; there call cnn_jax.fit(config, "
        "workdir, data=(images, labels)), or run.evaluate(images, labels)"
    )


def source_in_memory(given: Mapping[str, Any], data: Any, class_names: Sequence[str] | None = None) -> Source:
    """A source of images and labels that a caller holds.

    Args:
      given: {"train": ..., "validation": ..., "test": ...}, the last two perhaps missing. Each is a tuple (images,
        labels), or an iterable of such pairs, batches, which is read once; a batch may be a mapping with "image" and
        "label". Images are [N, H, W] or [N, H, W, 1 or 3], uint8, or numbers from `data.black` to `data.white`.
      data: the config's `data` block.
      class_names: K of them, where labels are 0..K-1; without them the classes are the sorted labels themselves.

    Raises:
      InputError: something is not of this form; the line says which split, and what would be right.
    """
    taken = {split: _take(value, split, range_of(data)) for split, value in given.items()}
    names = _class_names(taken["train"][1], class_names)
    by_place, known = (False, "the training labels") if class_names is None else (True, "class_names")
    numbered = {
        split: (images, number_labels(labels, names, by_place, f"{split} labels", known))
        for split, (images, labels) in taken.items()
    }
    return source_from_arrays("arrays", numbered, names, data)


def _take(value: Any, split: str, value_range: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(value, (tuple, Mapping)):
        return _pair(value, split, value_range)
    if isinstance(value, (str, bytes, np.ndarray)) or not isinstance(value, Iterable):
        raise InputError(
            f"{split}: it is {type(value).__name__}; it must be a tuple (images, labels), or batches of it"
        )
    return _concatenated(value, split, value_range)


def _pair(value: Any, split: str, value_range: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, H, W(, C)] and labels [N]."""
    if isinstance(value, Mapping):
        if not {"image", "label"} <= set(value):
            found = ", ".join(map(str, value))
            raise InputError(f"{split}: a batch has 'image' and 'label', or is a pair; this one has {found}")
        value = (value["image"], value["label"])
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        what = f"{type(value).__name__} of {len(value)}" if isinstance(value, Sized) else type(value).__name__
        raise InputError(f"{split}: it is a {what}; it must be (images, labels)")
    images = as_uint8(value[0], f"{split} images", value_range)
    if value_range is not None and getattr(value[0], "dtype", None) == np.uint8:
        raise InputError(f"{split} images: they are uint8, in 0..255 already; leave value_range={value_range} out")
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
        first = images.ndim == 4 and images.shape[1] in (1, 3)
        hint = "; its channels stand first: images.transpose(0, 2, 3, 1)" if first else ""
        raise InputError(
            f"{split} images: their shape is {list(images.shape)}; it must be [N, H, W] or [N, H, W, 1 or 3]{hint}"
        )
    if not images.size:
        raise InputError(f"{split} images: their shape is {list(images.shape)}: there are none")
    return images, as_labels(value[1], len(images), f"{split} labels")


def _concatenated(batches: Iterable[Any], split: str, value_range: Any) -> tuple[np.ndarray, np.ndarray]:
    """All batches, in memory."""
    room, used = bytes_at_hand(), 0
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for number, batch in enumerate(_noted(batches, split)):
        of_batch, labels_of_batch = _pair(batch, f"{split} batch {number}", value_range)
        images.append(of_batch)
        labels.append(labels_of_batch)
        if of_batch.shape[1:] != images[0].shape[1:]:
            raise InputError(
                f"{split} batch {number}: its images are {list(of_batch.shape[1:])}, those before "
                f"{list(images[0].shape[1:])}; all have one shape"
            )
        kinds = [one.dtype.kind == "U" for one in (labels[0], labels_of_batch)]
        if kinds[0] != kinds[1]:
            now, before = ("texts", "numbers") if kinds[1] else ("numbers", "texts")
            raise InputError(
                f"{split} batch {number}: its labels are {now}, those before {before}; all are of one kind"
            )
        used += of_batch.nbytes
        if used > room:
            raise InputError(
                f"{split}: its batches take more than {describe_size(room)}, which is what may be used; the iterable "
                f"must end after one pass, and larger data lie in a folder, which is streamed"
            )
    if not images:
        raise InputError(f"{split}: it holds no batch")
    return np.concatenate(images), np.concatenate(labels)


def _noted(batches: Iterable[Any], split: str) -> Iterator[Any]:
    """The batches; an error of the caller's own code is the caller's, with a note of where it came."""
    number = 0
    try:
        for batch in batches:
            yield batch
            number += 1
    except Exception as error:
        error.add_note(
            f"{split}: this came in place of batch {number} (the first one is 0). Batches are read once, before the "
            f"first epoch: nothing was written, and a run that was begun before resumes as soon as they come."
        )
        raise


def _class_names(labels: np.ndarray, class_names: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(map(str, np.unique(labels) if class_names is None else class_names))
    if len(set(names)) < len(names):
        raise InputError(f"class_names={list(names)[:_NAMED_AT_MOST]}: they must differ from each other")
    if len(names) < 2:
        raise InputError(f"the classes are {', '.join(map(shown, names)) or 'none'}; a classifier needs two or more")
    return names
