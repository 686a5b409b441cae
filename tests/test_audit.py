"""The audit finds what was planted, all of it and nothing else; clean data are not accused; the page is harmless."""

import html
import io
import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from helpers import read_json, script, tiny_config
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits as sklearn_digits

from cnn_jax.audit import Audit, audit
from cnn_jax.audit_page import render, selection
from cnn_jax.checkpoints import open_checkpoints
from cnn_jax.config import to_json
from cnn_jax.data import SOURCES
from cnn_jax.data.duplicates import exact_groups, near_groups
from cnn_jax.data.findings import Finding, find_all
from cnn_jax.data.images import quiet
from cnn_jax.data.normalize import Normalization
from cnn_jax.data.quality import Entry, measure, measure_all, prepare, sharpness
from cnn_jax.data.set_statistics import statistics
from cnn_jax.data.suspects import embedding_outliers, likely_mislabelled, project
from cnn_jax.errors import InputError
from cnn_jax.inference import load_run

HOSTILE = ["<script>alert(1)<", '"><img src=x onerror=alert(1)>&amp;', "two\nlines", os.fsdecode(b"not \xff utf-8")]
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
        put(
            f"train/owl/{name}.png",
            encoded(Image.new("RGB", (WIDTH, HEIGHT), (i * 60, 90, 200)), "PNG"),
            "blank picture",
        )
    put("train/owl/black.jpg", encoded(Image.new("RGB", (WIDTH, HEIGHT))), "blank picture")
    for path in ("train/cat/white1.png", "train/dog/white2.png"):  # that two blank pictures agree says nothing
        put(path, encoded(Image.new("RGB", (WIDTH, HEIGHT), "white"), "PNG"), "blank picture")
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
    put("train/owl/opaque.png", encoded(fresh().convert("RGBA"), "PNG"))
    frames = [fresh().quantize(64) for _ in range(2)]
    put("train/owl/moving.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "animated")
    put("train/owl/really.jpg", encoded(fresh(), "PNG"), "wrong extension")
    exif = Image.Exif()
    exif[0x0112] = 6
    put("train/owl/turned.jpg", encoded(fresh(), exif=exif), "turned by EXIF")
    return expected | {
        "few images": {"emu: 2 in train"},
        "class missing from a split": {"emu: none in test"},
        "class imbalance": {"dog: 39 images in train, emu: 2 (20 to 1)"},
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
        assert html.escape(shown_name(name)) in text
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


def entries_of(contents: list[Any], labels: list[int] | None = None, split: str = "train") -> list[Entry]:
    prepare()
    with quiet():
        return [
            Entry(split, i, labels[i] if labels else 0, f"{i}", "", measure(content, f"{i}"))
            for i, content in enumerate(contents)
        ]


def of_level(found: list[Finding], level: str) -> dict[str, int]:
    return {finding.kind: finding.count for finding in found if finding.of.level == level}


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_clean_data_are_not_accused(name: str, tfds_data: str) -> None:
    source = SOURCES["tfds"](tiny_config(data__source="tfds", data__name=name).data)
    part = source.splits["train"].subset(np.arange(300))
    with quiet():
        entries = [entry for entries in measure_all("train", part) for entry in entries]
    found = find_all(entries, source.class_names)
    assert not of_level(found, "error")
    assert not of_level(found, "warning")
    assert len(entries) == 300


@pytest.mark.parametrize("source", ["digits", "synthetic"])
def test_made_up_and_small_data_are_not_accused(source: str, tmp_path: Path) -> None:
    result = audit(tiny_config(data__source=source, data__examples=300), tmp_path)
    assert result.report["findings"] == []
    read_page(result.page)


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    folder = Path(os.environ.get("TFDS_DATA_DIR") or ROOT.parent / "shared/data/tfds").parent / "imagenet_sample"
    if not folder.is_dir():
        pytest.skip("no sample of photographs: there is no imagenet_sample beside TFDS_DATA_DIR")
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("*/*"))[::5]]


def test_photographs_and_their_copies(photographs: list[Image.Image]) -> None:
    """Real pictures are not accused; their copies are found, each with its original, however they were made."""
    changes: list[Callable[[Image.Image], bytes]] = [
        lambda image: encoded(image, quality=25),
        lambda image: encoded(image.resize((image.width // 3, image.height // 3)), quality=80),
        lambda image: encoded(image.resize((image.width * 3 // 2, image.height * 3 // 2))),
        lambda image: encoded(scaled_levels(image, 0, 200)),
        lambda image: encoded(image.convert("L")),
        lambda image: encoded(image, "PNG"),
    ]
    originals = [encoded(image, quality=95) for image in photographs]
    copies = [changes[i % len(changes)](image) for i, image in enumerate(photographs)]
    entries = entries_of(originals)
    clean = [finding for finding in find_all(entries, ["a"]) if finding.suspects]
    assert not clean
    count = len(originals)
    groups = near_groups(both := entries_of(originals + copies), exact_groups(both))
    assert {group.rows for group in groups} == {(i, i + count) for i in range(count)}
    blurred = entries_of(
        [encoded(image.filter(ImageFilter.GaussianBlur(max(image.size) / 80))) for image in photographs]
    )
    found = {finding.kind: finding.count for finding in find_all(blurred, ["a"])}
    assert found["very blurred"] >= 0.95 * count


def test_groups_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [photograph(seed) for seed in range(20)]
    entries = entries_of([encoded(image, quality=quality) for quality in (95, 95, 40, 30) for image in pictures])
    exact = exact_groups(entries)
    assert [group.rows for group in exact] == [(i, i + 20) for i in range(20)]
    whole = near_groups(entries, exact)
    assert [group.rows for group in whole] == [(i, i + 20, i + 40, i + 60) for i in range(20)]
    monkeypatch.setattr("cnn_jax.data.duplicates._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("cnn_jax.data.duplicates._PAIRS_AT_ONCE", 3)
    assert near_groups(entries, exact) == whole


def test_copies_of_small_pictures() -> None:
    """Color pictures of 32 pixels, encoded in other light; below 16 pixels nothing is told apart."""
    for side, found in ((32, True), (12, False)):
        pictures = [photograph(seed, side, side) for seed in range(12)]
        copies = [scaled_levels(image, 30, 220) for image in pictures]
        contents = [encoded(image, quality=95) for image in pictures + copies]
        groups = near_groups(entries_of(contents), [])
        assert [group.rows for group in groups] == ([(i, i + 12) for i in range(12)] if found else [])


def test_sharpness_has_a_closed_form() -> None:
    signs = np.indices((42, 62)).sum(axis=0) % 2 * 2.0 - 1
    assert sharpness(np.float32(100 + 5 * signs)) == pytest.approx(64 * 25, rel=1e-3)  # the Laplacian is -8 x 5 x signs
    half = np.where(np.arange(62) < 31, 100 + 5 * signs, 100)
    assert sharpness(half.astype(np.float32)) == pytest.approx(64 * 25, rel=1e-3)  # its sharpest part counts
    assert sharpness(np.add.outer(np.arange(42.0), np.arange(62.0)).astype(np.float32)) == 0
    assert np.isnan(sharpness(np.zeros((5, 5), np.float32)))


def test_statistics_are_those_of_the_pixels() -> None:
    images = np.random.RandomState(0).randint(0, 256, (5, 20, 30, 3)).astype(np.uint8)
    figures = statistics(entries_of(list(images)), ["a"])
    assert figures["mean"] == pytest.approx((images / 255).mean(axis=(0, 1, 2)).tolist())
    assert figures["std"] == pytest.approx((images / 255).std(axis=(0, 1, 2)).tolist())
    assert figures["sizes"] == [{"width": 30, "height": 20, "images": 5}]


def test_small_sets_of_large_differences(tmp_path: Path) -> None:
    """All files are broken, some labels are none: still a report."""
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text("no picture")
    result = audit(tiny_config(data__source="folder", data__dir=str(tmp_path / "set")), tmp_path / "out")
    assert found_names(result.report)["not an image"] == {"a/1.jpg", "a/2.jpg", "b/3.jpg"}
    read_page(result.page)
    found = find_all(entries_of([encoded(photograph(i)) for i in range(4)], [0, 5, 1, -1]), ["a", "b"])
    assert [suspect.row for suspect in found[0].suspects] == [1, 3]
    assert found[0].kind == "label out of range"


def test_manifest(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(photograph(i // 2)))
    (tmp_path / "list.csv").write_text("path,label,split\n0.jpg,a,train\n1.jpg,a,test\n2.jpg,b,train\n3.jpg,a,train\n")
    result = audit(tiny_config(data__source="csv", data__dir=str(tmp_path / "list.csv")), tmp_path / "out")
    names = found_names(result.report)
    assert names["duplicates across splits"] == {"0.jpg", "1.jpg"}
    assert names["duplicates with different labels"] == {"2.jpg", "3.jpg"}


def test_confident_learning() -> None:
    """Thresholds are the mean self-confidence of each class: 0.7 and 0.6 here."""
    first = np.array([0.9, 0.8, 0.4, 0.2, 0.3, 0.75, 0.05])
    labels = np.array([0, 0, 0, 1, 1, 1, 0])
    found = likely_mislabelled(np.stack([first, 1 - first], axis=1), labels, np.arange(10, 17), ["a", "b"])
    # Class 0: (0.9 + 0.8 + 0.4 + 0.05) / 4 = 0.5375; class 1: (0.8 + 0.7 + 0.25) / 3 = 0.583.
    assert [suspect.row for suspect in found.suspects] == [16, 15, 12]
    assert found.suspects[0].detail == "model: b 95.0%, a 5.0%"
    kept = likely_mislabelled(np.stack([first, 1 - first], axis=1)[:5], labels[:5], np.arange(5), ["a", "b"])
    assert not kept.suspects  # 0.6 for b does not reach its threshold, 0.75


def test_outliers_and_projection() -> None:
    random = np.random.RandomState(0)
    centres = random.normal(size=(3, 2000)) * 5
    labels = np.arange(300) % 3
    features = centres[labels] + random.normal(size=(300, 2000))
    small = project(features)
    assert small.shape == (300, 256)
    ratios = np.linalg.norm(small[:100] - small[100:200], axis=1) / np.linalg.norm(
        features[:100] - features[100:200], axis=1
    )
    assert np.abs(ratios - 1).max() < 0.25
    one, brighter = project(np.stack([features[0], features[0] + 1]))
    assert np.linalg.norm(brighter - one) == pytest.approx(2000**0.5, rel=0.15)
    assert not embedding_outliers(small, labels, np.arange(300)).suspects
    features[17] += 12 * random.normal(size=2000)
    features[40] = centres[(labels[40] + 1) % 3]
    found = embedding_outliers(project(features), labels, np.arange(300))
    assert {suspect.row for suspect in found.suspects} == {17, 40}


def write_run(workdir: Path, kernel: np.ndarray, bias: np.ndarray) -> None:
    """The run directory of a linear model on the digits."""
    config = to_json(tiny_config(model__name="linear"))
    resolved = {
        "image_shape": [8, 8, 1], "class_names": list("0123456789"),
        "normalization": Normalization("unit", (0.0,), (1.0,)).to_json(),
    }  # fmt: skip
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(config | {"resolved": resolved}))
    state = {
        "params": {"head": {"logits": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}},
        "batch_stats": {},
    }
    with open_checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(1, state, {"epoch": 1, "best": None}, config)


def test_with_a_model(tmp_path: Path) -> None:
    """A linear model on half of the digits, asked about the other half, in which labels are swapped."""
    from sklearn.linear_model import LogisticRegression

    bunch = sklearn_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    model = LogisticRegression(max_iter=3000).fit(images[::2].reshape(-1, 64) / 255, bunch.target[::2])
    write_run(tmp_path / "run", model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32))
    others, labels = images[1::2].copy(), bunch.target[1::2].copy()
    swapped = [10, 200, 501]
    labels[swapped] = (labels[swapped] + 3) % 10
    others[300] = np.where(np.indices((8, 8)).sum(axis=0) % 2, 255, 0)  # no digit
    np.savez(tmp_path / "others.npz", image=others, label=labels, class_names=np.array(list("0123456789")))

    run = load_run(tmp_path / "run")
    assert np.allclose(run.embed(others[:3, ..., None]), others[:3].reshape(3, 64) / 255, atol=1e-6)
    expected = model.decision_function(others.reshape(-1, 64) / 255)
    assert np.abs(run.logits(others[..., None]) - expected).max() < 1e-3

    result = script(
        "audit_data.py", f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}", "--strict",
        "--config.data.source=npz", f"--config.data.dir={tmp_path / 'others.npz'}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr  # warnings are no errors
    assert result.stdout.splitlines()[-1].endswith(str(tmp_path / "out" / "audit.html"))
    report = read_json(tmp_path / "out" / "audit.json")
    findings = {finding["kind"]: finding for finding in report["findings"]}
    suspects = [picture["index"] for picture in findings["likely mislabelled"]["pictures"]]
    assert set(swapped) <= set(suspects[:5])
    assert len(suspects) < 0.03 * len(labels)
    assert findings["embedding outlier"]["pictures"][0]["index"] == 300
    assert len(findings["embedding outlier"]["pictures"]) < 0.02 * len(labels)
    hard = report["difficulty"]
    assert sum(row["images"] for row in hard) == len(labels)
    assert [row["loss"] for row in hard] == sorted((row["loss"] for row in hard), reverse=True)
    with pytest.raises(InputError, match="has other classes"):
        audit(tiny_config(data__source="synthetic"), tmp_path / "other", run)


def test_script(planted: tuple[Path, dict[str, set[str]], Audit], tmp_path: Path) -> None:
    folder, _, _ = planted
    result = script("audit_data.py", f"--dir={folder / 'set'}", f"--output={tmp_path}", "--strict")
    assert result.returncode == 1, result.stderr
    assert "136 images: 7 errors, 14 warnings, 6 notes" in result.stdout
    assert (tmp_path / "audit.html").exists()
    nothing = script("audit_data.py")
    assert nothing.returncode == 2
    assert "--dir, --config or --workdir" in nothing.stderr
