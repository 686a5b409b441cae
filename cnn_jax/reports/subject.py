"""What a report is about: a run, the images that it is shown, and what several parts need of them."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.layers import Apply, list_layers
from cnn_jax.data import Examples, Split
from cnn_jax.inference.evaluation import Evaluation, judge
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.run import Run, make_apply
from cnn_jax.models import Classifier, make_model


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run and the split that it is looked at with.

    Attributes:
      examples: all of the split; its labels are in the run's numbering.
      split: its name, for people.
      train: the images that the run was trained on, where they are there.
      folder: where pictures go.
      most: how many images the costly parts take.
      seed: of everything that is drawn.
      advance: is told which share of a part is done since the last call.
    """

    run: Run
    examples: Split
    split: str
    train: Split | None
    folder: Path
    most: int
    seed: int = 0
    advance: Callable[[float], Any] = lambda share: None

    @functools.cached_property
    def model(self) -> Classifier:
        """The network with its layers in order: each gives what its name says."""
        config = self.run.config
        return make_model(config.model, len(self.run.class_names), config.precision, in_order=True)

    @functools.cached_property
    def apply(self) -> Apply:
        """(variables, pixels 0..255 [B, H, W, C], uint8 or float) -> logits [B, K], layers in order; not compiled."""
        return make_apply(self.model, self.run.normalization)

    @property
    def variables(self) -> Any:
        return self.run.variables

    @functools.cached_property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """{name: shape of its output for one image}, in order."""
        return list_layers(self.apply, self.variables, self.run.image_shape)

    @functools.cached_property
    def logits(self) -> np.ndarray:
        """Of all examples: float32 [N, K]."""
        return self.run.logits(self.examples)

    @functools.cached_property
    def evaluation(self) -> Evaluation:
        """Of all examples."""
        return judge(self.logits, self.examples, self.run.class_names)

    @functools.cached_property
    def sample(self) -> Examples:
        """At most `most` of the examples, as many of each class as there are, up to an equal share."""
        return draw_sample(self.examples, self.most, self.seed)

    @functools.cached_property
    def sample_probabilities(self) -> np.ndarray:
        """Of `sample`: float32 [N, K]."""
        return softmax(self.run.logits(self.sample))

    def picture(self, name: str) -> Path:
        """The file of a picture of this name."""
        return self.folder / f"{name}.png"

    def key(self, name: str) -> jax.Array:
        """A key for what a part draws."""
        return jax.random.fold_in(jax.random.key(self.seed), sum(name.encode()))


def draw_sample(examples: Split, most: int, seed: int) -> Examples:
    """At most `most` decoded examples: of each class an equal share, or all it has; in the order of the split."""
    random = np.random.RandomState(seed)
    by_class = [random.permutation(np.flatnonzero(examples.labels == label)) for label in np.unique(examples.labels)]
    # Turn by turn one of each class: small classes give all they have, and large ones the rest.
    turns = sorted((turn, number, row) for number, rows in enumerate(by_class) for turn, row in enumerate(rows))
    chosen = np.sort([row for _, _, row in turns[:most]])
    part = examples.subset(chosen)
    if isinstance(part, Examples):
        return part
    return Examples(part.read(np.arange(len(part))), part.labels, part)
