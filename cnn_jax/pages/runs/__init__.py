"""The runs below a folder as one HTML page that needs no network: table, curves, and what the hyperparameters do."""

import os
from pathlib import Path

from cnn_jax.cli.programs import install
from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.pages.runs.page import render
from cnn_jax.pages.runs.states import with_states
from cnn_jax.pages.runs.study import make_study
from cnn_jax.runs.comparison import is_config_key, metric_of
from cnn_jax.runs.datasets import by_data_set
from cnn_jax.runs.search import read_run, run_directories
from cnn_jax.runtime.folders import make_folder, remove_empty, whole_file

__all__ = ["write_runs_page"]


def write_runs_page(
    folder: str | Path, path: str | Path, metric: str = "validation_accuracy", goal: str = "maximize",
    show_test: bool = False,
) -> Path:  # fmt: skip
    """Writes the page and returns its path.

    Args:
      folder: a folder of run directories, or a sweep's.
      path: the HTML file.
      metric: a figure of `summary.json`, by which runs are compared.
      goal: "maximize" or "minimize".
      show_test: whether test figures are shown at once where several configs were tried on the same data; else a
        reader has to ask for them. Who names one as the metric has asked.

    Raises:
      InputError: there is no such folder, no finished run has the metric, the file cannot be written, or a package of
        the extra `sweep` is missing.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise InputError(f"the page of runs needs plotly and optuna: {install('sweep')}") from error
    folder, path = Path(folder), Path(path)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder; give one that holds run directories")
    if goal not in ("maximize", "minimize"):
        raise InputError(f"goal={goal!r}: it must be maximize or minimize")
    places = sorted(run_directories(folder))
    records = with_states([read_run(place, folder) | {"path": place} for place in places], folder)
    finished = [record for record in records if record["status"] == "finished"]
    if finished and all(metric_of(record, metric) is None for record in finished):
        figures = {name for record in finished for name in record if not is_config_key(name)}
        there = sorted(name for name in figures if name.endswith(("_accuracy", "_loss")))
        hint = did_you_mean(metric, figures) or f"; there are {', '.join(there)}, and others"
        raise InputError(f"no run has the metric '{metric}'{hint}")
    studies = [make_study(data, metric, goal, folder) for data in by_data_set(records)]
    text = render(str(folder), studies, show_test or metric.startswith("test_"), get_plotlyjs())
    made: list[Path] = []
    try:
        made = make_folder(path.parent)
        with whole_file(path) as file:
            file.write(text.encode(errors="replace").decode())
    except OSError as error:
        remove_empty(made)
        raise InputError(f"{path}: it cannot be written ({error.strerror}); choose another place") from error
    return path
