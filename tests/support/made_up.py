"""Made-up photographs, and what an audit writes about pictures."""

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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


def save_picture(path: Path, value: int = 100, size: tuple[int, int] = (16, 12), **options: Any) -> Path:
    """A picture of two grays, the upper half the darker one; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    pixels[: size[1] // 2] //= 2
    Image.fromarray(pixels).save(path, **options)
    return path


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **({"quality": 90} if format == "JPEG" else {}) | options)
    return stream.getvalue()


def scaled_levels(image: Image.Image, low: int, high: int) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    return Image.fromarray((low + pixels / 255 * (high - low)).astype(np.uint8))


def found_names(report: dict[str, Any]) -> dict[str, set[str]]:
    return {
        finding["kind"]: {picture["name"] for picture in finding["pictures"]} | set(finding["about"])
        for finding in report["findings"]
    }


class _Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader
