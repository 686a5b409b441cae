"""What a trained model is worth on a split: figures with their uncertainty, and where it fails."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import announce, progress_bar
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.evaluation_data import EvaluationData, load_evaluation_data, load_split
from cnn_jax.inference.metrics import measure, softmax
from cnn_jax.inference.mistakes import common_folder, find_mistakes, list_predictions, overview_example, panel
from cnn_jax.inference.run import Run, load_run
from cnn_jax.inference.tables import write_evaluated
from cnn_jax.inference.tta import check_views
from cnn_jax.pictures import evaluation as pictures
from cnn_jax.pictures import overview
from cnn_jax.runs.metrics_file import read_rows

__all__ = ["Assessment", "Evaluation", "assess", "evaluate", "load_split"]

_MOST_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a run makes of labelled images.

    Attributes:
      figures: see `measure`, and `mistakes`, the rows of `predictions` that are wrong, the most confident ones first.
      predictions: {"path", "label", "prediction", "probability"} of every image, in order.
      mistakes: indices of the images that `figures["mistakes"]` lists.
    """

    figures: dict[str, Any]
    predictions: list[dict[str, Any]]
    mistakes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Assessment:
    """The figures (JSON values) and the files that were written."""

    figures: dict[str, Any]
    files: tuple[Path, ...]


def assess(
    workdir: str | Path, split: str = "test", data_dir: str | None = None, tta: Sequence[str] = ()
) -> Assessment:
    """Evaluates a run's best weights; writes `evaluation.json`, `predictions.csv` and three pictures.

    Args:
      workdir: a run directory.
      split: "test", "validation" or "train". Files of another split than test carry its name, as
        do those of other data.
      data_dir: other data in place of the config's `data.dir`; see `load_evaluation_data`.
      tta: names of views (see `tta.with_tta`); what their mean is worth is reported beside the figures with the
        config's `eval_tta`.

    Raises:
      InputError: no such run, split or view, or data of classes that the run does not know.
    """
    workdir, tta = Path(workdir), check_views(tta)
    run = load_run(workdir)
    if not (workdir / "summary.json").exists():
        announce(f"{workdir}: this run is not finished; its best weights so far are evaluated")
    chosen = load_evaluation_data(run, split, data_dir)
    with progress_bar(len(chosen.examples), f"evaluating {chosen.split}", "image") as bar:
        evaluation = evaluate(run, chosen.examples, bar.update)
    figures = {"split": chosen.split, "data_dir": data_dir} | evaluation.figures
    if tta:
        figures["tta"] = {"views": list(tta)} | _measure_views(run, chosen.examples, tta)
    suffix = "" if chosen.split == "test" else f"_{chosen.split}"
    suffix += f"_{Path(data_dir).resolve().name.replace('.', '_')}" if data_dir else ""
    try:
        files = _write(workdir, suffix, run, chosen, figures, evaluation)
    except OSError as error:
        raise InputError(f"{workdir}: the evaluation cannot be written there ({error.strerror})") from error
    return Assessment(figures, files)


def evaluate(run: Run, examples: data.Split, on_batch: Callable[[int], Any] = lambda count: None) -> Evaluation:
    """Predicts labelled images of the model's size and compares; writes nothing.

    Args:
      run: a trained model.
      examples: a split, or `Examples(images, labels)` with labels in the run's numbering.
      on_batch: is told how many images are done.
    """
    return judge(run.logits(examples, on_batch), examples, run.class_names)


def judge(logits: np.ndarray, examples: data.Split, class_names: Sequence[str]) -> Evaluation:
    """What `evaluate` says of logits [N, K]."""
    probabilities = softmax(logits)
    names = [examples.name(index) for index in range(len(examples))]
    predictions = list_predictions(probabilities, examples.labels, class_names, names)
    wrong = find_mistakes(probabilities, examples.labels)
    figures = measure(logits, examples.labels, class_names)
    return Evaluation(figures | {"mistakes": [predictions[index] for index in wrong]}, predictions, wrong)


def _measure_views(run: Run, examples: data.Split, names: Sequence[str]) -> dict[str, Any]:
    several = run.with_tta(names)
    with progress_bar(len(examples), f"evaluating views ({', '.join(names)})", "image") as bar:
        figures = measure(several.logits(examples, bar.update), examples.labels, run.class_names)
    kept = ("correct", "accuracy", "accuracy_interval_95", "loss", "expected_calibration_error")
    return {name: figures[name] for name in kept}


def describe(figures: Mapping[str, Any], what: str | None = None) -> str:
    """`test accuracy 70.70% (263 of 372; 95 % interval 65.88% to 75.10%)`, or the accuracy of `what`."""
    low, high = figures["accuracy_interval_95"]
    return (
        f"{what or evaluated(figures)} {figures['accuracy']:.2%} ({figures['correct']:,} of {figures['examples']:,}; "
        f"95 % interval {low:.2%} to {high:.2%})"
    )


def evaluated(figures: Mapping[str, Any]) -> str:
    """`test accuracy`; of other data `test accuracy of photos`, `accuracy of all of photos`."""
    where = shown(Path(figures["data_dir"]).resolve().name) if figures["data_dir"] else ""
    if figures["split"] == "all":
        return f"accuracy of all of {where}"
    return f"{figures['split']} accuracy" + (f" of {where}" if where else "")


def _write(
    workdir: Path, suffix: str, run: Run, chosen: EvaluationData, figures: dict[str, Any], evaluation: Evaluation
) -> tuple[Path, ...]:
    report, plots = workdir / f"evaluation{suffix}.json", workdir / "plots"
    report.write_text(json.dumps(figures, indent=2) + "\n")
    predictions = write_evaluated(evaluation.predictions, workdir / f"predictions{suffix}.csv")
    name, accuracy = shown(workdir.resolve().name), describe(figures)
    matrix = np.array(figures["confusion_matrix"])
    title = f"{name}, confusion matrix\n{accuracy}"
    confusion = pictures.plot_confusion(matrix, run.class_names, title, plots / f"confusion{suffix}.png")
    wrong, root = evaluation.mistakes, common_folder([row["path"] for row in evaluation.predictions])
    panels = [panel(chosen.examples, int(index), evaluation.predictions[index], root) for index in
              wrong[:_MOST_MISTAKES]]  # fmt: skip
    what = f"the {len(panels)} most confident of {len(wrong):,} mistakes" if len(wrong) else "no mistakes"
    framed = "; framed: what the model saw" if any(drawn.part != pictures.WHOLE for drawn in panels) else ""
    mistakes = pictures.plot_mistakes(panels, f"{name}, {what}{framed}\n{accuracy}", plots / f"mistakes{suffix}.png")
    at_a_glance = _draw_overview(workdir, run, chosen.examples, matrix, evaluation, f"{name}: {accuracy}",
                              plots / f"overview{suffix}.png")  # fmt: skip
    return report, predictions, confusion, mistakes, at_a_glance


def _draw_overview(
    workdir: Path, run: Run, examples: data.Split, matrix: np.ndarray, evaluation: Evaluation, title: str, path: Path
) -> Path:
    """With a few mistakes, and then images that are right, of all classes where a split is sorted by them."""
    right = [i for i, row in enumerate(evaluation.predictions) if row["label"] == row["prediction"]]
    columns, rows = overview.grid(run.class_names)
    wrong = evaluation.mistakes[: max(columns, columns * rows - len(right))]
    room = columns * rows - len(wrong)
    spread = [right[i] for i in np.unique(np.linspace(0, len(right) - 1, min(room, len(right))).astype(int))]
    drawn = [overview_example(examples, int(i), evaluation.predictions[i]) for i in [*wrong, *spread]]
    log = read_rows(workdir / "metrics.jsonl")
    return overview.plot_overview(drawn, log, matrix, run.class_names, title, path)
