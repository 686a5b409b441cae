"""What stands under a picture's name, and is none: the line says what it is and what to do."""

import gzip
import io
import json
import sys
import tarfile
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from cnn_jax import data
from cnn_jax.data.reading import opening
from cnn_jax.data.reading.images import decode, read_image
from tests.support.helpers import data_settings, refusal
from tests.support.made_up import encoded

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 12345\n"


def container(major: bytes, *brands: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(brands)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(range(64))


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as file:
            file.writestr("a.png", b"")
    else:
        with tarfile.open(fileobj=stream, mode="w") as file:
            file.addfile(tarfile.TarInfo("a.png"))
    return stream.getvalue()


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


# What is under the name: (content, what the line calls it, what it says to do)
KINDS: dict[str, tuple[bytes, str, str]] = {
    "HEIC": (container(b"heic", b"mif1", b"heic"), "an HEIC photograph", "install pillow-heif"),
    "HEIF": (container(b"mif1", b"mif1", b"heic"), "an HEIC photograph", "convert it to JPEG"),
    "video": (container(b"qt  "), "a video", "extract its frames"),
    "raw": (container(b"crx "), "a camera's raw file", "raw converter"),
    "HTML": (b"\n<!DOCTYPE html>\n<html><head><title>404", "an HTML page", "download that again"),
    "HTML after a comment": (b"<!-- cached -->\n<html lang=en>", "an HTML page", "in place of the picture"),
    "JSON": (json.dumps({"error": "not found"}).encode(), "a JSON document", "download that again"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document", "download that again"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing", "convert it to PNG"),
    "LFS": (LFS, "a Git LFS pointer", "git lfs pull"),
    "annex": (b"/annex/objects/MD5E-s12--abc.jpg\n", "a pointer of git-annex", "git annex get"),
    "text": ("Für später\n".encode(), "a text file", "again"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF document", "save its pages"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript program", "convert it"),
    "zip": (archive("zip"), "a zip archive", "unpack it"),
    "tar": (archive("tar"), "a tar archive", "unpack it"),
    "gzip": (gzip.compress(b"abc" * 99), "a gzip archive", "unpack it"),
    "array": (array(), "a NumPy array", "npz"),
    "zeros": (bytes(4096), "4,096 zero bytes", "again"),
    "JPEG": (b"\xff\xd8\xff\xd9", "the rest of a JPEG", "again"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file", "as PNG"),
    "MPEG": (b"\0\0\x01\xb3" + bytes(range(64)), "an MPEG video", "frames"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_line_says_what_it_is(tmp_path: Path, kind: str) -> None:
    content, what, advice = KINDS[kind]
    (tmp_path / "photo.jpg").write_bytes(content)
    line = refusal(read_image, tmp_path / "photo.jpg")
    assert f"photo.jpg: this is not an image that Pillow can read but {what}" in line
    assert advice in line.split("; ")[1]


@pytest.mark.parametrize(("kind", "name"), [("text", "notes.txt"), ("JSON", "labels.json"), ("XML", "box.XML")])
def test_a_stray_text_is_no_broken_picture(tmp_path: Path, kind: str, name: str) -> None:
    """To fetch it again would bring the same text: it is to be moved, or left out by a flag to paste."""
    (tmp_path / name).write_bytes(KINDS[kind][0])
    pattern = f"*{Path(name).suffix}"
    advice = f"move it away, or leave it out of a folder of classes by --config.data.exclude='{pattern}'"
    assert refusal(read_image, tmp_path / name).endswith(f"{KINDS[kind][1]}; {advice}")


def test_what_nobody_knows_is_called_nothing() -> None:
    line = refusal(decode, b"\x07\x81\x93" * 99, "it", (8, 8, 3), "crop")
    assert line == "it: this is not an image that Pillow can read"


@pytest.mark.parametrize("has_codec", [True, False])
def test_avif_without_its_codec(monkeypatch: pytest.MonkeyPatch, has_codec: bool) -> None:
    monkeypatch.setattr(features, "get_supported", lambda: ["avif"] if has_codec else ["webp"])
    line = refusal(decode, container(b"avif", b"avif"), "it", (8, 8, 3), "crop")
    assert ("the rest of an AVIF picture" if has_codec else "an AVIF picture; install a newer Pillow") in line


def test_heic_is_read_where_pillow_heif_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin is asked to register itself; here it takes a PNG behind four letters for HEIC."""

    def open_it(stream: Any, name: str = "") -> Image.Image:
        picture = Image.open(io.BytesIO(stream.read()[4:]))
        picture.load()
        return picture

    def register() -> None:
        Image.register_open("HEIF", open_it, lambda prefix: prefix[:4] == b"HEIF")

    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=register))  # type: ignore[arg-type]
    content = b"HEIF" + encoded(Image.new("L", (8, 8), 77), "PNG")
    opening._formats.cache_clear()
    try:
        assert decode(content, "it", (8, 8, 1), "crop").max() == 77
    finally:
        opening._formats.cache_clear()
        Image.OPEN.pop("HEIF", None)
        Image.ID.remove("HEIF")


@pytest.mark.parametrize("shape", [{}, {"image_size": 8, "channels": 3}], ids=["read off", "given"])
def test_a_folder_of_heic_alone(tmp_path: Path, shape: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"IMG_{number}.HEIC").write_bytes(KINDS["HEIC"][0])
    line = refusal(data.load, data_settings(source="folder", dir=str(tmp_path), validation=0, test=0, **shape))
    assert "an HEIC photograph; install pillow-heif" in line + capsys.readouterr().err
    assert ("none of the 4 files that were looked at can be read" in line) == (not shape)
