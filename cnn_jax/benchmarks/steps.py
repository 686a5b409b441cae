"""Training steps of this package beside those of plain Flax and of PyTorch, each in its own process, by turns."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from cnn_jax.benchmarks.timing import Settings
from cnn_jax.errors import InputError
from cnn_jax.progress import announce

# network: batch, (height, width, channels)
SIZES: dict[str, tuple[int, tuple[int, int, int]]] = {
    "lenet5": (256, (28, 28, 1)),
    "cnn": (256, (28, 28, 1)),
    "resnet18": (64, (32, 32, 3)),
    "resnet50": (4, (224, 224, 3)),
}
_SECONDS = 2.0  # of each turn


class Contestant:
    """A process that answers how long its steps take."""

    def __init__(self, name: str, words: Sequence[str]):
        self.name = name
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait(self) -> int:
        """Until it has made its first steps: the number of its parameters."""
        words = self._line().split()
        if words[:1] != ["ready"]:
            self._fail()
        return int(words[1])

    def turn(self, seconds: float) -> float:
        """Milliseconds of a step, the mean over so many seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        try:
            return float(self._line())
        except ValueError:
            self._fail()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _fail(self) -> NoReturn:
        self._process.kill()
        said = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
        raise InputError(f"{self.name} failed: {said[-1] if said else 'it said nothing'}")


def measure_steps(settings: Settings) -> list[dict[str, Any]]:
    """One table: milliseconds of a training step and their spread, and how many times faster this package is."""
    rows = []
    for network in settings.networks or SIZES:
        batch, shape = SIZES[network]
        with contestants(network, batch, shape, settings.torch_python) as there:
            counts = {one.name: one.wait() for one in there}
            if len(set(counts.values())) > 1:
                raise InputError(f"{network} is not the same network everywhere: {counts} parameters")
            announce(f"{network}: {settings.rounds} rounds of {', '.join(counts)}")
            times: dict[str, list[float]] = {one.name: [] for one in there}
            for _ in range(settings.rounds):
                for one in there:
                    times[one.name].append(one.turn(_SECONDS))
        own = np.array(times["cnn_jax"])
        for name, values in times.items():
            middle, low, high = np.percentile(values, (50, 25, 75))
            ratio = float(np.median(np.array(values) / own))  # of turns side by side
            rows.append([network, name, float(middle), f"{low:.3g} to {high:.3g}", batch / middle * 1e3, ratio])
    columns = ["network", "", "ms a step", "half of them", "images/s", "x cnn_jax's time"]
    return [{"title": "training steps (SGD with momentum)", "columns": columns, "rows": rows}]


@contextmanager
def contestants(
    network: str, batch: int, shape: tuple[int, int, int], torch_python: str | None
) -> Iterator[list[Contestant]]:
    """The processes, one after another made ready."""
    size = [network, *map(str, (batch, *shape))]
    words = {kind: [sys.executable, "-m", "cnn_jax.benchmarks.contestant", kind, *size] for kind in ("cnn_jax", "flax")}
    if torch_python is not None:
        words["torch"] = [torch_python, str(Path(__file__).parent / "torch_contestant.py"), *size]
    with ExitStack() as stack:
        there = []
        for name, command in words.items():
            try:
                there.append(Contestant(name, command))
            except OSError as error:
                raise InputError(f"--torch_python={torch_python}: it cannot be run ({error.strerror})") from error
            stack.callback(there[-1].close)
        yield there
