"""Whole processes, timed from their start to their exit."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from cnn_jax.errors import InputError


def run(
    name: str, words: Sequence[str], environment: Mapping[str, str | None] | None = None
) -> tuple[float, list[str]]:
    """Seconds, and the lines that it printed.

    Args:
      name: for errors.
      words: the command.
      environment: what it has other than this process; None: not at all.

    Raises:
      InputError: it failed; its last line says why.
      OSError: it cannot be run.
    """
    changed = {**os.environ, **(environment or {})}
    start = time.perf_counter()
    done = subprocess.run(
        words, capture_output=True, text=True, env={key: value for key, value in changed.items() if value is not None}
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise InputError(f"{name} failed: {said[-1] if said else f'exit status {done.returncode}'}")
    return seconds, done.stdout.splitlines()
