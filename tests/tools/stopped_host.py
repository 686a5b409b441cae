"""scripts/train.py on one of several hosts; the last of them gets a SIGTERM in its 13th training step, and only it."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cnn_jax.cli import command_line
from cnn_jax.distributed import hosts
from cnn_jax.experiment import fitting as experiment

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import train

original = experiment.make_training


def make_training(built: Any) -> Any:
    program, feed = original(built)
    calls = 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 13 and hosts.index() == hosts.count() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return program(*arguments)

    return counted, feed


if __name__ == "__main__":
    experiment.make_training = make_training
    command_line.run_with_shutdown(train.main)
