"""A program that takes no time in the place of training, and sweeps over it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from cnn_jax.tuning.sweeps.sweep import Options, Outcome, run_sweep
from tests.support.helpers import ROOT, read_json

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
workdir = Path(flags["workdir"])
workdir.mkdir(parents=True, exist_ok=True)
x, y = float(flags["config.x"]), float(flags.get("config.y", 0))
def stop(number, frame):
    with open(workdir / "stopped", "w") as file:
        file.write(str(number))
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
with open(workdir / "starts", "a") as file:  # whoever sees it may send a signal
    file.write(str(os.getpid()) + "\\n")
if x == 3:
    print("a line of output")
    sys.exit("fake.py: x must not be 3")
value = 1 - (x - 2) ** 2 / 10 - y / 100
for epoch in range(1, 9):
    row = {"step": epoch, "epoch": epoch, "split": "validation", "accuracy": value * (1 - 0.5**epoch)}
    with open(workdir / "metrics.jsonl", "a") as file:
        file.write(json.dumps(row) + "\\n")
    time.sleep(float(os.environ.get("FAKE_PAUSE", 0)))
(workdir / "summary.json").write_text(json.dumps({"validation_accuracy": value, "epochs": 8}))
"""
METRIC = {"name": "validation_accuracy", "goal": "maximize"}
GRID = {"config.x": {"values": [0, 1, 2]}, "config.y": {"values": [0.5, 1.5]}, "config.z": {"value": [1, 2]}}
DRAWN = {"config.x": {"min": 0.0, "max": 2.9}, "config.y": {"values": [0, 1, 2]}}


def write(folder: Path, parameters: dict[str, Any], name: str = "sweep.yaml", **content: Any) -> Path:
    """Writes a sweep file over the program, of method grid unless told otherwise."""
    program = folder / "fake.py"
    if not program.exists():
        program.write_text(PROGRAM)
    whole = {"program": str(program), "method": "grid", "metric": METRIC, "parameters": parameters, **content}
    (folder / name).write_text(yaml.safe_dump(whole, sort_keys=False))
    return folder / name


def run(path: Path, workdir: Path | str, **options: Any) -> Outcome:
    return run_sweep(path, workdir, Options(**options))


def params(workdir: Path) -> list[dict[str, Any]]:
    return [row["params"] for row in read_json(workdir / "sweep.json")["trials"]]


def starts(workdir: Path) -> dict[str, int]:
    """How often each trial was started."""
    return {path.parent.name: path.read_text().count("\n") for path in sorted(workdir.glob("trials/*/starts"))}


def begin(path: Path, workdir: Path, *flags: str, pause: float = 0.0) -> subprocess.Popen[str]:
    """The script in a process of its own; each of a trial's eight epochs takes `pause` seconds."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/sweep.py"), f"--sweep={path}", f"--workdir={workdir}", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FAKE_PAUSE": str(pause), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def until(condition: Callable[[], object], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)
