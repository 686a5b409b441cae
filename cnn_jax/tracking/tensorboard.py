"""TensorBoard's event files: the same rows as `FIGURE/SPLIT` against the step, and config and environment as text."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorboardTracker:
    """Writes into WORKDIR/tensorboard; a resumed run goes on in a new file there, as TensorBoard expects.

    Not through tensorboardX's SummaryWriter: what goes wrong in its thread is printed as a traceback, and from then on
    it waits for ever. Here a row is on disk when `log` returns, or OSError is raised.
    """

    name = "TensorBoard"

    def __init__(self, workdir: Path, config: Mapping[str, Any]):
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        folder = workdir / "tensorboard"
        folder.mkdir(exist_ok=True)
        now = time.time()
        # A run may be stopped and resumed within a second: so the files are counted, too.
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{len(list(folder.iterdir()))}"
        self._file = RecordWriter(str(folder / name))
        self._file.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        self._text("config", config)
        environment = workdir / "environment.json"
        if environment.exists():
            self._text("environment", json.loads(environment.read_text()))
        self._flush()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        from tensorboardX.summary import scalar

        for name, value in metrics.items():
            if name not in ("split", "epoch"):
                self._write(scalar(f"{name}/{metrics['split']}", value), step)
        self._write(scalar("epoch", metrics["epoch"]), step)
        self._flush()  # a run that is killed has on disk what it has logged

    def log_artifact(self, path: Path) -> None:
        """Nothing to do: the file is in the run directory already."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        if summary:
            self._text("summary", summary)
        self._flush()
        self._file.close()

    def _text(self, tag: str, content: Mapping[str, Any]) -> None:
        """JSON as a block of Markdown."""
        from tensorboardX.summary import text

        lines = json.dumps(content, indent=2).splitlines()
        self._write(text(tag, "".join(f"    {line}\n" for line in lines)), 0)

    def _write(self, summary: Any, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write(Event(summary=summary, step=step, wall_time=time.time()).SerializeToString())

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise
