"""How scripts end on SIGTERM and Ctrl-C: at once where nothing is unsaved, even from within a library's call."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import hashlib, sys, threading, time
from cnn_jax.cli.command_line import run_with_shutdown

def main(argv, shutdown):
    try:
        print("ready", flush=True)
        {body}
    finally:
        print("finally", flush=True)

run_with_shutdown(main)
"""
# As a compiler does it: Python's lock is free, but its signal handlers have to wait.
STUCK = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)"


def begin(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    (tmp_path / "script.py").write_text(SCRIPT.format(body=body))
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), "--a=b c"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if STUCK in body:  # a signal that comes before the call would be handled at once
        own = psutil.Process(process.pid)
        before = own.cpu_times().user
        while own.cpu_times().user < before + 0.3:
            time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_ends_with_a_line_and_its_finally_blocks(tmp_path: Path, number: signal.Signals) -> None:
    process = begin(tmp_path, "time.sleep(600)")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output == "finally\n"
    assert errors.strip().count("\n") == 0
    assert errors.strip().startswith(f"stopped by {number.name}. To go on: ")
    assert errors.strip().endswith("script.py '--a=b c'")


def test_a_script_that_is_stuck_ends_after_two_seconds(tmp_path: Path) -> None:
    process = begin(tmp_path, STUCK)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began > 1.5
    assert process.returncode == 143
    assert errors.strip().startswith("stopped by SIGTERM. To go on: ")


def test_what_is_unsaved_is_waited_for_unless_a_second_signal_comes(tmp_path: Path) -> None:
    process = begin(tmp_path, f"shutdown.unsaved.set(); {STUCK}")
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().startswith("stopped at once. To go on: ")


def test_a_library_user_keeps_his_handlers() -> None:
    code = """
import signal, threading
import cnn_jax.experiment, cnn_jax.training.loop, cnn_jax.cli.signals
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
assert signal.set_wakeup_fd(-1) == -1
assert threading.active_count() == 1, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
