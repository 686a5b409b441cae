"""The feature vectors of images on a plane, and the training images that are nearest to some of them."""

from typing import Any

import numpy as np

from cnn_jax.analysis.embeddings import Plane, Quality, pca, quality, tsne
from cnn_jax.data import Examples
from cnn_jax.pictures.embedding import Cloud, plot_plane
from cnn_jax.reports.nearest_images import find_nearest
from cnn_jax.reports.section import Picture, Section
from cnn_jax.reports.subject import Subject
from cnn_jax.runs.noise import wilson_interval

_FEWEST = 5  # points of a plane


def analyze(subject: Subject) -> Section:
    sample = subject.sample
    worst = subject.evaluation.mistakes[:4]
    # With the worst mistakes of the whole split behind the sample, in one go.
    images = np.concatenate([sample.images, subject.examples.read(worst)]) if len(worst) else sample.images
    features = subject.run.embed(Examples(images, np.zeros(len(images), np.int32)))
    subject.advance(0.1)
    found = find_nearest(subject, features, worst)
    subject.advance(0.5)
    own = features[: len(sample)]
    if len(sample) < _FEWEST:
        said = f"{len(sample)} images are too few for a map of them; it takes {_FEWEST}."
        return Section("Embedding", (said, *found.lead), found.figures, found.tables, found.pictures)
    planes = {"pca": pca(own), "tsne": tsne(own, subject.seed)}
    qualities = {name: quality(own, plane.points, sample.labels) for name, plane in planes.items()}
    subject.advance(0.2)
    figures = _figures(subject, own, planes, qualities) | dict(found.figures)
    pictures = tuple(_draw(subject, name, planes[name], figures) for name in planes)
    subject.advance(0.2)
    return Section("Embedding", (*_sentences(figures), *found.lead), figures, found.tables, pictures + found.pictures)


def _figures(
    subject: Subject, features: np.ndarray, planes: dict[str, Plane], qualities: dict[str, Quality]
) -> dict[str, Any]:
    sample, count = subject.sample, len(features)
    figures: dict[str, Any] = {"images": count, "dimensions": features.shape[1], "seed": subject.seed}
    for name in planes:
        measured = qualities[name]
        figures[name] = {
            "k": measured.k, "trustworthiness": measured.trustworthiness, "continuity": measured.continuity,
            "knn_accuracy": measured.knn_correct / count,
            "knn_accuracy_interval_95": list(wilson_interval(measured.knn_correct, count)),
        }  # fmt: skip
    full = qualities["pca"].knn_correct_full
    figures["pca"]["explained_variance_ratio"] = list(planes["pca"].explained or ())
    figures["tsne"]["perplexity"] = planes["tsne"].perplexity
    figures["knn_accuracy_all_dimensions"] = full / count
    figures["knn_accuracy_all_dimensions_interval_95"] = list(wilson_interval(full, count))
    figures["points"] = {
        "image": [sample.name(row) for row in range(count)], "label": sample.labels.tolist(),
        "prediction": subject.sample_probabilities.argmax(axis=1).tolist(),
    } | {name: [[float(f"{value:.4g}") for value in point] for point in plane.points]
         for name, plane in planes.items()}  # fmt: skip
    return figures


def _draw(subject: Subject, name: str, plane: Plane, figures: dict[str, Any]) -> Picture:
    sample, measured = subject.sample, figures[name]
    wrong = subject.sample_probabilities.argmax(axis=1) != sample.labels
    cloud = Cloud(plane.points, sample.images, sample.labels, wrong, subject.run.class_names)
    worth = (
        f"trustworthiness {measured['trustworthiness']:.3f}, continuity {measured['continuity']:.3f} (k = "
        f"{measured['k']}); kNN accuracy {measured['knn_accuracy']:.1%} here, "
        f"{figures['knn_accuracy_all_dimensions']:.1%} in all {figures['dimensions']:,} dimensions"
    )
    if name == "pca":
        first, second = measured["explained_variance_ratio"]
        title = f"PCA of {figures['images']:,} feature vectors: {first + second:.1%} of their variance"
        axes = (f"first component: {first:.1%} of the variance", f"second component: {second:.1%}")
        reading = "Distances are true but for what the other components hold."
    else:
        how = f"perplexity {measured['perplexity']:.3g}, seed {subject.seed}"
        title = f"t-SNE of {figures['images']:,} feature vectors: {how}"
        axes = ("", "")
        reading = "Which points are near each other means something; sizes of groups and distances between them do not."
    file = plot_plane(cloud, axes, f"{title}\n{worth}", subject.seed, subject.picture(f"embedding_{name}"))
    return Picture(
        file,
        f"Images on a plane, by {'PCA' if name == 'pca' else 't-SNE'}",
        f"{reading} A point is an image, in the color of its label; magenta: predicted wrongly. Thumbnails stand where "
        "there is room. Trustworthiness is 1 where all neighbours here are neighbours in "
        "all dimensions, continuity where none of those was lost.",
    )


def _sentences(figures: dict[str, Any]) -> tuple[str, ...]:
    def of(name: str) -> str:
        return f"{figures[name]['trustworthiness']:.3f} and {figures[name]['continuity']:.3f}"

    low, high = figures["knn_accuracy_all_dimensions_interval_95"]
    return (
        f"By the majority of {figures['pca']['k']} neighbours among {figures['images']:,} images, in all "
        f"{figures['dimensions']:,} dimensions, {figures['knn_accuracy_all_dimensions']:.1%} get their label (95 % "
        f"interval {low:.1%} to {high:.1%}); on the PCA plane {figures['pca']['knn_accuracy']:.1%}, on that of t-SNE "
        f"{figures['tsne']['knn_accuracy']:.1%}.",
        f"Trustworthiness and continuity of PCA are {of('pca')}, of t-SNE {of('tsne')}.",
    )
