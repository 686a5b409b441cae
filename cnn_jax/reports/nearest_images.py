"""The training images whose feature vectors are nearest to those of some images, and of the worst mistakes."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnn_jax.analysis.neighbors import nearest
from cnn_jax.data import Split
from cnn_jax.inference.mistakes import common_folder
from cnn_jax.pictures.embedding import Near, plot_neighbors, shorten
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

_EXAMPLES, _NEIGHBORS, _LISTED = 4, 6, 3
_AT_ONCE = 1024
_COPY = 0.1  # so many times as far as the last neighbour
# The larger the images the fewer of them; twice to ten times as many as the costly parts take.
_PIXELS, _LEAST, _MOST = 20_000_000, 2, 10


def find_nearest(subject: Subject, features: np.ndarray, worst: np.ndarray) -> Section:
    """Sentences, figures, a table and a picture; none of these where the training images are gone.

    Args:
      subject: its sample and what stands behind it have these features.
      features: [sample + worst, D].
      worst: rows of `subject.examples`.
    """
    train = subject.train
    if train is None or not len(train):
        return Section("", ("The training images are not there any more, so that none can be shown.",), {})
    chosen, rows = _choose(subject, train), _examples(subject)
    queries = [_of_split(subject, int(row)) for row in worst] + [_of_sample(subject, int(row)) for row in rows]
    asked = np.concatenate([np.arange(len(subject.sample), len(features)), rows]).astype(int)
    # One more than is shown: where the training images themselves are looked at, each is the nearest to itself.
    numbers, distances = nearest(features[asked], _embed(subject, train, chosen), min(_NEIGHBORS + 1, len(chosen)))
    found = [
        query | {"neighbors": _neighbors(subject, train, query["image"], chosen[near], far)}
        for query, near, far in zip(queries, numbers, distances, strict=True)
    ]
    figures = {
        "training_images": len(train), "training_images_compared": len(chosen), "distance": "Euclidean",
        "nearest": [query | {"copy": _has_copy(query["neighbors"])} for query in found],
    }  # fmt: skip
    images = np.concatenate([subject.examples.read(worst), subject.sample.images[rows]])
    root = common_folder([name for each in found for name in (each["image"], *(n["image"] for n in each["neighbors"]))])
    of_all = "all" if len(chosen) == len(train) else f"{len(chosen):,} of"
    lead = f"Nearest by Euclidean distance of the feature vectors, among {of_all} {len(train):,} training images."
    return Section(
        "", (lead, *_sentences(figures, len(worst))), figures, (_table(figures, root),),
        (_draw(subject, train, images, figures, root),),
    )  # fmt: skip


def _choose(subject: Subject, train: Split) -> np.ndarray:
    height, width, _ = subject.run.image_shape
    limit = int(np.clip(_PIXELS // (height * width), _LEAST * subject.most, _MOST * subject.most))
    if len(train) <= limit:
        return np.arange(len(train))
    return np.sort(np.random.RandomState(subject.seed).choice(len(train), limit, replace=False))


def _embed(subject: Subject, train: Split, chosen: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(chosen), _AT_ONCE):
        yield subject.run.embed(train.subset(chosen[start : start + _AT_ONCE]))


def _examples(subject: Subject) -> np.ndarray:
    """Rows of the sample that are right, of classes spread over all."""
    labels = subject.sample.labels
    right = np.flatnonzero(subject.sample_probabilities.argmax(axis=1) == labels)
    first = right[np.unique(labels[right], return_index=True)[1]]
    chosen = np.linspace(0, max(len(first) - 1, 0), min(_EXAMPLES, len(first))).astype(int)
    return first[np.unique(chosen)]


def _of_split(subject: Subject, row: int) -> dict[str, Any]:
    said = subject.evaluation.predictions[row]
    return {"image": said["path"], "label": said["label"], "prediction": said["prediction"]}


def _of_sample(subject: Subject, row: int) -> dict[str, Any]:
    names = subject.run.class_names
    label = names[int(subject.sample.labels[row])]
    return {"image": subject.sample.name(row), "label": label, "prediction": label}


def _neighbors(
    subject: Subject, train: Split, image: str, rows: np.ndarray, distances: np.ndarray
) -> list[dict[str, Any]]:
    """Without the image itself; `row` is that of the training split."""
    names = subject.run.class_names
    is_own = subject.split == "train" or os.path.isabs(image)  # other names may be the same in several splits
    near = [
        {"image": train.name(int(row)), "row": int(row), "label": names[int(train.labels[row])],
         "distance": float(away)}
        for row, away in zip(rows, distances, strict=True)
    ]  # fmt: skip
    return [each for each in near if not (is_own and each["image"] == image)][:_NEIGHBORS]


def _has_copy(neighbors: list[dict[str, Any]]) -> bool:
    return len(neighbors) > 1 and neighbors[0]["distance"] < _COPY * neighbors[-1]["distance"]


def _draw(subject: Subject, train: Split, images: np.ndarray, figures: dict[str, Any], root: str) -> Picture:
    drawn = []
    for image, each in zip(images, figures["nearest"], strict=True):
        is_right = each["label"] == each["prediction"]
        taken = "" if is_right else f"\npredicted: {shorten(each['prediction'], 14)}"
        query = Near(image, shorten(each["label"], 18) + taken, each["image"].removeprefix(root), is_right)
        near = [
            Near(pixels, f"{shorten(other['label'], 18)}\n{other['distance']:.3g} away",
                 other["image"].removeprefix(root), other["label"] == each["label"])
            for pixels, other in zip(train.read(np.array([n["row"] for n in each["neighbors"]], int)),
                                     each["neighbors"], strict=True)
        ]  # fmt: skip
        drawn.append((query, near))
    title = f"The nearest of {figures['training_images_compared']:,} training images (Euclidean, feature vectors)"
    return Picture(
        plot_neighbors(drawn, title, subject.picture("nearest_training_images")),
        "Nearest training images",
        "Left an image, the worst mistakes first; behind it the training images with the nearest feature vectors, the "
        "nearest first. Red: of another class than the image's label (left: predicted wrongly). Neighbours that are "
        "all of the predicted class, and look like the image, hint at a wrong label.",
    )


def _sentences(figures: dict[str, Any], mistakes: int) -> list[str]:
    said = []
    if mistakes:
        near = [(each, other) for each in figures["nearest"][:mistakes] for other in each["neighbors"]]
        as_predicted = sum(other["label"] == each["prediction"] for each, other in near)
        which = "the worst mistake" if mistakes == 1 else f"the {mistakes} worst mistakes"
        said.append(
            f"Of the {len(near)} training images nearest to {which}, {as_predicted} are of the predicted class."
        )
    if copies := sum(each["copy"] for each in figures["nearest"]):
        said.append(
            f"{copies} of {len(figures['nearest'])} images have a training image that is less than a tenth as far away "
            "as the last that is shown: perhaps a copy of it. An audit looks for all of these."
        )
    return said


def _table(figures: dict[str, Any], root: str) -> Table:
    rows = tuple(
        (each["image"].removeprefix(root), each["label"], each["prediction"], other["image"].removeprefix(root),
         other["label"], other["distance"])
        for each in figures["nearest"] for other in each["neighbors"][:_LISTED]
    )  # fmt: skip
    return Table(
        "Nearest training images",
        ("image", "label", "predicted", "training image", "its label", "distance"),
        rows,
        f"The {_LISTED} nearest of each image." + (f" Files are below {root}." if root else ""),
    )
