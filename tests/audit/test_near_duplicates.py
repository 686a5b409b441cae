"""Near duplicates: parts of copies agree at a second look, those of different things before one cloth do not."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cnn_jax.audit.duplicates import near_groups
from cnn_jax.audit.findings import duplicate_findings
from cnn_jax.audit.pictures import gray_square
from cnn_jax.audit.registration import agreement
from tests.support.audits import entries_of, second_look
from tests.support.made_up import encoded, photograph, scaled_levels

SIZE = (240, 320)


def before_one_cloth(seed: int) -> Image.Image:
    """A white shirt before a red cloth: of all seeds the outlines are the same, prints, folds and grain are not."""
    shirt = Image.new("L", (24, 32), 0)
    shirt.paste(255, (6, 5, 18, 28))
    shirt.paste(255, (2, 6, 22, 12))
    outlines = shirt.resize(SIZE, Image.Resampling.BICUBIC)
    detail = np.asarray(photograph(seed, *SIZE), np.float32) - 128
    light = np.linspace(-30, 30, SIZE[1]).reshape(-1, 1, 1)
    cloth, white = (np.array(color) + 0.18 * detail + light for color in ((150, 20, 50), (215, 215, 205)))
    share = np.asarray(outlines, np.float32)[..., None] / 255
    return Image.fromarray(np.clip(white * share + cloth * (1 - share), 0, 255).astype(np.uint8))


def cropped(image: Image.Image, share: float, left: float, top: float) -> Image.Image:
    """What is left where this share of either side is cut away, so much of it at the left and at the top."""
    width, height = image.size
    x, y = round(share * left * width), round(share * top * height)
    return image.crop((x, y, x + round((1 - share) * width), y + round((1 - share) * height)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter": lambda image: scaled_levels(image, 40, 255),
    "cropped at one corner": lambda image: cropped(image, 0.05, 1, 1),
    "cropped all round": lambda image: cropped(image, 0.1, 0.5, 0.5),
}


def test_different_things_before_one_cloth() -> None:
    """Their thumbnails correlate to more than 0.9; of copies in the same set each finds its original."""
    pictures = [before_one_cloth(seed) for seed in range(8)]
    contents = [encoded(image) for image in pictures]
    contents += [encoded(change(image)) for change, image in zip(CHANGES.values(), pictures, strict=False)]
    groups = near_groups(entries_of(contents), [], second_look(contents))
    assert sorted(group.rows for group in groups) == [(i, i + len(pictures)) for i in range(len(CHANGES))]
    assert [group.likeness for group in groups] == sorted((group.likeness for group in groups), reverse=True)


@pytest.mark.parametrize("name", CHANGES)
def test_parts_of_copies_agree(name: str) -> None:
    pictures = [photograph(seed, 200, 150) for seed in range(10)]
    squares = np.stack([gray_square(image) for image in pictures])
    copies = np.stack([gray_square(CHANGES[name](image)) for image in pictures])
    assert agreement(squares, copies).min() > 0.8
    assert agreement(squares, np.roll(copies, 1, axis=0)).max() < 0.3


def test_blank_parts_prove_nothing() -> None:
    """Two different drawings on white agree in the white alone; a drawing and its copy in what was drawn."""
    drawings = []
    for seed in range(2):
        canvas = Image.new("RGB", (256, 256), "white")
        canvas.paste(photograph(seed, 110, 110), (70, 70))
        drawings.append(canvas)
    one, other = (gray_square(image)[None] for image in drawings)
    copy = gray_square(Image.fromarray(np.roll(np.asarray(drawings[0]), 6, axis=(0, 1))))[None]
    assert agreement(one, other)[0] < 0.3
    assert agreement(one, copy)[0] > 0.7
    assert agreement(one * 0 + 255, one * 0 + 255)[0] == 0


def test_the_odd_label_of_a_series_comes_first() -> None:
    picture = photograph(0, *SIZE)
    contents = [encoded(picture, quality=quality) for quality in (90, 70, 50, 40)]
    entries = entries_of(contents, [1, 1, 0, 1])
    found = {finding.kind: finding for finding in duplicate_findings(entries, second_look(contents))}
    first, *others = found["near duplicates with different labels"].suspects
    assert first.row == 2
    assert first.detail.endswith("agree; only 1 of 4 with this label")
    assert [suspect.row for suspect in others] == [0, 1, 3]
    assert not any("only" in suspect.detail for suspect in others)
