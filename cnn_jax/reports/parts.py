"""The parts of a report by name: where the function is that makes each of them from a subject."""

import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.reports.section import Section
from cnn_jax.reports.subject import Subject

Analyze = Callable[[Subject], Section | None]  # None: there is nothing of this kind in such a network


class Part(NamedTuple):
    """A part.

    Attributes:
      about: one line, for the list of all.
      weight: about how long it takes, in seconds for a small network; for the progress bar.
    """

    about: str
    weight: float = 1.0

    # Its function is `analyze` of the module `cnn_jax.reports.NAME`.


PARTS = {
    "figures": Part("accuracy with its interval, each class, calibration"),
    "filters": Part("classic filters on an image, edge handling, the kernels that were learned", 2.0),
    "frequency": Part("spectrum of the images, accuracy by frequency, Fourier heat map, what folds", 4.0),
    "receptive_field": Part("what a unit of each layer can see, and what it does see, before and after training", 8),
    "features": Part("every layer's maps for an image, dead maps, how maps become a vector and a score", 4.0),
    "invariance": Part("moved pictures: shifts, rotation, scale; which layers do not move along", 6.0),
    "embedding": Part("images on a plane (PCA, t-SNE) and how far to believe it, nearest training images", 6.0),
    "attribution": Part("what the predictions owe to which pixels, by nine methods, each with its checks", 10.0),
    "mistakes": Part("top losses, confused classes, weak classes, labels that are likely wrong", 4.0),
}


def choose(names: Sequence[str]) -> list[str]:
    """The parts of these names, in the order of the report; all without names.

    Raises:
      InputError: there is no part of a name.
    """
    for name in names:
        if name not in PARTS:
            hint = did_you_mean(name, list(PARTS))
            raise InputError(f"--only={name}: there is no part of this name{hint}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if not names or name in names]


def load(name: str) -> Analyze:
    """The function that makes a part."""
    made: Analyze = importlib.import_module(f"cnn_jax.reports.{name}").analyze
    return made
