"""The audit finds what was planted, all of it and nothing else; clean data are not accused; the page is harmless."""

import html
import io
import os
import re
import struct
import subprocess
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from helpers import read_json, script, tiny_config
from PIL import Image, ImageFilter

from cnn_jax.audit import Audit, audit
from cnn_jax.audit_page import render, selection
from cnn_jax.config import to_json
from cnn_jax.data.duplicates import exact_groups, near_groups
from cnn_jax.data.findings import Finding, find_all
from cnn_jax.data.images import quiet
from cnn_jax.data.quality import Entry, measure, prepare, sharpness
from cnn_jax.data.suspects import embedding_outliers, likely_mislabelled, project
from cnn_jax.errors import InputError

HOSTILE = ['<script>alert(1)<', '"><img src=x onerror=alert(1)>&amp;', "two\nlines", os.fsdecode(b"not \xff utf-8")]
WIDTH, HEIGHT = 160, 120


def photograph(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Something with large shapes, edges and fine grain, as photographs have; no two seeds are alike."""
    random = np.random.RandomState(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for side, weight in ((5, 60), (12, 30), (40, 20)):
        noise = random.normal(size=(side, side, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            picture[..., channel] += weight * np.asarray(layer)
    picture += 128 + 6 * random.normal(size=picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **({"quality": 90} if format == "JPEG" else {}) | options)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(1000))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def scaled_levels(image: Image.Image, low: int, high: int) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    return Image.fromarray((low + pixels / 255 * (high - low)).astype(np.uint8))


def damaged(content: bytes) -> bytes:
    """A JPEG whose data have holes in the middle; its end is there."""
    middle = len(content) // 2
    return content[:middle] + b"\xff\xd3\x00" * 20 + content[middle + 60 :]


def plant(root: Path) -> dict[str, set[str]]:
    """A folder of classes with faults of every kind; returns {kind: names, or lines about classes}."""
    seeds = iter(range(10_000))
    expected: dict[str, set[str]] = {}

    def put(path: str, content: bytes, *kinds: str) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        for kind in kinds:
            expected.setdefault(kind, set()).add(path)

    def fresh(**options: Any) -> Image.Image:
        return photograph(next(seeds), **options)

    counts = {"train/cat": 22, "train/dog": 24, "train/owl": 21, "train/emu": 2, "train/Cat ": 20,
              "test/cat": 3, "test/dog": 3, "test/owl": 1, "test/Cat ": 1}  # fmt: skip
    for folder, count in counts.items():
        for i in range(count):
            put(f"{folder}/clean{i}.jpg", encoded(fresh()))

    put("train/cat/empty.jpg", b"", "empty file")
    put("train/cat/cut.jpg", encoded(fresh())[:2000], "truncated")
    put("train/dog/cut.png", encoded(fresh(), "PNG")[:20_000], "truncated")
    put("train/cat/text.jpg", b"this is a text", "not an image")
    put("train/cat/bomb.png", bomb(), "decompression bomb")
    put("train/dog/holes.jpg", damaged(encoded(fresh())), "damaged")

    twin, leak, quarrel = fresh(), fresh(), fresh()
    for name in ("twin1.jpg", "twin2.jpg"):
        put(f"train/cat/{name}", encoded(twin), "duplicates")
    put("train/owl/twin3.png", encoded(fresh(), "PNG"))
    for path in ("train/dog/leak.jpg", "test/dog/leak.jpg"):
        put(path, encoded(leak), "duplicates across splits")
    for path in ("train/dog/quarrel.png", "train/owl/quarrel.bmp"):  # the same pixels in two formats
        put(path, encoded(quarrel, Path(path).suffix[1:].upper()), "duplicates with different labels")

    large = fresh(width=320, height=240)
    put("train/owl/large.jpg", encoded(large), "near duplicates")
    put("train/owl/half.jpg", encoded(large.resize((160, 120)), quality=70), "near duplicates")
    near_leak = fresh()
    put("train/dog/bright.jpg", encoded(near_leak), "near duplicates across splits")
    put("test/dog/brighter.jpg", encoded(scaled_levels(near_leak, 40, 250)), "near duplicates across splits")
    near_quarrel = fresh()
    put("train/cat/like.jpg", encoded(near_quarrel, quality=95), "near duplicates with different labels")
    put("train/dog/alike.jpg", encoded(near_quarrel, quality=30), "near duplicates with different labels")

    for i, name in enumerate(HOSTILE):
        put(f"train/owl/{name}.png", encoded(Image.new("RGB", (WIDTH, HEIGHT), (i * 60, 90, 200)), "PNG"), "blank picture")
    put("train/owl/black.jpg", encoded(Image.new("RGB", (WIDTH, HEIGHT))), "blank picture")
    put("train/dog/dark.png", encoded(scaled_levels(fresh(), 0, 35), "PNG"), "very dark")
    put("train/dog/bright.png", encoded(scaled_levels(fresh(), 215, 255), "PNG"), "very bright")
    put("train/dog/blurred.jpg", encoded(fresh().filter(ImageFilter.GaussianBlur(5))), "very blurred")
    put("train/dog/tiny.png", encoded(fresh(width=14, height=12), "PNG"), "tiny picture")
    put("train/dog/wide.jpg", encoded(fresh(width=500, height=100)), "extreme aspect ratio")
    put("train/dog/print.jpg", encoded(fresh().convert("CMYK")), "unusual mode")
    deep = np.asarray(fresh().convert("L"), np.uint16) * 257
    put("train/dog/deep.png", encoded(Image.fromarray(deep), "PNG"), "unusual mode", "gray and color mixed")
    put("train/dog/gray.png", encoded(fresh().convert("L"), "PNG"), "gray and color mixed")
    glass = fresh().convert("RGBA")
    glass.putalpha(Image.fromarray(np.tile(np.linspace(100, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    put("train/owl/glass.png", encoded(glass, "PNG"), "transparency")
    frames = [fresh().quantize(64) for _ in range(2)]
    put("train/owl/moving.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "animated")
    put("train/owl/really.jpg", encoded(fresh(), "PNG"), "wrong extension")
    exif = Image.Exif()
    exif[0x0112] = 6
    put("train/owl/turned.jpg", encoded(fresh(), exif=exif), "turned by EXIF")
    return expected | {
        "few images": {"emu: 2 in train"},
        "class missing from a split": {"emu: none in test"},
        "class imbalance": {"dog: 38 images in train, emu: 2 (19 to 1)"},
        "class names alike": {"“Cat ” and “cat”"},
    }


def found_names(report: dict[str, Any]) -> dict[str, set[str]]:
    return {
        finding["kind"]: {picture["name"] for picture in finding["pictures"]} | set(finding["about"])
        for finding in report["findings"]
    }


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[str]], Audit]:
    folder = tmp_path_factory.mktemp("planted")
    expected = plant(folder / "set")
    config = tiny_config(data__source="folder", data__dir=str(folder / "set"))
    return folder, expected, audit(config, folder / "report")


def test_all_that_was_planted_and_nothing_else(planted: tuple[Path, dict[str, set[str]], Audit]) -> None:
    _, expected, result = planted
    escaped = {kind: {shown_name(name) for name in names} for kind, names in expected.items()}
    assert found_names(result.report) == escaped


def shown_name(name: str) -> str:
    return name.replace("\n", r"\n").replace("\udcff", r"\udcff")
