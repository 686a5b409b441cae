"""Arrays, manifests and pictures of a stranger run no code, and end in one line."""

import csv
import io
import json
import pickle
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.images import read_image
from cnn_jax.runtime.folders import cache_folder
from tests.support.helpers import data_settings, refusal
from tests.support.hostile import Payload, objects
from tests.support.made_up import save_picture


def test_the_payload_would_run(ran: Path) -> None:
    pickle.loads(pickle.dumps(Payload(ran)))
    assert ran.exists()


@pytest.mark.parametrize("where", ["image", "label", "split", "class_names"])
def test_python_objects_in_an_archive(tmp_path: Path, ran: Path, where: str) -> None:
    arrays: dict[str, Any] = {"image": np.zeros((4, 8, 8), np.uint8), "label": np.array([0, 1, 0, 1])}
    arrays[where] = objects(ran, 4)
    np.savez(tmp_path / "set.npz", allow_pickle=True, **arrays)
    refusal(data.load, data_settings(source="npz", dir=str(tmp_path / "set.npz"), validation=0, test=0))
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["pickle", "npy"])
def test_a_pickle_that_is_called_an_archive(tmp_path: Path, ran: Path, kind: str) -> None:
    path = tmp_path / "set.npz"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(ran)))
    else:
        with open(path, "wb") as file:
            np.save(file, objects(ran, 1), allow_pickle=True)
    refusal(data.load, data_settings(source="npz", dir=str(path)))
    assert not ran.exists()


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


BOMBS: dict[str, tuple[dict[str, bytes], str]] = {
    "labels of 300 MB": ({"label": header("<U100000", (800,)) + bytes(300_000_000)}, "too many for 800 images"),
    "images that are followed by 100 MB": (
        {"image": header("|u1", (800, 2, 2)) + bytes(800 * 4 + 100_000_000)}, "followed by something else"
    ),
    "images of a petabyte": ({"image": header("|u1", (10**9, 1000, 1000)) + bytes(1000)}, "cut off"),
    "labels of a petabyte": ({"label": header("<i8", (10**14,)) + bytes(1000)}, "npz"),
    "code in a header": ({"label": header("|u1", (800,)).replace(b"False", b"open(")}, "not a whole .npz archive"),
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
def test_archives_that_unpack_to_too_much(tmp_path: Path, what: str) -> None:
    members, words = BOMBS[what]
    members = {"image": header("|u1", (800, 2, 2)) + bytes(3200), "label": header("|u1", (800,)) + bytes(800)} | members
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    assert (tmp_path / "bomb.npz").stat().st_size < 1_000_000
    assert words in refusal(data.load, data_settings(source="npz", dir=str(tmp_path / "bomb.npz")))


def test_an_archive_for_which_the_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "set.npz", image=np.zeros((20, 99, 99), np.uint8), label=np.arange(20) % 2)
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "has 100,000 left" in refusal(data.load, data_settings(source="npz", dir=str(tmp_path / "set.npz")))


def test_python_objects_in_the_cache(tmp_path: Path, ran: Path) -> None:
    """With everything else about the entries as it should be."""
    good = cache.array("hostile", lambda: np.arange(3))
    folder = cache.entry("hostile", lambda folder: None)
    np.save(folder / "array.npy", objects(ran, 3), allow_pickle=True)
    content = (folder / "array.npy").read_bytes()
    entry = {"key": "hostile", "files": {"array.npy": [len(content), zlib.crc32(content)]}}
    (folder / "entry.json").write_text(json.dumps(entry))
    assert np.array_equal(cache.array("hostile", lambda: np.arange(3)), good)
    cache.remember("hostile", np.zeros((2, 3), np.uint64))
    (states,) = (cache_folder() / "states").glob("hostile*.npy")
    np.save(states, objects(ran, 2, 3), allow_pickle=True)
    assert cache.recall("hostile") is None
    assert not ran.exists()


def manifest(tmp_path: Path, rows: list[tuple[str, str]]) -> Any:
    good = [(str(save_picture(tmp_path / f"in/{i}.png", i)), "ab"[i % 2]) for i in range(6)]
    with open(tmp_path / "in/set.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *good, *rows])
    return data_settings(source="csv", dir=str(tmp_path / "in/set.csv"), image_size=8, validation=0, test=0)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "not an image"),
        ("../../../../../../../../etc/passwd", "not an image"),
        ("/dev/zero", "not a regular file"),
        ("/proc/self/environ", "not an image|is empty"),
        ("/etc", "this is a folder"),
        ("https://example.org/a.png", "no such file"),
        ("$(touch ran)", "no such file"),
        ("a\0.png", "zero byte|line contains NUL"),
    ],
)
def test_paths_in_a_manifest(
    tmp_path: Path, path: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may lead anywhere: what is there is read as a picture, or refused."""
    monkeypatch.chdir(tmp_path)
    line = refusal(data.load, manifest(tmp_path, [(path, "a")]))
    assert any(word in line + capsys.readouterr().err for word in words.split("|"))
    assert not (tmp_path / "ran").exists()


def test_a_link_in_place_of_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = manifest(tmp_path, [("link.png", "a")])
    (tmp_path / "in/link.png").symlink_to("/etc/passwd")
    refusal(data.load, config)
    assert "link.png: this is not an image" in capsys.readouterr().err


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return start + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG")
    content = stream.getvalue()
    frame = content.index(b"\xff\xc0") + 5
    return content[:frame] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[frame + 4 :]


@pytest.mark.parametrize("content", [png_of(60_000, 60_000), jpeg_of(60_000, 60_000), png_of(1, 83_886_338)],
                         ids=["png", "jpeg", "column"])  # fmt: skip
def test_pictures_that_claim_billions_of_pixels(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bomb").write_bytes(content)
    line = refusal(read_image, tmp_path / "bomb")
    assert "bomb: this image cannot be read" in line
    assert "pixels" in line


def test_pictures_that_are_programs(tmp_path: Path, ran: Path) -> None:
    """PostScript is a language; Pillow would start Ghostscript for it."""
    (tmp_path / "picture.png").write_text(f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({ran}) (w) file\n")
    assert "not an image" in refusal(read_image, tmp_path / "picture.png")
    assert not ran.exists()
