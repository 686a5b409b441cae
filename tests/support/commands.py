"""Commands run as a user types them, but in the process of the tests, which has imported JAX already."""

import contextlib
import io
import os
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock

from cnn_jax.cli import command_line
from tests.support.helpers import ROOT

_LONGEST_LINE = 1_100
_NOTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")  # how progress is told where there is no terminal


class Outcome(NamedTuple):
    """How a command ended; `changed` are the files and folders that it made, removed or wrote anew."""

    status: int
    out: str
    err: str
    changed: list[str]


def outcome(name: str, *arguments: str | Path, folder: Path) -> Outcome:
    """Runs scripts/NAME as a program in a folder; what it raises beside its own errors is raised here."""
    before, out, err = tree(folder), io.StringIO(), io.StringIO()
    with _entered(folder, [str(ROOT / "scripts" / name), *map(str, arguments)]):
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
            status: Any = 0
        except SystemExit as end:
            status = end.code or 0
    after = tree(folder)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return Outcome(status, out.getvalue(), err.getvalue(), changed)


def refused(name: str, *arguments: str | Path, folder: Path) -> str:
    """The one line with which a command refuses what it is given, at its end; nothing is left on disk."""
    ended = outcome(name, *arguments, folder=folder)
    assert ended.status == 2, ended
    said = [line for line in ended.err.splitlines() if not _NOTE.match(line)]
    assert len(said) == 1, said
    assert ended.err.endswith(f"{said[0]}\n")
    assert said[0].startswith(f"{name}: ")
    assert said[0].isprintable()
    assert len(said[0]) < _LONGEST_LINE
    assert not ended.out
    assert not ended.changed
    return said[0]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """{path: (size, time)} of everything below a folder."""
    states = {}
    for place, folders, files in os.walk(folder):
        for entry in (*folders, *files):
            path = os.path.join(place, entry)
            status = os.lstat(path)
            is_folder = os.path.isdir(path)
            states[os.path.relpath(path, folder)] = (-1, -1) if is_folder else (status.st_size, status.st_mtime_ns)
    return states


@contextlib.contextmanager
def _entered(folder: Path, argv: list[str]) -> Iterator[None]:
    """Another working directory and command line; what only a process of its own may do is left out."""
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(command_line, "keep_memory"),
        mock.patch.object(command_line, "end_on_signals"),
        mock.patch.object(command_line, "leave", _leave),
    ):
        yield


def _leave(status: int, shutdown: Any) -> NoReturn:
    raise SystemExit(status)
