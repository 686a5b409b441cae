"""What the picture of a run's curves says beside them: which run, what it did, and what came out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.errors import shown


def describe_run(workdir: Path, config: ml_collections.ConfigDict, data: str, summary: Mapping[str, Any]) -> str:
    """Two lines: the run, its data and model, how it was trained; how long, and its figures by split."""
    rate = f"{config.optimizer.learning_rate:g}"
    schedule = "" if config.schedule.name == "constant" else f", {config.schedule.name}"
    early = f" of {config.num_epochs}, stopped early" if summary["stopped_early"] else ""
    best = f", best {summary['best_epoch']}" if "validation_accuracy" in summary else ""
    figures = (
        f"; {split} accuracy {summary[f'{split}_accuracy']:.2%}"
        for split in ("validation", "test")
        if f"{split}_accuracy" in summary
    )
    return (
        f"{shown(workdir.resolve().name)}: {config.model.name} ({summary['parameters']:,} parameters) on {data}; "
        f"{config.optimizer.name} {rate}{schedule}, batches of {config.batch_size}, seed {config.seed}\n"
        f"{summary['epochs']} epochs{early}{best}{''.join(figures)}"
    )


def describe_training_loss(config: ml_collections.ConfigDict) -> str:
    """What of this config makes training's figures other than those of the same weights in evaluation."""
    parts = [f"augmentation ({', '.join(name for name, _ in config.augment)})"] if config.augment else []
    if config.model.get("dropout", 0):
        parts.append("dropout")
    if config.loss.get("label_smoothing", 0):
        parts.append("label smoothing")
    if config.loss.get("class_weights", "none") != "none":
        parts.append("class weights")
    if config.data.sampling != "shuffled":
        parts.append(f"{config.data.sampling} sampling")
    return ", ".join(parts)
