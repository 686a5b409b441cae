"""From any picture that Pillow opens to the uint8 array that a network was trained on."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_image(path: str | Path) -> "Image":
    """The picture in a file, upright (EXIF), its first frame, as mode L or RGB with 8 bits a channel.

    16-bit and floating-point pictures are scaled to 8 bits; what is transparent is shown on white, as viewers do.

    Raises:
      InputError: the file is missing, not an image, broken, or large enough to be a decompression bomb.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise InputError(f"{path}: this is not a regular file")  # a pipe or a device might never end
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large is fine; a bomb raises
            with Image.open(path) as opened:
                opened.load()
                return to_8_bit(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: this is not an image that Pillow can read") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: this is a folder, not an image") from error
    except Exception as error:  # decoders raise whatever a broken file makes them: struct.error, KeyError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: this image cannot be read: {reason}") from error


def to_8_bit(image: "Image") -> "Image":
    """Any Pillow mode to L (gray) or RGB."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(image, np.float64), posinf=1e30, neginf=-1e30)
        # 32-bit integers hold what was a 16-bit file; floats are taken as 0..1 unless they exceed it.
        top = 65535.0 if image.mode != "F" else (1.0 if values.size and values.max() <= 1 else 255.0)
        return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        gray = image.mode in ("L", "LA", "La")
        return Image.alpha_composite(white, rgba).convert("L" if gray else "RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def fit_image(image: "Image", image_shape: tuple[int, int, int], resize: str) -> np.ndarray:
    """Brings a picture of mode L or RGB to [height, width, channels], uint8.

    Args:
      image: from `read_image`.
      image_shape: (height, width, channels) of the network's input; channels 1 or 3.
      resize: "crop": the shorter side is fitted, the middle is kept; "stretch": both sides are fitted; "pad": the
        longer side is fitted, the rest is black. Bilinear with antialiasing, as in torchvision.
    """
    from PIL import Image, ImageOps

    height, width, channels = image_shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        if resize == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        elif resize == "stretch":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        else:
            image = ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(height, width, channels)
