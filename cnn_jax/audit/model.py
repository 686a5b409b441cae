"""What a trained run makes of the pictures of a set, and which of them it was trained on."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import ml_collections
import numpy as np

from cnn_jax.audit.quality import Entry
from cnn_jax.audit.suspects import project
from cnn_jax.cli.progress import progress_bar
from cnn_jax.data import ImageDataset, Source
from cnn_jax.data.reading.scan import in_threads
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.run import Run

_AT_ONCE = 64  # several parts of so many pictures wait for the model


def usable_rows(entries: Sequence[Entry], classes: int) -> np.ndarray:
    """int64, the pictures that can be read and have a label."""
    kept = [row for row, entry in enumerate(entries) if not entry.record.fault and 0 <= entry.label < classes]
    return np.array(kept, np.int64)


def read_parts(
    splits: dict[str, ImageDataset], entries: Sequence[Entry], rows: np.ndarray, size: int
) -> Iterator[np.ndarray]:
    """Pictures as the splits bring them to shape, in the order of `rows`, `size` at once."""

    def read(start: int) -> np.ndarray:
        part = [entries[row] for row in rows[start : start + size]]
        images: np.ndarray | None = None
        for split in {entry.split for entry in part}:
            of_split = np.array([i for i, entry in enumerate(part) if entry.split == split])
            found = splits[split].read(np.array([part[i].index for i in of_split]))
            images = np.empty((len(part), *found.shape[1:]), np.uint8) if images is None else images
            images[of_split] = found
        assert images is not None
        return images

    return in_threads(read, range(0, len(rows), size))


def ask_model(run: Run, source: Source, entries: Sequence[Entry], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, K] and projected features [N, at most 256] of these pictures."""
    data = run.config.data
    fitted = {
        split: dataclasses.replace(
            pictures,
            image_shape=run.image_shape,
            resize=data.resize,
            center_crop=data.center_crop,
            interpolation=data.interpolation,
        )
        for split, pictures in source.splits.items()
    }
    logits, features = [], []
    with progress_bar(len(rows), "asking the model", "image") as bar:
        for images in read_parts(fitted, entries, rows, min(int(run.config.eval_batch_size), _AT_ONCE)):
            logits.append(run.logits(images))
            features.append(project(run.embed(images)))
            bar.update(len(images))
    return softmax(np.concatenate(logits)), np.concatenate(features)


def was_trained_on(run: Run, source: Source, config: ml_collections.ConfigDict) -> Callable[[Entry], bool]:
    """Whether a run may have been trained on a picture of these data.

    It was on the training split of its own data, a copy of them, or what stands in their place now; of that split, what
    was validation or test then counts as well, since only an unchanged set could tell.
    """
    own = run.config.data
    same_place = all(own[key] == config.data[key] for key in ("source", "name", "dir"))
    same = same_place or run.resolved.get("fingerprint") == source.identity
    return lambda entry: same and entry.split == "train"
