"""What a run was made with: versions, devices, code and command line."""

import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cnn_jax.distributed import hosts

_PACKAGES = ("cnn_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ml_collections", "numpy", "pillow",
             "tensorflow-datasets", "scikit-learn", "pandas", "optuna", "wandb", "mlflow", "tensorboardX")  # fmt: skip
_LONGEST_DIFF = 1_000_000


def describe_environment() -> dict[str, Any]:
    """JSON values; `git_commit` and `git_diff` are None where the package is not in a git checkout."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command_line": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "hosts": hosts.count(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_diff": _git("diff", "HEAD"),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return result.stdout.strip()[:_LONGEST_DIFF] if result.returncode == 0 else None
