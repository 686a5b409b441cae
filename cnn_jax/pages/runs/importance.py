"""How much of the differences between runs each hyperparameter explains."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cnn_jax.cli.programs import install
from cnn_jax.errors import InputError

_LEAST, _MOST = 4, 300  # runs; the time grows with their square
_APART = 0.1  # of the range: how far below the least number None lies, as on the page's axes


def importances(records: Sequence[Mapping[str, Any]], values: Sequence[float], goal: str) -> dict[str, float]:
    """Shares of the variance of a figure (fANOVA; Hutter et al. 2014), the largest first; they sum to 1.

    Args:
      records: {key: value} of each run, the same keys in all; of more than 300 runs some at even distances. None among
        numbers (patience=None) has a place of its own, below them.
      values: the runs' figure, finite.
      goal: "maximize" or "minimize".

    Raises:
      InputError: it cannot be said from these runs; the message is one line that says why.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(f"hyperparameter importance needs optuna: {install('sweep')}") from error
    if len(records) < _LEAST:
        raise InputError(f"it takes at least {_LEAST} finished runs; there are {len(records)}")
    every = -(-len(records) // _MOST)
    records, values = records[::every], values[::every]
    keys = [key for key in records[0] if len({repr(record[key]) for record in records}) > 1]
    if not keys:
        raise InputError("no key differs among the finished runs that all of them have")
    if len(set(values)) < 2:
        raise InputError("all finished runs came to the same figure")
    distributions = {key: _distribution([record[key] for record in records]) for key in keys}
    trials = [
        optuna.trial.create_trial(
            params={key: _value(record[key], distributions[key]) for key in keys},
            distributions=distributions,
            value=value,
        )
        for record, value in zip(records, values, strict=True)
    ]
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction="maximize" if goal == "maximize" else "minimize")
            study.add_trials(trials)
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (RuntimeError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from error
    finally:
        optuna.logging.set_verbosity(before)


def spans_decades(values: Sequence[Any]) -> bool:
    """Whether numbers belong on a logarithmic axis."""
    numbers = [value for value in values if value is not None]
    return bool(numbers) and min(numbers) > 0 and max(numbers) >= 10 * min(numbers)


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether all values that are there are finite numbers."""
    there = [value for value in values if value is not None]
    return bool(there) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 for value in there
    )


def _distribution(values: Sequence[Any]) -> Any:
    from optuna import distributions

    if not are_numbers(values):
        return distributions.CategoricalDistribution(sorted({repr(value) for value in values}))
    numbers = [float(value) for value in values if value is not None]
    least, most, log = min(numbers), max(numbers), spans_decades(values)
    if len(numbers) < len(values):
        least = least * (least / most) ** _APART if log else least - _APART * (most - least or 1.0)
    return distributions.FloatDistribution(least, most, log=log)


def _value(value: Any, distribution: Any) -> Any:
    if hasattr(distribution, "choices"):
        return repr(value)
    return distribution.low if value is None else float(value)
