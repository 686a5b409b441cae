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
from cnn_jax.training.checkpointing import Checkpointer
from cnn_jax.training.evaluation import Fetch
from cnn_jax.training.loop import Trainer
from cnn_jax.training.loop_state import LoopState
from cnn_jax.training.program import LoopConfig, Program
from cnn_jax.training.requests import Request, Requests

STEPS = 6


@dataclasses.dataclass
class State:
    step: int = 0
    averaged: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        return {"params": np.float32(self.step)}


class Memory:
    """Checkpoints in a list: (step, the loop state that was saved)."""

    def __init__(self) -> None:
        self.saved: list[tuple[int, dict[str, Any]]] = []

    def save(self, step: int, state: Any, loop_state: dict[str, Any], config: Any) -> None:
        self.saved.append((step, loop_state))

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
    loop_state: LoopState | None = None,
    max_over_hosts: Any = lambda values: values,
    **changes: Any,
) -> tuple[Memory, list[dict[str, Any]], LoopState]:
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

    memory, rows = Memory(), []
    state: Any = State(averaged={"ema": 0} if averaged else None)
    loop_state = loop_state or LoopState()
    program = Program(step, feed, evaluate, learning_rate=lambda step, state: 0.1)  # type: ignore[arg-type]
    checkpointer = Checkpointer(memory, loop_state, lambda: 0.0, {}, program.learning_rate)  # type: ignore[arg-type]
    log = lambda step, row: rows.append({"step": step, **row})  # noqa: E731
    config, requests = LoopConfig(STEPS, num_epochs=2, **changes), Requests(StopSignals(), max_over_hosts)
    Trainer(state, loop_state, config, program, checkpointer, requests, log).train()
    return memory, rows, loop_state


@pytest.mark.parametrize("calls", [1, 2, 4, 50])
def test_any_number_of_steps_a_call_gives_the_same_rows(calls: int) -> None:
    memory, rows, loop_state = run(calls=calls)
    assert [step for step, _ in memory.saved] == [6, 12]
    assert [row["loss"] for row in rows] == [sum(range(6)) / 12, sum(range(6, 12)) / 12]
    assert loop_state.epoch == 2


def test_a_checkpoint_is_due_at_the_first_end_of_a_call_after_it() -> None:
    memory, _, _ = run(calls=4, checkpoint_unit="steps", checkpoint_every=3)
    assert [step for step, _ in memory.saved] == [4, 6, 10, 12]
    for step, saved in memory.saved:
        assert saved["totals"].get("count", 0) == 2 * (step - 6 * saved["epoch"])


@pytest.mark.parametrize(("answers", "stopped"), [({3: signal.SIGTERM}, 5), ({1: signal.SIGINT}, 3)])
def test_only_the_answer_of_all_hosts_stops_a_run(answers: dict[int, int], stopped: int) -> None:
    """Asked with the n-th call, answered two calls later: every host stops after the same step."""
    asked = 0

    def max_over_hosts(own: tuple[int, int]) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        return (Request.STOP, answers[asked]) if asked in answers else (Request.NONE, 0)

    with pytest.raises(Interrupted, match=f"stopped at step {stopped} of 12") as caught:
        run(max_over_hosts=max_over_hosts)
    assert caught.value.exit_status == 128 + next(iter(answers.values()))


def test_an_answer_in_an_evaluation_stops_a_run() -> None:
    evaluating = False

    def max_over_hosts(own: tuple[int, int]) -> tuple[int, int]:
        return (Request.STOP, signal.SIGTERM) if evaluating else own

    def evaluate(variables: Any, fetch: Fetch) -> dict[str, float]:
        nonlocal evaluating
        evaluating = True
        list(fetch([0]))
        raise AssertionError("it goes on")

    with pytest.raises(Interrupted, match="step 6 of 12"):
        run(evaluate=evaluate, max_over_hosts=max_over_hosts)


def test_steps_that_are_left_out_are_counted() -> None:
    _, rows, loop_state = run(bad=lambda step: step in (1, 2, 8), on_nonfinite="skip")
    assert [row["skipped_steps"] for row in rows] == [2, 1]
    assert [row["loss"] for row in rows] == [(0 + 3 + 4 + 5) / 8, (6 + 7 + 9 + 10 + 11) / 10]
    assert loop_state.skipped_steps == 3
    assert "skipped_steps" not in run(on_nonfinite="skip")[1][0]


def test_a_whole_epoch_of_steps_left_out_ends_the_run() -> None:
    _, _, loop_state = run(bad=lambda step: 2 <= step < 7, on_nonfinite="skip")
    assert loop_state.skipped_steps == 5
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 7"):
        run(bad=lambda step: step >= 2, on_nonfinite="skip")
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 5"):
        run(bad=lambda step: True, on_nonfinite="skip", calls=6)
    with pytest.raises(NonFiniteError, match="6 steps in a row, up to step 1"):
        run(bad=lambda step: True, on_nonfinite="skip", loop_state=LoopState(skipped_in_a_row=4))


def test_a_gradient_that_is_not_finite_stops_a_run() -> None:
    with pytest.raises(NonFiniteError, match="a gradient became nan at step 4, where"):
        run(bad=lambda step: step == 4)


@pytest.mark.parametrize(
    ("raw", "ema", "weights"), [(0.5, 0.6, "ema"), (0.6, 0.5, "raw"), (0.5, 0.5, "ema"), (0.5, None, "raw")]
)
def test_the_better_of_raw_and_averaged_weights_is_the_candidate(raw: float, ema: float | None, weights: str) -> None:
    def evaluate(variables: Any, fetch: Fetch) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": ema if "ema" in variables else raw}  # type: ignore[dict-item]

    _, rows, loop_state = run(evaluate=evaluate, averaged=ema is not None)
    assert loop_state.best == {
        "step": 6, "epoch": 1, "weights": weights, "metrics": {"loss": 1.0, "accuracy": max(raw, ema or 0)}
    }  # fmt: skip
    expected = ["train", "validation"] + ["validation_ema"] * (ema is not None)
    assert [row["split"] for row in rows] == 2 * expected
    assert loop_state.weights == weights
    assert LoopState(averaged_weights="ema").weights == "ema"


def test_epoch_0_is_evaluated_where_it_is_wanted() -> None:
    """Before the first step: a row, a checkpoint, the best where none is better; a run that goes on has had it."""
    accuracies = iter([0.9, 0.5, 0.6])

    def evaluate(variables: Any, fetch: Fetch) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": next(accuracies)}

    memory, rows, loop_state = run(evaluate=evaluate, evaluates_start=True)
    assert [(row["epoch"], row["step"], row["split"]) for row in rows] == [
        (0, 0, "validation"), (1, 6, "train"), (1, 6, "validation"), (2, 12, "train"), (2, 12, "validation"),
    ]  # fmt: skip
    assert memory.saved[0][0] == 0
    assert loop_state.best == {"step": 0, "epoch": 0, "weights": "raw", "metrics": {"loss": 1.0, "accuracy": 0.9}}
    accuracies = iter([0.1, 0.2])
    _, rows, _ = run(evaluate=evaluate, evaluates_start=True, loop_state=LoopState(best=loop_state.best))
    assert [row["epoch"] for row in rows] == [1, 1, 2, 2]


def test_epoch_0_must_be_finite() -> None:
    with pytest.raises(NonFiniteError, match="the validation loss became nan at step 0"):
        run(evaluate=lambda variables, fetch: {"loss": np.nan, "accuracy": 0.5}, evaluates_start=True)
