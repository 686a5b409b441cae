"""What the audit says of pictures whose values do not fill their range, or say nothing of it."""

import numpy as np
import pytest
from PIL import Image

from cnn_jax.audit.checks import KINDS
from cnn_jax.audit.findings import Finding, in_order, picture_findings
from cnn_jax.audit.quality import Entry, measure, prepare
from cnn_jax.data.reading.levels import OF_THE_FORMAT, Levels
from tests.support.deep_pictures import png
from tests.support.made_up import encoded

PIXELS = np.random.default_rng(0).random((64, 64))
PICTURES = {
    "12 bits": encoded(Image.fromarray((PIXELS * 4095).astype(np.uint16)), "PNG"),
    "16 bits": encoded(Image.fromarray((PIXELS * 65535).astype(np.uint16)), "PNG"),
    "color": png((np.stack([PIXELS] * 3, axis=-1) * 4095).astype(np.uint16)),
    "color of 8 bits": png((np.stack([PIXELS] * 3, axis=-1) * 255).astype(np.uint16)),
    "8 bits": encoded(Image.fromarray((PIXELS * 20).astype(np.uint8)), "PNG"),
    "floats": encoded(Image.fromarray((PIXELS * 4095).astype(np.float32)), "TIFF"),
    "integers": encoded(Image.fromarray((PIXELS * 4095).astype(np.int32)), "TIFF"),
    "page": b"<html><body>404</body></html>",
    "no end": encoded(Image.fromarray((PIXELS * 255).astype(np.uint8)))[:-2],
}


@pytest.mark.parametrize("white", [None, 4095])
def test_ranges_of_values(white: float | None) -> None:
    """Without the key those of 12 bits are accused; with it, none, and the truly 16-bit one is only clipped."""
    prepare()
    levels = OF_THE_FORMAT if white is None else Levels(white=white)
    entries = [
        Entry("train", index, 0, name, "", measure(content, name, levels))
        for index, (name, content) in enumerate(PICTURES.items())
    ]
    found = {kind: {} for kind in KINDS} | {
        finding.kind: {entries[suspect.row].name: suspect.detail for suspect in finding.suspects}
        for finding in in_order(picture_findings(entries))
    }
    if white is None:
        assert found["narrow range"] == {"12 bits": "uses 6% of its range", "color": "uses 6% of its range"}
        assert found["blank as it is read"] == {"color of 8 bits": "uses 0.4% of its range"}
        assert set(found["unknown range"]) == {"floats", "integers"}
        assert "from 0" in found["unknown range"]["integers"]
    else:
        assert found["narrow range"] == {"color of 8 bits": "uses 6% of its range"}
        assert not found["unknown range"]
    assert not found["unreadable"]
    assert "but an HTML page; a server sent it" in found["not an image"]["page"]
    assert found["damaged"] == {"no end": "its end marker is missing, but all rows are there"}


def test_kinds_of_findings_are_known() -> None:
    """The page and the order of findings need what is said of each kind."""
    with pytest.raises(KeyError, match="narow range"):
        Finding("narow range")
