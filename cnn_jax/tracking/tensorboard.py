"""TensorBoard's event files: the same rows as `FIGURE/SPLIT` against the step, and config and environment as text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorboardTracker:
    """Writes into WORKDIR/tensorboard; a resumed run goes on in a new file there, as TensorBoard expects."""

    def __init__(self, workdir: Path, config: Mapping[str, Any]):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(workdir / "tensorboard"))
        self._writer.add_text("config", _code(config))
        environment = workdir / "environment.json"
        if environment.exists():
            self._writer.add_text("environment", _code(json.loads(environment.read_text())))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        for name, value in metrics.items():
            if name not in ("split", "epoch"):
                self._writer.add_scalar(f"{name}/{metrics['split']}", value, step)
        self._writer.add_scalar("epoch", metrics["epoch"], step)
        self._writer.flush()  # a run that is killed has on disk what it has logged

    def log_artifact(self, path: Path) -> None:
        """Nothing to do: the file is in the run directory already."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        if summary:
            self._writer.add_text("summary", _code(summary))
        self._writer.close()


def _code(content: Mapping[str, Any]) -> str:
    """JSON as a block of Markdown."""
    return "".join(f"    {line}\n" for line in json.dumps(content, indent=2).splitlines())
