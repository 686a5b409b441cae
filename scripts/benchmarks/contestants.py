"""Processes that are timed by turns: this package's, plain Flax's and PyTorch's."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from cnn_jax.errors import InputError

_SCRIPTS = str(Path(__file__).parents[1])

# network: batch of a training step, (height, width, channels)
SIZES: dict[str, tuple[int, tuple[int, int, int]]] = {
    "lenet5": (256, (28, 28, 1)),
    "cnn": (256, (28, 28, 1)),
    "resnet18": (64, (32, 32, 3)),
    "resnet50": (4, (224, 224, 3)),
}


class Contestant:
    """A process that answers how long its calls take; see `turns`."""

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str] | None = None):
        self.name = name
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip

    def wait(self) -> dict[str, Any]:
        """Until it has made its first calls: what it says of itself, `parameters` and `first_ms` among it."""
        said = self._answer()
        return said if isinstance(said, dict) else self._fail()

    def turn(self, call: str, seconds: float, cpu_time: bool = False) -> float:
        """Milliseconds of a call, the mean over so many seconds; `cpu_time`: both those of processors."""
        return float(self._ask(f"{call} {seconds}" + " cpu" * cpu_time))

    def memory(self) -> dict[str, int | None]:
        """Bytes: `peak` of the process so far, and `program` by the compiler's account of a training step, or None."""
        return self._ask("memory")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        try:
            return json.loads(self._process.stdout.readline())
        except ValueError:
            self._fail()

    def _fail(self) -> NoReturn:
        self._process.kill()
        said = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
        raise InputError(f"{self.name} failed: {said[-1] if said else 'it said nothing'}")


def own_words(
    network: str, shape: tuple[int, int, int], calls: Sequence[str], changes: Mapping[str, Any] | None = None
) -> list[str]:
    """The command of this package's contestant; `changes` are keys of its config."""
    overrides = [f"{key}={value}" for key, value in (changes or {}).items()]
    return [*_module("cnn_jax"), *_size(network, shape, calls), *overrides]


def torch_words(torch_python: str, network: str, shape: tuple[int, int, int], calls: Sequence[str]) -> list[str]:
    """The command of PyTorch's contestant."""
    return [torch_python, str(Path(__file__).parent / "torch_contestant.py"), *_size(network, shape, calls)]


@contextmanager
def contestants(
    network: str, shape: tuple[int, int, int], calls: Sequence[str], torch_python: str | None
) -> Iterator[list[Contestant]]:
    """All that are there, for calls like "train:256"."""
    words = {
        "cnn_jax": own_words(network, shape, calls),
        "flax": [*_module("flax"), *_size(network, shape, calls)],
    }
    if torch_python is not None:
        words["torch"] = torch_words(torch_python, network, shape, calls)
    with started(words) as there:
        yield there


@contextmanager
def started(words: Mapping[str, Sequence[str]]) -> Iterator[list[Contestant]]:
    """Contestants by name, all started; they end with the context."""
    with ExitStack() as stack:
        there = []
        for name, command in words.items():
            try:
                there.append(Contestant(name, command))
            except OSError as error:  # of our own interpreter we know that it can
                raise InputError(f"--torch_python={command[0]}: it cannot be run ({error.strerror})") from error
            stack.callback(there[-1].close)
        yield there


def check_same(network: str, said: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises InputError where contestants (name: what it says of itself) train networks of different sizes."""
    counts = {name: about["parameters"] for name, about in said.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"{network} is not the same network everywhere: {counts} parameters")


def _module(kind: str) -> list[str]:
    code = f"import sys; sys.path.insert(0, {_SCRIPTS!r}); from benchmarks.contestant import main; main(*sys.argv[1:])"
    return [sys.executable, "-c", code, kind]


def _size(network: str, shape: tuple[int, int, int], calls: Sequence[str]) -> list[str]:
    return [network, "x".join(map(str, shape)), ",".join(calls)]
