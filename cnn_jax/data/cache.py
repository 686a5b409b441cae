"""Decoded images, once and for all: memory-mapped uint8 arrays in the user's cache folder."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnn_jax.data.splits import Examples
from cnn_jax.errors import InputError


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/cnn_jax`, or `~/.cache/cnn_jax`."""
    root = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "cnn_jax"


def cached(
    key: str, count: int, image_shape: tuple[int, int, int], fill: Callable[[np.ndarray, np.ndarray], None]
) -> Examples:
    """The examples under `key`, made by `fill(images, labels)` if they are not there yet.

    `fill` gets arrays to write into, uint8 [count, H, W, C] and int32 [count], the first one a file. The entry appears
    whole or not at all: it is written beside its place and renamed.

    Raises:
      InputError: the cache folder cannot be written.
    """
    folder = cache_folder() / "datasets" / re.sub(r"[^A-Za-z0-9._+-]", "_", key)
    found = _read(folder, count, image_shape)
    if found is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        images = np.lib.format.open_memmap(
            temporary / "images.npy", mode="w+", dtype=np.uint8, shape=(count, *image_shape)
        )
        # A memory-mapped file is sparse: without its blocks, a full disk would be a SIGBUS in the middle of a write.
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with open(temporary / "images.npy", "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary / "images.npy"))
        labels = np.empty(count, np.int32)
        fill(images, labels)
        images.flush()
        del images
        np.save(temporary / "labels.npy", labels)
        (temporary / "entry.json").write_text(json.dumps({"key": key, "count": count, "image_shape": image_shape}))
        finished_meanwhile = _read(folder, count, image_shape)
        if finished_meanwhile is not None:  # by another process
            return finished_meanwhile
        shutil.rmtree(folder, ignore_errors=True)  # a broken entry
        os.rename(temporary, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    found = _read(folder, count, image_shape)
    if found is None:
        raise InputError(
            f"{folder}: the cache entry that was just written cannot be read back; delete it and try again"
        )
    return found


def _read(folder: Path, count: int, image_shape: tuple[int, int, int]) -> Examples | None:
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = images.dtype == np.uint8 and images.shape == (count, *image_shape) and labels.shape == (count,)
    return Examples(images, labels) if whole and (folder / "entry.json").exists() else None


def _remove_abandoned(parent: Path) -> None:
    """Deletes what killed processes left half-written more than a day ago."""
    for folder in parent.glob(".writing-*"):
        with contextlib.suppress(FileNotFoundError):  # another process does the same
            if time.time() - folder.stat().st_mtime > 86_400:
                shutil.rmtree(folder, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"the data cache {folder.parent} cannot be written ({error.strerror or error}); free some space, or set "
        f"XDG_CACHE_HOME to another folder"
    )
