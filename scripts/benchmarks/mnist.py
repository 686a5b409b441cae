"""Time to accuracy on MNIST, of whole processes: a config of this package, and PyTorch's example beside it."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.processes import run
from benchmarks.timing import ROOT, Settings
from cnn_jax.cli.progress import announce
from cnn_jax.config.tree import load_config
from cnn_jax.data import ImageDataset, Split, Splits, load
from cnn_jax.errors import InputError

_EPOCHS = 4  # of PyTorch's example: two and a half minutes on two cores
_TARGET = 0.99


class Reached(NamedTuple):
    """A test accuracy, and the seconds since the process was started."""

    seconds: float
    accuracy: float


def measure_mnist(settings: Settings) -> list[dict[str, Any]]:
    """Tables: trainings by seed; where there is a PyTorch, its epochs, and the times to the same accuracies.

    A training is a process of scripts/train.py, from its start to its exit, with no compiled programs to load; the
    images are decoded already. PyTorch's run takes its turn in the middle of ours.
    """
    path = settings.chosen("mnist_fast.py")[0]
    splits = load(load_config(path).data)  # whose decoded images are in the cache from here on
    if splits.test is None:
        raise InputError(f"{path}: there is no test split, which time to accuracy is measured on")
    own: list[Reached] = []
    torch: list[Reached] = []
    for seed in range(settings.seeds):
        if seed == settings.seeds // 2 and settings.torch_python is not None:
            announce(f"PyTorch's example, {_EPOCHS} epochs")
            torch = _train_torch(settings.torch_python, splits)
        announce(f"{path}, seed {seed}")
        own.append(_train(path, seed))
    tables = [_own_table(Path(path).stem, own)]
    return [*tables, _torch_table(torch), compare(own, torch)] if torch else tables


def compare(own: Sequence[Reached], torch: Sequence[Reached]) -> dict[str, Any]:
    """The times to what PyTorch has after its last epoch, and to 99 %: a table.

    Ours is the median of the whole processes, where the mean accuracy is not below the target; PyTorch's is the end of
    its first epoch that is not below it.
    """
    rows = []
    for target in (torch[-1].accuracy, _TARGET):
        there = [one.seconds for one in torch if one.accuracy >= target]
        enough = np.mean([one.accuracy for one in own]) >= target
        seconds = float(np.median([one.seconds for one in own]))
        hits = sum(one.accuracy >= target for one in own)
        rows.append([
            f"{target:.2%}", seconds if enough else "not reached", f"{hits} of {len(own)}",
            there[0] if there else "not reached", there[0] / seconds if there and enough else "",
        ])  # fmt: skip
    columns = ["test accuracy", "cnn_jax s", "seeds that reach it", "PyTorch s", "times PyTorch's speed"]
    return {"title": "time to accuracy", "columns": columns, "rows": rows}


def _own_table(name: str, runs: Sequence[Reached]) -> dict[str, Any]:
    seconds, accuracies = zip(*runs, strict=True)
    rows = [[f"seed {seed}", one.seconds, f"{one.accuracy:.2%}"] for seed, one in enumerate(runs)]
    rows.append(["median, mean", float(np.median(seconds)), f"{np.mean(accuracies):.2%}"])
    low, high = min(accuracies), max(accuracies)
    rows.append(["range", f"{min(seconds):.3g} to {max(seconds):.3g}", f"{low:.2%} to {high:.2%}"])
    columns = ["", "s, whole process", "test accuracy"]
    return {"title": f"{name}, nothing compiled before", "columns": columns, "rows": rows, "runs": _raw(runs)}


def _torch_table(epochs: Sequence[Reached]) -> dict[str, Any]:
    return {
        "title": "PyTorch's example (Adadelta, batches of 64)",
        "columns": ["epoch", "s since the start", "test accuracy"],
        "rows": [[str(i), one.seconds, f"{one.accuracy:.2%}"] for i, one in enumerate(epochs, start=1)],
        "runs": _raw(epochs),
    }


def _raw(values: Sequence[Reached]) -> list[dict[str, float]]:
    return [one._asdict() for one in values]


def _train(path: str, seed: int) -> Reached:
    with tempfile.TemporaryDirectory() as folder:
        words = [f"--config={path}", f"--config.seed={seed}", f"--workdir={folder}/run"]
        empty = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/programs"}
        seconds, _ = run("scripts/train.py", [sys.executable, str(ROOT / "scripts/train.py"), *words], empty)
        summary = json.loads(Path(folder, "run/summary.json").read_text())
        return Reached(seconds, summary["test_accuracy"])


def _train_torch(interpreter: str, splits: Splits) -> list[Reached]:
    assert splits.test is not None
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/arrays.npz"
        whole = [part for part in (splits.train, splits.validation) if part is not None]
        np.savez(
            file, train_images=np.concatenate([_images(part) for part in whole]),
            train_labels=np.concatenate([part.labels for part in whole]), test_images=_images(splits.test),
            test_labels=splits.test.labels,
        )  # fmt: skip
        words = [interpreter, str(Path(__file__).parent / "torch_mnist.py"), file, str(_EPOCHS), "1"]
        try:
            _, lines = run("torch_mnist.py", [*words, repr(time.time())])
        except OSError as error:
            raise InputError(f"--torch_python={interpreter}: it cannot be run ({error.strerror})") from error
    return [Reached(said["seconds"], said["accuracy"]) for said in map(json.loads, lines)]


def _images(part: Split) -> np.ndarray:
    return part.read(np.arange(len(part))) if isinstance(part, ImageDataset) else part.images
