"""What augmentation does to the training images of a config, as one picture."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.augment_keys import AUGMENTATIONS
from cnn_jax.config.tree import validate
from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.pipeline import Pipeline, check, make_augment
from cnn_jax.errors import InputError
from cnn_jax.pictures import reports

# From barely visible to more than most data bear; what is too much for small images is left out. Of operations that are
# not here, registered ones, the usual strength is drawn.
STRENGTHS: dict[str, tuple[Any, ...]] = {
    "rotate": (5.0, 15.0, 45.0, 180.0), "translate": (1, 2, 4, 8), "scale": (0.1, 0.3, 0.5, 1.0),
    "shear": (5.0, 10.0, 20.0, 40.0), "elastic": ((0.5, 4.0), (1.0, 4.0), (2.0, 4.0), (4.0, 8.0)), "flip": (0.5, 1.0),
    "vertical_flip": (0.5, 1.0), "alternating_flip": (True,), "crop": (1, 2, 4, 8),
    "random_resized_crop": ((0.8, 1.0), (0.5, 1.0), (0.25, 1.0), (0.08, 1.0)), "brightness": (0.2, 0.4, 0.6, 0.9),
    "contrast": (0.2, 0.4, 0.6, 0.9), "saturation": (0.4, 0.9, 2.0, 4.0), "hue": (0.05, 0.1, 0.2, 0.5),
    "grayscale": (0.5, 1.0), "noise": (4.0, 8.0, 16.0, 32.0), "blur": (0.5, 1.0, 2.0, 4.0), "cutout": (2, 4, 8, 16),
    "random_erasing": (0.5, 1.0), "mixup": (0.2, 0.5, 1.0, 4.0), "cutmix": (0.2, 0.5, 1.0, 4.0),
    "randaugment": ((1, 9.0), (2, 9.0), (2, 18.0), (3, 30.0)), "trivial_augment": (0.25, 0.5, 0.75, 1.0),
}  # fmt: skip
_COLOURED = ("saturation", "hue", "grayscale")
_IMAGES, _ROWS, _DRAWS = 3, 6, 15
# Each program runs once or a few times, on six images.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

Row = tuple[str, list[tuple[str, np.ndarray]]]


def draw_gallery(config: ml_collections.ConfigDict, path: str | Path, every: bool = False) -> Path:
    """Draws the config's own pipeline, and its operations at several strengths, on images of its training split.

    Args:
      every: also draw the operations that the config does not use; each takes a compilation.

    Raises:
      InputError: the config, its data or its pipeline cannot work, it has no pipeline (unless `every`), or the file
        cannot be written.
    """
    config = validate(config)
    if not config.augment and not every:
        raise InputError("config.augment=(): it has no operation to draw; --all draws every one that there is")
    splits = data.load(config.data)
    chosen = _one_of_each_class(splits.train.labels, _ROWS)
    images, labels = splits.train.read(chosen), splits.train.labels[chosen]
    batch = _Batch(
        jnp.asarray(images), jnp.asarray(labels), splits.num_classes, config.augment_padding_mode, config.seed
    )
    names = AUGMENTATIONS if every else dict.fromkeys(name for name, _ in config.augment)
    drawn = {name: STRENGTHS.get(name, (AUGMENTATIONS[name].default,)) for name in names}
    with progress_bar(len(drawn) + 1, "compiling", "operation") as bar:
        rows = _pipeline_rows(batch, config.augment) if config.augment else []
        bar.update(1)
        for name, strengths in drawn.items():
            rows.append(_operation_row(batch, name, strengths))
            bar.update(1)
    listed = ", ".join(f"{name} {_written(strength)}" for name, strength in config.augment) or "none"
    try:
        return reports.plot_gallery(
            f"{splits.name}; augment: {listed}; padding: {config.augment_padding_mode}", rows, path
        )
    except (OSError, ValueError) as error:  # matplotlib: a file type that it does not know
        raise InputError(f"--output={path}: it cannot be written ({error})") from error


@dataclasses.dataclass(frozen=True)
class _Batch:
    """The images [N, H, W, C] that are shown, and what it takes to augment them."""

    images: jax.Array
    labels: jax.Array
    num_classes: int
    padding_mode: str
    seed: int

    def augmented(self, pipelines: Sequence[Pipeline], steps: Sequence[int]) -> list[np.ndarray]:
        """The images as each pipeline makes them at each step (which is an epoch of its own), pipelines first."""
        height, width, channels = self.images.shape[1:]
        augments = [
            make_augment(each, (height, width, channels), self.num_classes, self.padding_mode) for each in pipelines
        ]
        index = jnp.arange(len(self.images), dtype=jnp.int32)

        @functools.partial(jax.jit, compiler_options=_QUICK)
        def run(images: jax.Array, labels: jax.Array, step: jax.Array) -> list[jax.Array]:
            draws = Draws(jnp.uint32(self.seed), step, step, index)
            return [augment(images, labels, draws)[0] for augment in augments]

        return [np.asarray(result) for step in steps for result in run(self.images, self.labels, jnp.int32(step))]


def _pipeline_rows(batch: _Batch, pipeline: Pipeline) -> list[Row]:
    drawn = np.stack(batch.augmented([pipeline], range(_DRAWS)), axis=1)
    originals = np.asarray(batch.images)
    return [
        ("" if i else "as configured", [("" if i else "original", originals[i : i + 1]), ("", drawn[i])])
        for i in range(len(originals))
    ]


def _operation_row(batch: _Batch, name: str, strengths: Sequence[Any]) -> Row:
    """The first images as they are, then at each strength, always with the same draws."""
    groups = [("", np.asarray(batch.images[:_IMAGES]))]
    height, width, channels = batch.images.shape[1:]
    if channels == 1 and name in _COLOURED:
        return f"{name}\n(gray: no change)", groups
    if name == "alternating_flip":
        headings = ["even epochs", "odd epochs"]
        images = batch.augmented([((name, True),)], (0, 1))
    else:
        fitting = [strength for strength in strengths if _fits(name, strength, (height, width, channels))]
        headings = [_written(strength) for strength in fitting]
        images = batch.augmented([((name, strength),) for strength in fitting], (1,))
    return name, groups + [(heading, each[:_IMAGES]) for heading, each in zip(headings, images, strict=True)]


def _fits(name: str, strength: Any, image_shape: tuple[int, int, int]) -> bool:
    try:
        check([(name, strength)], image_shape)
    except InputError:
        return False
    return True


def _one_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first example of each class, the first ones of all where there are too few classes."""
    first = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(min(len(labels), 2 * count)), first)
    return np.concatenate([np.sort(first), others])[:count]


def _written(strength: Any) -> str:
    if isinstance(strength, tuple):
        return "(" + ", ".join(map(_written, strength)) + ")"
    return str(strength) if isinstance(strength, bool) else f"{strength:g}"
