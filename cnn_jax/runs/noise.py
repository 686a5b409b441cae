"""What chance does to figures: the interval of one run, of several, and of the difference between two."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Shares of images; a loss or a mean over classes has no binomial interval.
PROPORTIONS = ("accuracy", "top5_accuracy")


class Spread(NamedTuple):
    """Of a figure over several runs; `std` (n - 1 in the denominator) and `interval` are None for a single one."""

    runs: int
    mean: float
    std: float | None
    interval: tuple[float, float] | None


class Difference(NamedTuple):
    """Of a proportion between two runs, the first less the second.

    Attributes:
      value: the difference.
      is_noise: whether it is no larger than chance makes it in 95 of 100 cases.
      method: how that was found, in words.
    """

    value: float
    is_noise: bool
    method: str


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927); unlike the normal one it is right near 0 and 1."""
    from scipy.stats import binomtest

    low, high = binomtest(correct, count).proportion_ci(confidence_level=0.95, method="wilson")
    return float(low), float(high)


def interval_of(record: Mapping[str, Any], metric: str, value: float | None = None) -> tuple[float, float] | None:
    """The binomial 95 % interval of a run's accuracy, over the images it was measured on; None where it has none.

    Args:
      record: a row of `search`.
      metric: such as validation_accuracy.
      value: the figure, where it is not the one in the record.
    """
    count, value = images_of(record, metric), record.get(metric) if value is None else value
    if count is None or not isinstance(value, float | int) or not 0 <= value <= 1:
        return None
    return wilson_interval(round(value * count), count)


def images_of(record: Mapping[str, Any], metric: str) -> int | None:
    """How many images a figure is a share of; None where that is not known, or it is no share."""
    split, _, name = metric.partition("_")
    count = record.get(f"{split}_examples")
    known = name in PROPORTIONS and isinstance(count, int) and not isinstance(count, bool) and 0 < count < 1e12
    return count if known else None


def spread(values: Sequence[float], folds: bool = False, metric: str = "") -> Spread:
    """Mean, sample standard deviation and the 95 % interval of the mean, by Student's t with n - 1 degrees of freedom.

    Folds share most of their training images, so that their figures vary less than those of independent runs: their
    variance is taken as (1/n + 1/(n - 1)) s^2 in place of s^2 / n (Nadeau and Bengio 2003, with n - 1 parts to train
    on and one to measure).

    Args:
      values: of at least one run.
      folds: whether they are the folds of one division.
      metric: what they are; the interval of an accuracy, which is a share, ends at 0 and 1.
    """
    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return Spread(1, mean, None, None)
    from scipy.stats import t

    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    error = std * math.sqrt(1 / count + (1 / (count - 1) if folds else 0))
    half = float(t.ppf(0.975, count - 1)) * error
    low, high = mean - half, mean + half
    if metric.endswith("accuracy"):
        low, high = max(low, 0.0), min(high, 1.0)
    return Spread(count, mean, std, (low, high))


def difference(
    first: Mapping[str, Any], second: Mapping[str, Any], metric: str, folder: Path | None = None
) -> Difference | None:
    """Whether two runs differ by more than noise; None where the number of images is not known.

    Where both have stored predictions of the same images, and these give the runs' figures, McNemar's exact test
    (1947) compares them image by image. Otherwise the 95 % interval of the difference is Newcombe's (1998, method
    10), as if the images were others: on the same images the true one is narrower, so that what is called a
    difference is one.

    Args:
      first: a row of `search`.
      second: likewise, of the same data set.
      metric: a proportion, such as validation_accuracy.
      folder: that was searched, where predictions are looked for; None: they are not.
    """
    intervals = interval_of(first, metric), interval_of(second, metric)
    if intervals[0] is None or intervals[1] is None:
        return None
    one, other = float(first[metric]), float(second[metric])
    if folder is not None and (pair := _discordant(first, second, metric, folder)) is not None:
        return Difference(one - other, *_mcnemar(*pair))
    (low1, high1), (low2, high2) = intervals[0], intervals[1]
    low = one - other - math.hypot(one - low1, high2 - other)
    high = one - other + math.hypot(high1 - one, other - low2)
    method = f"unpaired, 95 % interval {points(low)} to {points(high)}"
    return Difference(one - other, low <= 0 <= high, method)


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Whether the means of two configs over seeds differ by more than noise: Welch's t test (1947) of their runs.

    Args:
      first, second: figures of at least two runs each.
    """
    from scipy.stats import t

    one, other = spread(first), spread(second)
    errors = [(found.std or 0) ** 2 / found.runs for found in (one, other)]
    value = one.mean - other.mean
    if not sum(errors):
        return Difference(value, value == 0, "no run differs from the others of its config")
    freedom = sum(errors) ** 2 / sum(
        error**2 / (found.runs - 1) for error, found in zip(errors, (one, other), strict=True)
    )
    p = 2 * float(t.sf(abs(value) / math.sqrt(sum(errors)), freedom))
    return Difference(value, p >= 0.05, f"Welch's t test of the means, p = {p:.2g}")


def points(share: float) -> str:
    """A difference between two shares: +1.39 points."""
    return f"{100 * share:+.2f} points"


def _mcnemar(only_first: int, only_second: int) -> tuple[bool, str]:
    from scipy.stats import binomtest

    count = only_first + only_second
    p = float(binomtest(only_first, count).pvalue) if count else 1.0
    return p >= 0.05, f"McNemar: {only_first} images right in the first alone, {only_second} in the second, p = {p:.2g}"


def _discordant(
    first: Mapping[str, Any], second: Mapping[str, Any], metric: str, folder: Path
) -> tuple[int, int] | None:
    """How many images only the first, and only the second, has right; None where that is not known."""
    split, _, name = metric.partition("_")
    if name != "accuracy":
        return None
    one, other = (_correct(folder / record["run"], split, record[metric]) for record in (first, second))
    if one is None or other is None or one.keys() != other.keys():
        return None
    return sum(one[key] and not other[key] for key in one), sum(other[key] and not one[key] for key in one)


def _correct(path: Path, split: str, accuracy: float) -> dict[tuple[str, str], bool] | None:
    """{(image, label): whether the run has it right} of a split; None where its predictions are not of these weights.

    A run that was made longer after it was evaluated has predictions that no longer give its figure.
    """
    name = "predictions.csv" if split == "test" else f"predictions_{split}.csv"
    try:
        with open(path / name, newline="", encoding="utf-8") as file:
            rows = [(row["path"], row["label"], row["prediction"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, csv.Error):
        return None
    found = {(image, label): label == prediction for image, label, prediction in rows}
    if not rows or len(found) < len(rows) or abs(sum(found.values()) - accuracy * len(rows)) >= 0.5:
        return None
    return found
