"""Config and sweep files by path and by name: the user's own, a checkout's, and those of an installed package."""

from pathlib import Path

import pytest

from cnn_jax.config import files
from cnn_jax.config.files import comes_along, find_config, find_sweep
from tests.support.helpers import ROOT, refusal


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as a wheel lays it out, beside another one with a folder configs/; from an empty folder."""
    package = tmp_path / "site-packages/cnn_jax"
    for file in ("configs/digits.py", "configs/sweeps/quick.yaml", "models/cnn.py", "../configs/foreign.py"):
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).touch()
    monkeypatch.setattr(files, "_PACKAGE", package)
    monkeypatch.setattr(files, "_HOME", package)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return package


def test_files_of_an_installed_package(installed: Path) -> None:
    assert find_config("digits") == find_config("configs/digits.py") == installed / "configs/digits.py"
    assert find_sweep("quick") == find_sweep("configs/sweeps/quick.yaml") == installed / "configs/sweeps/quick.yaml"
    assert comes_along("digits")
    for wrong in ("configs/foreign.py", "foreign", "models/cnn.py", "quick"):
        assert refusal(find_config, wrong) == f"--config={wrong}: there is no such file; by name there are digits"
        assert not comes_along(wrong)
    assert refusal(find_sweep, "quik") == "--sweep=quik: there is no such file (did you mean 'quick'?)"


def test_own_files_come_first(installed: Path) -> None:
    """A path from here, and a name in a folder configs/ that is here."""
    Path("configs/sweeps").mkdir(parents=True)
    for own in ("configs/digits.py", "configs/sweeps/quick.yaml"):
        Path(own).touch()
    assert find_config("digits") == find_config("configs/digits.py") == Path("configs/digits.py")
    assert find_sweep("quick") == Path("configs/sweeps/quick.yaml")
    assert not comes_along("digits")


def test_files_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("mnist_cnn") == ROOT / "configs/mnist_cnn.py"
    assert find_sweep("digits_quick") == find_sweep("configs/sweeps/digits_quick.yaml")
    assert comes_along(ROOT / "configs/digits.py")
