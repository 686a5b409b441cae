"""Rules of batch sizes in closed form: which are tried, which one is best, how the learning rate scales."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnn_jax.tuning.finders.batch_search import (
    first_size,
    largest_fitting,
    may_be_recommended,
    parse_bytes,
    pays,
    recommend,
    rule_of,
    scaled_rate,
)
from tests.support.helpers import refusal


def test_bytes() -> None:
    for text, expected in (
        ("8GiB", 8 * 2**30), ("500MB", 500_000_000), ("1.5 kb", 1500), ("12", 12), ("2MiB", 2**21), ("3B", 3),
    ):  # fmt: skip
        assert parse_bytes(text) == expected


def test_bytes_refused() -> None:
    for text in ("", "much", "-1", "0", "8 GiBs", "GiB", "1e9", "nan"):
        assert f"--memory={text}: must be bytes above 0, as in 8GiB" in refusal(parse_bytes, text)


@pytest.mark.parametrize(("name", "expected"), [("sgd", 0.8), ("lars", 0.8), ("adamw", 0.2), ("muon", 0.2)])
def test_scaling_rules(name: str, expected: float) -> None:
    assert scaled_rate(name, 0.1, 256, 2048) / expected == pytest.approx(1 if name in ("sgd", "lars") else math.sqrt(2))
    assert scaled_rate(name, 0.1, 64, 64) == 0.1
    assert rule_of(name) == ("linear" if name in ("sgd", "lars") else "square root")


def test_doubling_ends_where_it_no_longer_pays() -> None:
    assert pays({8: 100.0, 16: 100.0})
    assert pays({8: 100.0, 16: 100.0, 32: 106.0})
    assert not pays({8: 100.0, 16: 104.0, 32: 104.9})
    assert pays({8: 100.0, 16: 180.0, 32: 185.0})
    assert not pays({8: 100.0, 16: 180.0, 32: 185.0, 64: 150.0})
    assert recommend({8: 100.0, 16: 180.0, 32: 185.0, 64: 189.0}) == 16


def test_what_noise_leaves_open() -> None:
    exact = {8: 100.0, 16: 180.0, 32: 185.0, 64: 189.0}
    assert may_be_recommended({size: (rate, rate) for size, rate in exact.items()}) == (16, 16)
    assert may_be_recommended({size: (0.99 * rate, 1.01 * rate) for size, rate in exact.items()}) == (16, 32)
    assert may_be_recommended({size: (0.5 * rate, 1.5 * rate) for size, rate in exact.items()}) == (8, 64)
    assert may_be_recommended({8: (90.0, 110.0), 16: (500.0, 510.0)}) == (16, 16)


def test_the_first_size() -> None:
    assert first_size(1, 1000) == 8
    assert first_size(3, 1000) == 12
    assert first_size(16, 1000) == 16
    assert first_size(1, 5) == 4


def peak_bytes(size: int, bend: float) -> float:
    """Memory of a made-up step: it grows with the batch, less or more than in proportion, and in jumps."""
    taken = 1000.0 + 3 * size + bend * size**2 + 20 * (size % 16 > 7)
    return taken if taken < 100_000 else math.inf  # a compiler may give up


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(5, 60_000), st.sampled_from([0.0, 1e-4, -1e-6]), st.floats(1050, 1e5))
@example(5, 0.0, 1e9)
@example(100, 0.0, 1050.0)
@example(4096, -1e-6, 2000.0)
@example(4096, 1e-4, 40_000.0)
@example(60_000, 0.0, 1e9)
@example(60_000, 1e-4, 1050.0)
def test_largest_batch_in_few_trials(most: int, bend: float, budget: float) -> None:
    """It fits, the next one does not, and no size is tried twice."""
    most = min(most, 4096) if bend < 0 else most  # to there it is monotone
    asked: list[int] = []

    def peak(size: int) -> float:
        asked.append(size)
        return peak_bytes(size, bend)

    known = {size: peak_bytes(size, bend) for size in (1, 2)}
    largest, proven = largest_fitting(peak, known, budget, 1, 8, most, 14)
    assert proven
    assert len(asked) == len(set(asked)) <= 14
    assert largest <= most
    assert peak_bytes(largest, bend) <= budget
    step = 8 if largest >= 8 else 1
    following = (largest // step + 1) * step
    assert following > most or peak_bytes(following, bend) > budget


def test_trials_that_run_out_are_said() -> None:
    assert largest_fitting(lambda size: 1.0, {8: 1.0}, 2.0, 1, 8, 100, 0) == (8, False)
