"""Checksums of files of weights."""

import hashlib
from pathlib import Path

_DIGITS = 64


def sha256_of(path: Path) -> str:
    """Lower-case hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seen_before(path: Path) -> str | None:
    """What the first download of the file had; None where that was not kept."""
    try:
        digits = _beside(path).read_text()[:_DIGITS]
    except (OSError, ValueError):
        return None
    return digits if len(digits) == _DIGITS and set(digits) <= set("0123456789abcdef") else None


def remember(path: Path, sha256: str) -> None:
    """Keeps it beside the file, as `sha256sum` writes it. Raises OSError."""
    _beside(path).write_text(f"{sha256}  {path.name}\n")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
