"""Where this user's files of cnn_jax lie."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/cnn_jax`, or `~/.cache/cnn_jax`."""
    root = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "cnn_jax"
