"""Where the finders write."""

import os
from pathlib import Path

from cnn_jax.errors import InputError


def check_output(output: str | Path) -> Path:
    """The folder, made; raises InputError where it cannot be written, before anything long is begun."""
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out={output}: it cannot be made ({error.strerror}); choose another folder") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"--out={output}: it cannot be written; choose another folder")
    return folder
