"""Masks beside photographs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.audit.audit import audit
from cnn_jax.audit.masks import has_two_grays
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.sources.twins import same_stem
from tests.support.made_up import found_names, photograph


def disc(low: int, high: int) -> Image.Image:
    rows, columns = np.mgrid[:60, :80]
    inside = (rows - 30) ** 2 + (columns - 40) ** 2 < 400
    return Image.fromarray(np.where(inside, high, low).astype(np.uint8))


def test_files_of_one_stem() -> None:
    paths = [
        "a/1.jpg",
        "a/1.PNG",
        "a/2.jpg",
        "a/2_mask.png",
        "b/2.jpg",
        "a/3.tar.gz",
        "a/3.jpg",
        "A/1-seg.png",
        "mask.png",
    ]
    assert same_stem(paths) == [[0, 1], [2, 3]]


def test_two_grays() -> None:
    assert all(map(has_two_grays, (disc(0, 255), disc(0, 1), disc(90, 120), disc(7, 7), disc(255, 0).convert("RGB"))))
    ramp = Image.fromarray(np.tile(np.arange(80, dtype=np.uint8) * 3, (60, 1)))
    assert not any(map(has_two_grays, (ramp, photograph(0))))


@pytest.mark.parametrize("gray", [False, True])
def test_an_audit_finds_masks(tmp_path: Path, gray: bool) -> None:
    """A mask as PNG or JPEG, but neither its picture, nor a mask by itself, nor a copy of a photograph."""
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            picture = photograph(10 * k + i, 80, 60)
            (picture.convert("L") if gray else picture).save(tmp_path / "set" / name / f"{i}.jpg")
    disc(0, 255).save(tmp_path / "set/cat/1.png")
    disc(0, 255).resize((400, 300), Image.Resampling.NEAREST).save(tmp_path / "set/dog/2_mask.jpg", quality=80)
    disc(0, 255).save(tmp_path / "set/dog/alone.png")
    photograph(3, 80, 60).save(tmp_path / "set/dog/0.png")
    settings = [("data.source", "folder"), ("data.dir", str(tmp_path / "set"))]
    report = audit(override(default_config(), settings), tmp_path / "out").report
    assert found_names(report)["mask beside a picture"] == {"cat/1.png", "dog/2_mask.jpg"}
    without = override(default_config(), [*settings, ("data.exclude", ("cat/*.png", "*_mask.*"))])
    report = audit(without, tmp_path / "out").report
    assert "mask beside a picture" not in found_names(report)
    assert report["images"] == 8
