"""Where a run stands, beside its train state."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnn_jax.training.program import LoopConfig


@dataclasses.dataclass
class LoopState:
    """Saved as JSON in every checkpoint.

    Attributes:
      epoch: counts finished epochs.
      totals: the training sums of the unfinished epoch.
      best: {"step", "epoch", "weights", "metrics"} of the best epoch, with weights "raw", "ema" or "swa".
      averaged_weights: which averages there are, "ema" or "swa"; None: none yet.
      stopped_at: the `num_epochs` of the run that a callback ended; a longer one goes on.
      timed_seconds, timed_examples: of the steps alone, without the first call of each process and without compiling.
    """

    epoch: int = 0
    totals: dict[str, float] = dataclasses.field(default_factory=dict)
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    averaged_weights: str | None = None
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    stopped_at: int | None = None
    wall_seconds: float = 0.0
    timed_seconds: float = 0.0
    timed_examples: int = 0

    @property
    def weights(self) -> str:
        """Which weights are the run's result so far."""
        if self.best is not None:
            return str(self.best.get("weights", "raw"))
        return self.averaged_weights or "raw"


def is_finished(loop_state: LoopState, config: LoopConfig) -> bool:
    """All epochs are done, patience is over, or a callback ended it."""
    out_of_patience = config.patience is not None and loop_state.epochs_without_better >= config.patience
    return loop_state.epoch >= config.num_epochs or out_of_patience or loop_state.stopped_at == config.num_epochs


def close_epoch(
    loop_state: LoopState, metrics: Mapping[str, dict[str, float]], step: int, config: LoopConfig
) -> None:  # fmt: skip
    """Counts the epoch as finished and decides whether it is the best so far, and with which weights."""
    loop_state.epoch += 1
    loop_state.totals = {}
    if "validation" not in metrics:
        return
    weights, figures = "raw", metrics["validation"]
    averaged = metrics.get(f"validation_{config.averaging.kind}")
    if averaged is not None and _rank(averaged, config.metric) >= _rank(figures, config.metric):
        weights, figures = config.averaging.kind, averaged
    if loop_state.best is None or _rank(figures, config.metric) > _rank(loop_state.best["metrics"], config.metric):
        loop_state.best = {"step": step, "epoch": loop_state.epoch, "weights": weights, "metrics": figures}
        loop_state.epochs_without_better = 0
    else:
        loop_state.epochs_without_better += 1


def _rank(figures: Mapping[str, float], metric: str) -> tuple[float, ...]:
    """Larger is better; ties of accuracy go to the lower loss, ties of both to the earlier epoch."""
    name = metric.removeprefix("validation_")
    return (-figures["loss"],) if name == "loss" else (figures[name], -figures["loss"])
