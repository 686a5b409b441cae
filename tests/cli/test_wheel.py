"""The wheel: what it holds, and the command from a folder that has nothing."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.helpers import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with the build backend that is installed here, so that nothing is downloaded."""
    build = pytest.importorskip("hatchling.build", reason="pip fetches it for each build; here it is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from {build.__name__} import build_wheel; print(build_wheel({str(folder)!r}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return folder / result.stdout.strip()


def test_the_wheel_holds_all_that_runs(wheel: Path) -> None:
    """Every file of the package, and the configs within it."""
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        file.relative_to(ROOT).as_posix() for file in (ROOT / "cnn_jax").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }  # fmt: skip
    configs = {
        f"cnn_jax/{file.relative_to(ROOT).as_posix()}"
        for pattern in ("*.py", "sweeps/*.yaml")
        for file in (ROOT / "configs").glob(pattern)
    }
    assert {name for name in held if ".dist-info/" not in name} == wanted | configs


@pytest.mark.slow
def test_the_command_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """A sweep of the installed package, found by its name; each of its trials trains."""
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "env/bin/python"), "install", "--no-deps", "--quiet"]
    subprocess.run([*pip, "--ignore-installed", "--no-index", str(wheel)], check=True, capture_output=True)
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "the_others.pth").write_text(others)
    (tmp_path / "here").mkdir()

    def cnn_jax(*words: str) -> str:
        command = [str(tmp_path / "env/bin/cnn_jax"), *words]
        environment = {"PATH": str(tmp_path / "env/bin"), "HOME": str(tmp_path)}
        result = subprocess.run(command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    said = cnn_jax("sweep", "--sweep=digits_quick", "--trials=2", "--workdir=runs/quick")
    assert "2 finished" in said
    assert "\ncnn_jax train --config=configs/digits.py --config.num_epochs=4" in said
    assert "cnn_jax predict --workdir=runs/x" in cnn_jax(
        "train", "--workdir=runs/x", "--config.num_epochs=1", "--config.model.filters=(4,)"
    )
    assert "cnn_jax train --config=" in cnn_jax("runs", "runs")
