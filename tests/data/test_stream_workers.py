"""Processes that decode pictures end with their trainer, however it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.helpers import ROOT

PROGRAM = """
    import sys, time
    from tests.support.helpers import data_settings
    from cnn_jax import data
    from cnn_jax.data.feeding.stream import Batches, stream

    def main():
        block = data_settings(source="synthetic", examples=400, classes=4, image_size=64, loading="streamed")
        splits = data.load(block)
        with stream(Batches(splits.train, 0, 64), 0, 10_000, 2) as batches:
            for _ in range(6):
                next(batches)
            try:
                print("ready", flush=True)
                {then}
            except KeyboardInterrupt:
                print(next(batches)["image"].shape)

    if __name__ == "__main__":
        main()
"""


def start(folder: Path, then: str) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).format(then=then))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {path.name for path in folder.glob("psm_*")} if folder.is_dir() else set()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, "crash", "group"])
def test_workers_end_with_their_trainer_however_it_ends(tmp_path: Path, end: Any) -> None:
    before = shared_memory()
    process = start(tmp_path, "import os; os._exit(7)" if end == "crash" else "time.sleep(600)")
    workers = [] if end == "crash" else psutil.Process(process.pid).children(recursive=True)
    assert end == "crash" or len(workers) >= 2
    if end == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif end != "crash":
        process.send_signal(end)
    process.communicate(timeout=120)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (any(map(psutil.Process.is_running, workers)) or left(process.pid)):
        time.sleep(0.05)
    assert not left(process.pid)
    assert shared_memory() <= before


def left(session: int) -> list[int]:
    """Processes of the session that have not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


@pytest.mark.slow
def test_workers_leave_ctrl_c_to_the_trainer(tmp_path: Path) -> None:
    process = start(tmp_path, "time.sleep(600)")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert output == "(64, 64, 64, 3)\n"
    assert process.returncode == 0
