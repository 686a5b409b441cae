"""How a picture must be turned to stand upright: EXIF's orientation, from all places where programs write it."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

UPRIGHT, TURNED = 1, 5  # orientations from 5 on lie on their side
_ORIENTATION = 0x0112  # EXIF's tag, which is TIFF's
_XMP = ("xmp", "XML:com.adobe.xmp")
# ImageMagick writes what it does not take apart as text, in hexadecimal digits, into chunks of a PNG.
_RAW_PROFILES = tuple(f"Raw profile type {kind}" for kind in ("exif", "APP1", "xmp"))
_IN_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>\s*)([1-8])""")


def orientation(picture: "Image", content: bytes) -> int:
    """1 to 8 (TIFF 6.0, tag 274): how a picture must be turned once it is loaded.

    EXIF goes before XMP. Where either is broken, the picture is taken as it is, and `info["complaint"]` says so.

    Args:
      picture: with its header read. Where more than that must be read, it is loaded.
      content: the file's bytes.
    """
    if picture.format == "PNG" and _has_metadata_behind_pixels(content):
        picture.load()
    if not any(key in picture.info for key in ("exif", *_XMP, *_RAW_PROFILES)):
        return UPRIGHT  # also of TIFF's own tag, after which Pillow turns the picture
    try:
        found = _from_pillow(picture)
        if picture.format == "TIFF" and found is not None:
            picture.load()  # which turns it; only now its size is the upright one, where XMP says so
            return UPRIGHT
        found = _from_profiles(picture) if found is None else found
    except Exception as error:  # whatever broken metadata make the parsers raise
        picture.info["complaint"] = f"its metadata are broken: {' '.join(str(error).split()) or type(error).__name__}"
        return UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def turn_upright(image: "Image", turn: int) -> "Image":
    """The image of a picture with this orientation, upright."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(turns[turn]) if turn in turns else image


def _has_metadata_behind_pixels(content: bytes) -> bool:
    last = content.rfind(b"IDAT")
    return any(content.find(mark, last) >= 0 for mark in (b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type "))


def _from_pillow(picture: "Image") -> Any:
    from PIL import Image

    # The method of PNG would decode the picture, to look for what stands behind its pixels.
    return Image.Image.getexif(picture).get(_ORIENTATION)


def _from_profiles(picture: "Image") -> Any:
    """From what Pillow does not look at: APP1 as text, XMP in other quotes."""
    from PIL import Image

    for profile in _profiles(picture.info):
        if profile.startswith(b"Exif\0\0"):
            exif = Image.Exif()
            exif.load(profile)
            if _ORIENTATION in exif:
                return exif[_ORIENTATION]
        elif (match := _IN_XMP.search(profile)) is not None:
            return int(match[1])
    return UPRIGHT


def _profiles(info: dict[Any, Any]) -> Iterator[bytes]:
    for key in _RAW_PROFILES:
        if key in info:  # an empty line, the kind, the length, then the digits
            yield bytes.fromhex("".join(info[key].split("\n")[3:]))
    for key in _XMP:
        if key in info:
            yield info[key].encode() if isinstance(info[key], str) else bytes(info[key])
