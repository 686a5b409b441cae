"""What the loop is given: values (`LoopConfig`) and functions (`Program`)."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax

from cnn_jax.training.evaluation import Fetch
from cnn_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class WeightAveraging:
    """Which averages of the weights a state holds, if it holds any.

    Attributes:
      kind: "ema" (of every step) or "swa" (of the ends of epochs).
      first_epoch: there are averages from the end of this epoch on.
    """

    kind: str = "ema"
    first_epoch: int = 0


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How long the loop runs, what it watches and when it saves.

    Attributes:
      patience: this many epochs without a better one end the run; None: no number of them does.
      metric: "validation_accuracy", "validation_balanced_accuracy" or "validation_loss": which epoch is better.
      on_nonfinite: "stop", or "skip": the step changed nothing, and is counted.
      checkpoint_every: in units of checkpoint_unit, which is "epochs", "steps" or "minutes".
      averaging: which averages are evaluated beside the plain weights.
      majority_share: of the validation examples in the most frequent class of the training split: what a model is right
        in that has learned nothing else.
      evaluates_start: whether the weights before the first step are evaluated too, as epoch 0, and may be the best.
    """

    steps_per_epoch: int
    num_epochs: int
    patience: int | None = None
    metric: str = "validation_accuracy"
    on_nonfinite: str = "stop"
    checkpoint_every: float = 1.0
    checkpoint_unit: str = "epochs"
    averaging: WeightAveraging = WeightAveraging()
    majority_share: float | None = None
    evaluates_start: bool = False

    @property
    def total_steps(self) -> int:
        return self.num_epochs * self.steps_per_epoch


@dataclasses.dataclass(frozen=True)
class EpochEnd:
    """What a callback learns after an epoch.

    Attributes:
      epoch: its number, from 1.
      step: updates so far.
      metrics: {"train", "validation", perhaps "validation_ema" or "validation_swa"}: {"loss", "accuracy", ...}.
      is_best: whether it is the best epoch so far.
      variables: {"params", "batch_stats"} that it ended with, on the devices; the next step overwrites them.
    """

    epoch: int
    step: int
    metrics: Mapping[str, Mapping[str, float]]
    is_best: bool
    variables: Any = dataclasses.field(repr=False)


Callback = Callable[[EpochEnd], bool | None]


@dataclasses.dataclass(frozen=True)
class Program:
    """What the loop calls, compiled.

    Attributes:
      train_step: (state, what the feed gives for a call) -> (state, sums), each of the sums [k] for the k >= 1 steps
        of the call; "nonfinite" among them is 1 for a step whose loss or gradients were not finite.
      feed: (first step, last step + 1) -> a context with an iterator over (what a call takes, k). No call goes beyond
        the end of an epoch.
      evaluate: (variables, fetch) -> validation metrics, or None without a validation split.
      learning_rate: (step, a state of its epoch) -> the rate of the update that starts from it.
      update_averages: (state, number of the epoch that ends, fetch) -> the state with its averages brought up to date
        and all else as it was. Averages that each step updates need nothing more.
      after_epoch: (state, {"train", "validation", ...}: metrics) -> the state that the next epoch starts from and that
        is saved; called once for each epoch, with the same metrics on all hosts.
      callbacks: called after an epoch, before it is saved; True ends the training.
    """

    train_step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, jax.Array]]]
    feed: Callable[[int, int], AbstractContextManager[Iterator[tuple[Any, int]]]]
    evaluate: Callable[[Any, Fetch], dict[str, float]] | None
    learning_rate: Callable[[int, TrainState], float]
    update_averages: Callable[[TrainState, int, Fetch], TrainState] = lambda state, epoch, fetch: state
    after_epoch: Callable[[TrainState, Mapping[str, dict[str, float]]], TrainState] = lambda state, metrics: state
    callbacks: tuple[Callback, ...] = ()
