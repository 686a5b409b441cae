"""What a file is that stands where a picture should be, and what to do about it."""

import json
import os
import re
from typing import NamedTuple

from cnn_jax.errors import InputError


class Kind(NamedTuple):
    """A kind of file: `what` it is, with its article, and what to `do`."""

    what: str
    do: str


_AGAIN = "download or copy it again"
_CONVERT = "convert it to PNG or JPEG"
_UNPACK = "unpack it, and name the folder with the pictures"
_FRAMES = "extract its frames as pictures"
_EXPORT = "export it as JPEG or TIFF from a raw converter"
_WEB = "a server sent it in place of the picture: download that again"

HEIC = Kind("an HEIC photograph", "install pillow-heif, and it is read, or convert it to JPEG")
AVIF = Kind("an AVIF picture", "install a newer Pillow, which reads them, or convert it to PNG or JPEG")

# (where it stands, what stands there, what that shows)
_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"%PDF-", Kind("a PDF document", "save its pages or pictures as PNG or JPEG")),
    (0, b"%!PS", Kind("a PostScript program (EPS)", _CONVERT)),
    (0, b"\xc5\xd0\xd3\xc6", Kind("a PostScript program (EPS)", _CONVERT)),
    (0, b"\xd7\xcd\xc6\x9a", Kind("a Windows metafile (WMF)", _CONVERT)),
    (40, b" EMF", Kind("a Windows metafile (EMF)", _CONVERT)),
    (0, b"\0\0\0\x0cJXL ", Kind("a JPEG XL picture", _CONVERT)),
    (0, b"\xff\x0a", Kind("a JPEG XL picture", _CONVERT)),
    (0, b"PK\x03\x04", Kind("a zip archive or an office document", _UNPACK)),
    (0, b"PK\x05\x06", Kind("an empty zip archive", "delete it")),
    (0, b"\x1f\x8b", Kind("a gzip archive", _UNPACK)),
    (0, b"BZh", Kind("a bzip2 archive", _UNPACK)),
    (0, b"\xfd7zXZ\0", Kind("an xz archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", _UNPACK)),
    (257, b"ustar", Kind("a tar archive", _UNPACK)),
    (0, b"\x93NUMPY", Kind("a NumPy array", "save its pictures as PNG, or all of them as an archive for npz")),
    (0, b"\x89HDF\r\n", Kind("an HDF5 file", "save its pictures as PNG")),
    (0, b"MATLAB 5.0", Kind("a MATLAB file", "save its pictures as PNG")),
    (0, b"SQLite format 3\0", Kind("an SQLite database (Thumbs.db, Photos)", "delete it")),
    (0, b"\xd0\xcf\x11\xe0", Kind("an old office document or Thumbs.db", "delete it")),
    (128, b"DICM", Kind("a DICOM file", "convert it to 16-bit PNG")),
    (0, b"\0\x05\x16\x07", Kind("a Mac's notes on another file (AppleDouble)", "delete it")),
    (0, b"FUJIFILMCCD-RAW", Kind("a camera's raw file", _EXPORT)),
    (0, b"IIRO", Kind("a camera's raw file", _EXPORT)),
    (0, b"IIU\0", Kind("a camera's raw file", _EXPORT)),
    (8, b"AVI LIST", Kind("an AVI video", _FRAMES)),
    (0, b"\x1aE\xdf\xa3", Kind("a Matroska or WebM video", _FRAMES)),
    (0, b"\0\0\x01\xba", Kind("an MPEG video", _FRAMES)),
    (0, b"\0\0\x01\xb3", Kind("an MPEG video", _FRAMES)),
    (0, b"version https://git-lfs", Kind("a Git LFS pointer to the picture", "fetch that with `git lfs pull`")),
    (0, b"\xff\xd8\xff", Kind("the rest of a JPEG with a broken header", _AGAIN)),
    (0, b"\x89PNG", Kind("the rest of a PNG with a broken header", _AGAIN)),
    (0, b"GIF8", Kind("the rest of a GIF with a broken header", _AGAIN)),
    (8, b"WEBP", Kind("the rest of a WebP picture with a broken header", _AGAIN)),
    (0, b"II*\0", Kind("the rest of a TIFF, or one of a kind that Pillow lacks", f"{_AGAIN}, or {_CONVERT}")),
    (0, b"MM\0*", Kind("the rest of a TIFF, or one of a kind that Pillow lacks", f"{_AGAIN}, or {_CONVERT}")),
)  # fmt: skip
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_LARGEST_TEXT = 1 << 20
_TEXTS = {"an HTML page", "an XML document", "a JSON document", "a text file"}
_PICTURES_OF_OTHERS = (".heic", ".heif", ".avif", ".jxl")  # which Pillow may not know


def not_a_picture(content: bytes, name: object) -> InputError:
    """The line for a file that no reader of pictures knows: what it is instead, and what to do."""
    kind = kind_of(content)
    line = f"{name}: this is not an image that Pillow can read"
    if kind is None:
        return InputError(line)
    extension = os.path.splitext(str(name))[1]
    # A server's answer has the picture's name; what is called otherwise never was a picture.
    is_stray = kind.what in _TEXTS and re.fullmatch(r"\.\w+", extension) and not is_picture_name(str(name))
    stray = f"move it away, or leave it out of a folder of classes by --config.data.exclude='*{extension}'"
    return InputError(f"{line} but {kind.what}; {stray if is_stray else kind.do}")


def is_picture_name(name: str) -> bool:
    """Whether an extension is that of an image format."""
    from PIL import Image

    extension = os.path.splitext(name)[1].lower()
    return extension in Image.registered_extensions() or extension in _PICTURES_OF_OTHERS


def kind_of(content: bytes) -> Kind | None:
    """The kind of a file that is no picture; None where it is not known."""
    if not content.strip(b"\0"):
        return Kind(f"{len(content):,} zero bytes", _AGAIN)
    if content[4:8] == b"ftyp":
        return _of_media_container(content)
    for start, mark, kind in _SIGNATURES:
        if content.startswith(mark, start):
            return kind
    return _of_text(content) if len(content) <= _LARGEST_TEXT else None


def _of_media_container(content: bytes) -> Kind:
    """ISO/IEC 14496-12: a file's brands, the major one first, tell HEIC, AVIF, a raw file or a video."""
    length = int.from_bytes(content[:4], "big")
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, min(length, 256), 4))]
    if not _AVIF_BRANDS.isdisjoint(brands):
        return Kind("the rest of an AVIF picture", _AGAIN) if _reads_avif() else AVIF
    if not _HEIC_BRANDS.isdisjoint(brands) or brands[0] in (b"mif1", b"msf1"):
        return HEIC
    return Kind("a camera's raw file", _EXPORT) if brands[0] == b"crx " else Kind("a video", _FRAMES)


def _reads_avif() -> bool:
    from PIL import features

    return "avif" in features.get_supported()


def _of_text(content: bytes) -> Kind | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    start = text[:4096].lstrip().lower()
    if re.match(r"(<!--.*?-->\s*)*<(!doctype html|html|head|body)", start, re.DOTALL):
        return Kind("an HTML page", _WEB)
    if "<svg" in start:
        return Kind("an SVG drawing", _CONVERT)
    if start.startswith(("<?xml", "<error")):
        return Kind("an XML document", _WEB)
    if "/annex/objects/" in start:
        return Kind("a pointer of git-annex to the picture", "fetch that with `git annex get`")
    if start.startswith(("{", "[")) and _is_json(text):
        return Kind("a JSON document", _WEB)
    return Kind("a text file", _AGAIN) if all(c.isprintable() or c.isspace() for c in text) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
