"""Folders and run directories that several tests of data spoil."""

import shutil
from pathlib import Path

import pytest

from tests.support.made_up import save_picture


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that planted code would create."""
    return tmp_path / "ran"


@pytest.fixture
def handed_over(trained: Path, tmp_path: Path) -> Path:
    """A copy of a good run directory, to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "handed_over"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of eight pictures, of one size."""
    for k, name in enumerate(("cat", "dog")):
        for i in range(8):
            save_picture(tmp_path / "photos" / name / f"{i}.png", 40 + 20 * i + k)
    return tmp_path / "photos"
