"""Where the finders write."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.errors import InputError, SaveError
from cnn_jax.runtime.folders import why_no_folder


def check_output(output: str | Path) -> Path:
    """The folder; raises InputError where it cannot be made or written, before anything long is begun.

    It is made by `writing`: what is refused later leaves nothing behind.
    """
    folder = Path(output)
    if why := why_no_folder(folder):
        raise InputError(f"--output={output}: {why}; choose another folder")
    return folder


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Makes the folder for what is written inside; raises SaveError where the disk does not take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise SaveError(
            f"--output={folder}: what was found cannot be written ({error.strerror}); make room or choose another"
        ) from error
