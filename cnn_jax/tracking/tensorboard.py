"""TensorBoard's event files: the same rows as `FIGURE/SPLIT` against the step, and config and environment as text."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorboardTracker:
    """Writes into WORKDIR/tensorboard; a resumed run goes on in a new file there, as TensorBoard expects.

    Not through tensorboardX's SummaryWriter: what goes wrong in its thread is printed as a traceback, and from then on
    it waits for ever. Here a row is on disk when `log` returns, or OSError is raised.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any]):
        from tensorboardX.event_file_writer import EventsWriter

        folder = workdir / "tensorboard"
        folder.mkdir(exist_ok=True)
        # Files are named by the second, and a run may be stopped and resumed within one.
        self._events = EventsWriter(str(folder / "events"), f".{len(list(folder.iterdir()))}")
        self._text("config", config)
        environment = workdir / "environment.json"
        if environment.exists():
            self._text("environment", json.loads(environment.read_text()))
        self._events.flush()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        from tensorboardX.summary import scalar

        for name, value in metrics.items():
            if name not in ("split", "epoch"):
                self._write(scalar(f"{name}/{metrics['split']}", value), step)
        self._write(scalar("epoch", metrics["epoch"]), step)
        self._events.flush()  # a run that is killed has on disk what it has logged

    def log_artifact(self, path: Path) -> None:
        """Nothing to do: the file is in the run directory already."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        if summary:
            self._text("summary", summary)
        self._events.close()

    def _text(self, tag: str, content: Mapping[str, Any]) -> None:
        """JSON as a block of Markdown."""
        from tensorboardX.summary import text

        lines = json.dumps(content, indent=2).splitlines()
        self._write(text(tag, "".join(f"    {line}\n" for line in lines)), 0)

    def _write(self, summary: Any, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._events.write_event(Event(summary=summary, step=step, wall_time=time.time()))
