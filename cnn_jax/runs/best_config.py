"""The best of several configs that were trained with several seeds each: by its mean, as one seed is luck."""

from collections.abc import Sequence
from typing import NamedTuple

from cnn_jax.runs.noise import Spread, mean_difference, spread


class Tried(NamedTuple):
    """A config and the figures of its finished runs.

    Attributes:
      name: for people.
      values: one figure of each run.
      over: in what the runs differ: "seeds", "folds", or both.
      metric: what the values are.
    """

    name: str
    values: tuple[float, ...]
    over: str = "seeds"
    metric: str = ""

    @property
    def spread(self) -> Spread:
        return spread(self.values, "folds" in self.over, self.metric)


def ranked(configs: Sequence[Tried], goal: str) -> list[Tried]:
    """The best mean first."""
    sign = -1 if goal == "maximize" else 1
    return sorted(configs, key=lambda one: sign * one.spread.mean)


def describe_best(configs: Sequence[Tried], metric: str, goal: str, luckiest: str) -> list[str]:
    """What may be said of the best config, and what of the best single run.

    Args:
      configs: all that were tried; some with one run, perhaps, but some with several.
      metric, goal: of the values; "maximize" or "minimize".
      luckiest: the best single run with its figure.
    """
    best, *others = ranked(configs, goal)
    if not others:
        return [
            f"mean {metric} of this config: {_figures(best)}",
            f"the best single run, {luckiest}, is the luckiest of its {best.over}, not a better config",
        ]
    if len(best.values) > 1:
        return [
            f"best config by mean {metric}: {best.name}: {_figures(best)}",
            _next(best, others[0]),
            f"one run is luck: the best single one is {luckiest}",
        ]
    several = ranked([one for one in others if len(one.values) > 1], goal)[0]
    return [
        f"best {metric}: {luckiest}",
        f"it was trained once, and one run is luck; of the configs with several {several.over} the best by mean "
        f"{metric} is {several.name}: {_figures(several)}",
    ]


def _figures(one: Tried) -> str:
    found = one.spread
    if found.interval is None:
        return f"{found.mean:.4f}"
    low, high = found.interval
    return (
        f"{found.mean:.4f} over {found.runs} {one.over} (std {found.std:.4f}; 95 % interval of the mean {low:.4f} to "
        f"{high:.4f})"
    )


def _next(best: Tried, other: Tried) -> str:
    away = abs(best.spread.mean - other.spread.mean)
    line = f"the next one, {other.name}, is {away:.4f} behind"
    if len(other.values) == 1:
        return f"{line}; it was trained once"
    if "folds" in best.over + other.over:
        return line  # folds share training images, so that no test of independent runs fits
    found = mean_difference(best.values, other.values)
    return f"{line}, {'less' if found.is_noise else 'more'} than noise ({found.method})"
