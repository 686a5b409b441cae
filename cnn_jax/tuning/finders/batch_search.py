"""Arithmetic of batch sizes: which are tried, which one is best, and what the learning rate becomes."""

import math
import re
from collections.abc import Callable, Mapping

from cnn_jax.errors import InputError

ENOUGH = 0.95  # of the best throughput
LEAST_GAIN = 0.05  # of a doubling that still pays

_FIRST = 8
_UNITS = {"": 1, "B": 1, **{f"{p}B": 1000**i for i, p in enumerate("kMGT", 1)},
          **{f"{p}iB": 1024**i for i, p in enumerate("KMGT", 1)}}  # fmt: skip
# Their updates are proportional to the gradient. Those of the others have a length of their own.
_LINEAR = ("sgd", "lars")


def parse_bytes(text: str) -> int:
    """'8GiB', '500MB' or '1000000' as bytes; raises InputError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = {name.lower(): size for name, size in _UNITS.items()}.get(match[2].lower()) if match else None
    if match is None or unit is None or float(match[1]) <= 0:
        raise InputError(f"--memory={text}: must be bytes above 0, as in 8GiB, 500MB or 1000000")
    return int(float(match[1]) * unit)


def first_size(unit: int, most: int) -> int:
    """Where the doubling begins: the smallest unit * 2^i of at least 8, if there are so many examples."""
    size = unit
    while size < _FIRST and 2 * size <= most:
        size *= 2
    return size


def pays(rates: Mapping[int, float]) -> bool:
    """Whether to double again: unless the last two doublings both gained less than 5 % on the best before."""
    values = list(rates.values())
    best = [max(values[: i + 1]) for i in range(len(values))]
    return len(best) < 3 or best[-1] > (1 + LEAST_GAIN) * best[-3]


def recommend(rates: Mapping[int, float]) -> int:
    """The smallest batch with 95 % of the best throughput."""
    return min(size for size, rate in rates.items() if rate >= ENOUGH * max(rates.values()))


def may_be_recommended(quartiles: Mapping[int, tuple[float, float]]) -> tuple[int, int]:
    """The least and the largest batch that `recommend` might give, if every rate were anywhere between its quartiles.

    Args:
      quartiles: {batch size: (lower, upper)} of images a second.
    """
    best_low, best_high = (max(both[i] for both in quartiles.values()) for i in (0, 1))
    least = min(size for size, (_, high) in quartiles.items() if high >= ENOUGH * best_low)
    sure = [size for size, (low, _) in quartiles.items() if low >= ENOUGH * best_high]
    return least, min(sure, default=max(quartiles))


def largest_fitting(
    peak: Callable[[int], float], known: Mapping[int, float], budget: float, unit: int, fine: int, most: int, tries: int
) -> tuple[int, bool]:
    """The largest batch whose memory is within the budget, and whether the next one was seen not to be.

    Memory is nearly a + b * batch, so the next size to try is where the line through what is known meets the budget;
    every third is the middle instead, lest a bend make it creep.

    Args:
      peak: batch size -> bytes; infinite where the compiler gives up.
      known: {batch size: bytes}; one of them is within the budget.
      budget: in bytes.
      unit: sizes are multiples of it.
      fine: a multiple of the unit; sizes above it are multiples of it.
      most: no size is larger.
      tries: how often `peak` may be called.

    Returns:
      A multiple of `fine`, or of `unit` where it is smaller than that, or one of those that were known.
    """
    known = dict(known)
    while True:
        lowest = max(size for size, taken in known.items() if taken <= budget)
        above = [size for size, taken in known.items() if taken > budget]
        step = fine if lowest + fine <= most and (not above or min(above) > fine) else unit
        least, end = (lowest // step + 1) * step, most // step * step
        if above:
            end = min(end, (min(above) - 1) // step * step)
        if least > end:
            return lowest, True
        if tries <= 0:
            return lowest, False
        tries -= 1
        guess = _meets(known, budget, lowest, end)
        if above and (tries % 3 == 0 or (guess >= end and math.isinf(known[min(above)]))):
            guess = (least + end) // 2
        size = min(max(guess // step * step, least), end)
        known[size] = peak(size)


def scaled_rate(optimizer: str, rate: float, before: int, after: int) -> float:
    """The learning rate for another batch size.

    SGD and LARS: in proportion to the batch (Goyal et al. 2017, arXiv 1706.02677, section 2.1). Others, whose steps do
    not grow with the gradient: to its square root (Krizhevsky 2014, arXiv 1404.5997, section 5; for Adam Malladi et
    al. 2022, arXiv 2205.10287).
    """
    ratio = after / before
    return rate * (ratio if optimizer in _LINEAR else math.sqrt(ratio))


def rule_of(optimizer: str) -> str:
    """The name of the rule, for people."""
    return "linear" if optimizer in _LINEAR else "square root"


def _meets(known: Mapping[int, float], budget: float, lowest: int, end: int) -> int:
    """Where the line through the largest size within the budget and its neighbour meets the budget."""
    finite = sorted(size for size, taken in known.items() if math.isfinite(taken))
    others = [size for size in finite if size != lowest]
    if not others:
        return 2 * lowest
    other = min((size for size in others if size > lowest), default=others[-1])
    slope = (known[other] - known[lowest]) / (other - lowest)
    return end if slope <= 0 else int(min(lowest + (budget - known[lowest]) / slope, end))
