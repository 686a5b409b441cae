"""The config's list of (name, strength) pairs as one function on a batch.

Values are pixels in 0..255 all the way. Flips, shifts by whole pixels, cutout, erasing and cutmix keep the type, so
that a pipeline of these alone gives uint8; from the first operation that computes new values on, images are float32 and
are not rounded again, for each rounding would cost a little of what the next operation needs.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.config.augment_keys import AUGMENTATIONS
from cnn_jax.data.augment import geometry
from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.resample import affine
from cnn_jax.errors import InputError

Pipeline = Sequence[tuple[str, Any]]
Entry = tuple[int, str, Any]  # the place in the list, the name, the strength
# (images [B, H, W, C], labels, draws) -> the same; uint8 or float32 images, labels int32 [B] or probabilities [B, K]
Augment = Callable[[jax.Array, jax.Array, Draws], tuple[jax.Array, jax.Array]]

CROP, ELASTIC = "random_resized_crop", "elastic"


def make_augment(
    pipeline: Pipeline, image_shape: tuple[int, int, int], num_classes: int, padding_mode: str = "zero",
    cropped: bool = False,
) -> Augment:  # fmt: skip
    """The operations in order, each with draws of its own; fit for `jit`.

    Args:
      pipeline: (name, strength) pairs; see `config.augment_keys.AUGMENTATIONS`.
      image_shape: (height, width, channels), channels 1 or 3.
      num_classes: K.
      padding_mode: what stands beyond the border: "zero", "extend", "reflect" or "wrap".
      cropped: random_resized_crop is left out: the images were cropped when they were decoded.

    Returns:
      (images, labels, draws) -> (images, labels): uint8 or float32 images in 0..255, and labels as they came, or as
      probabilities [B, K] where the pipeline mixes examples.

    Raises:
      InputError: an operation that cannot work on images of this size.
    """
    check(pipeline, image_shape)
    left_out = {CROP} if cropped else set()
    stages = list(_stages(pipeline, padding_mode, left_out))
    mixes = any(_form(name) == "mix" for name, _ in pipeline)

    def augment(images: jax.Array, labels: jax.Array, draws: Draws) -> tuple[jax.Array, jax.Array]:
        if mixes and labels.ndim == 1:
            labels = jax.nn.one_hot(labels, num_classes)
        for stage in stages:
            images, labels = stage(images, labels, draws)
        return images, labels

    return augment


def check(pipeline: Pipeline, image_shape: tuple[int, int, int]) -> None:
    """Raises InputError where a strength in pixels is too much for images of this size."""
    height, width = image_shape[:2]
    across = min(height, width) - 1
    for name, strength in pipeline:
        if name == ELASTIC:
            pixels, most = strength[0], across / 2  # a standard deviation: displacements go to twice of it and beyond
        elif name in ("translate", "crop", "cutout"):
            pixels, most = strength, across
        else:
            continue
        if pixels > most:
            raise InputError(
                f"config.augment: ('{name}', {strength}) is too much for images of {height}x{width}; "
                f"choose at most {most} pixels"
            )


def crop_while_decoding(pipeline: Pipeline) -> tuple[tuple[float, float], int] | None:
    """The strength and the position of the pipeline's random_resized_crop; None where it has none.

    Raises:
      InputError: another operation stands before it, or it stands there twice: decoding comes first, and once.
    """
    positions = [position for position, (name, _) in enumerate(pipeline) if name == CROP]
    if not positions:
        return None
    if positions != [0]:
        raise InputError(
            f"config.augment: streamed images are cropped while they are decoded: '{CROP}' must be the first "
            f"operation, and there only once (or set data.loading=resident)"
        )
    return pipeline[0][1], 0


def _stages(pipeline: Pipeline, padding_mode: str, left_out: Collection[str]) -> Iterator[Augment]:
    # Positions are those of the whole list: what is left out changes nobody's draws.
    entries = [(position, name, strength) for position, (name, strength) in enumerate(pipeline) if name not in left_out]
    for run in _runs(entries):
        first, names = run[0], [name for _, name, _ in run]
        if _form(first[1]) in ("map", "field") and names != ["translate"]:
            yield partial(_interpolate, run, padding_mode)
        else:
            yield partial(_apply, *first, padding_mode)


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """What is one interpolation together: neighbouring maps and one `elastic` behind them; every other one alone."""
    run: list[Entry] = []
    for entry in entries:
        name = entry[1]
        if run and _form(name) not in ("map", "field"):
            yield run
            run = []
        run.append(entry)
        if _form(name) != "map":
            yield run
            run = []
    if run:
        yield run


def _interpolate(
    run: list[Entry], padding_mode: str, images: jax.Array, labels: jax.Array, draws: Draws
) -> tuple[jax.Array, jax.Array]:
    batch, height, width, _ = images.shape
    matrices, moved = [jnp.broadcast_to(jnp.eye(3), (batch, 3, 3))], None
    for position, name, strength in run:
        operation = AUGMENTATIONS[name].load()
        if _form(name) == "field":
            moved = operation(draws.keys(position), (height, width), strength)
        else:
            matrices.append(operation(draws.keys(position), strength))
    return affine(images, _product(matrices), padding_mode, moved), labels


def _product(matrices: Sequence[jax.Array]) -> jax.Array:
    product = matrices[0]
    for other in matrices[1:]:
        # Written out: a matmul may run in a lower precision on accelerators, and 3x3 is no work for one.
        product = (product[:, :, :, None] * other[:, None, :, :]).sum(axis=2)
    return product


def _apply(
    position: int, name: str, strength: Any, padding_mode: str, images: jax.Array, labels: jax.Array, draws: Draws
) -> tuple[jax.Array, jax.Array]:
    if name == "translate":  # alone, by whole pixels
        return geometry.translate(images, draws.keys(position), strength, padding_mode), labels
    operation, form = AUGMENTATIONS[name].load(), _form(name)
    if form == "alternate":
        return (operation(images, draws, position) if strength else images), labels
    keys = draws.keys(position)
    if form == "mix":
        mixed: tuple[jax.Array, jax.Array] = operation(images, labels, keys, strength, draws.following)
        return mixed
    return operation(images, keys, strength, *([padding_mode] if form == "image_padded" else [])), labels


def _form(name: str) -> str:
    return AUGMENTATIONS[name].form
