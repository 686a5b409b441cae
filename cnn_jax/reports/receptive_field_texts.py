"""What a report says of receptive fields, in sentences, tables and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cnn_jax.analysis.receptive_fields.effective import Extent
from cnn_jax.analysis.receptive_fields.field import Field
from cnn_jax.reports.section import Table

PICTURE_READING = (
    "The blue frame is what the unit can see of the image: the theoretical receptive field. The brighter a pixel, the "
    "more a change of it changes the unit, on average over images; the white line goes around the effective field, the "
    "pixels with more than 4.55 % of the largest effect."
)
_LAYERS_READING = (
    "Size: pixels that a unit can see around its place, beyond the border too; stride: pixels from one unit's field to "
    "the next; padding: how far the first one reaches beyond the border; centre: of the first one. Aligned: all ways "
    "to a unit have one centre. Share: of the image, that the unit in the middle can see. Effective: the side of a "
    "square as large as what it does see, with the standard error over images."
)
_TRAINING_READING = (
    "Side of the effective field in pixels, with its standard error over images, of the first weights, of the "
    "checkpoints that are kept (checkpoint.keep), and of the best weights."
)


class Measured(Protocol):
    """As `receptive_field.Measured`."""

    @property
    def field(self) -> Field: ...
    @property
    def extent(self) -> Extent: ...
    @property
    def error(self) -> float: ...
    @property
    def rms_size(self) -> float: ...
    @property
    def signed_share(self) -> float: ...


def no_places(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Where no layer keeps the order of the pixels."""
    if all(field.whole_image for field in fields.values() if field.local is None):
        return ("Each unit of every layer sees the whole image: there are no receptive fields to tell apart.",)
    return ("The units of this network's layers have no place in the image.",)


def lead(fields: Mapping[str, Field], best: Mapping[str, Measured], late: Sequence[str]) -> tuple[str, ...]:
    sentences = []
    if best:
        last = list(best.values())[-1]
        sentences.append(_last_layer(last))
    whole = [name for name, field in fields.items() if field.whole_image and field.local is not None]
    if whole:
        sentences.append(
            f"From {whole[0]} on units see the whole image: maps are flattened or averaged there, or attention, "
            "squeeze-and-excitation or a normalisation over the map takes means of all places."
        )
    if late:
        sentences.append(
            f"{_count(len(late), 'layer')} from {late[0]} on begin{'s' * (len(late) == 1)} with a field that is larger "
            "than the image: a kernel there adds nothing to what is seen, and a larger image or later strides would "
            "use it (Richter et al. 2021)."
        )
    else:
        sentences.append("No convolution or pooling begins with a field that is larger than the image.")
    if crooked := [field for field in fields.values() if field.paths]:
        sentences.append(_crooked(crooked))
    return tuple(sentences)


def _last_layer(last: Measured) -> str:
    field, extent = last.field, last.extent
    rows, columns = field.size
    can = "the whole image" if field.whole_image else f"{rows}x{columns} pixels"
    if not field.whole_image and (rows > field.image[0] or columns > field.image[1]):
        can += f" of images of {field.image[0]}x{field.image[1]}"
    return (
        f"A unit of {field.name} can see {can}; what it does see is as large as a square of {extent.size:.1f} ± "
        f"{last.error:.1f} pixels, {extent.ratio:.0%} of the side of what it can see of the image."
    )


def _crooked(fields: Sequence[Field]) -> str:
    paths = " and ".join(f"{path.source} (centre {path.centre[0]:g})" for path in fields[0].paths)
    return (
        f"In {_count(len(fields), 'layer')} ways with other centres meet, so that features of different places are put "
        f"together; the first is {fields[0].name}: {paths}."
    )


def growth_sentence(labels: Sequence[str], followed: Mapping[str, Sequence[Measured]]) -> tuple[str, ...]:
    if labels[0] != "untrained":
        return ("The weights before training are not shown: they were not drawn from the seed alone.",)
    if not followed:
        return ()
    first, last = list(followed.values())[-1][0], list(followed.values())[-1][-1]
    change = last.extent.size - first.extent.size
    if abs(change) <= 2 * (first.error**2 + last.error**2) ** 0.5:
        what = "hardly changed it"
    else:
        what = "made it larger" if change > 0 else "made it smaller"
    return (
        f"Training {what}: {first.extent.size:.1f} ± {first.error:.1f} pixels before, {last.extent.size:.1f} ± "
        f"{last.error:.1f} after.",
    )


def table_of_layers(fields: Mapping[str, Field], best: Mapping[str, Measured]) -> Table:
    rows = []
    for name, field in fields.items():
        measured = best.get(name)
        effective = None if measured is None else f"{measured.extent.size:.1f} ± {measured.error:.1f}"
        rows.append(
            (
                name, "x".join(map(str, field.size)), _pair(field.stride), _pair(field.padding), _pair(field.centre),
                "yes" if field.is_aligned else "no", "yes" if field.whole_image else "no", f"{field.share:.1%}",
                effective,
            )
        )  # fmt: skip
    columns = "layer", "size", "stride", "padding", "centre", "aligned", "whole image", "share", "effective"
    return Table("Receptive fields", columns, tuple(rows), _LAYERS_READING)


def table_of_training(labels: Sequence[str], followed: Mapping[str, Sequence[Measured]]) -> Table:
    rows = tuple(
        (name, *(f"{each.extent.size:.1f} ± {each.error:.1f}" for each in several))
        for name, several in followed.items()
    )
    return Table("Effective field in training", ("layer", *labels), rows, _TRAINING_READING)


def field_figures(field: Field, measured: Measured | None = None) -> dict[str, Any]:
    """JSON values."""
    figures: dict[str, Any] = {
        "name": field.name,
        "shape": list(field.shape),
        "size": list(field.size),
        "stride": None if field.stride is None else list(field.stride),
        "padding": None if field.padding is None else list(field.padding),
        "centre": None if field.centre is None else list(field.centre),
        "is_aligned": field.is_aligned,
        "whole_image": field.whole_image,
        "share_of_image": field.share,
        "paths_that_differ": [path._asdict() for path in field.paths],
    }
    if measured is not None:
        extent = measured.extent
        figures["effective"] = {
            "size": extent.size,
            "standard_error": measured.error,
            "size_of_rms": measured.rms_size,
            "signed_share": measured.signed_share,
            "std": list(extent.std),
            "gaussian": None if extent.fit is None else {"std": list(extent.fit.std), "r2": extent.fit.r2},
            "ratio": extent.ratio,
            "leakage": extent.leakage,
        }
    return figures


def _pair(values: Sequence[float | None] | None) -> str | float | None:
    if values is None or None in values:
        return None
    first, second = values
    return first if first == second else f"{first:g}x{second:g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
