"""One file from an address, resumed where it was cut, checked before it gets its name."""

import contextlib
import errno
import fcntl
import http.client
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cnn_jax.errors import InputError, shown
from cnn_jax.models.pretrained import checksums

# (total bytes, or 0 where the server does not say; description; unit; bytes that are there) -> a bar: a context manager
# with `update(count)`, such as `cli.progress.progress_bar`.
Progress = Callable[[int, str, str, int], Any]

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
_WAITS = (1.0, 2.0, 4.0)  # seconds before each further try
_LARGEST = 1 << 33  # bytes, of a server that does not say how many will come
_COUNT = r"[0-9]{1,15}"
_PASSING = {408, 429, 500, 502, 503, 504}


class NotReached(Exception):
    """The server was not reached, or did not give the file; the message says why."""


class _Cut(Exception):
    """A try failed in a way that may pass."""


def download(
    url: str,
    path: Path,
    sha256: str | None,
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Fetches `url` to `path`, which appears whole and checked, or not at all.

    What has come so far stays in `path` + ".part", for the next call to go on from (where a checksum is known: without
    one, two versions of the file might be mixed). Where another process fetches the same file, this one waits for it.

    Args:
      sha256: hex, or its beginning; None: what comes is trusted, and its checksum kept beside it.

    Raises:
      NotReached: no server, no file, or a connection that was cut again and again.
      InputError: the file has another checksum, or cannot be written; nothing of it is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _own(path.with_name(f"{path.name}.part")) as (part, file):
            if path.exists():  # another process has finished it meanwhile
                part.unlink()
                return
            if sha256 is None:
                file.truncate(0)
            try:
                _fetch(url, file, path.name, progress, wait)
            except NotReached:
                if sha256 is None or not file.seek(0, os.SEEK_END):
                    part.unlink()
                raise
            _finish(url, part, file, path, sha256)
    except OSError as error:
        if _is_full(error):
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)
        raise InputError(
            f"{shown(str(path))} cannot be written ({error.strerror or error})"
            + ("; free some space, or set XDG_CACHE_HOME to another folder" if _is_full(error) else "")
        ) from error


@contextlib.contextmanager
def _own(part: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """The unfinished file, opened to append, locked against other processes."""
    while True:
        file = open(part, "a+b")  # noqa: SIM115 (closed below, and with it the lock)
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(part), os.fstat(file.fileno())):
                break
        file.close()  # another process renamed or removed it while this one waited
    with file:
        yield part, file


def _fetch(url: str, file: BinaryIO, name: str, progress: Progress | None, wait: Callable[[float], None]) -> None:
    """Appends to the file until all has come."""
    for seconds in (*_WAITS, None):
        try:
            return _try(url, file, name, progress)
        except _Cut as error:
            if seconds is None:
                raise NotReached(str(error)) from error
            wait(seconds)


def _try(url: str, file: BinaryIO, name: str, progress: Progress | None) -> None:
    start = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "cnn_jax", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _answer(request, file) as answer:
        place, total = _stretch(answer, start)
        if place != start:
            file.truncate(place)
        description = f"downloading {name}"
        with progress(total or 0, description, "byte", place) if progress else contextlib.nullcontext() as bar:
            while chunk := _read(answer):
                file.write(chunk)
                place += len(chunk)
                if place > (total if total is not None else _LARGEST):
                    file.truncate(0)
                    raise NotReached("the server sends more than it announced")
                if bar is not None:
                    bar.update(len(chunk))
        file.flush()
    if total is not None and place < total:
        raise _Cut(f"the connection was cut after {place:,} of {total:,} bytes")


def _answer(request: urllib.request.Request, file: BinaryIO) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file, or longer: it is none of its beginnings
            file.truncate(0)
            raise _Cut("the server has no such part of the file") from error
        if error.code in _PASSING:
            raise _Cut(f"the server answers {error.code} {shown(str(error.reason))}") from error
        raise NotReached(f"the server answers {error.code} {shown(str(error.reason))}") from error
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, socket.gaierror):  # no network, most likely: to try again would only take time
            raise NotReached(reason.strerror or str(reason)) from error
        raise _Cut(shown(getattr(reason, "strerror", None) or str(reason))) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"the server does not answer ({type(error).__name__})") from error


def _read(answer: Any) -> bytes:
    try:
        chunk: bytes = answer.read(_CHUNK)
        return chunk
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"the connection was cut ({type(error).__name__})") from error


def _stretch(answer: Any, start: int) -> tuple[int, int | None]:
    """(where the bytes that come belong, size of the whole file)."""
    if answer.status == 206:
        match = re.fullmatch(rf"bytes ({_COUNT})-{_COUNT}/({_COUNT})", answer.headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != start:
            raise NotReached("the server sends another part of the file than it was asked for")
        return start, int(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(_COUNT, length) else None


def _finish(url: str, part: Path, file: BinaryIO, path: Path, sha256: str | None) -> None:
    found = checksums.sha256_of(part)
    if sha256 is not None and not found.startswith(sha256):
        part.unlink()
        raise InputError(
            f"{url} has the checksum {found[:16]}..., not {sha256[:16]}: it is not the file that was published, or was "
            f"changed on its way; nothing of it is kept"
        )
    os.fsync(file.fileno())
    if sha256 is None:
        checksums.remember(path, found)
    os.replace(part, path)


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
