"""A finished run in MLflow's format of models: config.json and the best checkpoint, and who loads them."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

_LOADER = "cnn_jax.inference.mlflow_pyfunc"
_PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "ml_collections", "numpy")


@contextlib.contextmanager
def stored_model(workdir: Path) -> Iterator[Path]:
    """A temporary folder that `mlflow.pyfunc.load_model` reads; where MLflow finds `cnn_jax` installed."""
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory(prefix="cnn_jax-model-") as place:
        copy, model = Path(place) / "run", Path(place) / "model"
        names = _copy(workdir, copy)
        mlflow.pyfunc.save_model(
            str(model), loader_module=_LOADER, data_path=str(copy), metadata={"class_names": names},
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _PACKAGES],
        )  # fmt: skip
        yield model


def _copy(workdir: Path, to: Path) -> list[str]:
    """config.json and the best checkpoint (without one: the last); returns the classes."""
    to.mkdir()
    shutil.copy(workdir / "config.json", to)
    steps = sorted((path for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()), key=_step)
    best = json.loads((steps[-1] / "progress" / "metadata").read_text()).get("best")
    chosen = workdir / "checkpoints" / str(best["step"] if best else steps[-1].name)
    shutil.copytree(chosen if chosen.is_dir() else steps[-1], to / "checkpoints" / chosen.name)
    return json.loads((to / "config.json").read_text())["resolved"]["class_names"]


def _step(path: Path) -> int:
    return int(path.name)
