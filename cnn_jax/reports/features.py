"""What each layer makes of one image, how maps become a vector, and what the vector's entries say for a class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.feature_maps import Activity, Observer, Seen, Structure, as_maps, choose_layers, most_varied
from cnn_jax.analysis.feature_vectors import Contributions, Flattening, find_contributions, find_flattening
from cnn_jax.data import Examples
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.mistakes import common_folder
from cnn_jax.pictures.feature_maps import Strip, plot_strips
from cnn_jax.pictures.flattening import MOST_MAPS, Step, plot_flattening
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

_STRIPS, _MAPS, _TERMS = 24, 12, 12
_VECTOR = {
    "flatten": "flattened: line by line, all maps of a place side by side",
    "mean": "the mean of each map over its places",
    "max": "the maximum of each map over its places",
    "token": "what stands at the class token",
    "other": "not a flattening, nor a mean or maximum over places",
}


def analyze(subject: Subject) -> Section | None:
    sample = subject.sample
    observer = Observer(subject.apply, subject.variables, subject.run.image_shape, len(sample))
    structure = observer.structure
    if not structure.layers:
        return None
    for count, activity in observer.activity(sample.images):  # noqa: B007
        subject.advance(0.8 * count / len(sample))
    row = ordinary(activity.logits, sample.labels)
    seen = observer.see(sample.images[row])
    predicted = int(activity.logits[row].argmax())
    names = subject.run.class_names
    figures: dict[str, Any] = {
        "image": sample.name(row), "label": names[int(sample.labels[row])], "prediction": names[predicted],
        "probability": float(softmax(activity.logits[row][None])[0, predicted]), "images": len(sample),
        "layers": _layer_figures(structure, activity, seen),
    }  # fmt: skip
    pictures = [_draw_maps(subject, row, structure, seen, figures)]
    step = find_flattening(structure, seen, subject.run.image_shape)
    terms = find_contributions(subject.variables, seen, predicted)
    if step is not None:
        figures["vector"] = {"kind": step.kind, "length": int(step.vector.size), "from": step.source or "image",
                             "into": step.target, "shape_of_maps": list(step.shape)}  # fmt: skip
    if terms is not None:
        figures["score"] = _score_figures(terms, step)
    if step is not None and terms is not None:
        pictures.append(_draw_step(subject, row, step, terms, figures))
    subject.advance(0.2)
    return Section(
        "Feature maps and the feature vector",
        _sentences(figures, _short_name(sample, row)),
        figures,
        (_table(figures),),
        tuple(pictures),
    )


def ordinary(logits: np.ndarray, labels: np.ndarray) -> int:
    """The number of the image that is right with the median probability; of all where none is right."""
    probabilities = softmax(logits).max(axis=1)
    right = np.flatnonzero(logits.argmax(axis=1) == labels)
    right = right if len(right) else np.arange(len(labels))
    return int(right[np.argsort(probabilities[right], kind="stable")[len(right) // 2]])


def _layer_figures(structure: Structure, activity: Activity, seen: Seen) -> list[dict[str, Any]]:
    figures = []
    for name, shape in structure.layers.items():
        output = seen.outputs[name]
        figures.append({
            "layer": name, "shape": list(shape), "maps": shape[-1], "dead": len(activity.dead(name)),
            "dead_maps": activity.dead(name).tolist(), "not_zero": activity.active[name], "lowest": float(output.min()),
            "highest": float(output.max()),
        })  # fmt: skip
    return figures


def _draw_maps(
    subject: Subject, row: int, structure: Structure, seen: Seen, figures: dict[str, Any]
) -> Picture:  # fmt: skip
    chosen = choose_layers(structure.depths, _STRIPS)
    by_name = {each["layer"]: each for each in figures["layers"]}
    strips = [
        _strip(by_name[name], as_maps(name, seen.outputs[name], structure), seen.outputs[name]) for name in chosen
    ]
    caption = f"label: {figures['label']}\npredicted: {figures['prediction']} ({figures['probability']:.1%})"
    figures["drawn_layers"] = chosen
    every = len(chosen) == len(structure.layers)
    what = "What every layer gives" if every else f"What {len(chosen)} of {len(structure.layers)} layers give"
    file = plot_strips(
        subject.sample.images[row], caption, strips, _MAPS, f"{what} for an image",
        subject.picture("feature_maps"),
    )  # fmt: skip
    return Picture(
        file,
        "Feature maps",
        "A row is a layer, each square one of its maps, with its number above: those that vary most over the image, "
        f"the most varied first, {_MAPS} at most. All maps of a layer share one scale. Where values lie below zero, "
        "white is zero, red above and blue below; else dark is zero. A flat strip is a vector, entry by entry.",
    )


def _strip(figures: Mapping[str, Any], maps: np.ndarray | None, output: np.ndarray) -> Strip:
    size = "x".join(map(str, figures["shape"]))
    span = f"{figures['lowest']:.3g} to {figures['highest']:.3g}"
    dead = f", {figures['dead']} dead" if figures["dead"] else ""
    limits = (figures["lowest"], figures["highest"])
    if maps is None:
        return Strip(f"{figures['layer']}: {size}{dead}\n{span}", None, np.zeros(0, int), output.reshape(-1), limits)
    numbers = most_varied(maps, _MAPS)
    label = f"{figures['layer']}\n{size}; {len(numbers)} of {maps.shape[-1]} maps{dead}\n{span}"
    return Strip(label, maps[..., numbers], numbers, None, limits)


def _score_figures(terms: Contributions, step: Flattening | None) -> dict[str, Any]:
    order = np.argsort(-np.abs(terms.products), kind="stable")[:_TERMS]
    direct = step is not None and np.array_equal(terms.inputs, step.vector)
    largest = []
    for entry in map(int, order):
        where = step.place(entry) if step is not None and direct else {}
        largest.append({
            "entry": entry, **where, "value": float(terms.inputs[entry]), "weight": float(terms.weights[entry]),
            "product": float(terms.products[entry]),
        })  # fmt: skip
    return {
        "score": terms.score, "bias": terms.bias, "entries": len(terms.products), "largest": largest,
        "others": float(terms.products.sum() - terms.products[order].sum()), "of_the_flattened_vector": direct,
    }  # fmt: skip


def _draw_step(subject: Subject, row: int, step: Flattening, terms: Contributions, figures: dict[str, Any]) -> Picture:
    score = figures["score"]
    bars = [(_term(each), each["product"]) for each in score["largest"]]
    others = score["entries"] - len(bars)
    bars += [(f"{others:,} others", score["others"])] if others else []
    bars += [("bias", score["bias"])]
    length, what = figures["vector"]["length"], " x ".join(map(str, step.shape))
    numbers = _shown_maps(step, score)
    maps = None if step.maps is None else step.maps[..., numbers]
    source = step.source or "the image"
    headings = (
        f"{source}: {what}" + (f", {len(numbers)} of {step.shape[2]} maps" if maps is not None else ""),
        f"the vector of {length:,}, into {step.target}",
    )
    heading = f"{score['score']:.4g} = the score of {figures['prediction']}"
    file = plot_flattening(
        Step(subject.sample.images[row], maps, numbers, _lines(step), headings), bars, heading,
        "From maps to a vector, from the vector to a score", subject.picture("feature_vector"),
    )  # fmt: skip
    return Picture(
        file,
        "The feature vector and a score",
        f"Left what the vector is made of, in the middle the vector ({_VECTOR[step.kind]}); the marks of a color are "
        "at what the map of that color gave. Right the last layer's sum for the predicted class: weight times input, "
        "the largest terms, then all others, and the bias.",
    )


def _term(each: Mapping[str, Any]) -> str:
    where = f"map {each['map']}" if "map" in each else f"entry {each['entry']}"
    where += f" at {each['row']}, {each['column']}" if "row" in each else ""
    return f"{where}: {each['weight']:.3g} x {each['value']:.3g}"


def _shown_maps(step: Flattening, score: Mapping[str, Any]) -> np.ndarray:
    """Numbers of the maps with the largest terms, where the last layer takes the vector; else the most varied."""
    if step.maps is None:
        return np.zeros(0, int)
    first = list(dict.fromkeys(each["map"] for each in score["largest"] if "map" in each))
    rest = [int(number) for number in most_varied(step.maps, step.shape[2]) if number not in first]
    return np.array((first + rest)[:MOST_MAPS])


def _lines(step: Flattening) -> np.ndarray:
    """The vector as lines: a place each, all its maps side by side; a row of pixels each where it is the image."""
    if step.kind != "flatten":
        return step.vector[None]
    return step.vector.reshape(step.shape[0], -1) if step.maps is None else step.vector.reshape(-1, step.shape[2])


def _short_name(sample: Examples, row: int) -> str:
    """Below the folder of all of them."""
    return sample.name(row).removeprefix(common_folder([sample.name(other) for other in range(len(sample))]))


def _sentences(figures: Mapping[str, Any], image: str) -> tuple[str, ...]:
    layers: Sequence[Mapping[str, Any]] = figures["layers"]
    dead = sum(each["dead"] for each in layers)
    every = sum(each["maps"] for each in layers)
    worst = max(layers, key=lambda each: each["dead"] / each["maps"])
    said = f"Dead maps, zero for all {figures['images']:,} images: {dead:,} of {every:,} in {len(layers)} layers" + (
        f"; the largest share, {worst['dead']:,} of {worst['maps']:,}, at {worst['layer']}." if dead else "."
    )
    right = "those that are right" if figures["label"] == figures["prediction"] else "all"
    sentences = [said, f"The image is {image}: of {right} the one with the median probability."]
    if "vector" in figures:
        vector = figures["vector"]
        sentences.append(
            f"The vector of {vector['length']:,} that {vector['into']} takes comes from {vector['from']} "
            f"({' x '.join(map(str, vector['shape_of_maps']))}): {_VECTOR[vector['kind']]}."
        )
    if "score" in figures:
        score = figures["score"]
        first = score["largest"][0]
        sentences.append(
            f"The score of {figures['prediction']} is {score['score']:.4g}, a sum of {score['entries']:,} terms and a "
            f"bias; the largest is {_term(first)} = {first['product']:.3g}."
        )
    return tuple(sentences)


def _table(figures: Mapping[str, Any]) -> Table:
    rows = tuple(
        (each["layer"], "x".join(map(str, each["shape"])), each["maps"], each["dead"], each["not_zero"], each["lowest"],
         each["highest"]) for each in figures["layers"]
    )  # fmt: skip
    return Table(
        "Layers",
        ("layer", "shape", "maps", "dead", "not zero", "lowest", "highest"),
        rows,
        f"In order. Dead: maps that are zero for all {figures['images']:,} images. Not zero: the share of such values. "
        "Lowest and highest: for the image above.",
    )
