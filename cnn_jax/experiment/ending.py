"""What a training says at its end: its figures, and what to run next."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from cnn_jax.cli.programs import start
from cnn_jax.inference.evaluation import describe
from cnn_jax.runs.noise import wilson_interval


def describe_end(
    summary: Mapping[str, Any], config: ml_collections.ConfigDict, workdir: str, config_file: str | None = None
) -> str:
    """Lines for people.

    Args:
      summary: as `fit` returns it.
      config: of the run.
      workdir: the run directory.
      config_file: that of the run, where it registers names of its own: the next commands need it, too.
    """
    lines = []
    for split in ("validation", "test"):
        if f"{split}_accuracy" in summary:
            lines.append(f"{_accuracy(summary, split)}  loss {summary[f'{split}_loss']:.4f}")
    if summary.get("stopped_by") == "callback":
        lines.append(
            f"stopped early: a callback ended it after epoch {summary['epochs']}; the same command with a larger "
            f"--config.num_epochs than {config.num_epochs} goes on"
        )
    elif summary["stopped_early"]:
        lines.append(
            f"stopped early: {config.patience} epochs without a better {config.checkpoint.metric}; the same command "
            f"with --config.patience={2 * config.patience} goes on"
        )
    which = "weights" if summary["weights"] == "raw" else "averaged weights"
    speed = f", training at {summary['images_per_second']:,.0f} images/s" if summary["epochs"] else ""
    lines.append(
        f"{summary['epochs']} epochs in {summary['wall_seconds']:.1f} s{speed}; these are the {which} of epoch "
        f"{summary['best_epoch']}"
    )
    return "\n".join([*lines, *_next(summary, workdir, config_file), f"run directory: {workdir}"])


def _accuracy(summary: Mapping[str, Any], split: str) -> str:
    """With its count and interval, as an evaluation says it; a summary of an earlier version has no count."""
    what, accuracy, count = f"{split} accuracy", summary[f"{split}_accuracy"], summary.get(f"{split}_examples")
    if not count:
        return f"{what} {accuracy:.2%}"
    correct = round(accuracy * count)
    interval = wilson_interval(correct, count)
    return describe(
        {"accuracy": accuracy, "correct": correct, "examples": count, "accuracy_interval_95": interval}, what
    )


def _next(summary: Mapping[str, Any], workdir: str, config_file: str | None) -> list[str]:
    run = [f"--workdir={workdir}", *([f"--config={config_file}"] if config_file else [])]
    split = next((name for name in ("test", "validation") if f"{name}_accuracy" in summary), "train")
    which = [] if split == "test" else [f"--split={split}"]
    return [
        "next: figures of each class and a picture of the mistakes; and predictions for files or folders of your own:",
        f"  {start('evaluate', *run, *which)}",
        f"  {start('predict', *run)} IMAGE ...",
    ]
