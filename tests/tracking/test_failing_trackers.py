"""Services that fail, hang or refuse: one warning, training goes on, the local log is whole, and the process ends."""

import contextlib
import errno
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnn_jax import tracking
from cnn_jax.cli.signals import Shutdown
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import fit
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.tracking import background
from cnn_jax.tracking.mlflow import _quiet
from cnn_jax.tracking.tensorboard import TensorboardTracker
from tests.support.helpers import ROOT, tiny_config


@pytest.mark.parametrize(
    ("extra", "package", "value"), [("mlflow", "mlflow", "on"), ("tensorboard", "tensorboardX", True)]
)
def test_a_missing_package_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, package: str, value: Any
) -> None:
    original = tracking.importlib.util.find_spec
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None if name == package else original(name))
    with pytest.raises(InputError, match=rf'{package}, which is not installed: pip install -e "\.\[{extra}\]"'):
        fit(tiny_config(**{f"tracking__{extra}": value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tries_again_are_not_told() -> None:
    """urllib3 warns of each, seven times for one server that is down."""
    logger = logging.getLogger("urllib3.connectionpool")
    before = logger.level
    with _quiet():
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert logger.level == before


class Slow:
    """Does each thing when it is allowed to."""

    def __init__(self) -> None:
        self.go, self.calls = threading.Event(), []

    def log(self, step: int, metrics: Any) -> None:
        self.go.wait()
        self.calls.append(step)

    def log_artifact(self, path: Path) -> None: ...

    def finish(self, summary: Any) -> None:
        self.calls.append(summary)


def test_nobody_waits_for_a_slow_tracker() -> None:
    slow, shutdown = Slow(), Shutdown()
    behind = background.Background("slow", lambda sent: slow, shutdown, patience=0.2)
    for step in range(100):
        behind.log(step, {"split": "train", "epoch": 1})
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"nothing has moved for 0\.2 s"):
        behind.finish({"x": 1})
    assert 0.2 <= time.monotonic() - started < 60
    assert shutdown.stuck.is_set()
    slow.go.set()
    behind._thread.join(60)
    assert slow.calls == [*range(100), {"x": 1}]


def test_nobody_waits_for_a_tracker_with_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_MOST_WAITING", 5)
    slow, shutdown = Slow(), Shutdown()
    full = background.Background("slow", lambda sent: slow, shutdown)
    for _ in range(5):
        full.log(1, {})
    with contextlib.suppress(TimeoutError):
        full.log(1, {})  # the thread may have taken one
    with pytest.raises(TimeoutError, match="5 rows wait for it"):
        full.log(1, {})
    assert shutdown.stuck.is_set()
    slow.go.set()


def test_a_process_ends_although_a_service_waits_at_its_end() -> None:
    code = (
        "import atexit, time; from cnn_jax.cli.signals import Shutdown, leave; shutdown = Shutdown();"
        "atexit.register(time.sleep, 600); print('done'); shutdown.stuck.set(); leave(7, shutdown)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (7, "done\n"), result.stderr


def test_what_goes_wrong_behind_is_raised_by_the_next_call() -> None:
    def start(sent: Any) -> Any:
        raise ConnectionError("no network\nat all")

    behind = background.Background("broken", start, Shutdown())
    behind._thread.join(60)
    for call in (lambda: behind.log(1, {}), lambda: behind.finish({})):
        with pytest.raises(RuntimeError, match=r"^no network at all$"):
            call()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts whoever comes and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    kept.append(server.accept()[0])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


TRAIN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.support.helpers import tiny_config
from cnn_jax.tracking import background
from cnn_jax.experiment import fit
background.PATIENCE = 1.0
fit(tiny_config(num_epochs=1), sys.argv[2])
print("trained", flush=True)
"""


def test_a_server_that_never_answers(silent_server: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", TRAIN, str(ROOT), "run"], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, env={**os.environ, "MLFLOW_TRACKING_URI": silent_server},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "trained\n"), result.stderr
    assert result.stderr.count("MLflow failed and is left out from here on") == 1
    assert [row["split"] for row in read_rows(tmp_path / "run/metrics.jsonl")] == ["train", "validation", "test"]
    assert (tmp_path / "run/summary.json").exists()


LOG = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.support.helpers import tiny_config
from cnn_jax.tracking import make_trackers
trackers = make_trackers(Path(), tiny_config(tracking__mlflow="on"), 0)
trackers.log(1, {"epoch": 1, "split": "train", "loss": 0.5})
trackers.finish({})
print("logged", flush=True)
"""


def test_a_store_that_there_cannot_be(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOG, str(ROOT)], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, env={**os.environ, "MLFLOW_TRACKING_URI": "nonsense://x"},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "logged\n"), result.stderr
    assert result.stderr.count("MLflow failed and is left out from here on") == 1
    assert "unsupported URI" in result.stderr  # at once, not when patience ends
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 1


def test_tensorboard_on_a_full_disk_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    tracker = TensorboardTracker(tmp_path, {"seed": 0})
    assert threading.active_count() == threads  # what fails in a thread is a traceback, and then a hang
    trackers = tracking.Trackers(tracking.LocalTracker(tmp_path / "metrics.jsonl", 0), [tracker])

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    row = {"split": "train", "epoch": 1, "loss": 0.1}
    with pytest.warns(UserWarning, match="TensorBoard failed and is left out from here on: .*No space left"):
        trackers.log(1, row)
    trackers.log(2, row)
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 2
