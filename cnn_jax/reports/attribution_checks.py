"""What each method of attribution says of a subject's images, and what its checks give."""

from typing import Any, NamedTuple

import numpy as np

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
      gap, steps: of integrated gradients [N + R]; of others None.
      empty: how many of the first N have no positive evidence.
    """

    method: Method
    maps: np.ndarray
    gap: np.ndarray | None
    steps: np.ndarray | None
    sanity: Sanity
    faithfulness: Faithfulness
    empty: int

    @property
    def is_complete(self) -> bool | None:
        """Whether all maps are; None where the method does not promise it."""
        return None if self.gap is None else self.complete == len(self.gap)

    @property
    def complete(self) -> int:
        """How many maps are."""
        return 0 if self.gap is None else int((self.gap <= COMPLETE).sum())

    def to_json(self) -> dict[str, Any]:
        sanity = {
            "passes": self.sanity.passes,
            "shuffled_down_to": list(self.sanity.layers),
            "rank_correlation": self.sanity.signed.mean(axis=1).tolist(),
            "intervals_95": [list(interval) for interval in self.sanity.intervals],
            "rank_correlation_of_magnitudes": self.sanity.absolute.mean(axis=1).tolist(),
        }
        figures = {
            "largest_value": float(np.abs(self.maps).max()),
            "unit": self.method.unit,
            "no_positive_evidence": self.empty,
            "sanity": sanity,
            **{name: compared._asdict() for name, compared in self.faithfulness._asdict().items()},
        }
        if self.gap is not None and self.steps is not None:
            figures["completeness"] = {
                "passes": self.is_complete,
                "complete": self.complete,
                "maps": len(self.gap),
                "largest_gap": float(self.gap.max()),
                "median_gap": float(np.median(self.gap)),
                "most_steps": int(self.steps.max()),
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
        options = {"chunk": chunk, **({"layer": layer} if method.of_layer else {})}
        made = method.function(*network, explained.images, explained.targets, **options, **effort.options.get(name, {}))
        maps = method.by_pixel(getattr(made, "maps", made))
        grid = _grid(subject, method, name, layer)
        if grid not in of_random:
            of_random[grid] = areas_of_random_maps(
                *network, images, targets, grid, _RANDOM_MAPS, effort.steps, subject.seed, chunk
            )
        own = areas(*network, images, maps[:count], targets, effort.steps, subject.seed, chunk)
        quick = options | effort.quick.get(name, {})
        found[name] = Checked(
            method,
            maps,
            getattr(made, "gap", None),
            getattr(made, "steps", None),
            sanity_of(subject, method, explained, effort, quick),
            compare(own, of_random[grid]),
            int(has_no_evidence(maps[:count]).sum()),
        )
        subject.advance(0.9 / len(names))
    return found


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
