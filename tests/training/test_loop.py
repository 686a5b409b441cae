"""The loop by itself, with steps and an evaluation that are made up: calls, answers, what is left out, averages."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cnn_jax.cli.signals import StopSignals
from cnn_jax.errors import Interrupted, NonFiniteError
from cnn_jax.training.evaluation import Between
from cnn_jax.training.loop import train
from cnn_jax.training.plan import Plan, Progress

STEPS = 6


@dataclasses.dataclass
class State:
    step: int = 0
    averaged: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        return {"params": np.float32(self.step)}


class Memory:
    """Checkpoints in a list: (step, the progress that was saved)."""

    def __init__(self) -> None:
        self.saved: list[tuple[int, dict[str, Any]]] = []

    def save(self, step: int, state: Any, progress: dict[str, Any], config: Any) -> None:
        self.saved.append((step, progress))

    def last(self) -> int | None:
        return self.saved[-1][0] if self.saved else None

    def saving(self) -> bool:
        return False

    def wait(self) -> None:
        pass


def run(
    *,
    calls: int = 1,
    bad: Callable[[int], bool] = lambda step: False,
    evaluate: Any = None,
    averaged: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> tuple[Memory, list[dict[str, Any]], Progress]:
    """Trains with calls of up to so many steps; step i has the loss i, and `bad` ones are left out."""

    def step(state: State, work: range) -> tuple[State, dict[str, np.ndarray]]:
        good = np.array([not bad(i) for i in work], np.float32)
        sums = {"count": 2 * good, "loss": np.array(list(work), np.float32) * good, "correct": good}
        return State(work.stop, {"ema": work.stop} if averaged else None), {**sums, "nonfinite": 1 - good}

    @contextlib.contextmanager
    def feed(first: int, end: int) -> Iterator[Iterator[tuple[range, int]]]:
        def works() -> Iterator[tuple[range, int]]:
            at = first
            while at < end:
                upto = min(at + calls, (at // STEPS + 1) * STEPS)
                yield range(at, upto), upto - at
                at = upto

        yield works()

    settings: dict[str, Any] = {
        "train_step": step, "feed": feed, "evaluate": evaluate, "learning_rate": lambda step, state: 0.1,
        "steps_per_epoch": STEPS, "num_epochs": 2, "patience": None, "checkpoint_every": 1.0,
        "checkpoint_unit": "epochs", "metric": "validation_accuracy", "wall_seconds": lambda: 0.0, "config": {},
    }  # fmt: skip
    memory, rows = Memory(), []
    progress = progress or Progress()
    plan = Plan(**{**settings, **changes})
    log = lambda step, row: rows.append({"step": step, **row})  # noqa: E731
    train(State(averaged={"ema": 0} if averaged else None), progress, plan, memory, log, StopSignals())  # type: ignore[arg-type]
    return memory, rows, progress


@pytest.mark.parametrize("calls", [1, 2, 4, 50])
def test_any_number_of_steps_a_call_gives_the_same_rows(calls: int) -> None:
    memory, rows, progress = run(calls=calls)
    assert [step for step, _ in memory.saved] == [6, 12]
    assert [row["loss"] for row in rows] == [sum(range(6)) / 12, sum(range(6, 12)) / 12]
    assert progress.epoch == 2


def test_a_checkpoint_is_due_at_the_first_end_of_a_call_after_it() -> None:
    memory, _, _ = run(calls=4, checkpoint_unit="steps", checkpoint_every=3)
    assert [step for step, _ in memory.saved] == [4, 6, 10, 12]
    for step, progress in memory.saved:
        assert progress["totals"].get("count", 0) == 2 * (step - 6 * progress["epoch"])


@pytest.mark.parametrize(("answers", "stopped"), [({3: signal.SIGTERM}, 5), ({1: signal.SIGINT}, 3)])
def test_only_the_answer_of_all_hosts_stops_a_run(answers: dict[int, int], stopped: int) -> None:
    """Asked with the n-th call, answered two calls later: every host stops after the same step."""
    asked = 0

    def ask(code: int) -> int:
        nonlocal asked
        asked += 1
        return answers.get(asked, 0)

    with pytest.raises(Interrupted, match=f"stopped at step {stopped} of 12") as caught:
        run(ask=ask)
    assert caught.value.exit_status == 128 + next(iter(answers.values()))


def test_an_answer_in_an_evaluation_stops_a_run() -> None:
    def evaluate(variables: Any, between: Between) -> dict[str, float]:
        between.act(signal.SIGTERM)
        raise AssertionError("it goes on")

    with pytest.raises(Interrupted, match="step 6 of 12"):
        run(evaluate=evaluate)


def test_steps_that_are_left_out_are_counted() -> None:
    _, rows, progress = run(bad=lambda step: step in (1, 2, 8), on_nonfinite="skip")
    assert [row["skipped_steps"] for row in rows] == [2, 1]
    assert [row["loss"] for row in rows] == [(0 + 3 + 4 + 5) / 8, (6 + 7 + 9 + 10 + 11) / 10]
    assert progress.skipped_steps == 3
    assert "skipped_steps" not in run(on_nonfinite="skip")[1][0]


def test_a_whole_epoch_of_steps_left_out_ends_the_run() -> None:
    _, _, progress = run(bad=lambda step: 2 <= step < 7, on_nonfinite="skip")
    assert progress.skipped_steps == 5
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 7"):
        run(bad=lambda step: step >= 2, on_nonfinite="skip")
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 5"):
        run(bad=lambda step: True, on_nonfinite="skip", calls=6)
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 1"):
        run(bad=lambda step: True, on_nonfinite="skip", progress=Progress(skipped_in_a_row=4))


def test_a_gradient_that_is_not_finite_stops_a_run() -> None:
    with pytest.raises(NonFiniteError, match="a gradient became nan at step 4, where"):
        run(bad=lambda step: step == 4)


@pytest.mark.parametrize(
    ("raw", "ema", "weights"), [(0.5, 0.6, "ema"), (0.6, 0.5, "raw"), (0.5, 0.5, "ema"), (0.5, None, "raw")]
)
def test_the_better_of_raw_and_averaged_weights_is_the_candidate(raw: float, ema: float | None, weights: str) -> None:
    def evaluate(variables: Any, between: Between) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": ema if "ema" in variables else raw}  # type: ignore[dict-item]

    _, rows, progress = run(evaluate=evaluate, averaged=ema is not None)
    assert progress.best == {
        "step": 6, "epoch": 1, "weights": weights, "metrics": {"loss": 1.0, "accuracy": max(raw, ema or 0)}
    }  # fmt: skip
    expected = ["train", "validation"] + ["validation_ema"] * (ema is not None)
    assert [row["split"] for row in rows] == 2 * expected
    assert progress.weights == weights
    assert Progress(averaged=True).weights == "ema"
