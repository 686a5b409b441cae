"""Pictures stand upright wherever their orientation is written: EXIF, XMP, and ImageMagick's profiles as text."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo

from cnn_jax.data.reading.images import decode, examine, look
from tests.support.made_up import encoded

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)).resize((48, 40))
XMP = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description tiff:Orientation{}</rdf:Description></x:xmpmeta>"
IN_XMP = {"attribute": '="6"/>', "element": ">6</tiff:Orientation>", "single quotes": "='6'/>"}


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def raw_profile(kind: str, content: bytes) -> PngInfo:
    """As ImageMagick writes it: a line of 72 digits after the other."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    info = PngInfo()
    info.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(content):8}\n{lines}\n", zip=True)
    return info


def with_xmp(text: str) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text)
    return info


def behind_pixels(png: bytes) -> bytes:
    """The same chunks, those between the header and the pixels moved behind these."""
    chunks, at = [], 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        chunks.append(png[at:end])
        at = end
    metadata = [chunk for chunk in chunks[1:-1] if chunk[4:8] != b"IDAT"]
    pixels = [chunk for chunk in chunks[1:-1] if chunk[4:8] == b"IDAT"]
    assert metadata
    return png[:8] + b"".join([chunks[0], *pixels, *metadata, chunks[-1]])


FILES: dict[str, bytes] = {
    **{f"{kind} in PNG": encoded(PICTURE, "PNG", pnginfo=with_xmp(XMP.format(text))) for kind, text in IN_XMP.items()},
    **{
        f"{kind} in {format}": encoded(PICTURE, format, xmp=XMP.format(text).encode(), **options)
        for kind, text in IN_XMP.items()
        for format, options in (("JPEG", {"quality": 98}), ("WEBP", {"lossless": True}))
    },
    **{
        f"{kind} in TIFF": encoded(PICTURE, "TIFF", tiffinfo={700: XMP.format(text).encode()})
        for kind, text in IN_XMP.items()
    },
    "raw EXIF": encoded(PICTURE, "PNG", pnginfo=raw_profile("exif", exif_of(6))),
    "raw APP1 with EXIF": encoded(PICTURE, "PNG", pnginfo=raw_profile("APP1", exif_of(6))),
    "raw APP1 with XMP": encoded(
        PICTURE, "PNG",
        pnginfo=raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(IN_XMP["attribute"]).encode()),
    ),
    "raw XMP": encoded(PICTURE, "PNG", pnginfo=raw_profile("xmp", XMP.format(IN_XMP["element"]).encode())),
    "EXIF behind pixels": behind_pixels(encoded(PICTURE, "PNG", exif=exif_of(6))),
    "XMP behind pixels": behind_pixels(encoded(PICTURE, "PNG", pnginfo=with_xmp(XMP.format(IN_XMP["element"])))),
    "raw EXIF behind pixels": behind_pixels(encoded(PICTURE, "PNG", pnginfo=raw_profile("exif", exif_of(6)))),
    "EXIF before XMP": encoded(PICTURE, "PNG", exif=exif_of(6), pnginfo=with_xmp(XMP.format('="3"/>'))),
}  # fmt: skip


@pytest.mark.parametrize("where", FILES)
def test_turned_wherever_it_is_written(where: str) -> None:
    """Pixels, the size that the header promises, and a part of the picture, which is cut from it upright."""
    upright = np.asarray(PICTURE.transpose(Image.Transpose.ROTATE_270), int)
    content = FILES[where]
    assert look(content, "it")[:2] == upright.shape[:2] == (48, 40)
    shown = decode(content, "it", upright.shape, "stretch")
    assert np.abs(shown - upright).max() <= (12 if "JPEG" in where else 0)
    upper = decode(content, "it", (24, 40, 3), "crop", region=lambda height, width: (0, 0, 24 / height, 40 / width))
    assert np.array_equal(upper, shown[:24])
    with Image.open(io.BytesIO(content)) as stored:
        if ImageOps.exif_transpose(stored).size == (40, 48):  # Pillow does not know all of these places
            assert np.abs(shown - np.asarray(ImageOps.exif_transpose(stored), int)).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_broken_metadata_spoil_no_picture(format: str) -> None:
    """Viewers show them; the complaint is for the audit. Pillow itself passes over what is broken in a JPEG."""
    options: dict[str, Any] = {"exif": b"Exif\0\0no header", "lossless": True}
    header, image = examine(encoded(PICTURE, format, **options), "it", 40)
    assert image.size == PICTURE.size
    assert header.info.get("complaint", "").startswith("its metadata are broken" if format != "JPEG" else "")


def test_no_orientation_beyond_eight() -> None:
    for orientation in (0, 9, 77):
        content = encoded(PICTURE, "PNG", exif=exif_of(orientation))
        assert np.array_equal(decode(content, "it", (40, 48, 3), "stretch"), np.asarray(PICTURE))


def test_metadata_before_pixels_are_no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the header decodes nothing, but where metadata stand behind the pixels."""
    loads: list[str] = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: loads.append(self.format) or load(self))
    for where in ("EXIF behind pixels", "raw APP1 with EXIF", "element in PNG", "element in WEBP", "element in JPEG"):
        look(FILES[where], where)
    assert loads == ["PNG"]
