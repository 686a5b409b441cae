"""Which trials are stopped early. Import it where Optuna is known to be installed."""

import math
from collections.abc import Iterator

import optuna
from optuna.trial import FrozenTrial

from cnn_jax.errors import InputError
from cnn_jax.tuning.sweeps.types import Stopping, Sweep

RULES = ("file", "hyperband", "median", "none")
_BY_EPOCH = ("train_", "validation_")


def make_pruner(sweep: Sweep, rule: str) -> optuna.pruners.BasePruner | None:
    """The pruner that a rule of `RULES` means, None where every trial may run to its end.

    "file" does what wandb does under `early_terminate: {type: hyperband}`: see `Bands`. "hyperband" is Optuna's: it
    spreads the trials over several such ladders (Li et al. 2018). "median" stops what is worse than half of the
    others at the same epoch.

    Raises:
      InputError: the metric is known only at the end of a trial.
    """
    stopping = sweep.stopping
    if rule == "none" or (rule == "file" and stopping is None):
        return None
    if not sweep.metric.name.startswith(_BY_EPOCH):
        raise InputError(
            f"{sweep.source}: {sweep.metric.name} is known only at the end of a trial, so none can be stopped early by "
            f"it; choose a metric that begins with validation_, or --prune=none"
        )
    if rule == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1)
    if rule == "hyperband":
        least = stopping.min_iter if stopping else 1
        most = stopping.max_iter if stopping and stopping.max_iter else "auto"
        factor = max(2, round(stopping.eta)) if stopping else 3
        return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=factor)
    assert stopping is not None
    return Bands(stopping)


class Bands(optuna.pruners.BasePruner):
    """Stops a trial that, at the last band it has passed, is not among the best 1/eta of those that came so far.

    Bands are epochs: min_iter, min_iter * eta, ..., or max_iter / eta, max_iter / eta^2, ..., s of them. As in wandb's
    controller, the trial itself counts, the one just beyond the share stays, and a trial is looked at again when
    others have passed its band (asynchronous successive halving, Li et al. 2020).
    """

    def __init__(self, stopping: Stopping):
        self._stopping = stopping

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        passed = [band for band in _bands(self._stopping, trial.last_step or 0) if band <= (trial.last_step or 0)]
        if not passed:
            return False
        sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
        own = sign * _at(trial, passed[-1])
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        came_so_far = (own, *(sign * _at(other, passed[-1]) for other in others))
        values = sorted(value for value in came_so_far if not math.isnan(value))
        return math.isnan(own) or own > values[int(len(values) / self._stopping.eta)]


def _bands(stopping: Stopping, last: int) -> Iterator[int]:
    """In ascending order, as far as the epoch `last`."""
    if stopping.max_iter is not None and stopping.s is not None:
        bands = (int(stopping.max_iter / stopping.eta**i) for i in range(stopping.s, 0, -1))
        yield from (band for band in bands if band >= 1)
        return
    band = float(stopping.min_iter)
    while int(band) <= last:
        yield int(band)
        band *= stopping.eta


def _at(trial: FrozenTrial, epoch: int) -> float:
    """What a trial had reported first from that epoch on; NaN where it has not come so far."""
    steps = [step for step in trial.intermediate_values if step >= epoch]
    return trial.intermediate_values[min(steps)] if steps else math.nan
