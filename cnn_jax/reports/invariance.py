"""The part of a report on moved pictures: shifts, rotation and scale, and which layers do not move along."""

import dataclasses
from typing import Any

import numpy as np

from cnn_jax.analysis import views
from cnn_jax.analysis.equivariance import Equivariance, measure_equivariance
from cnn_jax.analysis.invariance import (
    Consistency,
    Moved,
    Predict,
    Share,
    measure_consistency,
    measure_rotations,
    measure_scales,
    measure_shifts,
)
from cnn_jax.data import Examples
from cnn_jax.inference.metrics import softmax
from cnn_jax.pictures.invariance import Curve, Panel, plot_layers, plot_moved
from cnn_jax.pictures.reports import plot_gallery
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

DEGREES = (0, 5, 10, 20, 45, 90)
FACTORS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
_OF_LAYERS, _SHOWN = 32, 4  # images


@dataclasses.dataclass(frozen=True)
class _Measured:
    shifts: dict[str, list[Moved]]
    rotations: list[Moved]
    scales: list[Moved]
    pairs: dict[str, Consistency]
    most: int  # offsets of the pairs are below it
    layers: Equivariance | None
    guessing: float


def analyze(subject: Subject) -> Section:
    found = _measure(subject)
    tables = [_table_of_pairs(found)]
    pictures = [_picture_of_curves(subject, found), _picture_of_views(subject, found)]
    if found.layers is not None:
        tables.append(_table_of_layers(found.layers))
        pictures.append(_picture_of_layers(subject, found.layers))
    return Section("Invariance", _sentences(found), _figures(found), tuple(tables), tuple(pictures), _limits(found))


def _measure(subject: Subject) -> _Measured:
    images, labels, seed = subject.sample.images, subject.sample.labels, subject.seed
    predict, side = _predictor(subject), min(images.shape[1:3])
    most = max(2, side // 7)  # 32 of 224 pixels, as in Zhang 2019, and 4 of 32
    shifts = {}
    for protocol in views.PROTOCOLS:
        reach = most if protocol == "crop" else max(2, side // 4)
        amounts = sorted({0, 1, *np.linspace(0, reach, 6).round().astype(int).tolist()})
        shifts[protocol] = measure_shifts(predict, images, labels, amounts, protocol, seed)
        subject.advance(0.15)
    rotations = measure_rotations(predict, images, labels, DEGREES, seed)
    subject.advance(0.15)
    scales = measure_scales(predict, images, labels, FACTORS)
    subject.advance(0.15)
    pairs = {
        protocol: measure_consistency(predict, images, labels, protocol, most, seed) for protocol in views.PROTOCOLS
    }
    subject.advance(0.1)
    layers = None
    if len(images) > 1:
        layers = measure_equivariance(subject.apply, subject.variables, images[:_OF_LAYERS])
    subject.advance(0.15)
    guessing = float(np.bincount(labels).max() / len(labels))
    return _Measured(shifts, rotations, scales, pairs, most, layers, guessing)


def _predictor(subject: Subject) -> Predict:
    def predict(images: np.ndarray) -> np.ndarray:
        return softmax(subject.run.logits(Examples(images, np.zeros(len(images), np.int32))))

    return predict


def _sentences(found: _Measured) -> tuple[str, ...]:
    moved = found.shifts["zero"]
    still, one, last = moved[0], moved[1], moved[-1]
    crop = found.pairs["crop"]
    sentences = [
        f"Moved by one pixel (black comes in), {_in_words(one.top1_change)} get another class; by {last.amount} "
        f"pixels, {last.accuracy.value:.1%} are right and not {still.accuracy.value:.1%}.",
        f"Two windows of the same picture, less than {found.most} pixels apart each way, get the same class for "
        f"{_in_words(crop.consistency)}; by chance it would be {crop.chance:.1%}, and that so many are right forces "
        f"{crop.forced:.1%}.",
        f"Turned by {DEGREES[-2]} degrees {found.rotations[-2].accuracy.value:.1%} are right, and at half the size "
        f"{found.scales[0].accuracy.value:.1%}; always the commonest class would be {found.guessing:.1%}.",
    ]
    if found.layers is not None:
        sentences.append(_breaking(found.layers))
    return tuple(sentences)


def _limits(found: _Measured) -> tuple[str, ...]:
    """What it gets wrong when it is moved, where that is beyond noise: for a model card."""
    still = found.shifts["zero"][0].accuracy
    moved = [
        (f"moved by {found.shifts['zero'][-1].amount} pixels (black comes in)", found.shifts["zero"][-1].accuracy),
        (f"turned by {DEGREES[-2]} degrees", found.rotations[-2].accuracy),
        (f"drawn at {FACTORS[0]:.0%} of their size", found.scales[0].accuracy),
        (f"drawn at {FACTORS[-1]:.0%} of their size", found.scales[-1].accuracy),
    ]
    return tuple(
        f"Of images that are {how}, {share.value:.1%} are right (95 % interval {share.low:.1%} to {share.high:.1%}), "
        f"and not {still.value:.1%}."
        for how, share in moved
        if share.high < still.low
    )


def _breaking(layers: Equivariance) -> str:
    rows = {row.name: row for row in layers.layers}
    if layers.first is None:
        worst = max((row.one_pixel for row in layers.layers), default=0.0)
        return f"Every layer moves along with the picture: no error is above {worst:.1g}."
    first = rows[layers.first]
    text = (
        f"The first layer that does not move along by one pixel is {first.name}: its error of {first.one_pixel:.2f} is "
        f"{first.of_chance:.0%} of what different pictures differ by, which is chance."
    )
    if layers.most is None:
        return f"{text} Behind it that share does not rise."
    most = rows[layers.most]
    before = layers.layers[layers.layers.index(most) - 1]
    rise = f"from {before.of_chance:.0%} to {most.of_chance:.0%}"
    return f"{text} Behind it that share rises most at {most.name}, {rise}."


def _in_words(share: Share) -> str:
    return f"{share.value:.1%} of the images ({share.low:.1%} to {share.high:.1%})"


def _figures(found: _Measured) -> dict[str, Any]:
    layers = None
    if found.layers is not None:
        rows = [row._asdict() | {"of_chance": row.of_chance} for row in found.layers.layers]
        layers = found.layers._asdict() | {"layers": rows}
    return {
        "shifts": {protocol: list(map(_as_json, moved)) for protocol, moved in found.shifts.items()},
        "rotations": list(map(_as_json, found.rotations)),
        "scales": list(map(_as_json, found.scales)),
        "views": {protocol: _as_json(pair) for protocol, pair in found.pairs.items()},
        "offsets_below": found.most,
        "commonest_class": found.guessing,
        "equivariance": layers,
    }


def _as_json(row: Moved | Consistency) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Share) else value for name, value in row._asdict().items()}


def _table_of_pairs(found: _Measured) -> Table:
    rows = []
    for protocol, pair in found.pairs.items():
        of_correct = pair.of_correct
        rows.append(
            (
                protocol, pair.consistency.value, f"{pair.consistency.low:.3f} to {pair.consistency.high:.3f}",
                "" if of_correct is None else of_correct.value, pair.chance, pair.forced,
                "" if pair.excess is None else pair.excess,
                "" if pair.error_consistency is None else pair.error_consistency,
            )
        )  # fmt: skip
    explained = "; ".join(f"{protocol}: {what}" for protocol, what in views.PROTOCOLS.items())
    return Table(
        "Two views of each picture",
        ("protocol", "consistency", "95 %", "of correct", "chance", "forced", "excess", "error consistency"),
        tuple(rows),
        f"Consistency is the share of pictures whose two views, with offsets of 0 to {found.most - 1} pixels, get the "
        "same class. Networks with few errors agree anyway: what is right in both views is forced, and excess is the "
        "share of the rest that agrees. Error consistency is 1 where both views err on the same pictures, 0 where they "
        f"do so by chance. {explained}.",
    )


def _table_of_layers(layers: Equivariance) -> Table:
    rows = tuple(
        (
            row.name, " x ".join(map(str, row.shape)), "" if row.stride is None else row.stride[0], row.one_pixel,
            "" if row.whole_steps is None else row.whole_steps, row.chance, row.of_chance,
        )
        for row in layers.layers
    )  # fmt: skip
    return Table(
        "Layers that do not move along",
        ("layer", "gives", "stride", "1 pixel", f"{layers.shift} pixels", "chance", "of chance"),
        rows,
        "A picture is shifted in a circle, and so is what the layer gave: the error is how far that is from what it "
        "gives of the shifted picture, as a share of its size. By a number of pixels that strides divide only borders "
        "matter; by one pixel what is sampled too coarsely, too. Chance is the error between different pictures, and "
        "of chance its share at one pixel. What has no place, as logits, should not change at all.",
    )


def _curve(label: str, moved: list[Moved]) -> Curve:
    shares = [each.accuracy for each in moved]
    values, lows, highs = zip(*shares, strict=True)
    return Curve(label, [each.amount for each in moved], values, lows, highs)


def _picture_of_curves(subject: Subject, found: _Measured) -> Picture:
    panels = [
        Panel("shift in pixels", [_curve(protocol, moved) for protocol, moved in found.shifts.items()]),
        Panel("rotation in degrees", [_curve("left or right", found.rotations)]),
        Panel("scale", [_curve("about the centre", found.scales)], unmoved=1.0),
    ]
    title = f"Accuracy on moved pictures, {len(subject.sample)} images"
    file = plot_moved(panels, found.guessing, title, subject.picture("invariance"))
    return Picture(
        file,
        title,
        "A flat curve is what one hopes for as far as the class does not change with the movement (a 6 that is turned "
        "becomes a 9). Bands are 95 % intervals. Black comes in where pictures are turned or shrunk.",
    )


def _picture_of_views(subject: Subject, found: _Measured) -> Picture:
    images = subject.sample.images[np.linspace(0, len(subject.sample) - 1, _SHOWN).astype(int)]
    most = int(found.shifts["zero"][-1].amount)
    down = np.tile([most, 0], (len(images), 1))
    rows = [
        ("shifted", [("as it is", images), *(
            (f"{protocol}, {most} pixels", views.shift(images, down, protocol)) for protocol in ("zero", "circular")
        )]),
        ("turned", [
            (f"{angle} degrees", views.rotate(images, np.full(len(images), float(angle)))) for angle in (10, 45, 90)
        ]),
        ("scaled", [(f"{factor:g}", views.scale(images, factor)) for factor in (0.5, 0.85, 1.5)]),
    ]  # fmt: skip
    title = "Moved pictures, as the network gets them"
    file = plot_gallery(title, rows, subject.picture("invariance_views"))
    return Picture(file, title, "Whether you could still name them says what may be asked of the network.")


def _picture_of_layers(subject: Subject, layers: Equivariance) -> Picture:
    rows = layers.layers
    errors: dict[str, list[float | None]] = {
        "1 pixel": [row.one_pixel for row in rows],
        f"{layers.shift} pixels": [row.whole_steps for row in rows],
        "chance": [row.chance for row in rows],
    }
    title = "How far each layer is from moving along"
    names = [row.name for row in rows]
    file = plot_layers(names, errors, layers.most, title, subject.picture("invariance_layers"))
    return Picture(
        file,
        title,
        "From top to bottom through the network; 0 is exact. Bold: where the error rises most, as a share of chance.",
    )
