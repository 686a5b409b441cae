"""What a trained model is worth on a split: figures with their uncertainty, and where it fails."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import announce, progress_bar
from cnn_jax.config.tree import override
from cnn_jax.errors import InputError
from cnn_jax.inference.metrics import measure, softmax
from cnn_jax.inference.run import Run, load_run
from cnn_jax.inference.tta import check_views
from cnn_jax.pictures import reports

_MOST_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class Assessment:
    """The figures (JSON values) and the files that were written."""

    figures: dict[str, Any]
    files: tuple[Path, ...]


def assess(
    workdir: str | Path, split: str = "test", data_dir: str | None = None, tta: Sequence[str] = ()
) -> Assessment:
    """Evaluates a run's best weights on a split; writes `evaluation.json`, the confusion matrix and the worst mistakes.

    Args:
      workdir: a run directory.
      split: "test", "validation" or "train". Files of another split than test carry its name, as
        do those of other data.
      data_dir: other data with the same classes, in place of the config's `data.dir`.
      tta: names of views (see `tta.with_tta`); what their mean is worth is reported beside the figures with the
        config's `eval_tta`.

    Raises:
      InputError: no such run, split or view, or data of other classes.
    """
    workdir, tta = Path(workdir), check_views(tta)
    run = load_run(workdir)
    if not (workdir / "summary.json").exists():
        announce(f"{workdir}: this run is not finished; its best weights so far are evaluated")
    examples = load_split(run, split, data_dir)
    with progress_bar(len(examples), f"evaluating {split}", "image") as bar:
        logits = run.logits(examples, bar.update)
    figures = {"split": split, "data_dir": data_dir} | measure(logits, examples.labels, run.class_names)
    if tta:
        figures["tta"] = {"views": list(tta)} | _measure_views(run, examples, tta)
    suffix = ("" if split == "test" else f"_{split}") + (f"_{Path(data_dir).name}" if data_dir else "")
    try:
        report = workdir / f"evaluation{suffix}.json"
        report.write_text(json.dumps(figures, indent=2) + "\n")
        confusion = reports.plot_confusion(
            np.array(figures["confusion_matrix"]), run.class_names, workdir / "plots" / f"confusion{suffix}.png"
        )
        mistakes = _plot_mistakes(run.class_names, examples, logits, workdir / "plots" / f"mistakes{suffix}.png")
    except OSError as error:
        raise InputError(f"{workdir}: the evaluation cannot be written there ({error.strerror})") from error
    return Assessment(figures, (report, confusion, mistakes))


def _measure_views(run: Run, examples: data.Split, names: Sequence[str]) -> dict[str, Any]:
    several = run.with_tta(names)
    with progress_bar(len(examples), f"evaluating views ({', '.join(names)})", "image") as bar:
        figures = measure(several.logits(examples, bar.update), examples.labels, run.class_names)
    kept = ("correct", "accuracy", "accuracy_interval_95", "loss", "expected_calibration_error")
    return {name: figures[name] for name in kept}


def load_split(run: Run, split: str, data_dir: str | None = None) -> data.Split:
    """A split of the data that a run was trained on, or of other data of the same classes.

    Other data without such a split are taken as a whole: none of them was trained on.

    Raises:
      InputError: the run's data have changed, so that its splits cannot be told any more; no such split; or other
        classes.
    """
    if data_dir is not None:
        return _other_data(run, split, data_dir)
    splits = data.load(run.config.data, run.resolved.get("loading"))
    _check_classes(run, splits)
    if run.resolved.get("fingerprint", splits.fingerprint) != splits.fingerprint:
        raise InputError(
            f"{splits.name} has changed since the model was trained: its {split} split may hold what was trained on; "
            f"restore it, or give other data with --data_dir"
        )
    examples: data.Split | None = getattr(splits, split)
    if examples is None:
        there = [name for name in ("train", "validation", "test") if getattr(splits, name) is not None]
        raise InputError(
            f"--split={split}: {splits.name} has no such split under this config; it has {', '.join(there)}"
        )
    return examples


def _other_data(run: Run, split: str, data_dir: str) -> data.Split:
    if run.config.data.source in ("digits", "synthetic"):
        raise InputError(f"--data_dir={data_dir}: the data '{run.config.data.source}' are not read from a folder")
    changes: list[tuple[str, Any]] = [
        ("data.dir", data_dir), ("data.validation", 0), ("data.test", 0), ("data.group", None),
        # What the config left open was settled by the data it was trained on.
        ("data.image_size", run.image_shape[:2]), ("data.channels", run.image_shape[2]),
    ]  # fmt: skip
    splits = data.load(override(run.config, changes).data)
    _check_classes(run, splits)
    examples: data.Split | None = getattr(splits, split)
    if examples is None:
        announce(f"{data_dir} has no split '{split}': all of its {len(splits.train):,} images are evaluated")
        return splits.train
    return examples


def _check_classes(run: Run, splits: data.Splits) -> None:
    if splits.class_names != run.class_names:
        theirs, ours = ", ".join(splits.class_names[:5]), ", ".join(run.class_names[:5])
        raise InputError(f"{splits.name} has other classes ({theirs}, ...) than the model was trained on ({ours}, ...)")


def _plot_mistakes(class_names: Sequence[str], examples: data.Split, logits: np.ndarray, path: Path) -> Path:
    probabilities = softmax(logits)
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != examples.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MOST_MISTAKES]
    return reports.plot_mistakes(
        examples.read(worst),
        [class_names[i] for i in examples.labels[worst]],
        [class_names[i] for i in predictions[worst]],
        confidence[worst].tolist(),
        path,
    )
