"""What `Run.predict`, `evaluate`, `logits` and `embed` take: files, bytes, PIL images and arrays give the same."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.config import default_config, override
from cnn_jax.errors import InputError
from cnn_jax.inference.inputs import check_images, label_numbers, read_inputs

COLOR = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
GRAY = COLOR[..., 0]


def read(inputs: Any, channels: int, size: int = 8, **settings: Any) -> np.ndarray:
    data = override(default_config(), [(f"data.{key}", value) for key, value in settings.items()]).data
    return read_inputs(inputs, (size, size, channels), data)


@pytest.mark.parametrize(("images", "channels"), [(GRAY, 1), (COLOR, 3)])
def test_all_forms_read_alike(images: np.ndarray, channels: int, tmp_path: Path) -> None:
    pictures = [Image.fromarray(image) for image in images]
    encoded = io.BytesIO()
    pictures[0].save(encoded, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(encoded.getvalue())
    expected = images[:1].reshape(1, 8, 8, channels)
    for form in (path, str(path), encoded.getvalue(), pictures[0], images[0], images[:1], [images[0]], expected):
        np.testing.assert_array_equal(read(form, channels), expected)
    mixed = read([path, pictures[1], images], channels)
    np.testing.assert_array_equal(mixed, images[[0, 1, 0, 1]].reshape(4, 8, 8, channels))
    floats = read(images / 255, channels, black=0, white=1)
    np.testing.assert_array_equal(floats, images.reshape(2, 8, 8, channels))


def test_other_sizes_are_fitted_as_files(tmp_path: Path) -> None:
    Image.fromarray(COLOR[0]).save(tmp_path / "a.png")
    for settings in ({"resize": "crop"}, {"resize": "stretch", "center_crop": 0.5}):
        np.testing.assert_array_equal(read(COLOR[0], 3, 5, **settings), read(tmp_path / "a.png", 3, 5, **settings))


def test_pil_images_are_turned_upright() -> None:
    encoded = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOR[0]).save(encoded, "PNG", exif=exif)
    picture = Image.open(io.BytesIO(encoded.getvalue()))
    np.testing.assert_array_equal(read(picture, 3)[0], np.rot90(COLOR[0], -1))


def test_check_images_wants_the_models_shape() -> None:
    np.testing.assert_array_equal(check_images(GRAY, (8, 8, 1), None)[..., 0], GRAY)
    for images, words in ((GRAY[:, :4], r"\[2, 4, 8, 1\]; it must be \[N, 8, 8, 1\]"), (COLOR, "color"),
                          (GRAY[:0], "there are none"), (GRAY / 255, "value_range")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            check_images(images, (8, 8, 1), None)


@pytest.mark.parametrize(
    ("labels", "words"),
    [([0, 2], "that of image 1 is 2, beyond 0..1"), ([-1, 0], "image 0 is -1"), (["a", "x"], "x: not among the"),
     ([0.5, 1.0], r"that of image 0 is .*0\.5"), ([0], r"shape is \[1\] for 2 images")],
)  # fmt: skip
def test_label_numbers_refuses(labels: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        label_numbers(labels, ("a", "b"), 2)


def test_numbers_are_names_where_names_are_numbers() -> None:
    """Labels 1, 2, 3 make classes of these names: 1 is the first of them, as it was in training."""
    np.testing.assert_array_equal(label_numbers([1, 3], ("1", "2", "3"), 2), [0, 2])
    with pytest.raises(InputError, match="labels: 0: not among the model's classes"):
        label_numbers([0, 1], ("1", "2", "3"), 2)


def test_label_numbers_takes_names_and_numbers() -> None:
    for labels in (["b", "a"], [1, 0], np.array([1, 0], np.uint8)):
        np.testing.assert_array_equal(label_numbers(labels, ("a", "b"), 2), [1, 0])


@pytest.mark.parametrize("wrong", [b"GIF?", [], "missing.png", None, {"a": 1}, np.zeros(3, np.uint8)])
def test_read_inputs_refuses(wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(wrong, 1)
    assert "\n" not in str(caught.value)


def test_front_door_names_resolve() -> None:
    assert all(getattr(cnn_jax, name) is not None for name in cnn_jax.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cnn_jax.nothing  # noqa: B018
