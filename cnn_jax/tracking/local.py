"""The local log: `metrics.jsonl`, one JSON object per line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class LocalTracker:
    """Appends rows to `metrics.jsonl`.

    On opening, the file is cut back to the first `epoch` epochs: what a killed run logged after its last checkpoint
    will be logged again, and must not stand there twice.
    """

    def __init__(self, path: Path, epoch: int):
        self._path = path
        rows = [row for row in read_rows(path) if row["epoch"] <= epoch and row["split"] != "test"]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(temporary, path)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        with open(self._path, "a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")

    def log_artifact(self, path: Path) -> None:
        """Nothing to do: the file is in the run directory already."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Nothing to do: every line is on disk as soon as it is logged."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a `metrics.jsonl`; what follows a damaged one (a kill cuts the last one off) is left out."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(row, dict) or not {"step", "epoch", "split"} <= row.keys():
            break
        rows.append(row)
    return rows
