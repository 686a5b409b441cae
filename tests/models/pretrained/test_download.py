"""A file from a server on this machine that cuts, refuses, ignores and lies: whole and checked, or one line."""

import contextlib
import hashlib
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.download import NotReached, download
from tests.support.file_server import FileServer, cut, file_server, rest, send, status, stretch, whole

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TRIES = 4


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as served:
        yield served


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def fetch(server: FileServer, path: Path, sha256: str | None = SHA256, progress: Any = None) -> list[float]:
    """How long it waited between tries."""
    waits: list[float] = []
    download(server.url, path, sha256, progress, waits.append)
    assert path.read_bytes() == CONTENT
    return waits


def files(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


class Bar:
    """Stands for tqdm."""

    def __init__(self, *arguments: Any):
        self.arguments, self.done = arguments, 0

    def __call__(self, *arguments: Any) -> Any:
        self.arguments = arguments
        return contextlib.nullcontext(self)

    def update(self, count: int) -> None:
        self.done += count


def test_a_download_shows_its_progress(server: FileServer, path: Path) -> None:
    server.script, bar = [whole(CONTENT)], Bar()
    assert fetch(server, path, progress=bar) == []
    assert bar.arguments == (len(CONTENT), "downloading weights.pth", "byte", 0)
    assert bar.done == len(CONTENT)
    assert files(path) == {"weights.pth"}


@pytest.mark.parametrize("known", [SHA256, SHA256[:8], None])
def test_a_cut_connection_is_resumed(server: FileServer, path: Path, known: str | None) -> None:
    server.script, bar = [cut(CONTENT, 1000), cut(CONTENT, 500), rest(CONTENT)], Bar()
    assert fetch(server, path, known, bar) == [1.0, 2.0]
    assert server.ranges == [None, "bytes=1000-", "bytes=1500-"]
    assert bar.arguments == (len(CONTENT), "downloading weights.pth", "byte", 1500)


def test_a_later_call_goes_on(server: FileServer, path: Path) -> None:
    server.script = [cut(CONTENT, 100), *[status(503)] * (TRIES - 1), rest(CONTENT)]
    with pytest.raises(NotReached, match="503"):
        fetch(server, path)
    assert files(path) == {"weights.pth.part"}
    fetch(server, path)
    assert server.ranges[-1] == "bytes=100-"
    assert files(path) == {"weights.pth"}


def test_without_a_checksum_it_begins_anew(server: FileServer, path: Path) -> None:
    """The beginning of one version and the end of another would not be noticed."""
    server.script = [cut(CONTENT, 100), *[status(503)] * (TRIES - 1), rest(CONTENT)]
    with pytest.raises(NotReached):
        fetch(server, path, None)
    assert files(path) == set()
    path.with_name("weights.pth.part").write_bytes(CONTENT[:10])  # of a process that was killed
    fetch(server, path, None)
    assert server.ranges[-1] is None
    assert (path.parent / "weights.pth.sha256").read_text() == f"{SHA256}  weights.pth\n"


def test_a_server_that_ignores_ranges(server: FileServer, path: Path) -> None:
    server.script = [cut(CONTENT, 1000), whole(CONTENT)]
    fetch(server, path)
    assert server.ranges[-1] == "bytes=1000-"


def test_a_server_that_says_no_length(server: FileServer, path: Path) -> None:
    server.script, bar = [lambda handler: send(handler, 200, CONTENT, content_length=None)], Bar()
    fetch(server, path, progress=bar)
    assert bar.arguments[0] == 0


def test_a_part_that_is_too_long(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT + b"more")
    server.script = [status(416), whole(CONTENT)]
    fetch(server, path)
    assert server.ranges == [f"bytes={len(CONTENT) + 4}-", None]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_final(server: FileServer, path: Path, code: int) -> None:
    server.script = [status(code)]
    with pytest.raises(NotReached, match=str(code)):
        fetch(server, path)
    assert len(server.ranges) == 1
    assert files(path) == set()


def test_a_busy_server_is_asked_again(server: FileServer, path: Path) -> None:
    server.script = [status(500), status(429), whole(CONTENT)]
    assert fetch(server, path) == [1.0, 2.0]
    server.script, server.ranges = [status(500)], []
    with pytest.raises(NotReached, match="500"):
        fetch(server, path.with_name("other.pth"))
    assert len(server.ranges) == TRIES
    assert files(path) == {"weights.pth"}


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT + b"more", bytes(len(CONTENT)), b"<html>log in</html>"])
def test_another_file_is_not_kept(server: FileServer, path: Path, sent: bytes) -> None:
    server.script = [whole(sent)]
    with pytest.raises(InputError, match=rf"{server.url} has the checksum .* not {SHA256[:16]}"):
        fetch(server, path)
    assert files(path) == set()


def test_more_than_was_announced(server: FileServer, path: Path) -> None:
    """Without a length in front, behind a part: the whole size was in Content-Range."""
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT[:10])
    server.script = [
        lambda handler: send(
            handler, 206, CONTENT[10:] + b"more", content_length=None, content_range=stretch(CONTENT, 10)
        )
    ]
    with pytest.raises(NotReached, match="more than it announced"):
        fetch(server, path)
    assert files(path) == set()


def test_another_part_than_asked(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(CONTENT[:10])
    server.script = [lambda handler: send(handler, 206, CONTENT[5:], content_range=stretch(CONTENT, 5))]
    with pytest.raises(NotReached, match="another part"):
        fetch(server, path)
    assert not path.exists()


def test_a_full_disk(server: FileServer, path: Path) -> None:
    server.script = [whole(CONTENT)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written .* free some space"):
            fetch(server, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(path) == set()


def test_a_cache_that_cannot_be_made(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(server, tmp_path / "file" / "weights.pth")


def test_two_at_once_download_once(server: FileServer, path: Path) -> None:
    """The second waits for the lock, and finds the file."""
    asked, go_on = threading.Event(), threading.Event()

    def reply(handler: Any) -> None:
        asked.set()
        go_on.wait(10)
        whole(CONTENT)(handler)

    server.script = [reply]
    threads = [threading.Thread(target=fetch, args=(server, path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    asked.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert path.read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert files(path) == {"weights.pth"}


def test_nobody_listens(path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
        with pytest.raises(NotReached, match="refused"):
            download(url, path, SHA256, wait=lambda seconds: None)
    assert files(path) == set()


def test_no_network_is_told_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*arguments: Any, **settings: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(NotReached, match="Name or service not known"):
        download("https://download.pytorch.org/weights.pth", path, SHA256, wait=lambda seconds: pytest.fail("waits"))
