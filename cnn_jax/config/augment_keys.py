"""The operations of `augment`: the strength of each, and the code."""

from typing import Any

from cnn_jax.config.rules import Rule, flag, integer, limits, number, row
from cnn_jax.config.tables import Augmentation

_probability = number(0, 1)
_pixels = integer(0, 1024)
_area = limits(number(above=0, most=1), number(above=0, most=1), "(least, most) share of the area, above 0, at most 1")
_waves = limits(
    number(0), number(1, 1024), "(pixels, sigma), sigma from 1 to 1024, pixels from 0 to sigma: more would fold images"
)
_operations = row(
    integer(1, 14), number(0, 30), expects="(number of operations of at least 1 and at most 14, magnitude from 0 to 30)"
)


def _operation(target: str, strength: Any, rule: Rule, why: str, form: str = "image") -> Augmentation:
    return Augmentation(strength, rule, why, f"cnn_jax.data.augment.{target}", form)


# Of each operation the code, the strength it is often used with, what the strength may be, and what it means.
AUGMENTATIONS: dict[str, Augmentation] = {
    "rotate": _operation("geometry:rotation", 15.0, number(0, 180), "by up to so many degrees, either way", "map"),
    "translate": _operation(
        "geometry:translation", 2, _pixels, "by up to so many whole pixels, along both axes", "map"
    ),
    "scale": _operation("geometry:scaling", 0.1, number(0, 9), "by a factor between 1 / (1 + s) and 1 + s", "map"),
    "shear": _operation("geometry:shearing", 10.0, number(0, 80), "by up to so many degrees, along both axes", "map"),
    "elastic": _operation(
        "geometry:elastic",
        (1.0, 4.0),
        _waves,
        "(pixels, sigma): so far, as standard deviation, smooth over sigma pixels",
        "field",
    ),
    "flip": _operation("geometry:flip", 0.5, _probability, "left and right, with this probability"),
    "vertical_flip": _operation("geometry:vertical_flip", 0.5, _probability, "top and bottom, with this probability"),
    "alternating_flip": _operation(
        "geometry:alternating_flip",
        True,
        flag(),
        "one half of the examples in even epochs, the other half in odd ones",
        "alternate",
    ),
    "crop": _operation(
        "geometry:translate",
        4,
        _pixels,
        "pad by so many pixels, take a random window of the old size",
        "image_padded",
    ),
    "random_resized_crop": _operation(
        "geometry:random_resized_crop", (0.35, 1.0), _area, "a box with this (least, most) share of the area, stretched"
    ),
    "brightness": _operation(
        "colour:brightness", 0.4, number(0, 10), "times a factor between 1 - s (0, where s > 1) and 1 + s"
    ),
    "contrast": _operation(
        "colour:contrast", 0.4, number(0, 10), "stretched about the mean gray, factor as of brightness"
    ),
    "saturation": _operation(
        "colour:saturation", 0.4, number(0, 10), "stretched about the gray image, factor as of brightness"
    ),
    "hue": _operation("colour:hue", 0.1, number(0, 0.5), "turned by up to this share of the colour circle, either way"),
    "grayscale": _operation("colour:grayscale", 0.1, _probability, "without colour, with this probability"),
    "noise": _operation("texture:noise", 8.0, number(0, 255), "Gaussian, with this standard deviation in gray levels"),
    "blur": _operation("texture:blur", 1.0, number(0, 16), "Gaussian, with a sigma of up to so many pixels"),
    "cutout": _operation(
        "erase:cutout", 8, _pixels, "a square with sides of so many pixels, covered with the image's mean colour"
    ),
    "random_erasing": _operation(
        "erase:random_erasing", 0.25, _probability, "a rectangle, covered with random values, with this probability"
    ),
    "mixup": _operation(
        "mix:mixup", 0.2, number(0, 100), "blended with another example, share from Beta(s, s); labels too", "mix"
    ),
    "cutmix": _operation(
        "mix:cutmix", 1.0, number(0, 100), "a box of another example, share from Beta(s, s); labels too", "mix"
    ),
    "randaugment": _operation(
        "policies:randaugment",
        (2, 9.0),
        _operations,
        "(number of operations, magnitude 0 to 30), Cubuk et al. 2020",
        "image_padded",
    ),
    "trivial_augment": _operation(
        "policies:trivial_augment",
        1.0,
        number(0, 1),
        "share of the wide ranges; 1.0 as in Müller & Hutter 2021",
        "image_padded",
    ),
}
