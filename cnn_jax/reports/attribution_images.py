"""Which images a report explains, and how much work that may be."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.analysis.attribution.inputs import check
from cnn_jax.reports.subject import Subject, draw_sample


class Effort(NamedTuple):
    """How much is computed: less where a network or an image is large.

    Attributes:
      images: that deletion and insertion are measured on.
      checked: how many of them the sanity check takes.
      placed: whose Grad-CAM is asked where it lies.
      steps: of deletion and of insertion.
      samples, masks: of SmoothGrad and RISE.
      most_steps: of integrated gradients, for the images that are drawn.
    """

    images: int
    checked: int
    placed: int
    steps: int
    samples: int
    masks: int
    most_steps: int

    def options(self, method: str) -> dict[str, Any]:
        """Of a method, for the images that figures are measured on."""
        return {
            "smoothgrad": {"samples": self.samples},
            "rise": {"masks": self.masks},
            "integrated_gradients": {"steps": _FEW_STEPS, "max_steps": _FEW_STEPS},
        }.get(method, {})


_FEW_STEPS = 64
_SMALL = Effort(images=32, checked=16, placed=100, steps=16, samples=16, masks=256, most_steps=2048)
_LARGE = Effort(images=8, checked=8, placed=32, steps=8, samples=8, masks=128, most_steps=256)
_ROWS_OF_SMALL = 32  # that fit into memory at once


def effort_for(rows: int) -> Effort:
    """Of a network of which so many rows fit into memory at once."""
    return _SMALL if rows >= _ROWS_OF_SMALL else _LARGE


class Explained(NamedTuple):
    """What is explained: first images that figures are measured on, then those that are drawn.

    Attributes:
      images: float32 [N + R, H, W, C].
      targets: the class that is explained [N + R]: of the first N the predicted one.
      measured: N.
      texts: R, what is said of a drawn one.
      drawn: R JSON objects likewise.
    """

    images: np.ndarray
    targets: np.ndarray
    measured: int
    texts: tuple[str, ...]
    drawn: tuple[dict[str, Any], ...]


def choose(subject: Subject, count: int, right: int = 2, wrong: int = 3) -> Explained:
    """Some of each class, `right` ones that are classified rightly, and the surest mistakes with both classes."""
    sample = draw_sample(subject.examples, min(count, subject.most), subject.seed)
    _, predicted, _ = check(subject.apply, subject.variables, sample.images, chunk=len(sample))
    rows = subject.evaluation.predictions
    hits = np.flatnonzero([row["label"] == row["prediction"] for row in rows])
    hits = np.random.default_rng(subject.seed).permutation(hits)[:right]
    indices, targets, texts, drawn = [], [], [], []
    for index in [*hits, *subject.evaluation.mistakes[:wrong]]:
        row = rows[index]
        classes = {"predicted": row["prediction"], "true": row["label"]}
        for kind, name in classes.items():
            if kind == "true" and name == row["prediction"]:
                continue
            indices.append(index)
            targets.append(subject.run.class_names.index(name))
            texts.append(_text(row, kind))
            drawn.append({**row, "explained": name})
    return Explained(
        np.concatenate([sample.images, subject.examples.read(np.array(indices, int))]).astype(np.float32),
        np.concatenate([predicted, targets]).astype(np.int32),
        len(sample),
        tuple(texts),
        tuple(drawn),
    )


def _text(row: Mapping[str, Any], kind: str) -> str:
    label, prediction = (_short(row[key]) for key in ("label", "prediction"))
    said = "right" if label == prediction else f"taken for {prediction}"
    return f"{label}, {said} ({row['probability']:.0%})\nwhy {prediction if kind == 'predicted' else label}?"


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:19]}..."
