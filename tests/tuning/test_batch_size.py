"""The batch-size finder: memory by the compiler's account, throughput by a clock that is passed in."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from cnn_jax.config.tree import override
from cnn_jax.errors import InputError
from cnn_jax.experiment.costs import compile_with_costs, measure_costs
from cnn_jax.experiment.dry_run import describe_costs
from cnn_jax.experiment.fitting import build
from cnn_jax.tuning.finders import batch_size
from cnn_jax.tuning.finders.batch_report import BatchFinding, report, write
from cnn_jax.tuning.finders.batch_search import (
    recommend,
)
from cnn_jax.tuning.finders.batch_size import find_batch_size, resized
from tests.support.helpers import read_json, script, tiny_config


class Clock:
    """Seconds since the last call: as many as `seconds` says for the batch that runs."""

    def __init__(self, seconds: Callable[[int], float]):
        self.now, self._seconds, self._ticks = 0.0, seconds, itertools.count()
        self.size = 0

    def __call__(self) -> float:
        if next(self._ticks) % 2:
            self.now += self._seconds(self.size)
        return self.now


@pytest.fixture(scope="module")
def config() -> Any:
    """Of few operations: compilations are what takes time here."""
    plain = [("model.name", "linear"), ("augment", ()), ("optimizer.name", "sgd"), ("optimizer.momentum", 0.0)]
    return override(tiny_config(), plain)


def seconds_of(size: int) -> float:
    return 0.02 + 0.1 * max(size / 16, 1)


@pytest.fixture(scope="module")
def found(config: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BatchFinding, list[int]]]:
    """Twice as quick up to 16, then little more; memory for some 100; with the calls that were made."""
    clock, calls = Clock(seconds_of), []
    patch = pytest.MonkeyPatch()
    original = batch_size._Trials.run

    def run(self: Any, size: int, rounds: int | None = None) -> float | None:
        clock.size = size
        calls.append(size)
        return original(self, size, rounds)

    patch.setattr(batch_size._Trials, "run", run)
    limit = int(measure_costs(resized(build(config), 100)).peak / 0.9)
    yield find_batch_size(config, tmp_path_factory.mktemp("found"), memory=limit, clock=clock), calls
    patch.undo()


def test_memory_grows_with_the_batch(found: tuple[BatchFinding, list[int]]) -> None:
    taken = list(found[0].memory.values())
    assert taken == sorted(taken)
    assert len(set(taken)) == len(taken)


def test_the_largest_fits_and_the_next_does_not(found: tuple[BatchFinding, list[int]], config: Any) -> None:
    finding, calls = found
    experiment = build(config)
    assert finding.largest % 8 == 0
    assert 64 < finding.largest <= 104
    assert measure_costs(resized(experiment, finding.largest)).peak <= finding.budget
    assert measure_costs(resized(experiment, finding.largest + 8)).peak > finding.budget
    assert finding.proven
    assert finding.checked
    assert calls[-1] == finding.largest


def test_throughput_and_recommendation(found: tuple[BatchFinding, list[int]]) -> None:
    finding, _ = found
    expected = {size: size / seconds_of(size) for size in (8, 16, 32, 64)}
    assert finding.images_per_second == pytest.approx(expected)
    assert finding.recommended == 32
    assert finding.ended == "a batch of 128 does not fit"


def test_what_is_written_and_printed(found: tuple[BatchFinding, list[int]], config: Any) -> None:
    finding, _ = found
    written = read_json(finding.json)
    assert written["largest"] == finding.largest
    assert written["peak_bytes"][str(finding.largest)] == finding.memory[finding.largest]
    assert finding.picture.stat().st_size > 10_000
    text = report(finding, config)
    assert f"largest that fits: {finding.largest}, with" in text
    assert "a real step was made with it" in text
    assert "learning rate by the linear rule, from batch 128" in text
    rate = config.optimizer.learning_rate * finding.recommended / 128
    assert text.splitlines()[-1] == (
        f"--config.batch_size={finding.recommended} --config.optimizer.learning_rate={rate:.3g}"
    )


def test_spread_and_noise_are_said(found: tuple[BatchFinding, list[int]], config: Any, tmp_path: Path) -> None:
    """A machine with other work: every third call takes 2.2 times as long."""
    calls = itertools.count()
    noisy = find_batch_size(config, tmp_path, most=16, clock=Clock(lambda size: 2.2 if next(calls) % 3 == 0 else 1.0))
    assert noisy.images_per_second == {8: 8.0, 16: 16.0}
    low, high = noisy.quartiles[16]
    assert (low, high) == pytest.approx((16 * (0.5 + 0.5 / 2.2), 16.0))
    assert read_json(noisy.json)["quartiles"]["16"] == [low, high]
    table = report(noisy, config).splitlines()
    assert table[0].split()[:3] == ["batch", "images/s", "spread"]
    assert table[2].split()[:3] == ["16", "16", "27%"]

    quiet = report(found[0], config)
    assert "recommended: 32, the smallest with 95 % of the best throughput" in quiet
    assert not read_json(found[0].json)["too_noisy_to_tell"]
    wide = {size: (rate / 2, 2 * rate) for size, rate in found[0].images_per_second.items()}
    doubtful = dataclasses.replace(noisy, quartiles={8: (8.0, 20.0), 16: (7.0, 16.0)})
    write(doubtful, config)
    assert read_json(noisy.json)["too_noisy_to_tell"]
    text = report(dataclasses.replace(found[0], quartiles=wide), config)
    assert "too noisy to tell: the smallest batch with 95 % of the best throughput is between 8 and 64" in text
    assert text.splitlines()[-2] == "to train with a batch of 32 all the same, add:"
    assert quiet.splitlines()[-2] == "to train with a batch of 32, add:"
    assert f"no larger batch was timed: {found[0].ended}" in quiet
    assert "by the medians 32; a step's time spreads by up to 150%" in text


@pytest.mark.parametrize("changes", [[("batch_size", 100_000)], [("batch_size", 51), ("parallel.devices", 2)]])
def test_the_own_batch_may_be_impossible(config: Any, tmp_path: Path, changes: list[tuple[str, Any]]) -> None:
    """More than there are images, or not for these devices: the finder is asked for another one."""
    impossible = override(config, changes)
    finding = find_batch_size(impossible, tmp_path, most=8, clock=Clock(lambda size: 1.0))
    assert finding.recommended == 8
    rate = config.optimizer.learning_rate * 8 / impossible.batch_size
    assert finding.overrides == ("--config.batch_size=8", f"--config.optimizer.learning_rate={rate:.3g}")
    assert ("which is more than there are images" in report(finding, impossible)) == (impossible.batch_size > 1294)


def test_devices_and_parts_are_respected(config: Any, tmp_path: Path) -> None:
    changes = [("parallel.devices", 2), ("accumulate_steps", 3), ("batch_size", 48)]
    finding = find_batch_size(override(config, changes), tmp_path, most=50, clock=Clock(lambda size: 1.0))
    assert list(finding.images_per_second) == [12, 24, 48]
    assert finding.largest == 48
    assert finding.ended == "a batch of 96 would be above 48, the most that --max and the training split allow"
    assert finding.recommended == 48
    text = report(finding, override(config, changes))
    assert "the config's own batch: its learning rate stays" in text
    assert "largest that fits: 48, the most that --max and the training split allow, with" in text


class FakeTrials:
    """Each image takes a byte and a second, batches of less than 16,384 the time of one."""

    def __init__(self) -> None:
        self.memory: dict[int, float] = {}

    def peak(self, size: int) -> float:
        return self.memory.setdefault(size, float(size))

    def run(self, size: int) -> float:
        self.peak(size)
        return min(size / 16_384, 1.0)


def test_small_networks_on_fast_devices_are_followed_to_where_more_no_longer_pays() -> None:
    rates, ended = batch_size._throughput(FakeTrials(), 1, 10**6, math.inf)  # type: ignore[arg-type]
    assert max(rates) == 65_536
    assert recommend(rates) == 16_384
    assert ended == "the last two doublings gained less than 5 %"


def test_memory_that_others_took_meanwhile_is_said(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Any, size: int, rounds: int | None = None) -> float:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")

    monkeypatch.setattr(batch_size._Trials, "run", run)
    with pytest.raises(InputError, match=r"the device has not enough memory for this \(Out of memory"):
        find_batch_size(config, tmp_path, most=8)


def test_streamed_data_are_timed(tmp_path: Path) -> None:
    changes = {"data__source": "synthetic", "data__examples": 100, "data__loading": "streamed", "model__filters": (4,)}
    config = tiny_config(batch_size=16, data__image_size=(8, 8), data__channels=1, **changes)
    finding = find_batch_size(config, tmp_path, most=8, clock=Clock(lambda size: 1.0))
    assert finding.largest == 8
    assert finding.checked


def test_not_even_the_smallest(config: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not even a batch of 1, .* ways out: config.precision=bfloat16"):
        find_batch_size(config, tmp_path, memory=1000)


def test_mistakes(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--max=0: must be at least 1"):
        find_batch_size(config, tmp_path, most=0)
    with pytest.raises(InputError, match="--max=3: 2 devices with 2 parts each share batches of at least 4"):
        find_batch_size(override(config, [("parallel.devices", 2), ("accumulate_steps", 2)]), tmp_path, most=3)
    result = script("find_batch_size.py", "--memory=much")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def test_the_dry_run_says_the_same(config: Any) -> None:
    compiled, costs = compile_with_costs(build(config))
    assert costs == measure_costs(build(config))
    assert costs.peak >= costs.arguments + costs.temporary
    assert costs.state < costs.arguments
    described = describe_costs(config)
    assert f"{costs.parameters:,}" in described
    assert ", 1 part a batch\n" in described
    assert compiled.memory_analysis().argument_size_in_bytes == costs.arguments
