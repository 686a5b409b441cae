"""Which part of a picture the network sees: to draw it in."""

from cnn_jax.data.reading.images import Box


def visible_part(
    height: int, width: int, image_shape: tuple[int, int, int], resize: str, center_crop: float = 1.0
) -> Box:
    """(top, left, height, width), in shares of an upright picture's, of what `fit_image` brings to `image_shape`.

    Of "pad" it is what is not padding, up to the rounding to whole pixels.
    """
    border = (1 - center_crop) / 2
    if resize != "crop":
        return border, border, center_crop, center_crop
    wanted = image_shape[1] / image_shape[0]
    there = width / height
    tall, wide = (center_crop, center_crop * wanted / there) if there > wanted else (
        center_crop * there / wanted, center_crop
    )  # fmt: skip
    return (1 - tall) / 2, (1 - wide) / 2, tall, wide
