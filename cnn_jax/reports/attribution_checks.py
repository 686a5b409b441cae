"""What each method of attribution says of a subject's images, and what its checks give."""

from typing import Any, NamedTuple

import numpy as np

from cnn_jax.analysis.attribution.integrated_gradients import IntegratedGradients, integrated_gradients
from cnn_jax.analysis.attribution.methods import METHODS, Method
from cnn_jax.analysis.attribution.sanity import Sanity, check_sanity
from cnn_jax.analysis.attribution.trust import (
    COMPLETE,
    Faithfulness,
    areas,
    areas_of_random_maps,
    compare,
    has_no_evidence,
)
from cnn_jax.reports.attribution_images import Effort, Explained
from cnn_jax.reports.subject import Subject

_STAGES = 3  # the logits' layer, half of the layers, all
_RANDOM_MAPS = 4  # for each image


class Checked(NamedTuple):
    """Of one method.

    Attributes:
      maps: [N + R, H, W], of all images.
      drawn: integrated gradients of the R images that are drawn; of other methods None.
      empty: how many of the first N have no positive evidence.
    """

    method: Method
    maps: np.ndarray
    drawn: IntegratedGradients | None
    sanity: Sanity
    faithfulness: Faithfulness
    empty: int

    @property
    def complete(self) -> int | None:
        """How many of the R maps are; None where the method does not promise it."""
        return None if self.drawn is None else int((self.drawn.gap <= COMPLETE).sum())

    @property
    def passes(self) -> bool:
        """Whether it passes all of its checks."""
        compared = self.faithfulness
        is_complete = self.drawn is None or self.complete == len(self.drawn.gap)
        return bool(is_complete and self.sanity.passes and compared.deletion.passes and compared.insertion.passes)

    def to_json(self) -> dict[str, Any]:
        sanity = {
            "passes": self.sanity.passes,
            "shuffled_down_to": list(self.sanity.layers),
            "rank_correlation": self.sanity.signed.mean(axis=1).tolist(),
            "intervals_95": [list(interval) for interval in self.sanity.intervals],
            "flat_maps": self.sanity.flat.tolist(),
            "rank_correlation_of_magnitudes": self.sanity.absolute.mean(axis=1).tolist(),
        }
        figures = {
            "largest_value": float(np.abs(self.maps).max()),
            "unit": self.method.unit,
            "no_positive_evidence": self.empty,
            "sanity": sanity,
            **{name: compared._asdict() for name, compared in self.faithfulness._asdict().items()},
        }
        if self.drawn is not None:
            figures["completeness"] = {
                "passes": self.complete == len(self.drawn.gap),
                "complete": self.complete,
                "gap": self.drawn.gap.tolist(),
                "steps": self.drawn.steps.tolist(),
            }
        return figures


def run_checks(
    subject: Subject, explained: Explained, effort: Effort, layer: str | None, chunk: int
) -> dict[str, Checked]:
    """All methods that such a network has, by name.

    Args:
      layer: of the class activation maps; None: they are left out.
      chunk: images at once.
    """
    network, count = (subject.apply, subject.variables), explained.measured
    images, targets = explained.images[:count], explained.targets[:count]
    of_random: dict[tuple[int, int], np.ndarray] = {}
    found = {}
    names = [name for name, method in METHODS.items() if layer is not None or not method.of_layer]
    for name in names:
        method = METHODS[name]
        options = effort.options(name) | {"chunk": chunk} | ({"layer": layer} if method.of_layer else {})
        maps, drawn = method.by_pixel(method.maps(*network, explained.images, explained.targets, **options)), None
        if name == "integrated_gradients":
            drawn = _complete(subject, explained, effort, chunk)
            maps[count:] = method.by_pixel(drawn.maps)
        grid = _grid(subject, method, name, layer)
        if grid not in of_random:
            of_random[grid] = areas_of_random_maps(
                *network, images, targets, grid, _RANDOM_MAPS, effort.steps, subject.seed, chunk
            )
        own = areas(*network, images, maps[:count], targets, effort.steps, subject.seed, chunk)
        found[name] = Checked(
            method,
            maps,
            drawn,
            sanity_of(subject, method, explained, effort, options),
            compare(own, of_random[grid]),
            int(has_no_evidence(maps[:count]).sum()),
        )
        subject.advance(0.9 / len(names))
    return found


def _complete(subject: Subject, explained: Explained, effort: Effort, chunk: int) -> IntegratedGradients:
    """Of the images that are drawn, with as many steps as it takes."""
    part = slice(explained.measured, None)
    return integrated_gradients(
        subject.apply,
        subject.variables,
        explained.images[part],
        explained.targets[part],
        max_steps=effort.most_steps,
        chunk=chunk,
    )


def sanity_of(
    subject: Subject, method: Method, explained: Explained, effort: Effort, options: dict[str, Any]
) -> Sanity:
    """Of some of the images, with raw maps."""
    part = slice(0, min(effort.checked, explained.measured))

    def attribute(variables: Any) -> np.ndarray:
        return method.maps(subject.apply, variables, explained.images[part], explained.targets[part], **options)

    return check_sanity(attribute, subject.variables, list(subject.layers), _STAGES, subject.seed)


def _grid(subject: Subject, method: Method, name: str, layer: str | None) -> tuple[int, int]:
    """Of the random maps that a method's are compared with: as coarse as these."""
    height, width, _ = subject.run.image_shape
    if method.of_layer and layer is not None:
        rows, columns, _ = subject.layers[layer]
        return rows, columns
    coarse = {"rise": 7, "occlusion": 13}.get(name, max(height, width))
    return min(height, coarse), min(width, coarse)
