"""Which trials are stopped early. Import it where Optuna is known to be installed."""

import optuna

from cnn_jax.errors import InputError
from cnn_jax.tuning.sweep_types import Sweep

RULES = ("file", "hyperband", "median", "none")
_BY_EPOCH = ("train_", "validation_")


def make_pruner(sweep: Sweep, rule: str) -> optuna.pruners.BasePruner | None:
    """The pruner that a rule of `RULES` means, None where every trial may run to its end.

    "file" does what wandb does under `early_terminate: {type: hyperband}`: one bracket, in which after min_iter,
    min_iter * eta, ... epochs the best 1/eta of the trials so far go on (asynchronous successive halving, Li et al.
    2020). "hyperband" spreads the trials over several such brackets (Li et al. 2018), and "median" stops what is
    worse than half of the others at the same epoch.

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
    least = stopping.min_iter if stopping else 1
    factor = max(2, round(stopping.eta)) if stopping else 3
    if rule == "hyperband":
        most = stopping.max_iter if stopping and stopping.max_iter else "auto"
        return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=factor)
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)
