"""JPEGs that are cut off: used where every row is there, refused where one is not."""

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.reading.images import decode, examine
from tests.support.helpers import refusal
from tests.support.made_up import encoded, photograph

MODES = {"RGB": {}, "L": {}, "CMYK": {}, "progressive": {"progressive": True}}


@pytest.mark.parametrize("kind", MODES)
def test_only_the_end_marker_is_missing(kind: str) -> None:
    """Its two bytes, or the second; of a JPEG with another behind it, the pixels are those with the marker, too."""
    picture = photograph(0, 96, 80).convert("RGB" if kind == "progressive" else kind)
    whole = encoded(picture, "JPEG", **MODES[kind])
    for left in (1, 2):
        header, _ = examine(whole[:-left], "it", 80)
        assert "end marker is missing" in header.info["complaint"]
        for side in (80, 12):
            shape = (side, side, 3)
            assert np.array_equal(decode(whole[:-left], "it", shape, "crop"), decode(whole, "it", shape, "crop"))
    assert "complaint" not in examine(whole, "it", 80)[0].info


@pytest.mark.parametrize("kind", MODES)
def test_rows_are_missing(kind: str) -> None:
    """Pillow would be content with the marker put behind them, and paint the rest gray."""
    picture = photograph(0, 96, 80).convert("RGB" if kind == "progressive" else kind)
    whole = encoded(picture, "JPEG", **MODES[kind])
    for share in (0.5, 0.97):
        assert "truncated" in refusal(decode, whole[: int(len(whole) * share)], "it", (80, 96, 3), "crop")


def test_what_follows_the_end_is_left_alone() -> None:
    """Phones put a trailer behind the picture."""
    whole = encoded(Image.new("RGB", (16, 16)), "JPEG")
    assert "complaint" not in examine(whole + b"SEFT trailer", "it", 16)[0].info
