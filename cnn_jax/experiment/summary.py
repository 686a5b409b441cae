"""What a run leaves at its end: its summary, and its curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.distributed import hosts
from cnn_jax.errors import SaveError
from cnn_jax.experiment.captions import describe_run, describe_training_loss
from cnn_jax.experiment.setup import Experiment
from cnn_jax.pictures import reports
from cnn_jax.runs.directory import write_json
from cnn_jax.runs.search import metric_rows
from cnn_jax.tracking import Trackers
from cnn_jax.training.loop_state import LoopState


def write_end(experiment: Experiment, workdir: Path, trackers: Trackers, summary: dict[str, Any]) -> None:
    try:
        if hosts.is_primary():
            curves = reports.plot_curves(
                metric_rows(workdir),
                describe_run(workdir, experiment.config, experiment.splits.name, summary),
                describe_training_loss(experiment.config),
                workdir / "plots" / "curves.png",
            )
            trackers.log_artifact(curves)
            write_json(workdir / "summary.json", summary)
    except OSError as error:
        trackers.finish({})
        raise SaveError(
            f"{workdir}: the run is at its end, but its summary cannot be written ({error.strerror}); make room, or "
            f"make the folder writable, and run the same command again"
        ) from error
    trackers.finish(summary)


def make_summary(
    experiment: Experiment, loop_state: LoopState, steps: int, test: Mapping[str, float] | None, wall_seconds: float
) -> dict[str, Any]:
    config = experiment.config
    best, splits = loop_state.best, experiment.splits
    measured = {
        "test": (test, splits.test), "validation": (best["metrics"] if best else None, splits.validation)
    }  # fmt: skip
    return {
        **{
            f"{split}_{name}": value
            for split, (figures, examples) in measured.items()
            if figures and examples is not None
            for name, value in [*figures.items(), ("examples", len(examples))]
        },
        "best_epoch": best["epoch"] if best else loop_state.epoch,
        "weights": loop_state.weights,
        "epochs": loop_state.epoch,
        "steps": steps,
        "skipped_images": len(experiment.splits.skipped),
        "skipped_steps": loop_state.skipped_steps,
        "stopped_early": loop_state.epoch < config.num_epochs,
        "stopped_by": _stopped_by(loop_state, config.num_epochs),
        "parameters": experiment.table.parameters,
        "devices": {
            "count": experiment.devices.count,
            "kind": experiment.devices.kind,
            "hosts": hosts.count(),
        },
        "seed": config.seed,
        "wall_seconds": round(wall_seconds, 3),
        "images_per_second": round(loop_state.timed_examples / max(loop_state.timed_seconds, 1e-9), 1),
    }


def _stopped_by(loop_state: LoopState, num_epochs: int) -> str | None:
    """What ended a run that stopped early: a larger `patience` does not outvote a callback."""
    if loop_state.epoch >= num_epochs:
        return None
    return "callback" if loop_state.stopped_at == num_epochs else "patience"
