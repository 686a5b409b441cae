"""A sweep's methods as a sampler of Optuna. Import it where Optuna is known to be installed.

sampler = SweepSampler(sweep, seed=0)
study = optuna.create_study(sampler=sampler)
trial = study.ask(sampler.stored)      # its parameters are stored at once, so that other workers see them
sampler.values(trial.params)           # {parameter name: value} as the sweep file means it
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.search.gaussian_process import propose
from cnn_jax.tuning.search.search_space import SearchSpace, index_of
from cnn_jax.tuning.sweeps import file as sweep_file
from cnn_jax.tuning.sweeps.types import Sweep


class SweepSampler(optuna.samplers.BaseSampler):
    """Grid and random: a function of (seed, trial number) alone. Bayes: of the trials in the storage, too.

    Attributes:
      stored: {parameter name: Optuna's distribution}, for `Study.ask`.
    """

    def __init__(self, sweep: Sweep, seed: int):
        self._sweep, self._seed = sweep, seed
        self._space = SearchSpace.of(sweep)
        self._choices = {
            one.name: stored_choices(one.distribution) for one in sweep.parameters if one.distribution.is_categorical
        }
        self.stored = {one.name: self._stored(one.name, one.distribution) for one in sweep.parameters}

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The sweep's values of a trial's parameters, which Optuna may hold in another form."""
        return {
            one.name: self._value(one.name, one.distribution, params[one.name])
            for one in self._sweep.parameters
            if one.name in params
        }

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.stored)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if set(trial.params) == set(self.stored):  # one that is taken up again
            return {}
        if self._sweep.method == "grid":
            chosen = sweep_file.grid_point(self._sweep, trial.number)
        elif self._sweep.method == "random" or not self._space.axes:
            chosen = draw(self._sweep, self._seed, trial.number)
        else:
            others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
            chosen = self._proposed(others, trial.number)
        return {
            one.name: self._as_stored(one.name, one.distribution, chosen[one.name]) for one in self._sweep.parameters
        }

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise KeyError(f"{param_name} is no parameter of the sweep")

    def _proposed(self, trials: Sequence[FrozenTrial], number: int) -> dict[str, Any]:
        """What the Gaussian process proposes after these trials, pruned and failed ones among them."""
        sign = -1.0 if self._sweep.metric.goal == "maximize" else 1.0
        told = [trial for trial in trials if set(trial.params) == set(self.stored)]
        pending = [trial for trial in told if not trial.state.is_finished()]
        finished = [trial for trial in told if trial.state.is_finished()]
        values = np.array([sign * worth(trial) for trial in finished])
        known = values[np.isfinite(values)]
        if not len(known):  # all failed: there is nothing to learn but where not to go
            pending, finished, values = told, [], known
        values = np.where(np.isfinite(values), values, known.max(initial=-math.inf))  # the worst that was seen
        space = self._space
        return space.values(
            propose(space.space, self._points(finished), values, self._points(pending), self._seed, number)
        )

    def _points(self, trials: Sequence[FrozenTrial]) -> np.ndarray:
        points = [self._space.point(self.values(trial.params)) for trial in trials]
        return np.stack(points) if points else np.zeros((0, len(self._space.axes)))

    def _as_stored(self, name: str, distribution: Distribution, value: Any) -> Any:
        if name not in self._choices:
            return value
        return self._choices[name][index_of(distribution.grid() or (), value)]

    def _stored(self, name: str, distribution: Distribution) -> BaseDistribution:
        if name in self._choices:
            return CategoricalDistribution(self._choices[name])
        least, most = distribution.quantile(0.0), distribution.quantile(1.0)
        logarithmic = "log" in distribution.kind and least > 0
        if isinstance(least, int):
            return IntDistribution(least, most, log=logarithmic)
        low, high = distribution.bounds
        if math.isfinite(low) and math.isfinite(high) and (low > 0 or not logarithmic):
            least, most = low, high
        return FloatDistribution(least, most, log=logarithmic)

    def _value(self, name: str, distribution: Distribution, stored: Any) -> Any:
        if name not in self._choices:
            return stored
        return (distribution.grid() or ())[index_of(self._choices[name], stored)]


def stored_choices(distribution: Distribution) -> tuple[Any, ...]:
    """The choices as a storage can hold them and tell them apart: lists and blocks become JSON."""
    choices = distribution.grid() or ()
    plain = tuple(
        one if one is None or isinstance(one, bool | int | float | str) else json.dumps(one) for one in choices
    )
    return plain if len(set(plain)) == len(plain) else tuple(json.dumps(one) for one in choices)


def worth(trial: FrozenTrial) -> float:
    """The value of a trial, of a pruned one the last it reported; NaN where there is none."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    if trial.state == TrialState.PRUNED and trial.last_step is not None:
        return trial.intermediate_values[trial.last_step]
    return math.nan
