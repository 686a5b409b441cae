"""A loss over exponentially rising learning rates: how it is measured, and what can be read off it.

After Smith 2017 (arXiv 1506.01186, section 3.3) and fastai's `lr_find`. Nothing here knows of networks.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SUGGESTIONS = ("valley", "steepest", "minimum")
LABELS = {"minimum": "minimum / 10"}  # for people
LEAST_STEPS = 20
MOST_STEPS = 5000  # reading a sweep takes time and memory by their square

_BETA = 0.9  # of the exponential moving average that ends a sweep: it looks back over some ten steps
_BETA_BOTH_WAYS = 0.8  # of the smoothed curve: it takes away as much noise
_BLOWN_UP = 4.0
_FIRST = 5  # losses that say where the sweep begins
_SHORTEST_FALL = 4
_ENOUGH_STEPS = 100  # with fewer the noise may hide what there is


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a sweep says.

    Attributes:
      smoothed: [n], without lag; None for losses that are not finite.
      suggestions: {"valley", "steepest", "minimum"}: rates; empty where there is a problem. A tenth of the best rate is
        left out where it lies below the first one: no step was made there.
      divergence: the rate at which the loss blew up, at least the first one; None where it did not.
      problem: why nothing is suggested, and what to change; one line.
    """

    smoothed: tuple[float | None, ...]
    suggestions: dict[str, float]
    divergence: float | None
    problem: str | None


def make_rates(start: float, end: float, steps: int) -> np.ndarray:
    """float64 [steps], from start to end with equal ratios."""
    return np.geomspace(start, end, steps)


def sweep_rates(step: Callable[[Any, int], tuple[Any, float]], state: Any, rates: Sequence[float]) -> np.ndarray:
    """The losses of one step at each rate, up to where they blow up.

    The sweep ends with a loss that is not finite, or when the smoothed loss is 4 times the best so far and 4 times what
    it began with. fastai compares with the best alone; but a floor of gradient noise grows with the rate (for SGD on a
    quadratic, 20-fold from a tenth of the stability limit to half of it), so that a loss that fell far may rise 4-fold
    and yet be stable.

    Args:
      step: (state, k) -> (state after an update with rates[k], loss before it).
      state: the first one.
      rates: [steps].

    Returns:
      float64 [n], n <= steps.
    """
    losses: list[float] = []
    average, best = 0.0, math.inf
    for k in range(len(rates)):
        state, loss = step(state, k)
        losses.append(float(loss))
        if not math.isfinite(losses[-1]):
            break
        average = _BETA * average + (1 - _BETA) * losses[-1]
        smoothed = average / (1 - _BETA ** (k + 1))
        best = min(best, smoothed)
        if k >= _FIRST and smoothed > _BLOWN_UP * max(best, _beginning(np.array(losses[:_FIRST])), 0.0):
            break
    return np.array(losses)


def smooth(losses: np.ndarray) -> np.ndarray:
    """Exponential weights looking both ways, of sum 1 at the ends too (the bias correction of Adam); no lag.

    An average that looks back alone shows every fall ten steps late: almost a decade of rates in a sweep of 100 steps.
    """
    distance = np.abs(np.subtract.outer(np.arange(len(losses)), np.arange(len(losses))))
    weights = _BETA_BOTH_WAYS**distance
    return (weights / weights.sum(axis=1, keepdims=True)) @ losses


def find_divergence(rates: np.ndarray, losses: np.ndarray) -> tuple[float | None, int]:
    """The rate at which the loss blew up, and how many losses come before that.

    A sweep overshoots: the loss has to climb out of its floor before anything is seen, while the rate goes on rising.
    But the pace of the climb tells how far it has overshot. Beyond the limit 2 / L a direction of curvature L grows by
    (1 - rate * L)^2 a step in the loss; so losses l and l' before and after a step give the limit 2 * rate /
    (1 + sqrt(l' / l)), exactly for SGD on a quadratic. The median of that is taken over the steps from where the
    loss rises for good above the level it began with: there it is large against any noise. A slow climb (Adam) gives
    the rate itself. No smoothing but a median of three is involved, so there is no lag to correct.
    """
    steps = len(losses)
    finite = np.where(np.isfinite(losses), losses, np.inf)
    if not math.isfinite(finite[0]):
        return None, 0
    level = _beginning(finite)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(finite, 1, constant_values=np.nan), 3)
    medians = np.nanmedian(windows, axis=1)  # of three losses; of two at the ends
    medians[-1] = max(medians[-1], finite[-1])
    stopped = steps < len(rates) or not math.isfinite(finite[-1])
    if not stopped:
        tail = smooth(finite)
        if tail[-1] <= _BLOWN_UP * tail.min():
            return None, steps
        # A network may end in answers that no longer depend on the image, at about the loss it began with.
        level = min(level, (tail.min() + level) / 2)
    below = np.flatnonzero(medians <= level)
    last = int(below[-1]) if len(below) else 0
    if not stopped:
        return float(rates[last]), last + 1
    above = [k for k in range(last + 1, steps - 1) if finite[k] >= level and math.isfinite(finite[k + 1])]
    usable = above or [k for k in (last,) if k + 1 < steps and math.isfinite(finite[k + 1]) and level > 0]
    limits = [2 * rates[k] / (1 + math.sqrt(max(finite[k + 1] / max(finite[k], level), 1.0))) for k in usable]
    limit = float(np.median(limits)) if limits else float(rates[last])
    return max(limit, float(rates[0])), last + 1


def read_sweep(rates: np.ndarray, losses: np.ndarray) -> Reading:
    """The suggestions of a sweep, or why there are none.

    - valley: two thirds (in log rate) into the longest decreasing stretch of the smoothed loss, after fastai's method
      of that name: far enough from both ends to be neither slow nor near divergence. The stretch is taken
      from half to 98 % of its fall: small steps add up, so that it begins decades before a step does much, the
      sooner the lower the sweep starts; and at the bottom noise alone says where it ends;
    - steepest: where the smoothed loss falls fastest over the log of the rate;
    - minimum: a tenth of the rate with the lowest smoothed loss.
    """
    divergence, count = find_divergence(rates, losses)
    if not np.isfinite(losses[0]):
        return _problem(
            losses, None, f"the loss is {losses[0]} at the very first step, before any rate has acted: look at the "
            f"data, config.init_from and config.precision"
        )  # fmt: skip
    smoothed, used = smooth(losses[:count]), rates[:count]
    lowest = int(smoothed.argmin())
    noise = 1.4826 * float(np.median(np.abs(np.diff(losses[:count])))) / math.sqrt(2) if count > 1 else 0.0
    fallen = smoothed[0] - smoothed[lowest] > max(1.5 * noise, 0.01 * abs(smoothed[0]))
    first, last = _longest_fall(smoothed)
    first, last = _body(smoothed, first, last)
    few = len(rates) < _ENOUGH_STEPS
    if divergence is not None and (not fallen or last - first < _SHORTEST_FALL):
        where = "the first rate" if divergence == rates[0] else f"a rate of {divergence:.2g}"
        line = f"the loss blows up at {where} before it has fallen: lower --start={rates[0]:g}"
        return _problem(losses, divergence, f"{line} or raise --steps={len(rates)}" if few else line)
    if not fallen:
        line = f"the loss does not fall at any rate from {rates[0]:g} to {rates[-1]:g} beyond the noise: raise "
        line += f"--steps={len(rates)} or --end" if few else "--end"
        return _problem(
            losses, None, f"{line}, or look at what is trained (config.freeze, config.optimizer.rate_multipliers)"
        )
    if divergence is None and lowest >= len(rates) - 3:
        line = f"the loss is still falling at the last rate: raise --end={rates[-1]:g}"
        return _problem(losses, None, line)
    slope = np.gradient(smoothed, np.log(used))
    suggestions = {
        "valley": float(used[first] ** (1 / 3) * used[last] ** (2 / 3)),
        "steepest": float(used[int(slope.argmin())]),
        "minimum": float(used[lowest] / 10),
    }
    suggestions = {name: rate for name, rate in suggestions.items() if rate >= rates[0]}
    return Reading(_padded(smoothed, len(losses)), suggestions, divergence, None)


def _problem(losses: np.ndarray, divergence: float | None, line: str) -> Reading:
    finite = losses[np.isfinite(losses)]
    smoothed = smooth(finite) if len(finite) else finite
    return Reading(_padded(smoothed, len(losses)), {}, divergence, line)


def _padded(smoothed: np.ndarray, length: int) -> tuple[float | None, ...]:
    return (*map(float, smoothed), *(None for _ in range(length - len(smoothed))))


def _beginning(losses: np.ndarray) -> float:
    first = losses[:_FIRST]
    return float(np.median(first[np.isfinite(first)]))


def _longest_fall(smoothed: np.ndarray) -> tuple[int, int]:
    """First and last index of the longest strictly decreasing subsequence: small bumps do not end it."""
    lengths, before = [1] * len(smoothed), list(range(len(smoothed)))
    for k in range(len(smoothed)):
        for j in range(k):
            if smoothed[k] < smoothed[j] and lengths[k] < lengths[j] + 1:
                lengths[k], before[k] = lengths[j] + 1, j
    last = first = int(np.argmax(lengths))
    while before[first] != first:
        first = before[first]
    return first, last


def _body(smoothed: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """The part of a decreasing stretch in which the loss really falls."""
    stretch, fall = smoothed[first : last + 1], smoothed[first] - smoothed[last]
    begin = int(np.flatnonzero(stretch <= stretch[0] - 0.5 * fall)[0])
    end = int(np.flatnonzero(stretch <= stretch[0] - 0.98 * fall)[0])
    return first + begin, first + end
