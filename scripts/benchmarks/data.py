"""What it costs to decode photographs, and how much of a bare decoding loop's speed a stream of batches keeps."""

import io
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.timing import Settings
from cnn_jax.cli.progress import announce
from cnn_jax.data.feeding.stream import Batches, stream
from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.reading.images import decode, ignore_pillows_warnings, quiet, read_file
from cnn_jax.data.reading.memory import cores
from cnn_jax.errors import InputError
from cnn_jax.inference.prediction import list_images

_SHAPE = (224, 224, 3)
_BATCH_SIZE, _WARM_BATCHES, _BATCHES = 32, 6, 24
_AREA = (0.08, 1.0)
_MADE_UP, _MOST, _JPEG = 64, 512, b"\xff\xd8"


def measure_data(settings: Settings) -> list[dict[str, Any]]:
    """Two tables: decoders, and streams against a bare loop; without `photos` some are made up (500x375 pixels)."""
    photos, rounds = settings.photos, settings.rounds
    with tempfile.TemporaryDirectory() as folder, quiet():
        paths = list_images([photos]) if photos is not None else _make_up(Path(folder))
        contents = {path: content for path in paths[:_MOST] if (content := read_file(path))[:2] == _JPEG}
        if not contents:
            raise InputError(f"--photos={photos}: this folder holds no JPEG files")
        return [measure_decoders(list(contents.values()), rounds), measure_streams(list(contents), rounds)]


def measure_decoders(contents: list[bytes], rounds: int) -> dict[str, Any]:
    """Milliseconds per photograph on one core, from bytes to uint8 [224, 224, 3]."""
    decoders: dict[str, Callable[[bytes], np.ndarray]] = {
        "Pillow": _pillow, "Pillow, scaled while decoding (draft)": partial(_pillow, draft=True),
        "cnn_jax (libjpeg-turbo, then Pillow)": lambda content: decode(content, "photo", _SHAPE, "crop"),
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(rounds):
        for name, decoder in decoders.items():
            start = time.perf_counter()
            for content in contents:
                decoder(content)
            times[name].append((time.perf_counter() - start) / len(contents) * 1e3)
    return {
        "title": f"decoding {len(contents)} photographs to 224x224",
        "columns": ["decoder", "ms per image"],
        "rows": [[name, float(np.median(values))] for name, values in times.items()],
    }


def measure_streams(paths: list[str], rounds: int) -> dict[str, Any]:
    """Images per second of random-resized-crops: a bare loop in a process per core, streams, and what they hold."""
    count = cores()
    # Long enough for the orders not to be the same small one again and again.
    listed = [os.path.abspath(path) for path in paths] * -(-40 * _BATCH_SIZE // len(paths))
    batches = _crops(listed)
    speeds: dict[str, list[float]] = {name: [] for name in ("bare loop", "threads", "processes")}
    context = get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=_start, initargs=(batches,)) as pool:
        list(pool.map(_loop, [1] * count * 4))
        for number in range(rounds):
            announce(f"streaming, round {number + 1} of {rounds}")
            start = time.perf_counter()
            counts = list(pool.map(_loop, [max(4, _BATCHES // count)] * count))
            speeds["bare loop"].append(sum(counts) / (time.perf_counter() - start))
            for name, workers in (("threads", 0), ("processes", count)):
                speeds[name].append(_speed(batches, workers))
    tenfold = _crops(listed * 10)
    bare = np.array(speeds["bare loop"])
    table: list[list[Any]] = [["bare loop", float(np.median(bare)), 1.0, "", ""]]
    for name, workers in (("threads", 0), ("processes", count)):
        announce(f"memory of {name}")
        peak, tenfold_peak = _peak_megabytes(batches, workers), _peak_megabytes(tenfold, workers)
        ratio = float(np.median(np.array(speeds[name]) / bare))
        table.append([name, float(np.median(speeds[name])), ratio, peak, tenfold_peak - peak])
    return {
        "title": f"random-resized-crops of photographs in batches of {_BATCH_SIZE} on {count} cores",
        "columns": ["how", "images/s", "of the bare loop", "peak MB", "more with ten times the files"],
        "rows": table,
    }


def _crops(paths: list[str]) -> Batches:
    rows = np.arange(len(paths))
    pictures = ImageDataset(Files("/", paths), rows, (rows % 10).astype(np.int32), _SHAPE, "crop")
    return Batches(pictures, 0, _BATCH_SIZE, crop=(_AREA, 0))


def _speed(batches: Batches, workers: int) -> float:
    """Images per second once the stream runs: the consumer always waits, so what is under way stays the same."""
    with stream(batches, 0, 10**6, workers) as decoded:
        for _ in range(_WARM_BATCHES):
            next(decoded)
        start = time.perf_counter()
        for _ in range(_BATCHES):
            next(decoded)
        return _BATCHES * _BATCH_SIZE / (time.perf_counter() - start)


def _peak_megabytes(batches: Batches, workers: int) -> float:
    """The most that this process and its children held to themselves while so many batches were streamed."""
    done, most = threading.Event(), 0.0

    def watch() -> None:
        nonlocal most
        while True:
            most = max(most, _own_megabytes())
            if done.wait(0.1):
                return

    watcher = threading.Thread(target=watch)
    with stream(batches, 0, 10**6, workers) as decoded:
        watcher.start()
        try:
            for _ in range(_WARM_BATCHES + _BATCHES):
                next(decoded)
        finally:
            done.set()
            watcher.join()
    return most


def _own_megabytes() -> float:
    me, total = psutil.Process(), 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().uss
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


_batches: Batches | None = None


def _start(batches: Batches) -> None:
    global _batches
    _batches = batches
    ignore_pillows_warnings()


def _loop(count: int) -> int:
    """Decodes so many batches in this process, and throws them away."""
    assert _batches is not None
    return sum(len(_batches.task(step).read()["image"]) for step in range(count))


def _pillow(content: bytes, draft: bool = False) -> np.ndarray:
    from PIL import Image, ImageOps

    picture = Image.open(io.BytesIO(content))
    if draft:
        picture.draft("RGB", _SHAPE[:2])
    return np.asarray(ImageOps.fit(picture.convert("RGB"), _SHAPE[:2], Image.Resampling.BILINEAR))


def _make_up(folder: Path) -> list[str]:
    """JPEG files of about 90 kB, like those of ImageNet."""
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(_MADE_UP):
        coarse = Image.fromarray(random.integers(0, 256, (94, 125, 3), np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{i:03}.jpg", quality=92)
    return sorted(map(str, folder.iterdir()))
