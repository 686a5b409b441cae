"""How many images an analysis takes."""

import pytest

from cnn_jax.analysis.effort import affordable_images, images_at_once


@pytest.mark.parametrize(("cost", "wanted"), [(1e6, 500), (1e8, 150), (1e12, 50)])
def test_images_within_a_budget(cost: float, wanted: int) -> None:
    """All where they are cheap, never fewer than the least, nor more than there are."""
    assert affordable_images(1.5e11, cost, 10, 50, 500) == wanted
    assert affordable_images(1.5e11, cost, 10, 50, 20) == 20


def test_images_within_memory() -> None:
    """Four bytes for each number of each layer, and eight copies of the image; one image always."""
    layers = {"conv": (8, 8, 4), "head": (10,)}
    assert images_at_once(layers, (8, 8, 1), 4 * (266 + 512) * 7) == 7
    assert images_at_once(layers, (8, 8, 1), 1) == 1
