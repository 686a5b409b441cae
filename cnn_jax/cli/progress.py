"""What people see while something runs: lines and progress bars, on standard error; in a notebook on its page."""

import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from cnn_jax.errors import shown

_SECONDS_BETWEEN_LINES = 30.0

_silent = False


def be_silent() -> None:
    """From here on nothing is shown: another host of the same job speaks for this one."""
    global _silent
    _silent = True


def stream() -> TextIO:
    """Where lines and bars go. Standard error stands on red in a notebook, whose output no program reads."""
    return sys.stdout if in_notebook() else sys.stderr


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook: somebody watches, though there is no terminal."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and hasattr(get_ipython(), "kernel")


def _is_watched() -> bool:
    return in_notebook() or sys.stderr.isatty()


def progress_bar(total: int, description: str, unit: str, initial: int = 0) -> Any:
    """A tqdm bar; where nobody watches (a log file), a plain line every half minute instead."""
    if _silent or not _is_watched():
        return Lines(total, description, unit, initial)
    return _tqdm()(
        total=total, desc=description, unit=unit, initial=initial, file=stream(), dynamic_ncols=True, leave=False,
        delay=0.3,
    )  # fmt: skip


def _tqdm() -> Any:
    if not in_notebook():
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ipywidgets is not installed: then it is a bar of text
        from tqdm import auto

    return auto.tqdm


class Lines:
    """What is used of tqdm, for log files."""

    def __init__(self, total: int, description: str, unit: str, initial: int = 0):
        self._total, self._description, self._unit, self._done = total, description, unit, initial
        self._last = time.monotonic()
        self._postfix = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to clear."""

    def update(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            announce(f"{self._description}: {self._done:,} of {self._total:,} {self._unit}s{self._postfix}")

    def set_postfix(self, refresh: bool = True, **figures: str) -> None:
        self._postfix = "".join(f"  {name} {value}" for name, value in figures.items())

    def write(self, line: str, file: Any = None) -> None:
        if not _silent:
            print(line, file=file or stream(), flush=True)


def announce(text: str) -> None:
    """Prints lines. They may hold names out of files: what a terminal would obey is escaped."""
    if not _silent:
        print("\n".join(stamped(shown(line)) for line in text.split("\n")), file=stream(), flush=True)


def stamped(line: str) -> str:
    """The line behind date and time where nobody watches: a log is read later. An empty line stays empty."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}" if line and not _is_watched() else line


def command(*words: str) -> str:
    """A command line to paste: these words behind the interpreter in use."""
    return paste([from_here(sys.executable), *words])


def from_here(file: str | Path) -> str:
    """The path, relative where it lies below the working directory."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def paste(words: Sequence[str]) -> str:
    """Words as a POSIX shell reads them. What holds single quotes stands in double ones where that is safe."""

    def quoted(word: str) -> str:
        return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)

    return " ".join(map(quoted, words))
