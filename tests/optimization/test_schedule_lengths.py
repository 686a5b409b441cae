"""Durations of a schedule that do not fit the length of training are refused, or said in one line."""

from typing import Any

import pytest

from cnn_jax.config.tree import default_config, override
from cnn_jax.errors import InputError
from cnn_jax.experiment.setup import build
from cnn_jax.optimization.schedules import check_rates, length_notes, make_schedule
from tests.support.helpers import refusal, tiny_config
from tests.support.schedules import schedule_block

CHILDREN = (("LinearLR", {"total_iters": 8}), ("SWALR", {"anneal_epochs": 10}))


@pytest.mark.parametrize(
    ("name", "arguments", "lines"),
    [
        ("OneCycleLR", {"total_steps": 5}, ["total_steps=5 ends before its 14 epochs"]),
        ("OneCycleLR", {"total_steps": 20}, ["total_steps=20 is longer than its 14 epochs"]),
        ("OneCycleLR", {"total_steps": 14}, []),
        ("OneCycleLR", {"warmup": 4}, []),
        ("OneCycleLR", {"total_steps": 1000, "warmup": 4, "unit": "steps"},
         ["total_steps=1000 ends before its 1396 steps"]),
        ("MultiStepLR", {"milestones": (5, 14)}, ["milestone 14 comes after its 14 epochs"]),
        ("MultiStepLR", {"milestones": (20, 30)}, ["milestones 20, 30 come after its 14 epochs"]),
        ("MultiStepLR", {"milestones": (20, 30), "unit": "steps"}, []),
        ("StepLR", {"step_size": 30}, ["step_size=30 is not within its 14 epochs"]),
        ("ConstantLR", {"total_iters": 15}, ["total_iters=15 is longer than its 14 epochs"]),
        ("LinearLR", {"total_iters": 15}, ["total_iters=15 is longer than its 14 epochs"]),
        ("PolynomialLR", {"total_iters": 14}, []),
        ("CosineAnnealingLR", {"T_max": 200}, ["T_max=200 is longer than its 14 epochs"]),
        ("CosineAnnealingLR", {"T_max": 11, "warmup": 4}, ["T_max=11 is longer than its 10 epochs"]),
        ("CosineAnnealingWarmRestarts", {"T_0": 15},
         ["T_0=15 is longer than its 14 epochs"]),
        ("CyclicLR", {"step_size_up": 2000}, ["step_size_up=2000 is longer than its 14 epochs"]),
        ("SWALR", {"anneal_epochs": 15}, ["anneal_epochs=15 is longer than its 14 epochs"]),
        ("SequentialLR", {"milestones": (14,)}, ["milestone 14 comes after its 14 epochs"]),
        ("SequentialLR", {"schedulers": CHILDREN, "milestones": (5,)},
         ["total_iters=8 is longer than its 5 epochs",
          "anneal_epochs=10 is longer than its 9 epochs"]),
        ("ReduceLROnPlateau", {"patience": 13},
         ["patience=13 cannot run out before the last of 14 epochs"]),
        ("ReduceLROnPlateau", {"patience": 12}, []),
        ("ChainedScheduler", {}, []),
    ],
)  # fmt: skip
def test_durations_beyond_training(name: str, arguments: dict[str, Any], lines: list[str]) -> None:
    notes = length_notes(schedule_block(name, **arguments), 100, 14)
    assert [note.split(": ")[2] for note in notes] == lines


def test_a_whole_line() -> None:
    assert length_notes(schedule_block("SequentialLR", schedulers=CHILDREN, milestones=5), 100, 6)[1:] == [
        "schedule: SWALR: anneal_epochs=10 is longer than its 1 epoch: its way to swa_lr is cut off"
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "first"),
    [
        ("PolynomialLR", {"total_iters": 5}, 500),
        ("LinearLR", {"end_factor": 0, "total_iters": 13.5}, 1350),
        ("LambdaLR", {"lr_lambda": "max(0, 1 - t / 5)"}, 500),
        ("PolynomialLR", {"total_iters": 14}, None),
        ("CosineAnnealingLR", {}, None),
        ("OneCycleLR", {}, None),
    ],
)
def test_a_rate_of_0_at_the_end(name: str, arguments: dict[str, Any], first: int | None) -> None:
    said = check_rates(make_schedule(schedule_block(name, **arguments), 0.1, 100, 14), name, 1400)
    line = f"schedule: {name}: the rate is 0 from step {first} of 1400 on: nothing is learned any more"
    assert said == (None if first is None else line)


def test_warmup_as_long_as_training() -> None:
    """Of OneCycleLR the rate would be the first of its cycle, a hundred thousandth of the peak, to the end."""
    with pytest.raises(InputError, match=r"warmup=2: .* all of training \(2 epochs\), so that 'OneCycleLR'"):
        build(tiny_config(schedule__warmup=2, data__source="folder", data__dir="/nowhere"))
    in_steps = {"schedule__unit": "steps", "schedule__warmup": 20}
    assert "warmup=20: it is as long as all of training (2 epochs, 20 steps)" in refusal(build, tiny_config(**in_steps))
    block = override(default_config(), [("schedule.warmup", 1.0)]).schedule
    make_schedule(block, 0.1, 100, 2)


def test_training_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    build(tiny_config(schedule__total_steps=1))
    assert "schedule: OneCycleLR: total_steps=1 ends before its 2 epochs" in capsys.readouterr().err
    build(tiny_config())
    assert "schedule" not in capsys.readouterr().err
