"""Which pixels the predictions owe to, by several methods, and how far each can be trusted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnn_jax.analysis.attribution.cams import default_layer, grad_cam
from cnn_jax.analysis.attribution.memory import rows_within
from cnn_jax.analysis.attribution.methods import CONTROL
from cnn_jax.analysis.attribution.sanity import LIMIT, Sanity
from cnn_jax.analysis.attribution.trust import COMPLETE, Comparison, has_no_evidence, share_in_border
from cnn_jax.errors import InputError
from cnn_jax.pictures.attribution import MapColumn, plot_attribution
from cnn_jax.reports.attribution_checks import Checked, run_checks, sanity_of
from cnn_jax.reports.attribution_images import Effort, Explained, choose, effort_for
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject, draw_sample
from cnn_jax.runs.noise import spread

_POSITIONS = 16  # fewer say little on where something is
_MOST_AT_ONCE = 64
_PICTURES = {
    "attribution_pixels": ("saliency", "input_x_gradient", "integrated_gradients", "smoothgrad"),
    "attribution_areas": ("grad_cam", "grad_cam_plus_plus", "hires_cam", "occlusion", "rise"),
}


def analyze(subject: Subject) -> Section:
    rows = rows_within(subject.apply, subject.variables, subject.run.image_shape)
    effort, chunk = effort_for(rows), min(rows, _MOST_AT_ONCE)
    explained = choose(subject, effort.images)
    layer = default_layer(subject.layers, _POSITIONS)
    checked = run_checks(subject, explained, effort, layer, chunk)
    control = _control(subject, explained, effort, chunk)
    border = None if layer is None else _border(subject, effort, layer, chunk)
    subject.advance(0.1)
    figures = {
        "layer": layer,
        "layer_maps": None if layer is None else list(subject.layers[layer]),
        "images": explained.measured,
        "images_of_the_sanity_check": min(effort.checked, explained.measured),
        "border": border,
        "methods": {name: each.to_json() for name, each in checked.items()},
        "control": None if control is None else {"passes": control.passes, "rank_correlation": _means(control)},
        "drawn": [dict(each) for each in explained.drawn],
    }
    lead = (*_where(border), *_which(subject, layer), *_how_far(checked, control))
    return Section(
        "Attribution", lead, figures, (_table(checked, control, figures),), _draw(subject, explained, checked)
    )


def _control(subject: Subject, explained: Explained, effort: Effort, chunk: int) -> Sanity | None:
    """The sanity check of a method that must fail it; None where the network has no ReLU."""
    try:
        return sanity_of(subject, CONTROL, explained, effort, {"chunk": chunk})
    except InputError:
        return None


def _border(subject: Subject, effort: Effort, layer: str, chunk: int) -> dict[str, Any] | None:
    """Where Grad-CAM of the predicted classes lies; None where less than two images have positive evidence."""
    sample = draw_sample(subject.examples, min(effort.placed, subject.most), subject.seed)
    maps = grad_cam(subject.apply, subject.variables, sample.images, layer=layer, chunk=chunk)
    maps = maps[~has_no_evidence(maps)]
    if len(maps) < 2:
        return None
    shares, area = share_in_border(maps)
    found = spread(list(shares))
    return {"images": len(maps), "share": found.mean, "interval_95": list(found.interval or ()), "area": area}


def _where(border: Mapping[str, Any] | None) -> tuple[str, ...]:
    if border is None:
        return ()
    (low, high), area = border["interval_95"], border["area"]
    if high < area:
        meaning = "less than its area: the network looks at the middle, where the object mostly is"
    elif low > area:
        meaning = "more than its area: look at the pictures whether it uses the background"
    else:
        meaning = "no more and no less than its area: it looks at no particular part"
    return (
        f"{border['share']:.1%} ({low:.1%} to {high:.1%}) of what Grad-CAM finds for the predicted classes of "
        f"{border['images']} images lies in the border, an eighth on each side, which is {area:.1%} of the picture; "
        f"{meaning}.",
    )


def _which(subject: Subject, layer: str | None) -> tuple[str, ...]:
    if layer is None:
        return ("This network has no maps before its logits, so class activation maps (Grad-CAM) do not apply.",)
    rows, columns, _ = subject.layers[layer]
    few = "" if rows * columns >= _POSITIONS else ", few to say where something is"
    return (f"Class activation maps are of the layer {layer}, with {rows}x{columns} positions{few}.",)


def _how_far(checked: Mapping[str, Checked], control: Sanity | None) -> tuple[str, ...]:
    good = [each.method.title for each in checked.values() if each.passes]
    said = f"{len(good)} of {len(checked)} methods pass all of their checks"
    sentences = [f"{said}: {', '.join(good)}." if good else f"{said}."]
    if control is not None and control.passes is not False:
        sentences.append(
            "Guided backpropagation should fail the sanity check and does not here: do not rely on that check."
        )
    return tuple(sentences)


def _table(checked: Mapping[str, Checked], control: Sanity | None, figures: Mapping[str, Any]) -> Table:
    rows: list[tuple[Any, ...]] = []
    for each in checked.values():
        rows.append(
            (
                each.method.title,
                f"{np.abs(each.maps).max():.3g} {each.method.unit}",
                _gap(each),
                _sanity(each.sanity),
                _compared(each.faithfulness.deletion),
                _compared(each.faithfulness.insertion),
                each.empty,
            )
        )
    if control is not None:
        rows.append((f"{CONTROL.title} (must fail)", None, None, _sanity(control), None, None, None))
    return Table(
        "How far each method can be trusted",
        ("method", "largest value", "gap", "sanity", "deletion", "insertion", "no evidence"),
        tuple(rows),
        f"Gap: how far the sum of a drawn map is from what the image adds to the logit; it passes up to {COMPLETE}. "
        "Sanity: the rank correlation of maps with those of the same network after its last layer, half of its layers "
        f"and all of them were shuffled; it passes where all lie below {LIMIT} with their 95 % intervals "
        f"({figures['images_of_the_sanity_check']} images). Deletion and insertion: the mean probability as pixels go, "
        "or come, in the order of the map, and of random maps; lower is better for deletion, higher for insertion, and "
        f"it passes where the 95 % interval of the difference excludes 0 ({figures['images']} images). No evidence: "
        "images without anything that speaks for the predicted class.",
    )


def _verdict(passes: bool | None) -> str:
    return {True: "PASS", False: "FAIL", None: "UNDECIDED"}[passes]


def _means(sanity: Sanity) -> list[float]:
    means: list[float] = sanity.signed.mean(axis=1).tolist()
    return means


def _sanity(sanity: Sanity) -> str:
    return f"{_verdict(sanity.passes)} {', '.join(f'{mean:.2f}' for mean in _means(sanity))}"


def _gap(each: Checked) -> str | None:
    if each.drawn is None:
        return None
    count = len(each.drawn.gap)
    return f"{_verdict(each.complete == count)} {each.drawn.gap.max():.1g}, {each.complete} of {count} complete"


def _compared(compared: Comparison) -> str:
    return f"{_verdict(compared.passes)} {compared.mean:.3f}, random {compared.random:.3f}"


def _draw(subject: Subject, explained: Explained, checked: Mapping[str, Checked]) -> tuple[Picture, ...]:
    images, pictures = explained.images[explained.measured :], []
    for name, methods in _PICTURES.items():
        shown = [checked[method] for method in methods if method in checked]
        columns = [
            MapColumn(each.method.title, each.method.unit, each.maps[explained.measured :], each.method.sign)
            for each in shown
        ]
        if not columns:
            continue
        kind = "pixel by pixel" if name == "attribution_pixels" else "by areas"
        file = plot_attribution(
            explained.texts, images, columns, f"What the predictions owe to, {kind}", subject.picture(name)
        )
        pictures.append(
            Picture(
                file,
                f"attribution {kind}",
                "Each row explains one class of an image; a mistake has two rows, for the predicted and for the true "
                "class. Red speaks for the class, blue against it, orange is how large a gradient is; all rows of a "
                "method have one scale, so a pale map is a weak one.",
            )
        )
    return tuple(pictures)
