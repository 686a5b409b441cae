"""Ends of ranges: where an operation stops, and what its strongest form is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageOps

from cnn_jax.data.augment import policies
from cnn_jax.data.augment.boxes import resized_crop_boxes
from cnn_jax.data.augment.tones import equalize


def test_equalize_is_pillows_where_steps_are_large() -> None:
    """Enough pixels for its integer rule to have something to round: six to twenty a step."""
    random = np.random.default_rng(0)
    images = np.clip(random.normal(90, 25, (3, 70, 60, 3)), 0, 255).astype(np.uint8)
    images[1, :20] = 7
    expected = np.stack([np.asarray(ImageOps.equalize(Image.fromarray(image))) for image in images])
    np.testing.assert_array_equal(jax.jit(equalize)(jnp.asarray(images, jnp.float32)), expected)


@pytest.mark.parametrize("draw", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_boxes_reach_every_border(draw: float) -> None:
    uniforms = np.full((4, 10, 4), 0.5, np.float32)
    uniforms[..., 2:] = draw
    heights, widths = np.array([10, 17, 30, 64]), np.array([12, 17, 25, 90])
    top, left, height, width = resized_crop_boxes(uniforms, heights, widths, (0.2, 0.4), xp=np)
    assert np.array_equal(top, np.zeros(4) if draw == 0 else heights - height)
    assert np.array_equal(left, np.zeros(4) if draw == 0 else widths - width)
    assert (height < heights).all()


def test_ranges_of_the_policies_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision, `_augmentation_space` of RandAugment and TrivialAugmentWide."""
    seen: list[policies.Ranges] = []

    def capture(images: Any, operation: Any, level: Any, sign: Any, ranges: policies.Ranges, edges: str) -> Any:
        seen.append(ranges)
        return images

    monkeypatch.setattr(policies, "_apply", capture)
    images, keys = jnp.zeros((2, 60, 100, 3)), jax.random.split(jax.random.key(0), 2)
    policies.randaugment(images, keys, (1, 9.0))
    policies.trivial_augment(images, keys, 1.0)
    assert seen[0] == pytest.approx((0.3, 150 / 331 * 100, 150 / 331 * 60, 30.0, 0.9, 4))
    assert seen[1] == pytest.approx((0.99, 32.0, 32.0, 135.0, 0.99, 6))
