"""The part of a report on receptive fields: what a unit of each layer can see, and what it does see."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply
from cnn_jax.analysis.receptive_fields.effective import (
    THRESHOLD,
    Extent,
    Gradients,
    choose_layers,
    compile_gradients,
    mean_map,
    measure_extent,
    measure_gradients,
    standard_error,
)
from cnn_jax.analysis.receptive_fields.field import Field
from cnn_jax.analysis.receptive_fields.theoretical import late_layers, receptive_fields
from cnn_jax.data.normalize import normalize
from cnn_jax.models import make_table
from cnn_jax.pictures.receptive_fields import Drawn, plot_fields, plot_growth
from cnn_jax.reports.receptive_field_texts import (
    PICTURE_READING,
    field_figures,
    growth_sentence,
    lead,
    no_places,
    table_of_layers,
    table_of_training,
)
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject
from cnn_jax.reports.weights_over_training import weights_over_training

_LAYERS = 8
_WORK = 3e11  # multiply-adds of all gradients: some ten seconds on two cores
_MOST_IMAGES, _LEAST_IMAGES = 64, 4


@dataclasses.dataclass(frozen=True)
class Measured:
    """A layer's effective field.

    Attributes:
      values: [H, W], the mean of absolute gradients.
      error: the standard error of its size over images.
    """

    field: Field
    values: np.ndarray
    extent: Extent
    error: float
    rms_size: float
    signed_share: float


def analyze(subject: Subject) -> Section:
    fields = receptive_fields(network(subject), subject.variables, subject.run.image_shape)
    layers = choose_layers(fields, _LAYERS)
    if not layers:
        return Section("Receptive fields", no_places(fields), {"layers": [field_figures(f) for f in fields.values()]})
    images = _images(subject, layers)
    program = compile_gradients(network(subject), layers)
    snapshots = weights_over_training(subject.run)
    growth: dict[str, list[Measured]] = {}
    for snapshot in snapshots:
        found = measure_gradients(program, layers, snapshot.variables, images, subject.seed)
        for field in layers:
            measured = measure(field, found[field.name], subject.seed)
            if measured is not None:
                growth.setdefault(field.name, []).append(measured)
        subject.advance(0.9 / len(snapshots))
    best = {name: several[-1] for name, several in growth.items()}
    labels = [snapshot.label for snapshot in snapshots]
    followed = {name: several for name, several in growth.items() if len(several) == len(labels)}
    section = Section(
        "Receptive fields",
        (*lead(fields, best, late_layers(fields)), *growth_sentence(labels, followed)),
        _figures(fields, best, labels, followed, len(images)),
        _tables(fields, best, labels, followed),
        _pictures(subject, best, labels, followed),
    )
    subject.advance(0.1)
    return section


def network(subject: Subject) -> Apply:
    """Of images as the network takes them: a normalisation by the image itself would see all of it."""

    def apply(variables: Any, inputs: jax.Array) -> jax.Array:
        logits: jax.Array = subject.model.apply(variables, inputs, train=False)  # type: ignore[assignment]
        return logits

    return apply


def measure(field: Field, gradients: Gradients, seed: int) -> Measured | None:
    """None where no image's unit has a gradient, as where all are dead."""
    values = mean_map(gradients, "absolute")
    box = field.box(field.middle)
    extent, rms = measure_extent(values, box), measure_extent(mean_map(gradients, "rms"), box)
    if extent is None or rms is None:
        return None
    signed = float(np.abs(mean_map(gradients, "signed")).sum() / values.sum())
    return Measured(field, values, extent, standard_error(gradients.absolute, seed), rms.size, signed)


def _images(subject: Subject, layers: Sequence[Field]) -> np.ndarray:
    """Some of the sample as the network takes them, spread over it; fewer of a network that computes much."""
    each = make_table(subject.model, subject.run.image_shape).multiply_adds * (2 * len(layers) + 1) * 3
    count = int(np.clip(_WORK / max(each, 1), _LEAST_IMAGES, _MOST_IMAGES))
    sample = subject.sample.images
    rows = np.unique(np.linspace(0, len(sample) - 1, min(count, len(sample))).round().astype(int))
    inputs = normalize(jnp.asarray(sample[rows]), subject.run.normalization)
    return np.asarray(inputs)


def _figures(
    fields: Mapping[str, Field], best: Mapping[str, Measured], labels: Sequence[str],
    followed: Mapping[str, Sequence[Measured]], images: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "images": images,
        "layers": [field_figures(field, best.get(name)) for name, field in fields.items()],
        "layers_beyond_the_image": late_layers(fields),
        "training": {
            name: [
                {"when": when, "size": each.extent.size, "standard_error": each.error}
                for when, each in zip(labels, several, strict=True)
            ]
            for name, several in followed.items()
        },
    }


def _tables(
    fields: Mapping[str, Field], best: Mapping[str, Measured], labels: Sequence[str],
    followed: Mapping[str, Sequence[Measured]],
) -> tuple[Table, ...]:  # fmt: skip
    tables = [table_of_layers(fields, best)]
    if len(labels) > 1 and followed:
        tables.append(table_of_training(labels, followed))
    return tuple(tables)


def _pictures(
    subject: Subject, best: Mapping[str, Measured], labels: Sequence[str], followed: Mapping[str, Sequence[Measured]]
) -> tuple[Picture, ...]:
    if not best:
        return ()
    file = plot_fields(
        subject.sample.images[0], [_drawn(each) for each in best.values()], "What a unit in the middle sees",
        subject.picture("receptive_fields"),
    )  # fmt: skip
    pictures = [Picture(file, "Receptive fields", PICTURE_READING)]
    if len(labels) > 1 and followed:
        file = plot_growth(
            labels,
            {name: [(each.extent.size, each.error) for each in several] for name, several in followed.items()},
            {name: each.extent.size / each.extent.ratio for name, each in best.items()},
            "Effective receptive field in the course of the training",
            subject.picture("receptive_fields_training"),
        )
        reading = "The side of a square as large as the effective field, with two standard errors over images on both "
        reading += "sides; dashed: that of what a unit can see at most."
        pictures.append(Picture(file, "Effective receptive field in training", reading))
    return tuple(pictures)


def _drawn(measured: Measured) -> Drawn:
    field, extent = measured.field, measured.extent
    rows, columns = field.size
    can = "whole image" if field.whole_image else f"can see {rows}x{columns}"
    title = f"{field.name}\n{can}, sees {extent.size:.1f}x{extent.size:.1f}"
    return Drawn(title, field.box(field.middle), measured.values, THRESHOLD * float(measured.values.max()))
