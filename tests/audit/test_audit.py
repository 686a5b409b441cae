"""The audit finds what was planted, all of it and nothing else; its page is harmless."""

import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image, ImageFilter

from cnn_jax.audit.audit import Audit, audit
from cnn_jax.pages.audit import render, selection
from cnn_jax.runs.noise import wilson_interval
from tests.support.helpers import read_json, script, tiny_config
from tests.support.made_up import HEIGHT, WIDTH, encoded, found_names, photograph, read_page, scaled_levels

HOSTILE = ["<script>alert(1)<", '"><img src=x onerror=alert(1)>&amp;', "two\nlines", os.fsdecode(b"not \xff utf-8")]


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(1000))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def damaged(content: bytes) -> bytes:
    """A JPEG whose data have holes in the middle; its end is there."""
    middle = len(content) // 2
    return content[:middle] + b"\xff\xd3\x00" * 20 + content[middle + 60 :]


class Folder:
    """A folder of classes that is filled; `expected` says which findings that must give."""

    def __init__(self, root: Path):
        self.root = root
        self.expected: dict[str, set[str]] = {}
        self._seeds = iter(range(10_000))

    def put(self, path: str, content: bytes, *kinds: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)
        for kind in kinds:
            self.expected.setdefault(kind, set()).add(path)

    def fresh(self, **options: Any) -> Image.Image:
        """A photograph that is like no other."""
        return photograph(next(self._seeds), **options)


def plant(root: Path) -> dict[str, set[str]]:
    """A folder of classes with faults of every kind; returns {kind: names, or lines about classes}."""
    folder = Folder(root)
    for add in (add_clean, add_unreadable, add_duplicates, add_badly_exposed, add_odd_forms):
        add(folder)
    return folder.expected | {
        "few images": {"emu: 2 in train"},
        "class missing from a split": {"emu: none in test"},
        "few test images": {few_in_test(*of_class) for of_class in (("cat", 3), ("dog", 5), ("owl", 1), ("Cat ", 1))},
        "class imbalance": {"dog: 39 images in train, emu: 2 (20 to 1)"},
        "class names alike": {"“Cat ” and “cat”"},
    }


def few_in_test(name: str, count: int) -> str:
    low, high = wilson_interval(round(0.9 * count), count)
    return f"{name}: {count} in test; {round(0.9 * count)} right would mean anything from {low:.0%} to {high:.0%}"


def add_clean(folder: Folder) -> None:
    counts = {"train/cat": 22, "train/dog": 24, "train/owl": 21, "train/emu": 2, "train/Cat ": 20,
              "test/cat": 3, "test/dog": 3, "test/owl": 1, "test/Cat ": 1}  # fmt: skip
    for place, count in counts.items():
        for i in range(count):
            folder.put(f"{place}/clean{i}.jpg", encoded(folder.fresh()))


def add_unreadable(folder: Folder) -> None:
    folder.put("train/cat/empty.jpg", b"", "empty file")
    folder.put("train/cat/cut.jpg", encoded(folder.fresh())[:2000], "truncated")
    folder.put("train/dog/cut.png", encoded(folder.fresh(), "PNG")[:20_000], "truncated")
    folder.put("train/cat/text.jpg", b"this is a text", "not an image")
    folder.put("train/cat/bomb.png", bomb(), "decompression bomb")
    folder.put("train/dog/holes.jpg", damaged(encoded(folder.fresh())), "damaged")


def add_duplicates(folder: Folder) -> None:
    twin, leak, quarrel = folder.fresh(), folder.fresh(), folder.fresh()
    for name in ("twin1.jpg", "twin2.jpg"):
        folder.put(f"train/cat/{name}", encoded(twin), "duplicates")
    folder.put("train/owl/twin3.png", encoded(folder.fresh(), "PNG"))
    for path in ("train/dog/leak.jpg", "test/dog/leak.jpg"):
        folder.put(path, encoded(leak), "duplicates across splits")
    for path in ("train/dog/quarrel.png", "train/owl/quarrel.bmp"):  # the same pixels in two formats
        folder.put(path, encoded(quarrel, Path(path).suffix[1:].upper()), "duplicates with different labels")

    large = folder.fresh(width=320, height=240)
    folder.put("train/owl/large.jpg", encoded(large), "near duplicates")
    folder.put("train/owl/half.jpg", encoded(large.resize((160, 120)), quality=70), "near duplicates")
    near_leak = folder.fresh()
    folder.put("train/dog/bright.jpg", encoded(near_leak), "near duplicates across splits")
    folder.put("test/dog/brighter.jpg", encoded(scaled_levels(near_leak, 40, 250)), "near duplicates across splits")
    near_quarrel = folder.fresh()
    folder.put("train/cat/like.jpg", encoded(near_quarrel, quality=95), "near duplicates with different labels")
    folder.put("train/dog/alike.jpg", encoded(near_quarrel, quality=30), "near duplicates with different labels")


def add_badly_exposed(folder: Folder) -> None:
    for i, name in enumerate(HOSTILE):
        folder.put(
            f"train/owl/{name}.png",
            encoded(Image.new("RGB", (WIDTH, HEIGHT), (i * 60, 90, 200)), "PNG"),
            "blank picture",
        )
    folder.put("train/owl/black.jpg", encoded(Image.new("RGB", (WIDTH, HEIGHT))), "blank picture")
    for path in ("train/cat/white1.png", "train/dog/white2.png"):  # that two blank pictures agree says nothing
        folder.put(path, encoded(Image.new("RGB", (WIDTH, HEIGHT), "white"), "PNG"), "blank picture")
    folder.put("train/dog/dark.png", encoded(scaled_levels(folder.fresh(), 0, 35), "PNG"), "very dark")
    folder.put("train/dog/bright.png", encoded(scaled_levels(folder.fresh(), 215, 255), "PNG"), "very bright")
    folder.put("train/dog/blurred.jpg", encoded(folder.fresh().filter(ImageFilter.GaussianBlur(5))), "very blurred")


def add_odd_forms(folder: Folder) -> None:
    folder.put("train/dog/tiny.png", encoded(folder.fresh(width=14, height=12), "PNG"), "tiny picture")
    folder.put("train/dog/wide.jpg", encoded(folder.fresh(width=500, height=100)), "extreme aspect ratio")
    folder.put("train/dog/print.jpg", encoded(folder.fresh().convert("CMYK")), "unusual mode")
    deep = np.asarray(folder.fresh().convert("L"), np.uint16) * 257
    folder.put("train/dog/deep.png", encoded(Image.fromarray(deep), "PNG"), "unusual mode", "gray and color mixed")
    folder.put("train/dog/gray.png", encoded(folder.fresh().convert("L"), "PNG"), "gray and color mixed")
    glass = folder.fresh().convert("RGBA")
    glass.putalpha(Image.fromarray(np.tile(np.linspace(100, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    folder.put("train/owl/glass.png", encoded(glass, "PNG"), "transparency")
    folder.put("train/owl/opaque.png", encoded(folder.fresh().convert("RGBA"), "PNG"))
    frames = [folder.fresh().quantize(64) for _ in range(2)]
    folder.put("train/owl/moving.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "animated")
    folder.put("train/owl/really.jpg", encoded(folder.fresh(), "PNG"), "wrong extension")
    exif = Image.Exif()
    exif[0x0112] = 6
    folder.put("train/owl/turned.jpg", encoded(folder.fresh(), exif=exif), "turned by EXIF")


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


def test_report_and_counts(planted: tuple[Path, dict[str, set[str]], Audit]) -> None:
    folder, expected, result = planted
    report = read_json(folder / "report" / "audit.json")
    assert report == result.report
    assert report["images"] == 136
    assert report["splits"] == {"train": 126, "test": 10}
    assert report["statistics"]["readable"] == 131
    assert report["statistics"]["turned_by_exif"] == 1
    assert {row["class"]: row["images"] for row in report["classes"]}["emu"] == {"train": 2, "test": 0}
    levels = [finding["level"] for finding in report["findings"]]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    for finding in report["findings"]:
        assert finding["count"] == len(expected[finding["kind"]])
        assert finding["why"]
        assert finding["what_to_do"]
    assert result.counts()["error"] == (7, 16)
    pairs = next(f for f in report["findings"] if f["kind"] == "duplicates with different labels")["pictures"]
    assert [(picture["class"], picture["group"]) for picture in pairs] == [("dog", 0), ("owl", 0)]


def test_page_is_harmless(planted: tuple[Path, dict[str, set[str]], Audit]) -> None:
    folder, _, result = planted
    page = read_page(result.page)
    text = result.page.read_text(encoding="utf-8")
    assert set(page.tags) <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span", "b", "ul", "li", "a",
        "br",
        "section", "figure", "img", "figcaption", "details", "summary", "table", "tr", "th", "td", "svg", "rect",
        "text",
    }  # fmt: skip
    assert {name for name, _ in page.attributes} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "src", "alt", "style", "viewbox",
        "role", "x", "y", "width", "height", "text-anchor",
    }  # fmt: skip
    for name, value in page.attributes:
        assert name != "src" or value.startswith("data:image/")
        assert name != "href" or value.startswith("#")
    anchors = {value for name, value in page.attributes if name == "id"}
    assert {value[1:] for name, value in page.attributes if name == "href"} == anchors
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    for name in HOSTILE:
        assert escape(shown_name(name)) in text
        assert shown_name(name) in page.text
    assert str(folder) not in text  # names are told from the set's own folder


def test_page_takes_any_text() -> None:
    name = "\udcff<i>\x00"
    report = {
        "data": name, "images": 1, "splits": {"train": 1}, "classes": [{"class": name, "images": {"train": 1}}],
        "statistics": {"readable": 0, "imbalance": None, "formats": {}, "modes": {}, "extensions": {name: 1}, "gray": 0,
                       "turned_by_exif": 0},
        "findings": [],
    }  # fmt: skip
    page = render(report, {}, [])
    page.encode("utf-8")
    assert "\0" not in page
    assert "<i>" not in page


def test_page_shows_some_of_many() -> None:
    pictures = [{"name": f"{i}.jpg", "split": "train", "index": i, "class": "a", "detail": ""} for i in range(500)]
    assert len(selection({"pictures": pictures})) == 36
    groups = [picture | {"group": picture["index"] // 10} for picture in pictures]
    chosen = selection({"pictures": groups})
    assert len({picture["group"] for picture in chosen}) == 12
    assert len(chosen) == 48


def test_script(planted: tuple[Path, dict[str, set[str]], Audit], tmp_path: Path) -> None:
    folder, _, _ = planted
    result = script("audit_data.py", f"--dir={folder / 'set'}", f"--output={tmp_path}", "--strict")
    assert result.returncode == 1, result.stderr
    assert "136 images: 7 kinds of errors, 14 of warnings, 7 of notes\n" in result.stdout
    assert re.search(r"^error +empty file, 1 image: \S+$", result.stdout, re.M)
    duplicates = r"^error +duplicates with different labels, 2 images in 1 group: (train/\w+/\S+), (train/\w+/\S+)$"
    assert re.search(duplicates, result.stdout, re.M), result.stdout
    assert (tmp_path / "audit.html").exists()
    nothing = script("audit_data.py")
    assert nothing.returncode == 2
    assert "--dir, --config or --workdir" in nothing.stderr
