"""Pictures in the page of a report."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from cnn_jax.pages import report as page
from cnn_jax.reports.section import Picture, Section


def test_photographs_are_stored_small(tmp_path: Path) -> None:
    """A smooth picture with a little noise, as a photograph has: less than a fifth, and it looks the same."""
    across = np.linspace(0, 200, 500)
    pixels = np.add.outer(across, across)[..., None] / 2 + np.random.RandomState(0).normal(0, 3, (500, 500, 3))
    photograph, drawing = tmp_path / "photograph.png", tmp_path / "drawing.png"
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(photograph)
    Image.new("RGB", (500, 500), "white").save(drawing)
    about = {"run": "r", "model": "cnn", "image_shape": [8, 8, 1], "classes": ["a"], "images": 1, "split": "test"}
    pictures = tuple(Picture(file, file.stem, "") for file in (photograph, drawing))
    shown = page.render(about, {"part": Section("Part", ("said",), {}, pictures=pictures)})
    stored = [each.split('"')[0] for each in shown.split("data:image/")[1:]]
    kinds = [each.split(";")[0] for each in stored]
    assert kinds == ["webp", "png"]
    content = base64.b64decode(stored[0].split(",")[1])
    assert len(content) < photograph.stat().st_size / 5
    seen = np.asarray(Image.open(io.BytesIO(content)), float)
    assert np.abs(seen - np.clip(pixels, 0, 255)).mean() < 5
