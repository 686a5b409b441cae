"""The local log: `metrics.jsonl`, one JSON object per line."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.cli.progress import announce
from cnn_jax.runs.metrics_file import read_rows


class LocalTracker:
    """Appends rows to `metrics.jsonl`.

    On opening, the file is cut back to the first `epoch` epochs: what a killed run logged after its last checkpoint
    will be logged again, and must not stand there twice. Rows that cannot be written (a full disk) are written with a
    later one, when there is room.

    `rows` are those that were kept on opening; `repeated` are (step, split) of those that were not.
    """

    def __init__(self, path: Path, epoch: int):
        self._path = path
        found = read_rows(path)
        self.rows = [row for row in found if row["epoch"] <= epoch and row["split"] != "test"]
        self.repeated = {(row["step"], row["split"]) for row in found if row not in self.rows}
        self._lines = [json.dumps(row) + "\n" for row in self.rows]
        self._whole = False
        self._write()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._lines.append(json.dumps({"step": step, **metrics}) + "\n")
        self._write()

    def _write(self) -> None:
        """Appends the last line or, where what is on disk is not whole, replaces the file."""
        before, temporary = self._whole, self._path.with_suffix(".tmp")
        self._whole = False
        try:
            if before:
                with open(self._path, "a") as file:
                    file.write(self._lines[-1])
            else:
                temporary.write_text("".join(self._lines))
                os.replace(temporary, self._path)
            self._whole = True
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            announce(f"{self._path}: it cannot be written ({error.strerror}); what is missing follows when it can")

    def log_artifact(self, path: Path) -> None:
        """Nothing to do: the file is in the run directory already."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Every line is on disk as soon as it is logged, unless it could not be."""
        if not self._whole:
            self._write()
